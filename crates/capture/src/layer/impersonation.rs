//! As whom a request asks to act: the `Impersonate-*` headers, with what kube-apiserver adds to a user.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/endpoints/filters/impersonation` (v0.36.3).

use std::borrow::Cow;

use decklog_audit::event::{UserInfo, text_from_bytes};
use http::{HeaderMap, HeaderValue};

const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The user that the headers of a request name, as they name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impersonation {
    /// The name.
    pub username: String,
    /// Empty if not given.
    pub uid: String,
    /// In the order of the headers.
    pub groups: Vec<String>,
    /// Keys in lower case, sorted; values in the order of the headers.
    pub extra: Vec<(String, Vec<String>)>,
}

/// Headers that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImpersonationError {
    /// Groups, uid or extra without a name: kube-apiserver answers 400.
    #[error("requested impersonation without impersonating a user name")]
    NoUser,
}

impl Impersonation {
    /// What the headers ask for; nothing if they ask for no impersonation.
    ///
    /// # Errors
    /// Headers that name no user.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, ImpersonationError> {
        let text = |value: &HeaderValue| text_from_bytes(value.as_bytes()).into_owned();
        let first = |name: &str| headers.get(name).map(text).unwrap_or_default();
        let mut wanted = Self {
            username: first("impersonate-user"),
            uid: first("impersonate-uid"),
            groups: headers.get_all("impersonate-group").iter().map(text).collect(),
            extra: Vec::new(),
        };
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix("impersonate-extra-") {
                wanted.extra.push((unescaped(key), headers.get_all(name).iter().map(text).collect()));
            }
        }
        wanted.extra.sort();
        match (wanted.username.is_empty(), wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => Err(ImpersonationError::NoUser),
            (false, _) => Ok(Some(wanted)),
        }
    }

    /// The user that the request then has. A service account without groups gets its own, a node that of nodes where
    /// `is_constrained`; all but the anonymous user are authenticated, unless the groups say otherwise.
    #[must_use]
    pub fn user(&self, is_constrained: bool) -> UserInfo<'static> {
        let mut groups = self.groups.clone();
        if let Some((namespace, _)) = service_account(&self.username).filter(|_| groups.is_empty()) {
            groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        } else if is_constrained && groups.is_empty() && node(&self.username).is_some() {
            groups = vec!["system:nodes".to_owned()];
        }
        let has = |name: &str| groups.iter().any(|group| group == name);
        let missing = match self.username.as_str() {
            ANONYMOUS => (!has(UNAUTHENTICATED)).then_some(UNAUTHENTICATED),
            _ => (!has(AUTHENTICATED) && !has(UNAUTHENTICATED)).then_some(AUTHENTICATED),
        };
        groups.extend(missing.map(str::to_owned));
        let texts = |texts: &[String]| texts.iter().cloned().map(Cow::Owned).collect();
        UserInfo {
            username: Some(self.username.clone().into()),
            uid: (!self.uid.is_empty()).then(|| self.uid.clone().into()),
            groups: Some(texts(&groups)),
            extra: (!self.extra.is_empty()).then(|| self.extra.iter().map(|(key, values)| (key.clone().into(), Some(texts(values)))).collect()),
        }
    }

    /// Whether nothing but a name is asked for.
    pub fn is_name_alone(&self) -> bool {
        self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }
}

/// Namespace and name of a service account's user name.
pub(crate) fn service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The name of a node's user name.
pub(crate) fn node(username: &str) -> Option<&str> {
    username.strip_prefix("system:node:").filter(|name| !name.is_empty())
}

/// Percent-decoded; as it is where it is badly encoded.
fn unescaped(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|digit| (*digit as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { return key.to_owned() };
        bytes.push((high * 16 + low) as u8);
        rest = &after[2..];
    }
    text_from_bytes(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Result<Option<Impersonation>, ImpersonationError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Impersonation::of(&map)
    }

    fn groups(headers: &[(&'static str, &str)]) -> String {
        of(headers).unwrap().unwrap().user(true).groups.unwrap().join(" ")
    }

    #[test]
    fn users_get_the_groups_that_kube_apiserver_gives_them() {
        assert_eq!(groups(&[("impersonate-user", "bob")]), "system:authenticated");
        assert_eq!(groups(&[("impersonate-user", "bob"), ("impersonate-group", "g1"), ("impersonate-group", "g2")]), "g1 g2 system:authenticated");
        assert_eq!(groups(&[("impersonate-user", "bob"), ("impersonate-group", "system:unauthenticated")]), "system:unauthenticated");
        assert_eq!(groups(&[("impersonate-user", ANONYMOUS)]), "system:unauthenticated");
        assert_eq!(groups(&[("impersonate-user", "system:serviceaccount:ci:bot")]), "system:serviceaccounts system:serviceaccounts:ci system:authenticated");
        assert_eq!(groups(&[("impersonate-user", "system:node:n1")]), "system:nodes system:authenticated");
    }

    #[test]
    fn extra_keys_are_decoded_and_a_name_is_needed() {
        let wanted = of(&[
            ("impersonate-user", "bob"),
            ("impersonate-extra-acme.com%2fteam", "a"),
            ("impersonate-extra-acme.com%2fteam", "b"),
            ("impersonate-extra-x%", "c"),
        ]);
        assert_eq!(
            wanted.unwrap().unwrap().extra,
            [("acme.com/team".to_owned(), vec!["a".to_owned(), "b".to_owned()]), ("x%".to_owned(), vec!["c".to_owned()])]
        );
        assert_eq!(of(&[("impersonate-group", "g")]), Err(ImpersonationError::NoUser));
        assert_eq!(of(&[("x", "y")]), Ok(None));
    }
}
