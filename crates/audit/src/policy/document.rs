//! A policy from its document's values, for texts that were read and checked already, or that are to be asked unchecked. The
//! loader with kube-apiserver's verdict on a text stands elsewhere.

use serde_json::Value;

use super::model::{GroupResources, Policy, Rule};

/// Takes what a document says, without a check: what is missing or of another type is as if it were not there.
pub fn from_document(document: &Value) -> Policy {
    Policy {
        rules: list(&document["rules"]).map(rule).collect(),
        omit_stages: texts(&document["omitStages"]),
        omit_managed_fields: document["omitManagedFields"] == true,
    }
}

fn rule(value: &Value) -> Rule {
    Rule {
        level: text(&value["level"]),
        users: texts(&value["users"]),
        user_groups: texts(&value["userGroups"]),
        verbs: texts(&value["verbs"]),
        resources: list(&value["resources"]).map(resources).collect(),
        namespaces: texts(&value["namespaces"]),
        non_resource_urls: texts(&value["nonResourceURLs"]),
        omit_stages: texts(&value["omitStages"]),
        omit_managed_fields: value["omitManagedFields"].as_bool(),
    }
}

fn resources(value: &Value) -> GroupResources {
    GroupResources { group: text(&value["group"]), resources: texts(&value["resources"]), resource_names: texts(&value["resourceNames"]) }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
