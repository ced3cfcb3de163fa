//! decklog beside its peers and its limits: what the programs `bench-*` share.
//!
//! The typed struct is the peer in Rust: serde_json with raw bodies, as a program would decode events that needs neither
//! unknown members nor the exact line.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// An EventList.
#[derive(Deserialize)]
pub struct EventList<'a> {
    /// Its events.
    #[serde(borrow)]
    pub items: Vec<Event<'a>>,
}

/// One event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of audit.k8s.io/v1")]
pub struct Event<'a> {
    #[serde(borrow)]
    pub level: Cow<'a, str>,
    #[serde(borrow, rename = "auditID")]
    pub audit_id: Cow<'a, str>,
    #[serde(borrow)]
    pub stage: Cow<'a, str>,
    #[serde(borrow, rename = "requestURI")]
    pub request_uri: Cow<'a, str>,
    #[serde(borrow)]
    pub verb: Cow<'a, str>,
    #[serde(borrow)]
    pub user: User<'a>,
    #[serde(borrow)]
    pub impersonated_user: Option<User<'a>>,
    #[serde(borrow, rename = "sourceIPs")]
    pub source_ips: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub user_agent: Cow<'a, str>,
    #[serde(borrow)]
    pub object_ref: Option<ObjectReference<'a>>,
    #[serde(borrow)]
    pub response_status: Option<Status<'a>>,
    #[serde(borrow)]
    pub request_object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub response_object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub request_received_timestamp: Cow<'a, str>,
    #[serde(borrow)]
    pub stage_timestamp: Cow<'a, str>,
    #[serde(borrow)]
    pub annotations: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
}

/// `user` and `impersonatedUser`.
#[derive(Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields of audit.k8s.io/v1")]
pub struct User<'a> {
    #[serde(borrow)]
    pub username: Cow<'a, str>,
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    #[serde(borrow)]
    pub groups: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub extra: Option<HashMap<Cow<'a, str>, Vec<Cow<'a, str>>>>,
}

/// `objectRef`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of audit.k8s.io/v1")]
pub struct ObjectReference<'a> {
    #[serde(borrow)]
    pub resource: Cow<'a, str>,
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    #[serde(borrow)]
    pub api_group: Cow<'a, str>,
    #[serde(borrow)]
    pub api_version: Cow<'a, str>,
    #[serde(borrow)]
    pub resource_version: Cow<'a, str>,
    #[serde(borrow)]
    pub subresource: Cow<'a, str>,
}

/// `responseStatus`.
#[derive(Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields of audit.k8s.io/v1")]
pub struct Status<'a> {
    pub code: i32,
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    #[serde(borrow)]
    pub details: Option<&'a RawValue>,
}
