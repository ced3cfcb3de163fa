//! What the query of a list says, as far as it changes what a request is: watch, and the one name it asks for.
//!
//! kube-apiserver decodes all list options at once and, if any of them is wrong, takes none but `watch`. So a bad `limit` or
//! label selector also hides the name that a field selector pins.

use super::selectors::{check_labels, pinned_name};
use super::url::parameters;

/// The options that count here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListOptions {
    /// Whether the list is a watch.
    pub(super) watch: bool,
    /// The name that the field selector asks for.
    pub(super) name: Option<Vec<u8>>,
}

impl ListOptions {
    /// Reads a query.
    pub(super) fn decode(query: &[u8]) -> Self {
        if query.is_empty() {
            return Self::default();
        }
        let (mut watch, mut labels, mut fields) = (None, None, None);
        let (mut limit, mut timeout) = (None, None);
        for (name, value) in parameters(query) {
            let place = match name.as_slice() {
                b"watch" => &mut watch,
                b"labelSelector" => &mut labels,
                b"fieldSelector" => &mut fields,
                b"limit" => &mut limit,
                b"timeoutSeconds" => &mut timeout,
                _ => continue,
            };
            // Of a repeated parameter the first counts.
            place.get_or_insert(value);
        }
        let is_number = |value: &Option<Vec<u8>>| value.as_deref().is_none_or(is_int64);
        let numbers = is_number(&limit) && is_number(&timeout);
        let labels = labels.is_none_or(|selector| check_labels(&selector));
        let name = match fields.map_or(Ok(None), |selector| pinned_name(&selector)) {
            Ok(name) if numbers && labels => name,
            _ => None,
        };
        Self { watch: watch.is_some_and(|value| is_true(&value)), name }
    }
}

/// Anything is true but `0` and `false`, also nothing.
fn is_true(value: &[u8]) -> bool {
    value != b"0" && !value.eq_ignore_ascii_case(b"false")
}

/// As `strconv.ParseInt(text, 10, 64)` takes it.
fn is_int64(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<i64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_option_hides_all_but_watch() {
        let options = |query: &str| ListOptions::decode(query.as_bytes());
        let name = |query: &str| options(query).name.map(|name| String::from_utf8(name).unwrap());
        assert_eq!(name("fieldSelector=metadata.name%3Dfoo"), Some("foo".to_owned()));
        for bad in ["limit=abc", "limit=", "timeoutSeconds=1.5", "labelSelector=a,,b", "limit=9223372036854775808"] {
            assert_eq!(name(&format!("fieldSelector=metadata.name%3Dfoo&{bad}")), None, "{bad}");
            assert!(options(&format!("watch&{bad}")).watch, "{bad}");
        }
        for (query, wanted) in [("watch", true), ("watch=f", true), ("watch=FALSE", false), ("watch=0", false), ("watch=false&watch=1", false), ("", false)] {
            assert_eq!(options(query).watch, wanted, "{query}");
        }
    }
}
