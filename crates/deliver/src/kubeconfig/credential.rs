//! The user's credential as it is now: tokens of files are read each time, what a plugin gave is kept in memory until it expires.

use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Access, ClientFiles, Login, Secret};

/// So long before its end a credential is asked for anew.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The token's file cannot be read.
    #[error("cannot read the token file `{path}` of the kubeconfig: {source}")]
    TokenFile {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A certificate or key cannot be read.
    #[error("cannot read the client certificate of the kubeconfig: {0}")]
    Certificate(String),
    /// A token is none.
    #[error("the token of the kubeconfig is empty, or holds white space or characters that no token has")]
    NoToken,
    /// A plugin wants to ask its user something.
    #[error("the credential plugin `{command}` wants to ask something, and there is no terminal")]
    NoTerminal {
        /// The plugin.
        command: String,
    },
    /// A plugin cannot be run.
    #[error("cannot run the credential plugin `{command}`: {source}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    NotRun {
        /// The plugin.
        command: String,
        /// What the kubeconfig says about getting it.
        hint: Option<String>,
        /// The system's reason.
        source: io::Error,
    },
    /// A plugin ended with an error.
    #[error("the credential plugin `{command}` failed ({status})")]
    Failed {
        /// The plugin.
        command: String,
        /// How.
        status: ExitStatus,
    },
    /// A plugin's answer is no credential.
    #[error("the credential plugin `{command}` gave no credential: {why}")]
    Answer {
        /// The plugin.
        command: String,
        /// What is wrong with its answer.
        why: String,
    },
}

/// What a plugin gave.
#[derive(Clone)]
pub(in crate::kubeconfig) struct Given {
    pub(in crate::kubeconfig) token: Option<Arc<str>>,
    /// Certificate and key, in PEM.
    pub(in crate::kubeconfig) identity: Option<(Vec<u8>, Secret)>,
    /// When it ends; `None` is with this program.
    pub(in crate::kubeconfig) until: Option<Timestamp>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Given(…, until {:?})", self.until)
    }
}

impl Given {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now.saturating_add(MARGIN).is_ok_and(|soon| soon < until))
    }
}

/// The credential of one user.
#[derive(Debug)]
pub struct Credential {
    login: Login,
    certificate: Option<ClientFiles>,
    given: Mutex<Option<Given>>,
    /// A plugin runs once at a time: it may ask its user something.
    running: tokio::sync::Mutex<()>,
}

/// A client certificate and its key, in PEM.
type Identity = (Vec<u8>, Vec<u8>);

impl Credential {
    /// That of a user; nothing is read yet.
    pub fn new(access: &Access) -> Self {
        Self { login: access.login.clone(), certificate: access.certificate.clone(), given: Mutex::default(), running: tokio::sync::Mutex::default() }
    }

    /// The bearer token; `None` is a user without one.
    ///
    /// # Errors
    /// When a file cannot be read, or a plugin gives none.
    pub async fn token(&self) -> Result<Option<Arc<str>>, CredentialError> {
        let token = match &self.login {
            Login::None => return Ok(None),
            Login::Token(token) => token.reveal().trim().into(),
            Login::TokenFile(path) => {
                let wrong = |source| CredentialError::TokenFile { path: path.display().to_string(), source };
                Arc::from(std::fs::read_to_string(path).map_err(wrong)?.trim())
            }
            Login::Plugin(plugin) => {
                let _running = self.running.lock().await;
                match self.kept().filter(|given| given.is_fresh(Timestamp::now())) {
                    Some(given) => return Ok(given.token),
                    None => {
                        let plugin = plugin.clone();
                        let command = plugin.command().to_owned();
                        let broke = |error: tokio::task::JoinError| CredentialError::Answer { command, why: error.to_string() };
                        let given = tokio::task::spawn_blocking(move || plugin.run()).await.map_err(broke)??;
                        let token = given.token.clone();
                        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
                        match token {
                            Some(token) => token,
                            None => return Ok(None),
                        }
                    }
                }
            }
        };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CredentialError::NoToken);
        }
        Ok(Some(token))
    }

    fn kept(&self) -> Option<Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client certificate and its key in PEM: the plugin's, once [`Credential::token`] has run it, else the kubeconfig's.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>, CredentialError> {
        if let Some((certificate, key)) = self.kept().and_then(|given| given.identity) {
            return Ok(Some((certificate, key.reveal().as_bytes().to_vec())));
        }
        let read = |files: &ClientFiles| Ok((files.certificate.read()?, files.key.read()?));
        self.certificate.as_ref().map(read).transpose().map_err(|error: io::Error| CredentialError::Certificate(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Roots;
    use super::super::plugin::Plugin;
    use super::*;

    fn credential(login: Login) -> Credential {
        let access = Access { server: "https://k".to_owned(), roots: Roots::System, server_name: None, user_name: "u".to_owned(), login, certificate: None };
        Credential::new(&access)
    }

    async fn token(credential: &Credential) -> String {
        credential.token().await.unwrap().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_files_token_is_the_one_of_now() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let credential = credential(Login::TokenFile(file.path().to_owned()));
        assert_eq!(token(&credential).await, "one");
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(token(&credential).await, "two");
        std::fs::write(file.path(), "a b").unwrap();
        assert!(matches!(credential.token().await, Err(CredentialError::NoToken)));
        drop(file);
        assert!(credential.token().await.unwrap_err().to_string().starts_with("cannot read the token file"));
    }

    /// The plugin counts its runs in a file and gives the count as token.
    async fn tokens(until: &str) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            r#"echo x >> runs; printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"t%s"{until}}}}}' $(wc -l < runs)"#
        );
        let program = folder.path().join("login");
        std::fs::write(&program, format!("cd '{}'\n{script}\n", folder.path().display())).unwrap();
        let plugin =
            Plugin::of(&format!("{{command: sh, args: ['{}'], apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}}", program.display()));
        let credential = credential(Login::Plugin(Box::new(plugin)));
        [token(&credential).await, token(&credential).await]
    }

    #[tokio::test]
    async fn a_plugin_runs_again_only_when_what_it_gave_has_expired() {
        assert_eq!(tokens("").await, ["t1", "t1"]);
        assert_eq!(tokens(r#","expirationTimestamp":"2100-01-01T00:00:00Z""#).await, ["t1", "t1"]);
        assert_eq!(tokens(r#","expirationTimestamp":"2000-01-01T00:00:00Z""#).await, ["t1", "t2"]);
    }
}
