//! Credential plugins: programs that give a token or a client certificate, as managed clusters have them
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>).
//!
//! What a plugin is told and what it answers are values; [`Plugin::run`] carries it out.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use super::credential::{CredentialError, Given};
use super::{ClusterEntry, Secret};

/// What the plugin reads its request from.
const REQUEST: &str = "KUBERNETES_EXEC_INFO";
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
/// A longer answer holds no credential.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A plugin, as the kubeconfig has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    command: String,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<Variable>>,
    #[serde(default)]
    install_hint: Option<String>,
    #[serde(default)]
    interactive_mode: InteractiveMode,
    #[serde(default)]
    provide_cluster_info: bool,
    #[serde(skip)]
    cluster: Option<ClusterInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Variable {
    name: String,
    value: Secret,
}

/// Whether the plugin may ask its user something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum InteractiveMode {
    Never,
    #[default]
    IfAvailable,
    Always,
}

/// The cluster, for a plugin that wants to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterInfo {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    api_version: &'a str,
    kind: &'static str,
    spec: RequestSpec<'a>,
}

#[derive(Serialize)]
struct RequestSpec<'a> {
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ClusterInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    status: Option<AnswerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnswerStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<Secret>,
    expiration_timestamp: Option<String>,
}

impl Plugin {
    /// A command with a slash is a path beside the kubeconfig; one without is looked for in `PATH`.
    pub(in crate::kubeconfig) fn settle(&mut self, folder: &Path) {
        if self.command.contains('/') {
            self.command = folder.join(&self.command).to_string_lossy().into_owned();
        }
    }

    /// Notes the cluster, if the plugin wants to know it.
    pub(in crate::kubeconfig) fn tell(&mut self, cluster: &ClusterEntry) -> Result<(), String> {
        let version = self.api_version.as_deref().unwrap_or_default();
        if !version.is_empty() && !VERSIONS.contains(&version) {
            return Err(format!("has a plugin that speaks `{version}`; known are {}", VERSIONS.join(" and ")));
        }
        if self.provide_cluster_info {
            self.cluster = Some(ClusterInfo {
                server: cluster.server.clone().unwrap_or_default(),
                tls_server_name: cluster.tls_server_name.clone(),
                certificate_authority_data: authority(cluster)?,
            });
        }
        Ok(())
    }

    /// Its name, for messages.
    pub(in crate::kubeconfig) fn command(&self) -> &str {
        &self.command
    }

    fn version(&self) -> &str {
        self.api_version.as_deref().filter(|version| !version.is_empty()).unwrap_or(VERSIONS[1])
    }

    /// What it is asked.
    fn request(&self, interactive: bool) -> String {
        let request = Request { api_version: self.version(), kind: "ExecCredential", spec: RequestSpec { interactive, cluster: self.cluster.as_ref() } };
        serde_json::to_string(&request).expect("strings and booleans are always JSON")
    }

    /// Runs it to its end, however long that takes: it may wait for its user. What it says on stderr goes to ours.
    pub(in crate::kubeconfig) fn run(&self) -> Result<Given, CredentialError> {
        let terminal = io::stdin().is_terminal();
        let interactive = match (self.interactive_mode, terminal) {
            (InteractiveMode::Never, _) | (InteractiveMode::IfAvailable, false) => false,
            (_, true) => true,
            (InteractiveMode::Always, false) => return Err(CredentialError::NoTerminal { command: self.command.clone() }),
        };
        let mut command = Command::new(&self.command);
        command.args(self.args.iter().flatten()).env(REQUEST, self.request(interactive));
        command.envs(self.env.iter().flatten().map(|variable| (&variable.name, variable.value.reveal())));
        command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = command.spawn().and_then(std::process::Child::wait_with_output).map_err(|source| CredentialError::NotRun {
            command: self.command.clone(),
            hint: self.install_hint.clone(),
            source,
        })?;
        self.read(output.status, &output.stdout)
    }

    fn read(&self, status: ExitStatus, stdout: &[u8]) -> Result<Given, CredentialError> {
        if !status.success() {
            return Err(CredentialError::Failed { command: self.command.clone(), status });
        }
        let wrong = |why: &str| CredentialError::Answer { command: self.command.clone(), why: why.to_owned() };
        if stdout.len() > MAX_ANSWER_BYTES {
            return Err(wrong("it is longer than 1 MiB"));
        }
        // The answer is not repeated: it may hold half a credential.
        let answer: Answer = serde_json::from_slice(stdout).map_err(|_| wrong("it is not the JSON of an ExecCredential"))?;
        if answer.kind != "ExecCredential" || answer.api_version != self.version() {
            return Err(wrong(&format!("it is no ExecCredential of `{}`", self.version())));
        }
        let status = answer.status.ok_or_else(|| wrong("it has no status"))?;
        let until = status.expiration_timestamp.filter(|text| !text.is_empty());
        let until = until.map(|text| text.parse::<jiff::Timestamp>().map_err(|_| wrong("its expirationTimestamp is no time"))).transpose()?;
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some((certificate.into_bytes(), key)),
            (None, None) => None,
            _ => return Err(wrong("it has a certificate without its key, or a key without its certificate")),
        };
        let token = status.token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.is_none() && identity.is_none() {
            return Err(wrong("it has neither a token nor a certificate"));
        }
        Ok(Given { token: token.map(Into::into), identity, until })
    }
}

/// The cluster's authority as the plugin is told it.
fn authority(cluster: &ClusterEntry) -> Result<Option<String>, String> {
    use base64::Engine;
    if cluster.certificate_authority_data.is_some() {
        return Ok(cluster.certificate_authority_data.clone());
    }
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("wants its plugin told of `{}`, which cannot be read: {error}", path.display()));
    let bytes = cluster.certificate_authority.as_ref().map(read).transpose()?;
    Ok(bytes.map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes)))
}

#[cfg(test)]
impl Plugin {
    /// Of its YAML.
    pub(in crate::kubeconfig) fn of(yaml: &str) -> Self {
        serde_saphyr::from_str(yaml).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(script: &str) -> Result<Given, String> {
        let mut plugin = Plugin::of("{command: sh, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, env: [{name: X, value: y}]}");
        plugin.args = Some(vec!["-c".to_owned(), script.to_owned()]);
        plugin.run().map_err(|error| error.to_string())
    }

    fn says(status: &str) -> String {
        format!(r#"printf %s '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{status}}}'"#)
    }

    #[test]
    fn a_plugin_gives_a_token_and_its_end() {
        let given = answered(&says(r#"{"token":" tok\n","expirationTimestamp":"2030-01-01T00:00:00Z"}"#)).unwrap();
        assert_eq!(given.token.as_deref(), Some("tok"));
        assert_eq!(given.until.unwrap().to_string(), "2030-01-01T00:00:00Z");
        let given = answered(&says(r#"{"clientCertificateData":"C","clientKeyData":"K"}"#)).unwrap();
        assert!(given.token.is_none() && given.identity.is_some_and(|(certificate, _)| certificate == b"C"));
    }

    #[test]
    fn a_plugin_is_told_what_it_is_asked_for() {
        let script = r#"test "$X" = y || exit 9; printf '%s' "$KUBERNETES_EXEC_INFO" | sed 's/"spec":{"interactive":false}/"status":{"token":"told"}/'"#;
        assert_eq!(answered(script).unwrap().token.as_deref(), Some("told"));
        let mut plugin = Plugin::of("{command: ./bin/login, provideClusterInfo: true}");
        plugin.settle(Path::new("/home/a/.kube"));
        assert_eq!(plugin.command(), "/home/a/.kube/./bin/login");
        let cluster = ClusterEntry { server: Some("https://k".to_owned()), certificate_authority_data: Some("UEVN".to_owned()), ..ClusterEntry::default() };
        plugin.tell(&cluster).unwrap();
        assert_eq!(
            plugin.request(true),
            r#"{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{"interactive":true,"cluster":{"server":"https://k","certificate-authority-data":"UEVN"}}}"#
        );
    }

    #[test]
    fn what_goes_wrong_is_named_and_no_credential_is_repeated() {
        for (script, part) in [
            ("exit 3".to_owned(), "failed (exit status: 3)"),
            ("echo hello-token".to_owned(), "not the JSON"),
            ("true".to_owned(), "not the JSON"),
            (
                r#"echo '{"apiVersion":"client.authentication.k8s.io/v1alpha1","kind":"ExecCredential"}'"#.to_owned(),
                "no ExecCredential of `client.authentication.k8s.io/v1`",
            ),
            (says("null"), "no status"),
            (says("{}"), "neither a token nor a certificate"),
            (says(r#"{"token":"t","expirationTimestamp":"soon"}"#), "no time"),
            (says(r#"{"clientCertificateData":"C"}"#), "without its key"),
        ] {
            let error = answered(&script).unwrap_err();
            assert!(error.contains(part) && !error.contains("hello-token"), "{script}: {error}");
        }
        let missing = Plugin::of("{command: no-such-program, installHint: 'get it from example.org'}").run().unwrap_err().to_string();
        assert!(missing.contains("`no-such-program`") && missing.contains("get it from example.org"), "{missing}");
        let mut old = Plugin::of("{command: x, apiVersion: client.authentication.k8s.io/v1alpha1}");
        assert!(old.tell(&ClusterEntry::default()).unwrap_err().contains("v1alpha1"));
    }
}
