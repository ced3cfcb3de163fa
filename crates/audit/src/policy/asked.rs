//! A request as people and programs describe one to ask a policy about it: the attributes, or a request line.

use std::borrow::Cow;

use serde::Deserialize;

use super::explain::RequestLength;
use super::model::{Attributes, User};
use super::request_info::{RequestInfo, resolve};

/// A request: attributes by name (a missing one is empty), or `method` and `target`; with either who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields are those of Attributes")]
pub struct AskedRequest {
    /// Nobody is a request that could not be authenticated.
    pub user: Option<AskedUser>,
    /// The HTTP method, where the attributes are to be resolved from the request line.
    pub method: Option<String>,
    /// The request target: the path, and the query if any.
    pub target: Option<String>,
    pub verb: String,
    pub namespace: String,
    pub api_group: String,
    pub api_version: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    pub path: String,
    /// If not given, a request with a resource is one.
    pub is_resource_request: Option<bool>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AskedUser {
    /// The user's name.
    pub name: String,
    /// The groups; none is no group.
    pub groups: Option<Vec<String>>,
}

impl AskedRequest {
    fn info(&self) -> Result<RequestInfo<'_>, String> {
        if let (Some(method), Some(target)) = (&self.method, &self.target) {
            let resolved = resolve(method.as_bytes(), target.as_bytes()).map_err(|error| format!("kube-apiserver refuses it with 400: {error}"))?;
            return match resolved.error {
                Some(error) => Err(format!("kube-apiserver refuses it with 500 and records nothing: {error}")),
                None => Ok(resolved.info),
            };
        }
        let text = |text: &'_ String| Cow::Owned(text.clone());
        Ok(RequestInfo {
            is_resource_request: self.is_resource_request.unwrap_or(!self.resource.is_empty()),
            path: text(&self.path),
            verb: text(&self.verb),
            api_group: text(&self.api_group),
            api_version: text(&self.api_version),
            namespace: text(&self.namespace),
            resource: text(&self.resource),
            subresource: text(&self.subresource),
            name: text(&self.name),
            ..RequestInfo::default()
        })
    }

    /// Hands its attributes to `ask`.
    ///
    /// # Errors
    /// Why kube-apiserver refuses the request line, for people.
    pub fn ask<T>(&self, ask: impl FnOnce(&Attributes<'_>, RequestLength) -> T) -> Result<T, String> {
        let info = self.info()?;
        let groups: Vec<&str> = self.user.iter().flat_map(|user| user.groups.iter().flatten()).map(String::as_str).collect();
        let user = self.user.as_ref().map(|user| User { name: &user.name, groups: &groups });
        Ok(ask(&info.attributes(user), RequestLength::of(&info)))
    }
}
