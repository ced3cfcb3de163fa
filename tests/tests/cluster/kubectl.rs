//! `kubectl decklog` beside a real kube-apiserver: kubectl's own plugin and completion calls, TokenReview and
//! SubjectAccessReview by docs/kubectl.md's roles, and a port forwarded by kube-apiserver and Kubernetes' own streaming server
//! (in the lab's fake kubelet, which takes a pod named decklog for a program on this machine).

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use decklog_tests::binary::{self, ServeCommand, Server, command, free_port, succeed, text};
use decklog_tests::lab::{Cluster, ClusterConfig};
use decklog_tests::{http, shown, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster with decklog's roles, and the program under the names that kubectl looks for.
struct Lab {
    cluster: Cluster,
    folder: tempfile::TempDir,
    /// Holds the recorded attack log.
    data_dir: PathBuf,
}

impl Lab {
    fn up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::up(&ClusterConfig { folder: &folder.path().join("cluster"), policy: "b-metadata.yaml", webhook_url: None, flags: &[] });
        cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: decklog}}");
        cluster.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: decklog, namespace: decklog}}");
        for roles in documented_roles() {
            cluster.apply(&roles);
        }
        cluster.kubectl(&["create", "clusterrolebinding", "alice-reads", "--clusterrole=decklog-reader", "--user=alice"]);
        cluster.kubectl(&["create", "rolebinding", "clients", "-n", "decklog", "--clusterrole=decklog-client", "--user=alice", "--user=bob", "--user=dave"]);
        let data_dir = folder.path().join("data");
        succeed(["import", text(&decklog_tests::root().join("tests/data/attack/audit.log.zst")), "--data-dir", text(&data_dir)]);
        for name in ["kubectl-decklog", "kubectl_complete-decklog"] {
            std::fs::create_dir_all(folder.path().join("bin")).unwrap();
            symlink(binary::program().canonicalize().unwrap(), folder.path().join("bin").join(name)).unwrap();
        }
        let lab = Self { cluster, folder, data_dir };
        let token = lab.cluster.kubectl(&["create", "token", "decklog", "-n", "decklog"]);
        lab.with_user("decklog-account", &format!("token: {}", token.trim()));
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A kubeconfig of the lab's cluster for another user.
    fn with_user(&self, name: &str, user: &str) {
        let admin = std::fs::read_to_string(self.cluster.kubeconfig("admin")).unwrap();
        let (before, rest) = admin.split_once("user: {").unwrap();
        let (_, behind) = rest.split_once("}}]").unwrap();
        std::fs::write(self.cluster.kubeconfig(name), format!("{before}user: {{{user}}}}}]{behind}")).unwrap();
    }

    /// A server that asks the cluster about tokens, as that user.
    fn serve(&self, asks_as: &str, arguments: &[&str]) -> Server {
        let kubeconfig = self.cluster.kubeconfig(asks_as);
        let arguments = [&["--auth-kubernetes", text(&kubeconfig)][..], arguments].concat();
        let mut server = Server::spawn(&ServeCommand { data_dir: &self.data_dir, port: free_port(), arguments: &arguments });
        if arguments.contains(&"--tls-cert-file") {
            // It speaks TLS only, so its log is asked: that of all its starts.
            let is_ready = |line: &str| line.contains("ready") && line.contains(&format!("127.0.0.1:{}", server.port));
            wait::until("decklog to be ready", PATIENCE, || std::fs::read_to_string(&server.log).ok()?.lines().any(is_ready).then_some(()));
        } else {
            server.wait_ready();
        }
        server
    }

    /// The Service in front of a pod that stands for the program listening on `port`.
    fn put_before(&self, port: u16, scheme: &str) {
        self.remove_pods();
        self.cluster.apply(&format!(
            "apiVersion: v1\nkind: List\nitems:\n\
             - {{apiVersion: v1, kind: Service, metadata: {{name: decklog, namespace: decklog, labels: {{app.kubernetes.io/name: decklog}}, annotations: {{decklog.io/ca-configmap: decklog-ca}}}}, \
             spec: {{selector: {{app: decklog}}, ports: [{{name: {scheme}, port: 7443, targetPort: {scheme}-{port}}}]}}}}\n\
             - {{apiVersion: v1, kind: Pod, metadata: {{name: decklog-{port}, namespace: decklog, labels: {{app: decklog}}}}, \
             spec: {{nodeName: node-1, containers: [{{name: c, image: x, ports: [{{name: {scheme}-{port}, containerPort: {port}}}]}}]}}}}\n"
        ));
        let ready = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
        self.cluster.kubectl(&["patch", "pod", &format!("decklog-{port}"), "-n", "decklog", "--subresource=status", "--type=merge", "-p", ready]);
    }

    fn remove_pods(&self) {
        self.cluster.kubectl(&["delete", "pods", "--all", "-n", "decklog", "--force", "--grace-period=0"]);
    }

    /// The plugin itself, with that user's kubeconfig.
    fn plugin(&self, user: &str, arguments: &[&str]) -> Output {
        self.plugin_command(user, arguments).output().unwrap()
    }

    fn plugin_command(&self, user: &str, arguments: &[&str]) -> Command {
        let mut plugin = Command::new(self.path("bin/kubectl-decklog"));
        same_environment(&mut plugin, &command(arguments));
        plugin.args(arguments).env("KUBECONFIG", self.cluster.kubeconfig(user)).stdin(Stdio::null());
        plugin
    }

    /// kubectl, which finds the plugin by its file's name.
    fn kubectl(&self, user: &str, arguments: &[&str]) -> Output {
        let path = std::env::join_paths([self.path("bin"), PathBuf::from("/usr/bin"), PathBuf::from("/bin")]).unwrap();
        let mut kubectl = Command::new(self.cluster.program("kubectl"));
        same_environment(&mut kubectl, &command(arguments));
        kubectl.args(arguments).env("KUBECONFIG", self.cluster.kubeconfig(user)).env("PATH", path).stdin(Stdio::null()).output().unwrap()
    }
}

/// The variables that `of` sets and removes.
fn same_environment(command: &mut Command, of: &Command) {
    for (name, value) in of.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// The roles that docs/kubectl.md tells people to make.
fn documented_roles() -> Vec<String> {
    let page = std::fs::read_to_string(decklog_tests::root().join("docs/kubectl.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block.to_owned());
    let roles: Vec<String> = blocks.filter(|block| block.contains("kind: ClusterRole")).collect();
    assert!(!roles.is_empty());
    roles
}

fn lines(output: &Output) -> usize {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.iter().filter(|byte| **byte == b'\n').count()
}

fn refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
}

/// One cluster for all of it: starting one takes longer than what is tried in it.
#[test]
fn kubectl_decklog_in_a_real_cluster() {
    let mut lab = Lab::up();
    it_reads_through_the_cluster_with_the_users_token(&lab);
    the_servers_certificate_is_checked_through_the_forwarded_port(&lab);
    tokens_are_reviewed_and_a_cluster_that_is_away_is_a_503(&mut lab);
}

fn it_reads_through_the_cluster_with_the_users_token(lab: &Lab) {
    let server = lab.serve("decklog-account", &[]);
    lab.put_before(server.port, "http");
    let stored = server.stored_lines();
    let all = ["search", "-o", "json", "--limit", "0"];

    // Who may, by token, by a credential plugin, by kubectl itself.
    assert_eq!(lines(&lab.plugin("alice", &all)), stored.len());
    let plugin = r#"exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never, args: [-c, 'echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"alice-token-0002\"}}"']}"#;
    lab.with_user("by-plugin", plugin);
    assert_eq!(lines(&lab.plugin("by-plugin", &all)), stored.len());
    assert_eq!(lines(&lab.kubectl("alice", &["decklog", "search", "-o", "json", "--limit", "0"])), stored.len());
    let named = command(["search", "-o", "json", "--limit", "0", "--kubeconfig", text(&lab.cluster.kubeconfig("alice")), "--context", "c"]).output().unwrap();
    assert_eq!(lines(&named), stored.len(), "decklog itself, when asked to");
    assert!(lines(&lab.plugin("admin-token", &["quarantine", "list"])) <= 1, "system:masters may everything");
    assert_eq!(lines(&lab.plugin("alice", &["search", "-o", "json", "--limit", "0", "--service", "decklog/decklog"])), stored.len());

    // Who may not, and what is said.
    refused(&lab.plugin("bob", &all), 4, &["`bob` may not read audit events", "auditevents.decklog.io"]);
    refused(&lab.plugin("alice", &["quarantine", "list"]), 4, &["`alice`", "scope `admin`"]);
    refused(&lab.plugin("mallory", &all), 4, &["cannot list resource", "--service NAMESPACE/NAME"]);
    refused(&lab.plugin("badtoken", &all), 4, &["Unauthorized", "log in with kubectl first"]);
    refused(&lab.plugin("dave", &all), 4, &["`u` of the kubeconfig has no token", "kubectl create token"]);
    refused(&lab.plugin("alice", &["search", "--context", "nope"]), 2, &["there is no context `nope`"]);
    refused(&lab.plugin("alice", &["search", "--service", "decklog/nope"]), 3, &["\"nope\" not found"]);
    // A user with a certificate, and the token of an account for decklog.
    lab.cluster.kubectl(&["create", "clusterrolebinding", "bot-reads", "--clusterrole=decklog-reader", "--serviceaccount=team-a:bot"]);
    let token = lab.path("token");
    std::fs::write(&token, lab.cluster.kubectl(&["create", "token", "bot", "-n", "team-a"])).unwrap();
    assert_eq!(lines(&lab.plugin("dave", &[&all[..], &["--token-file", text(&token)]].concat())), stored.len());

    a_stream_stays_open(lab);
    completion_is_kubectls(lab);

    // No pod, then another one.
    lab.remove_pods();
    refused(&lab.plugin("alice", &all), 3, &["no pod behind the Service decklog/decklog is running"]);
    lab.put_before(free_port(), "http");
    refused(&lab.plugin("alice", &all), 3, &["connection refused"]);
    // A Service of somebody else's making is not given a token unasked.
    lab.cluster.kubectl(&["delete", "service", "decklog", "-n", "decklog"]);
    refused(&lab.plugin("alice", &all), 3, &["has the label app.kubernetes.io/name=decklog"]);
    lab.cluster.apply("{apiVersion: v1, kind: Service, metadata: {name: decklog, namespace: team-a, labels: {app.kubernetes.io/name: decklog}}, spec: {selector: {app: d}, ports: [{name: https, port: 443}]}}");
    refused(&lab.plugin("admin-token", &all), 2, &["team-a/decklog", "--service team-a/decklog", "gets your token"]);
    shown(&format!(
        "kubectl decklog through a real kube-apiserver: {} events by port-forward, as 5 kinds of users; 10 refusals with their reasons",
        stored.len()
    ));
}

/// A tail is one answer that goes on.
fn a_stream_stays_open(lab: &Lab) {
    use std::io::{BufRead, BufReader};
    let mut child = lab.plugin_command("alice", &["tail", "--last", "3", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut tail = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        assert!(tail.next().unwrap().unwrap().starts_with('{'));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn completion_is_kubectls(lab: &Lab) {
    let complete = |words: &[&str]| {
        let output = lab.kubectl("alice", &[&["__complete", "decklog"], words].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete(&["sea"]).starts_with("search\t"), "{}", complete(&["sea"]));
    assert_eq!(complete(&["search", "verbcl"]).lines().last(), Some(":38"), "no space behind a field");
    assert_eq!(complete(&["import", ""]), ":0\n", "files");
    // Values come through the cluster; a machine with much to do may not answer in time, and then none is offered.
    wait::until("values", PATIENCE, || complete(&["search", "user:mal"]).starts_with("user:mallory\t182 events\n").then_some(()));
    // The script does the same as the second name.
    let script = succeed(["completion", "kubectl"]);
    std::fs::remove_file(lab.path("bin/kubectl_complete-decklog")).unwrap();
    std::fs::write(lab.path("bin/kubectl_complete-decklog"), script).unwrap();
    executable(&lab.path("bin/kubectl_complete-decklog"));
    assert!(complete(&["sea"]).starts_with("search\t"));
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn the_servers_certificate_is_checked_through_the_forwarded_port(lab: &Lab) {
    let certificate = |name: &str| {
        let script = "set -e; cd \"$1\"; openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out $2.key
            openssl req -new -key $2.key -subj /CN=decklog -out $2.csr
            printf 'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:%s\n' $2 | openssl x509 -req -in $2.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out $2.crt -extfile /dev/stdin";
        let made = Command::new("bash").args(["-c", script, "bash", text(&lab.cluster.pki()), name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        [lab.cluster.pki().join(format!("{name}.crt")), lab.cluster.pki().join(format!("{name}.key"))]
    };
    let all = ["search", "-o", "json", "--limit", "0"];
    let authority = lab.cluster.pki().join("ca.crt");
    let [crt, key] = certificate("decklog.decklog.svc");
    let server = lab.serve("decklog-account", &["--tls-cert-file", text(&crt), "--tls-key-file", text(&key)]);
    lab.put_before(server.port, "https");
    refused(&lab.plugin("alice", &all), 3, &["of an authority that is not known here", "--ca-file"]);
    let n_stored = lines(&lab.plugin("alice", &[&all[..], &["--ca-file", text(&authority)]].concat()));
    assert!(n_stored > 3_000);
    // As the Service's annotation has it: nothing to be named.
    lab.cluster.kubectl(&["create", "configmap", "decklog-ca", "-n", "decklog", &format!("--from-file=ca.crt={}", text(&authority))]);
    assert_eq!(lines(&lab.plugin("alice", &all)), n_stored);
    assert!(server.stop().success());

    let [crt, key] = certificate("other.example");
    let server = lab.serve("decklog-account", &["--tls-cert-file", text(&crt), "--tls-key-file", text(&key)]);
    lab.put_before(server.port, "https");
    refused(&lab.plugin("alice", &all), 3, &["not for `decklog.decklog.svc`"]);
}

fn tokens_are_reviewed_and_a_cluster_that_is_away_is_a_503(lab: &mut Lab) {
    let server = lab.serve("decklog-account", &[]);
    let status = |port: u16, path: &str, token: Option<&str>| {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = http::Connection::open(port, PATIENCE).unwrap().get_with(path, &headers).unwrap();
        (answer.status, answer.header("retry-after").map(str::to_owned), answer.text())
    };
    let events = "/api/v1/events?limit=1";
    let bot = lab.cluster.kubectl(&["create", "token", "bot", "-n", "team-a"]).trim().to_owned();
    for (path, token, wanted) in [
        (events, None, 401),
        (events, Some("made-up"), 401),
        (events, Some("alice-token-0002"), 200),
        ("/metrics", Some("alice-token-0002"), 200),
        ("/api/v1/quarantine", Some("alice-token-0002"), 403),
        ("/api/v1/quarantine", Some("admin-token-0001"), 200),
        (events, Some("mallory-token-0005"), 403),
        (events, Some(bot.as_str()), 200),
    ] {
        let (found, _, said) = status(server.port, path, token);
        assert_eq!(found, wanted, "{path} {token:?}: {said}");
    }
    // A right in one namespace does not count; one in the whole cluster does, at the latest when the refusal is forgotten.
    lab.cluster.kubectl(&["create", "rolebinding", "mallory-reads", "-n", "team-a", "--clusterrole=decklog-reader", "--user=mallory"]);
    assert_eq!(status(server.port, events, Some("mallory-token-0005")).0, 403);
    lab.cluster.kubectl(&["create", "clusterrolebinding", "mallory-reads", "--clusterrole=decklog-reader", "--user=mallory"]);
    let granted = std::time::Instant::now();
    wait::until("the right to count", PATIENCE, || (status(server.port, events, Some("mallory-token-0005")).0 == 200).then_some(()));
    let taken_up = granted.elapsed();
    lab.cluster.kubectl(&["delete", "clusterrolebinding", "mallory-reads"]);
    let withdrawn = std::time::Instant::now();
    wait::until("the right to be gone", PATIENCE, || (status(server.port, events, Some("mallory-token-0005")).0 == 403).then_some(()));
    let gone = withdrawn.elapsed();
    assert!(gone < Duration::from_secs(20), "a withdrawn right held for {gone:?}");

    // An account that may not ask.
    let data_dir = lab.path("other");
    let trents = lab.cluster.kubeconfig("trent");
    let unable = Server::start(&data_dir, &["--auth-kubernetes", text(&trents)]);
    let (code, retry_after, said) = status(unable.port, events, Some("alice-token-0002"));
    assert_eq!((code, retry_after.as_deref()), (503, Some("2")), "{said}");
    let log = std::fs::read_to_string(&unable.log).unwrap();
    assert!(log.contains("system:auth-delegator") && !log.contains("alice-token-0002"), "{log}");

    lab.cluster.down();
    let (code, retry_after, said) = status(server.port, events, Some("carol-token-0004"));
    assert_eq!((code, retry_after.as_deref()), (503, Some("2")), "{said}");
    shown(&format!(
        "a right counted after {:.1} s, a withdrawn one was gone after {:.1} s; kube-apiserver away: 503, Retry-After 2",
        taken_up.as_secs_f64(),
        gone.as_secs_f64()
    ));
}
