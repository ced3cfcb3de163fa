//! Which Service is decklog's, which of its ports, and which pod behind it: decisions on what the API server lists.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The label by which a Service is found.
pub(super) const LABEL: (&str, &str) = ("app.kubernetes.io/name", "decklog");
/// Where a Service is taken without being named. Who may create Services elsewhere could make one with the label, and would be
/// given the token of everybody who asks.
pub(super) const HOME: &str = "decklog";
/// The annotation with the name of a ConfigMap, whose `ca.crt` is the authority of the server's certificate.
const AUTHORITY: &str = "decklog.io/ca-configmap";

/// A list of the API.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    #[serde(default = "Vec::new")]
    pub(super) items: Vec<T>,
}

/// A Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: Metadata,
    spec: ServiceSpec,
}

/// Of any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    selector: BTreeMap<String, String>,
    ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServicePort {
    name: String,
    port: u16,
    target_port: Option<TargetPort>,
    protocol: Option<String>,
    app_protocol: Option<String>,
}

/// A port of a pod, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum TargetPort {
    /// Its number.
    Number(u16),
    /// The name of a container's port.
    Name(String),
}

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    metadata: Metadata,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerPort {
    name: String,
    container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// The server that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The Service's port.
    pub(super) port: u16,
    /// The pods' port.
    pub(super) target: TargetPort,
    /// Whether it speaks TLS.
    pub(super) is_tls: bool,
    /// The pods' labels.
    pub(super) selector: BTreeMap<String, String>,
    /// The ConfigMap with the authority of its certificate.
    pub(super) authority: Option<String>,
}

impl Found {
    /// `NAMESPACE/NAME`, as `--service` takes it.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The address that goes into requests: the Service's name inside the cluster, which is also in its certificate.
    pub(super) fn base(&self) -> String {
        format!("{}://{}.{}.svc:{}", if self.is_tls { "https" } else { "http" }, self.name, self.namespace, self.port)
    }

    /// The pods behind it, as a label selector.
    pub(super) fn selector(&self) -> String {
        self.selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }
}

/// Why no server was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    /// No Service has the label.
    None,
    /// There are some, of which none is certain: `NAMESPACE/NAME`.
    Uncertain(Vec<String>),
    /// The Service has no port that could be decklog's.
    NoPort(String),
    /// The Service has no pods of its own.
    NoSelector(String),
}

/// What a Service that was named leads to.
pub(super) fn of_service(service: &Service) -> Result<Found, NotFound> {
    let Metadata { name, namespace, annotations, .. } = &service.metadata;
    let path = || format!("{namespace}/{name}");
    if service.spec.selector.is_empty() {
        return Err(NotFound::NoSelector(path()));
    }
    let is_tcp = |port: &&ServicePort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
    let ports: Vec<&ServicePort> = service.spec.ports.iter().filter(is_tcp).collect();
    let of_name = |name: &str| ports.iter().find(|port| port.name == name || (port.app_protocol.as_deref() == Some(name)));
    let of_number = |number: u16| ports.iter().find(|port| port.port == number);
    // What a port is called goes before its number.
    let ways = [of_name("https").zip(Some(true)), of_name("http").zip(Some(false)), of_number(7443).zip(Some(true)), of_number(7080).zip(Some(false))];
    let (port, is_tls) = ways.into_iter().flatten().next().ok_or_else(|| NotFound::NoPort(path()))?;
    Ok(Found {
        namespace: namespace.clone(),
        name: name.clone(),
        port: port.port,
        target: port.target_port.clone().unwrap_or(TargetPort::Number(port.port)),
        is_tls,
        selector: service.spec.selector.clone(),
        authority: annotations.get(AUTHORITY).cloned(),
    })
}

/// The one server among the Services with the label.
pub(super) fn choose(services: &[Service]) -> Result<Found, NotFound> {
    let mut found: Vec<(&Service, Found)> = services.iter().filter_map(|service| Some((service, of_service(service).ok()?))).collect();
    // A StatefulSet has a headless Service for its pods' names beside the one for clients: both lead to the same pods.
    found.sort_by_key(|(service, found)| (found.path(), service.spec.cluster_ip == "None"));
    found.sort_by_key(|(service, _)| service.spec.cluster_ip == "None");
    let mut distinct: Vec<Found> = Vec::new();
    for (_, candidate) in found {
        if !distinct.iter().any(|known| known.namespace == candidate.namespace && known.selector == candidate.selector) {
            distinct.push(candidate);
        }
    }
    let at_home: Vec<&Found> = distinct.iter().filter(|found| found.namespace == HOME).collect();
    match (at_home.as_slice(), distinct.is_empty()) {
        ([only], _) => Ok((*only).clone()),
        (_, true) => Err(NotFound::None),
        _ => {
            let mut paths: Vec<String> = distinct.iter().map(Found::path).collect();
            paths.sort();
            Err(NotFound::Uncertain(paths))
        }
    }
}

/// A pod that runs, if there is a choice one that is ready, and the number of its port; else what the pods are, for people.
/// One that is not ready can be asked too: with a full disk decklog takes no events, and still answers.
pub(super) fn running_pod(pods: &[Pod], target: &TargetPort) -> Result<(String, u16), String> {
    let is_ready = |pod: &Pod| pod.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True");
    let running = pods.iter().filter(|pod| pod.status.phase == "Running" && pod.metadata.deletion_timestamp.is_none());
    let Some(pod) = running.min_by_key(|pod| (!is_ready(pod), &pod.metadata.name)) else {
        let states: Vec<String> = pods.iter().map(|pod| format!("{} is {}", pod.metadata.name, state(pod))).collect();
        return Err(if states.is_empty() { "there is no pod".to_owned() } else { states.join(", ") });
    };
    let port = match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            pod.spec.containers.iter().flat_map(|container| &container.ports).find(|port| port.name == *name).map(|port| port.container_port)
        }
    };
    let port = port.ok_or_else(|| format!("{} has no port of the name the Service asks for", pod.metadata.name))?;
    Ok((pod.metadata.name.clone(), port))
}

fn state(pod: &Pod) -> &str {
    match pod.status.phase.as_str() {
        _ if pod.metadata.deletion_timestamp.is_some() => "ending",
        "" => "unknown",
        phase => phase,
    }
}

/// `NAMESPACE/NAME`, if these can be names of a namespace and a Service.
pub(super) fn split_path(text: &str) -> Option<(&str, &str)> {
    text.split_once('/').filter(|(namespace, name)| is_label(namespace) && is_label(name))
}

/// Whether it can be the name of an object such as a ConfigMap.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(legal) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn service(path: &str, more: &serde_json::Value) -> Service {
        let (namespace, name) = path.split_once('/').unwrap();
        let mut spec = json!({"clusterIP": "10.96.0.7", "selector": {"app": name}, "ports": [{"name": "https", "port": 7443, "targetPort": "https"}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": namespace, "annotations": {"decklog.io/ca-configmap": "decklog-ca"}}, "spec": spec}),
        )
        .unwrap()
    }

    fn plain(path: &str) -> Service {
        service(path, &json!({}))
    }

    #[test]
    fn one_at_home_is_taken() {
        let found = choose(&[plain("team-a/decklog"), plain("decklog/decklog")]).unwrap();
        assert_eq!(
            (found.path().as_str(), found.base().as_str(), found.selector().as_str()),
            ("decklog/decklog", "https://decklog.decklog.svc:7443", "app=decklog")
        );
        assert_eq!((found.target, found.authority.as_deref()), (TargetPort::Name("https".to_owned()), Some("decklog-ca")));
    }

    #[test]
    fn one_elsewhere_is_named_and_not_taken() {
        assert_eq!(choose(&[plain("team-a/decklog")]), Err(NotFound::Uncertain(vec!["team-a/decklog".to_owned()])));
        let two = choose(&[plain("decklog/two"), plain("decklog/one"), plain("x/three")]);
        assert_eq!(two, Err(NotFound::Uncertain(vec!["decklog/one".to_owned(), "decklog/two".to_owned(), "x/three".to_owned()])));
        assert_eq!(choose(&[]), Err(NotFound::None));
    }

    #[test]
    fn services_of_the_same_pods_are_one() {
        let headless = service("decklog/decklog", &json!({"clusterIP": "None", "selector": {"app": "d"}}));
        let clients = service("decklog/decklog-server", &json!({"selector": {"app": "d"}}));
        let metrics = service("decklog/decklog-forward", &json!({"ports": [{"name": "metrics", "port": 9090}]}));
        assert_eq!(choose(&[headless, clients, metrics]).unwrap().name, "decklog-server");
    }

    #[test]
    fn a_port_is_known_by_its_name_then_by_its_protocol_then_by_its_number() {
        let port =
            |ports: serde_json::Value| of_service(&service("decklog/decklog", &json!({"ports": ports}))).map(|found| (found.port, found.is_tls, found.target));
        let number = TargetPort::Number;
        assert_eq!(port(json!([{"name": "http", "port": 80}, {"name": "https", "port": 443, "targetPort": 7443}])), Ok((443, true, number(7443))));
        assert_eq!(port(json!([{"name": "web", "port": 443, "appProtocol": "https"}])), Ok((443, true, number(443))));
        assert_eq!(port(json!([{"name": "http", "port": 7443}])), Ok((7443, false, number(7443))));
        assert_eq!(port(json!([{"port": 7080}])), Ok((7080, false, number(7080))));
        assert_eq!(port(json!([{"port": 7443}])), Ok((7443, true, number(7443))));
        assert_eq!(port(json!([{"port": 53, "protocol": "UDP", "name": "http"}])), Err(NotFound::NoPort("decklog/decklog".to_owned())));
        assert_eq!(of_service(&service("decklog/decklog", &json!({"selector": {}}))), Err(NotFound::NoSelector("decklog/decklog".to_owned())));
    }

    fn pod(name: &str, phase: &str, ready: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "deletionTimestamp": null}, "spec": {"containers": [{"image": "x"}, {"ports": [{"name": "https", "containerPort": 7443}]}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_running_pod_or_why_there_is_none() {
        let named = TargetPort::Name("https".to_owned());
        assert_eq!(running_pod(&[pod("d-1", "Running", "True"), pod("d-0", "Running", "True")], &named), Ok(("d-0".to_owned(), 7443)));
        assert_eq!(running_pod(&[pod("d-0", "Running", "False"), pod("d-1", "Running", "True")], &TargetPort::Number(1)), Ok(("d-1".to_owned(), 1)));
        assert_eq!(running_pod(&[pod("d-0", "Running", "False"), pod("d-1", "Pending", "False")], &named), Ok(("d-0".to_owned(), 7443)));
        assert_eq!(running_pod(&[pod("d-1", "Pending", "False")], &named), Err("d-1 is Pending".to_owned()));
        assert_eq!(running_pod(&[], &named), Err("there is no pod".to_owned()));
        assert!(running_pod(&[pod("d-0", "Running", "True")], &TargetPort::Name("x".to_owned())).unwrap_err().contains("no port of the name"));
        let mut ending = pod("d-0", "Running", "True");
        ending.metadata.deletion_timestamp = Some("2026-11-25T00:00:00Z".to_owned());
        assert_eq!(running_pod(&[ending], &named), Err("d-0 is ending".to_owned()));
    }

    #[test]
    fn paths_of_services() {
        assert_eq!(split_path("pay/decklog"), Some(("pay", "decklog")));
        for wrong in ["decklog", "pay/", "/decklog", "pay/a/b", "pay/a?b", "Pay/decklog", "-a/b", "a/b-", "../b", "a/%2e"] {
            assert_eq!(split_path(wrong), None, "{wrong}");
        }
        assert!(is_name("kube-root-ca.crt") && !is_name("..") && !is_name("a/b"));
    }

    proptest! {
        #[test]
        fn a_path_never_leaves_its_place(text in "[a-zA-Z0-9./?#%-]{0,80}") {
            if let Some((namespace, name)) = split_path(&text) {
                let both = [namespace, name].concat();
                prop_assert!(!both.contains(['/', '?', '#', '%', '.']));
            }
        }
    }
}
