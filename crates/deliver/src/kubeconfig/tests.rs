//! Kubeconfigs as people have them.

use proptest::prelude::*;

use super::*;

fn read(texts: &[&str]) -> Kubeconfig {
    let mut whole = Kubeconfig::default();
    for text in texts {
        whole.add(text, Path::new("/k")).unwrap();
    }
    whole
}

fn with_user(user: &str) -> Result<Access, String> {
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: {{server: 'https://k:6443'}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    read(&[&text]).access(None).map_err(|error| error.to_string())
}

fn with_cluster(cluster: &str) -> Result<Access, String> {
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    read(&[&text]).access(None).map_err(|error| error.to_string())
}

#[test]
fn a_context_leads_to_cluster_and_user() {
    let text = "
apiVersion: v1
kind: Config
preferences: {}
current-context: kind-dev
clusters:
- name: kind-dev
  cluster:
    certificate-authority-data: UEVN
    server: https://127.0.0.1:36443
    extensions: [{name: x, extension: {a: 1}}]
- {name: eks, cluster: {server: https://eks.example/, certificate-authority: pki/ca.crt, tls-server-name: kubernetes}}
contexts:
- {name: kind-dev, context: {cluster: kind-dev, user: kind-dev}}
- {name: eks, context: {cluster: eks, user: eks, namespace: shop}}
users:
- {name: kind-dev, user: {client-certificate-data: UEVN, client-key-data: S0VZ}}
- name: eks
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token], env: null, interactiveMode: IfAvailable, provideClusterInfo: false}
";
    let config = read(&[text]);
    let kind = config.access(None).unwrap();
    assert_eq!((kind.server.as_str(), &kind.roots, &kind.login), ("https://127.0.0.1:36443", &Roots::Pem(b"PEM".to_vec()), &Login::None));
    assert!(kind.certificate.is_some());
    let eks = config.access(Some("eks")).unwrap();
    assert_eq!((eks.server.as_str(), eks.server_name.as_deref()), ("https://eks.example", Some("kubernetes")));
    assert_eq!(eks.roots, Roots::File("/k/pki/ca.crt".into()));
    assert!(matches!(eks.login, Login::Plugin(_)));
    assert!(!format!("{config:?}").contains("S0VZ"), "keys are not printed");
    let error = config.access(Some("prod")).unwrap_err().to_string();
    assert_eq!(error, "there is no context `prod` in the kubeconfig; its contexts: eks, kind-dev");
}

#[test]
fn the_first_file_holds() {
    let first = "current-context: a\ncontexts: [{name: a, context: {cluster: k, user: u}}]\nusers: null\n";
    let second = "current-context: b\ncontexts: [{name: a, context: {cluster: other}}]\nclusters: [{name: k, cluster: {server: 'k.example:6443'}}]\nusers: [{name: u, user: {tokenFile: t}}]\n";
    let access = read(&[first, second, ""]).access(None).unwrap();
    assert_eq!((access.server.as_str(), &access.login), ("https://k.example:6443", &Login::TokenFile("/k/t".into())));
}

#[test]
fn what_is_not_there_is_named() {
    let error = |text: &str| read(&[text]).access(None).unwrap_err().to_string();
    assert_eq!(error(""), "the kubeconfig has no current context; its contexts: none");
    assert_eq!(
        error("current-context: c\ncontexts: [{name: c, context: {cluster: k}}]"),
        "the context `c` names the cluster `k`, which is not in the kubeconfig"
    );
    let dangling = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://k'}}]";
    assert_eq!(error(dangling), "the context `c` names the user `u`, which is not in the kubeconfig");
}

#[test]
fn tokens_in_the_order_of_client_go() {
    assert_eq!(with_user("token: t, tokenFile: f, exec: {command: x}").unwrap().login, Login::TokenFile("/k/f".into()));
    assert_eq!(with_user("token: t, exec: {command: x}").unwrap().login, Login::Token("t".into()));
    assert_eq!(with_user("token: ''").unwrap().login, Login::None);
    assert_eq!(with_user("auth-provider: {name: oidc, config: {id-token: i, refresh-token: r}}").unwrap().login, Login::Token("i".into()));
    for (user, part) in [
        ("auth-provider: {name: gcp}", "`gcp`"),
        ("auth-provider: {name: oidc}", "log in with kubectl"),
        ("username: a, password: b", "password"),
        ("token: t, as: bob", "acts as `bob`"),
        ("client-certificate: c", "without its key"),
        ("client-certificate-data: '!', client-key-data: UEVN", "is no base64"),
    ] {
        let error = with_user(user).unwrap_err();
        assert!(error.starts_with("the user `u` of the kubeconfig ") && error.contains(part), "{user}: {error}");
    }
}

#[test]
fn clusters_that_cannot_be_trusted_or_reached_are_refused() {
    assert_eq!(with_cluster("server: 'https://r.example/k8s/clusters/c-1/'").unwrap().server, "https://r.example/k8s/clusters/c-1");
    assert_eq!(with_cluster("server: 'http://127.0.0.1:8001'").unwrap().server, "http://127.0.0.1:8001");
    for (cluster, part) in [
        ("", "has no `server`"),
        ("server: 'ftp://k'", "no address"),
        ("server: 'https://k', insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        ("server: 'https://k', proxy-url: 'http://p:3128'", "proxy"),
        ("server: 'http://k.example'", "in clear"),
    ] {
        let error = with_cluster(cluster).unwrap_err();
        assert!(error.starts_with("the cluster `k` of the kubeconfig ") && error.contains(part), "{cluster}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Kubeconfig::default().add(&text, Path::new("/k"));
    }

    #[test]
    fn likely_texts_are_read_or_refused(text in "(current-context|contexts|clusters|users|: |\\[|\\]|\\{|\\}|name: |context: |cluster: |user: |exec: |a|, |\n|- |null){0,40}") {
        let mut config = Kubeconfig::default();
        if config.add(&text, Path::new("/k")).is_ok() {
            let _ = config.access(None);
        }
    }
}
