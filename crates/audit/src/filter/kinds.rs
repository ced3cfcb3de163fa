//! The kinds of objects as kubectl knows them: plural, singular, short names, groups.
//!
//! From the APIs served by kube-apiserver 1.36 (`kubectl api-resources`), with the groups they had before.
//! Kinds that are not here (custom resources) are taken as written, with the usual English plural.

use super::pattern::{Case, Extent, Pattern, Piece};

/// One kind of object.
#[derive(Debug)]
pub struct Kind {
    /// The resource as it stands in objectRef.
    pub plural: &'static str,
    /// The singular, which is the kind in small letters.
    pub singular: &'static str,
    /// kubectl's short names.
    pub short: &'static [&'static str],
    /// The API groups it is or was in; `""` is the core group.
    pub groups: &'static [&'static str],
}

const fn kind(plural: &'static str, singular: &'static str, short: &'static [&'static str], groups: &'static [&'static str]) -> Kind {
    Kind { plural, singular, short, groups }
}

const CORE: &[&str] = &[""];
const APPS: &[&str] = &["apps", "extensions"];
const BATCH: &[&str] = &["batch"];
const RBAC: &[&str] = &["rbac.authorization.k8s.io"];
const NETWORKING: &[&str] = &["networking.k8s.io", "extensions"];
const STORAGE: &[&str] = &["storage.k8s.io"];
const ADMISSION: &[&str] = &["admissionregistration.k8s.io"];
const FLOWCONTROL: &[&str] = &["flowcontrol.apiserver.k8s.io"];
const AUTHORIZATION: &[&str] = &["authorization.k8s.io"];
const AUTHENTICATION: &[&str] = &["authentication.k8s.io"];
const RESOURCE: &[&str] = &["resource.k8s.io"];

/// Every built-in kind.
pub static KINDS: &[Kind] = &[
    kind("bindings", "binding", &[], CORE),
    kind("componentstatuses", "componentstatus", &["cs"], CORE),
    kind("configmaps", "configmap", &["cm"], CORE),
    kind("endpoints", "endpoints", &["ep"], CORE),
    kind("events", "event", &["ev"], &["", "events.k8s.io"]),
    kind("limitranges", "limitrange", &["limits"], CORE),
    kind("namespaces", "namespace", &["ns"], CORE),
    kind("nodes", "node", &["no"], CORE),
    kind("persistentvolumeclaims", "persistentvolumeclaim", &["pvc"], CORE),
    kind("persistentvolumes", "persistentvolume", &["pv"], CORE),
    kind("pods", "pod", &["po"], CORE),
    kind("podtemplates", "podtemplate", &[], CORE),
    kind("replicationcontrollers", "replicationcontroller", &["rc"], CORE),
    kind("resourcequotas", "resourcequota", &["quota"], CORE),
    kind("secrets", "secret", &[], CORE),
    kind("serviceaccounts", "serviceaccount", &["sa"], CORE),
    kind("services", "service", &["svc"], CORE),
    kind("mutatingadmissionpolicies", "mutatingadmissionpolicy", &[], ADMISSION),
    kind("mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", &[], ADMISSION),
    kind("mutatingwebhookconfigurations", "mutatingwebhookconfiguration", &[], ADMISSION),
    kind("validatingadmissionpolicies", "validatingadmissionpolicy", &[], ADMISSION),
    kind("validatingadmissionpolicybindings", "validatingadmissionpolicybinding", &[], ADMISSION),
    kind("validatingwebhookconfigurations", "validatingwebhookconfiguration", &[], ADMISSION),
    kind("customresourcedefinitions", "customresourcedefinition", &["crd", "crds"], &["apiextensions.k8s.io"]),
    kind("apiservices", "apiservice", &[], &["apiregistration.k8s.io"]),
    kind("auditsinks", "auditsink", &[], &["auditregistration.k8s.io"]),
    kind("controllerrevisions", "controllerrevision", &[], &["apps"]),
    kind("daemonsets", "daemonset", &["ds"], APPS),
    kind("deployments", "deployment", &["deploy"], APPS),
    kind("replicasets", "replicaset", &["rs"], APPS),
    kind("statefulsets", "statefulset", &["sts"], &["apps"]),
    kind("selfsubjectreviews", "selfsubjectreview", &[], AUTHENTICATION),
    kind("tokenreviews", "tokenreview", &[], AUTHENTICATION),
    kind("localsubjectaccessreviews", "localsubjectaccessreview", &[], AUTHORIZATION),
    kind("selfsubjectaccessreviews", "selfsubjectaccessreview", &[], AUTHORIZATION),
    kind("selfsubjectrulesreviews", "selfsubjectrulesreview", &[], AUTHORIZATION),
    kind("subjectaccessreviews", "subjectaccessreview", &[], AUTHORIZATION),
    kind("horizontalpodautoscalers", "horizontalpodautoscaler", &["hpa"], &["autoscaling"]),
    kind("cronjobs", "cronjob", &["cj"], BATCH),
    kind("jobs", "job", &[], BATCH),
    kind("certificatesigningrequests", "certificatesigningrequest", &["csr"], &["certificates.k8s.io"]),
    kind("clustertrustbundles", "clustertrustbundle", &[], &["certificates.k8s.io"]),
    kind("podcertificaterequests", "podcertificaterequest", &[], &["certificates.k8s.io"]),
    kind("leases", "lease", &[], &["coordination.k8s.io"]),
    kind("leasecandidates", "leasecandidate", &[], &["coordination.k8s.io"]),
    kind("endpointslices", "endpointslice", &[], &["discovery.k8s.io"]),
    kind("flowschemas", "flowschema", &[], FLOWCONTROL),
    kind("prioritylevelconfigurations", "prioritylevelconfiguration", &[], FLOWCONTROL),
    kind("ingressclasses", "ingressclass", &[], NETWORKING),
    kind("ingresses", "ingress", &["ing"], NETWORKING),
    kind("ipaddresses", "ipaddress", &["ip"], NETWORKING),
    kind("networkpolicies", "networkpolicy", &["netpol"], NETWORKING),
    kind("servicecidrs", "servicecidr", &[], NETWORKING),
    kind("runtimeclasses", "runtimeclass", &[], &["node.k8s.io"]),
    kind("poddisruptionbudgets", "poddisruptionbudget", &["pdb"], &["policy"]),
    kind("podsecuritypolicies", "podsecuritypolicy", &["psp"], &["policy", "extensions"]),
    kind("clusterrolebindings", "clusterrolebinding", &[], RBAC),
    kind("clusterroles", "clusterrole", &[], RBAC),
    kind("rolebindings", "rolebinding", &[], RBAC),
    kind("roles", "role", &[], RBAC),
    kind("deviceclasses", "deviceclass", &[], RESOURCE),
    kind("devicetaintrules", "devicetaintrule", &[], RESOURCE),
    kind("resourceclaims", "resourceclaim", &[], RESOURCE),
    kind("resourceclaimtemplates", "resourceclaimtemplate", &[], RESOURCE),
    kind("resourceslices", "resourceslice", &[], RESOURCE),
    kind("priorityclasses", "priorityclass", &["pc"], &["scheduling.k8s.io"]),
    kind("csidrivers", "csidriver", &[], STORAGE),
    kind("csinodes", "csinode", &[], STORAGE),
    kind("csistoragecapacities", "csistoragecapacity", &[], STORAGE),
    kind("storageclasses", "storageclass", &["sc"], STORAGE),
    kind("volumeattachments", "volumeattachment", &[], STORAGE),
    kind("volumeattributesclasses", "volumeattributesclass", &["vac"], STORAGE),
];

/// The built-in kind of that plural, singular or short name, in any case.
pub fn find_kind(name: &str) -> Option<&'static Kind> {
    let name = name.to_ascii_lowercase();
    KINDS.iter().find(|kind| kind.plural == name || kind.singular == name || kind.short.contains(&name.as_str()))
}

/// What the field `object` asks: a kind, perhaps its group, name and subresource.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectTest {
    /// The kind's plural if it is built in, else as written in small letters; wildcards where written bare.
    pub resource: Pattern,
    /// A second spelling of a kind that is not built in: its plural.
    pub plural: Option<String>,
    /// The group, if it was written.
    pub group: Option<String>,
    /// The groups a built-in kind may be in; empty if any.
    pub groups: &'static [&'static str],
    /// The object's name.
    pub name: Option<Pattern>,
    /// The subresource; any if missing.
    pub subresource: Option<Pattern>,
}

impl ObjectTest {
    /// Reads `KIND[.GROUP][/NAME[/SUB]]`; `None` if it is not written so.
    pub fn new(pieces: &[Piece]) -> Option<Self> {
        let mut parts = pieces.split(|piece| *piece == Piece::Char('/'));
        let kind = parts.next()?;
        let whole = |part: &[Piece]| (!part.is_empty()).then(|| Pattern::new(part.iter().copied(), Case::Exact, Extent::Whole));
        let (name, subresource) = (parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        let name = name.map(whole);
        let subresource = subresource.map(whole);
        if name == Some(None) || subresource == Some(None) {
            return None;
        }
        let mut halves = kind.splitn(2, |piece| *piece == Piece::Char('.'));
        let resource = halves.next().filter(|resource| !resource.is_empty())?;
        let group = match halves.next() {
            None => None,
            Some(group) => Some(literal(group).filter(|group| !group.is_empty())?.to_ascii_lowercase()),
        };
        let mut plural = None;
        let mut groups: &[&str] = &[];
        let resource = match literal(resource) {
            None => Pattern::new(resource.iter().copied(), Case::Any, Extent::Whole),
            Some(written) => match find_kind(&written) {
                Some(kind) => {
                    groups = kind.groups;
                    Pattern::literal(kind.plural, Case::Any, Extent::Whole)
                }
                None => {
                    let written = written.to_ascii_lowercase();
                    plural = Some(english_plural(&written));
                    Pattern::literal(&written, Case::Any, Extent::Whole)
                }
            },
        };
        Some(Self { resource, plural, group, groups, name: name.flatten(), subresource: subresource.flatten() })
    }

    /// Whether the resource and its group are of this kind.
    pub fn is_kind(&self, resource: &str, api_group: &str) -> bool {
        let group_fits = match &self.group {
            Some(group) => api_group.eq_ignore_ascii_case(group),
            None => self.groups.is_empty() || self.groups.contains(&api_group),
        };
        group_fits && (self.resource.matches(resource) || self.plural.as_deref().is_some_and(|plural| resource.eq_ignore_ascii_case(plural)))
    }
}

fn literal(pieces: &[Piece]) -> Option<String> {
    pieces.iter().map(|piece| if let Piece::Char(character) = piece { Some(*character) } else { None }).collect()
}

fn english_plural(word: &str) -> String {
    if let Some(stem) = word.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        return format!("{stem}ies");
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|ending| word.ends_with(ending)) {
        return format!("{word}es");
    }
    format!("{word}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_kinds() {
        let mut seen = std::collections::HashMap::new();
        for kind in KINDS {
            for name in std::iter::once(kind.plural).chain([kind.singular]).chain(kind.short.iter().copied()) {
                if let Some(before) = seen.insert(name, kind.plural) {
                    assert_eq!(before, kind.plural, "{name}");
                }
            }
        }
        assert_eq!(find_kind("Deploy").unwrap().plural, "deployments");
        assert_eq!(english_plural("networkpolicy"), "networkpolicies");
        assert_eq!(english_plural("gateway"), "gateways");
        assert_eq!(english_plural("mesh"), "meshes");
    }
}
