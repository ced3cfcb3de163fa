//! What a request line means: method and target to the attributes that policy and authorization see.
//!
//! kube-apiserver does this before it looks at who asks; decklog does it for `request-info`, for `policy explain` of a URL, and
//! for recorded events, whose `requestURI` is the only full account of what was asked.
//!
//! Text that is not UTF-8 stands as in [`text_from_bytes`](crate::event::text_from_bytes).
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go` (v0.36.3) with the prefixes that
//! kube-apiserver gives it, its long-running check in `k8s.io/kubernetes/pkg/controlplane/apiserver`, and Go's `net/url`.

mod list_options;
mod selectors;
mod url;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use super::model::{Attributes, User};
use crate::event::text_from_bytes;
use list_options::ListOptions;
pub use url::TargetError;
use url::{Target, query_value};

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo<'a> {
    /// Whether the path is one of a resource.
    pub is_resource_request: bool,
    /// The path, decoded.
    pub path: Cow<'a, str>,
    /// The Kubernetes verb, or the method in lower case.
    pub verb: Cow<'a, str>,
    /// `api` or `apis`; empty if the path begins otherwise or is short.
    pub api_prefix: Cow<'a, str>,
    /// Empty for the core group.
    pub api_group: Cow<'a, str>,
    /// Empty for non-resource requests.
    pub api_version: Cow<'a, str>,
    /// Empty where there is none.
    pub namespace: Cow<'a, str>,
    /// Empty for non-resource requests.
    pub resource: Cow<'a, str>,
    /// Empty where there is none.
    pub subresource: Cow<'a, str>,
    /// The object's name, from the path or pinned by the field selector of a list.
    pub name: Cow<'a, str>,
    /// The path from the resource on, in its parts.
    pub parts: Vec<Cow<'a, str>>,
    /// As sent, where the verb takes one.
    pub field_selector: Cow<'a, str>,
    /// As sent, where the verb takes one.
    pub label_selector: Cow<'a, str>,
}

/// A request line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRequest<'a> {
    /// What it is about; what was known by then where `error` is set.
    pub info: RequestInfo<'a>,
    /// kube-apiserver answers 500 and records nothing.
    pub error: Option<ResolveError>,
    /// What an audit event has as its `requestURI`.
    pub event_request_uri: Cow<'a, str>,
}

/// The path names a special verb and nothing after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unable to determine kind and namespace from url, {url}")]
pub struct ResolveError {
    /// The URL as kube-apiserver prints it.
    pub url: String,
}

impl RequestInfo<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> RequestInfo<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        RequestInfo {
            is_resource_request: self.is_resource_request,
            path: own(self.path),
            verb: own(self.verb),
            api_prefix: own(self.api_prefix),
            api_group: own(self.api_group),
            api_version: own(self.api_version),
            namespace: own(self.namespace),
            resource: own(self.resource),
            subresource: own(self.subresource),
            name: own(self.name),
            parts: self.parts.into_iter().map(own).collect(),
            field_selector: own(self.field_selector),
            label_selector: own(self.label_selector),
        }
    }

    /// Whether kube-apiserver treats the request as long-running, so that it has a ResponseStarted.
    pub fn is_long_running(&self) -> bool {
        matches!(self.verb.as_ref(), "watch" | "proxy")
            || (self.is_resource_request && matches!(self.subresource.as_ref(), "attach" | "exec" | "proxy" | "log" | "portforward"))
            || (!self.is_resource_request && self.path.starts_with("/debug/pprof/"))
    }

    /// With who asks: what a policy is asked about.
    pub fn attributes<'s>(&'s self, user: Option<User<'s>>) -> Attributes<'s> {
        Attributes {
            user,
            verb: &self.verb,
            namespace: &self.namespace,
            api_group: &self.api_group,
            api_version: &self.api_version,
            resource: &self.resource,
            subresource: &self.subresource,
            name: &self.name,
            path: &self.path,
            is_resource_request: self.is_resource_request,
        }
    }
}

/// Reads the method and target of a request line.
///
/// # Errors
/// What Go's HTTP server refuses with 400 before anything else.
pub fn resolve<'a>(method: &'a [u8], target: &'a [u8]) -> Result<ResolvedRequest<'a>, TargetError> {
    url::check_method(method)?;
    let target = Target::parse(method, target)?;
    let (info, special_verb_alone) = info(method, &target);
    let error = special_verb_alone.then(|| ResolveError { url: target.printed() });
    Ok(ResolvedRequest { info, error, event_request_uri: target.request_uri() })
}

/// What a recorded request is about: its `requestURI` says all but the verb. A URI that does not parse is a non-resource path.
pub fn of_event<'a>(request_uri: &'a str, verb: &'a str) -> RequestInfo<'a> {
    let method: &[u8] = match verb {
        "get" | "list" | "watch" => b"GET",
        "create" => b"POST",
        "update" => b"PUT",
        "patch" => b"PATCH",
        "delete" | "deletecollection" => b"DELETE",
        _ => b"OPTIONS",
    };
    let mut info = match Target::parse(method, request_uri.as_bytes()) {
        Ok(target) => info(method, &target).0,
        Err(_) => RequestInfo { path: Cow::Borrowed(request_uri.split('?').next().unwrap_or_default()), ..RequestInfo::default() },
    };
    info.verb = Cow::Borrowed(verb);
    info
}

/// The parts of a path, as ranges of it.
fn parts_of(path: &str) -> Vec<Range<usize>> {
    let start = path.len() - path.trim_start_matches('/').len();
    let trimmed = path.trim_matches('/');
    if trimmed.is_empty() {
        return Vec::new();
    }
    let mut at = start;
    let mut parts = Vec::with_capacity(8);
    for part in trimmed.split('/') {
        parts.push(at..at + part.len());
        at += part.len() + 1;
    }
    parts
}

/// A part of a text that may be borrowed.
fn piece<'a>(text: &Cow<'a, str>, range: &Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range.clone()]),
        Cow::Owned(text) => Cow::Owned(text[range.clone()].to_owned()),
    }
}

/// Also tells whether a special verb stands alone, which is an error.
fn info<'a>(method: &'a [u8], target: &Target<'a>) -> (RequestInfo<'a>, bool) {
    let path = target.path();
    let mut info = RequestInfo { verb: lower_case(method), path: path.clone(), ..RequestInfo::default() };
    let ranges = parts_of(&path);
    let mut rest = ranges.as_slice();
    if rest.len() < 3 || !matches!(&path[rest[0].clone()], "api" | "apis") {
        return (info, false);
    }
    info.api_prefix = piece(&path, &rest[0]);
    rest = &rest[1..];
    if info.api_prefix == "apis" {
        if rest.len() < 3 {
            return (info, false);
        }
        info.api_group = piece(&path, &rest[0]);
        rest = &rest[1..];
    }
    info.is_resource_request = true;
    info.api_version = piece(&path, &rest[0]);
    rest = &rest[1..];

    let by_path = matches!(&path[rest[0].clone()], "proxy" | "watch");
    if by_path {
        if rest.len() < 2 {
            return (info, true);
        }
        info.verb = piece(&path, &rest[0]);
        rest = &rest[1..];
    } else {
        info.verb = Cow::Borrowed(match method {
            b"POST" => "create",
            b"GET" | b"HEAD" => "get",
            b"PUT" => "update",
            b"PATCH" => "patch",
            b"DELETE" => "delete",
            _ => "",
        });
    }
    if &path[rest[0].clone()] == "namespaces"
        && let Some(namespace) = rest.get(1)
    {
        info.namespace = piece(&path, namespace);
        if rest.get(2).is_some_and(|part| !matches!(&path[part.clone()], "status" | "finalize")) {
            rest = &rest[2..];
        }
    }
    info.parts = rest.iter().map(|part| piece(&path, part)).collect();
    info.resource = rest.first().map(|part| piece(&path, part)).unwrap_or_default();
    info.name = rest.get(1).map(|part| piece(&path, part)).unwrap_or_default();
    if info.verb != "proxy" {
        info.subresource = rest.get(2).map(|part| piece(&path, part)).unwrap_or_default();
    }
    by_query(&mut info, target, by_path);
    (info, false)
}

/// What only the query says: whether a get without a name is a list or a watch, and of which name.
fn by_query<'a>(info: &mut RequestInfo<'a>, target: &Target<'a>, verb_by_path: bool) {
    if info.name.is_empty() && info.verb == "get" {
        let options = ListOptions::decode(target.query());
        info.verb = Cow::Borrowed(if options.watch { "watch" } else { "list" });
        if let Some(name) = options.name {
            info.name = Cow::Owned(text_from_bytes(&name).into_owned());
        }
    }
    if info.name.is_empty() && info.verb == "delete" {
        info.verb = Cow::Borrowed("deletecollection");
    }
    if !verb_by_path && matches!(info.verb.as_ref(), "list" | "watch" | "deletecollection") && !target.query().is_empty() {
        let selector = |name: &str| query_value(target.query(), name).map(|value| Cow::Owned(text_from_bytes(&value).into_owned())).unwrap_or_default();
        info.field_selector = selector("fieldSelector");
        info.label_selector = selector("labelSelector");
    }
}

fn lower_case(method: &[u8]) -> Cow<'_, str> {
    Cow::Borrowed(match method {
        b"GET" => "get",
        b"HEAD" => "head",
        b"POST" => "post",
        b"PUT" => "put",
        b"PATCH" => "patch",
        b"DELETE" => "delete",
        b"OPTIONS" => "options",
        // A method is a token, hence ASCII.
        other => return Cow::Owned(String::from_utf8_lossy(other).to_ascii_lowercase()),
    })
}
