//! From a tree to a policy: which kind of object it says it is, then its fields.

use serde_json::{Map, Value as Json};

use super::fields::Reader;
use super::metadata;
use super::{Node, Problem, Span, TargetVersion, Value};
use crate::policy::{GroupResources, Policy, Rule};

/// The API group of policies.
const GROUP: &str = "audit.k8s.io";

/// What a document says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Policy of a version that counts.
    Policy,
    /// Without a version: kube-apiserver reads it into its inner type, and refuses it then.
    Internal,
}

/// What stands at `apiVersion` and `kind`.
pub(super) fn kind_of(root: &Node, target: TargetVersion, reader: &mut Reader) -> Result<Kind, Problem> {
    let mut named = [(String::new(), root.span), (String::new(), root.span)];
    // The version is looked for with names in any case, and with none the whole is taken for kube-apiserver's own type.
    let mut mistyped = None;
    let members = match &root.value {
        Value::Map(members) => members.as_slice(),
        Value::Null => &[],
        _ => {
            let message = "a policy is a map with `apiVersion`, `kind` and `rules`, and this is none";
            let fix = "begin with `apiVersion: audit.k8s.io/v1` and `kind: Policy`, without a dash";
            return Err(Problem::new("not-a-policy", Span { end: root.span.start + 1, ..root.span }, message, fix));
        }
    };
    let mut order: Vec<usize> = (0..members.len()).collect();
    if reader.syntax == super::fields::Syntax::Yaml {
        order.sort_by(|a, b| members[*a].0.text.cmp(&members[*b].0.text));
    }
    for (key, value) in order.into_iter().map(|index| &members[index]) {
        let which = match key.text.to_ascii_lowercase().as_str() {
            "apiversion" => 0,
            "kind" => 1,
            _ => continue,
        };
        match &value.value {
            Value::Text(text) => named[which] = (text.clone(), value.span),
            Value::Null => {}
            _ => mistyped = Some((key.text.clone(), value)),
        }
    }
    if let Some((name, value)) = mistyped {
        reader.mistyped(value, &name, "a text");
        return Err(reader.problems.remove(0));
    }
    let [(version, version_span), (kind, kind_span)] = named;
    decide(&version, version_span, &kind, kind_span, target)
}

fn decide(version: &str, version_span: Span, kind: &str, kind_span: Span, target: TargetVersion) -> Result<Kind, Problem> {
    let wrong_version = |message: String| Problem::new("not-a-policy", version_span, message, "write `apiVersion: audit.k8s.io/v1`");
    let is_policy = matches!(kind, "" | "Policy");
    let no_policy = || Problem::new("not-a-policy", kind_span, format!("`{kind}` is not the kind of a policy"), "write `kind: Policy`");
    let is_ours = match version.split_once('/') {
        _ if version.is_empty() || version == "/" => None,
        Some((GROUP, "" | "__internal")) => None,
        Some((_, rest)) if rest.contains('/') => return Err(wrong_version(format!("`{version}` is no version of an API"))),
        Some((GROUP, "v1")) => Some(true),
        Some((GROUP, "v1beta1" | "v1alpha1")) => Some(target.has_beta()),
        _ => Some(false),
    };
    match is_ours {
        None if is_policy => Ok(Kind::Internal),
        Some(true) if is_policy => Ok(Kind::Policy),
        Some(false) if matches!(version, "audit.k8s.io/v1beta1" | "audit.k8s.io/v1alpha1") => {
            let problem = wrong_version(format!("`{version}` was removed in Kubernetes 1.24, and this is for {target}"));
            Err(Problem { code: "version-removed", ..problem }.replacing("audit.k8s.io/v1"))
        }
        Some(false) => Err(wrong_version(format!("`{version}` is not the version of a policy"))),
        _ => Err(no_policy()),
    }
}

/// A policy with the places that its validation points at.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) policy: Policy,
    /// As Kubernetes writes it again.
    pub(super) metadata: Map<String, Json>,
}

/// The fields of a Policy.
pub(super) fn policy(root: &Node, target: TargetVersion, reader: &mut Reader) -> Decoded {
    let mut decoded = Decoded::default();
    reader.members(root, "", &mut |reader, name, value| {
        let policy = &mut decoded.policy;
        match name {
            "apiVersion" | "kind" => {}
            "metadata" => decoded.metadata = metadata::read(reader, value, "metadata"),
            "omitStages" => policy.omit_stages = reader.texts(value, name),
            "omitManagedFields" if target.has_omit_managed_fields() => policy.omit_managed_fields = reader.truth(value, name).unwrap_or_default(),
            "rules" => policy.rules = reader.items(value, name, |reader, item, path| rule(reader, item, path, target)),
            _ => return false,
        }
        true
    });
    decoded
}

fn rule(reader: &mut Reader, node: &Node, path: &str, target: TargetVersion) -> Rule {
    let mut rule = Rule::default();
    reader.members(node, path, &mut |reader, name, value| {
        let path = format!("{path}.{name}");
        match name {
            "level" => rule.level = reader.text(value, &path),
            "users" => rule.users = reader.texts(value, &path),
            "userGroups" => rule.user_groups = reader.texts(value, &path),
            "verbs" => rule.verbs = reader.texts(value, &path),
            "resources" => rule.resources = reader.items(value, &path, group_resources),
            "namespaces" => rule.namespaces = reader.texts(value, &path),
            "nonResourceURLs" => rule.non_resource_urls = reader.texts(value, &path),
            "omitStages" => rule.omit_stages = reader.texts(value, &path),
            "omitManagedFields" if target.has_omit_managed_fields() => rule.omit_managed_fields = reader.truth(value, &path),
            _ => return false,
        }
        true
    });
    rule
}

fn group_resources(reader: &mut Reader, node: &Node, path: &str) -> GroupResources {
    let mut group = GroupResources::default();
    reader.members(node, path, &mut |reader, name, value| {
        let path = format!("{path}.{name}");
        match name {
            "group" => group.group = reader.text(value, &path),
            "resources" => group.resources = reader.texts(value, &path),
            "resourceNames" => group.resource_names = reader.texts(value, &path),
            _ => return false,
        }
        true
    });
    group
}

/// Which fields kube-apiserver's inner type does not have: only the warning needs them.
pub(super) fn internal_fields(root: &Node, reader: &mut Reader) {
    reader.members(root, "", &mut |_, name, _| {
        matches!(name, "apiVersion" | "kind" | "Rules" | "OmitStages" | "OmitManagedFields") || metadata::FIELDS.contains(&name)
    });
}

/// A policy as JSON in the v1 form, as Kubernetes writes it again: without what is empty, and always with metadata.
pub(super) fn as_json(policy: &Policy, metadata: &Map<String, Json>) -> Json {
    let mut object = Map::new();
    object.insert("kind".to_owned(), "Policy".into());
    object.insert("apiVersion".to_owned(), "audit.k8s.io/v1".into());
    object.insert("metadata".to_owned(), metadata.clone().into());
    // Rules are always written.
    object.insert("rules".to_owned(), policy.rules.iter().map(rule_json).collect());
    texts(&mut object, "omitStages", &policy.omit_stages);
    if policy.omit_managed_fields {
        object.insert("omitManagedFields".to_owned(), true.into());
    }
    object.into()
}

fn texts(object: &mut Map<String, Json>, name: &str, texts: &[String]) {
    if !texts.is_empty() {
        object.insert(name.to_owned(), texts.into());
    }
}

fn text(object: &mut Map<String, Json>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), text.into());
    }
}

fn rule_json(rule: &Rule) -> Json {
    let mut object = Map::new();
    object.insert("level".to_owned(), rule.level.as_str().into());
    texts(&mut object, "users", &rule.users);
    texts(&mut object, "userGroups", &rule.user_groups);
    texts(&mut object, "verbs", &rule.verbs);
    let resources: Vec<Json> = rule
        .resources
        .iter()
        .map(|group| {
            let mut object = Map::new();
            text(&mut object, "group", &group.group);
            texts(&mut object, "resources", &group.resources);
            texts(&mut object, "resourceNames", &group.resource_names);
            object.into()
        })
        .collect();
    if !resources.is_empty() {
        object.insert("resources".to_owned(), resources.into());
    }
    texts(&mut object, "namespaces", &rule.namespaces);
    texts(&mut object, "nonResourceURLs", &rule.non_resource_urls);
    texts(&mut object, "omitStages", &rule.omit_stages);
    if let Some(omit) = rule.omit_managed_fields {
        object.insert("omitManagedFields".to_owned(), omit.into());
    }
    object.into()
}
