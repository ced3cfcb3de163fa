//! Which kubeconfig holds, by kubectl's rules:
//! `--kubeconfig`, else the files of `$KUBECONFIG` merged, else `~/.kube/config`, else the account of the pod this runs in
//! (<https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>).

use std::path::{Path, PathBuf};

use decklog_deliver::kubeconfig::{Access, Kubeconfig, KubeconfigError, Login, Roots};

/// Where Kubernetes puts the account of a pod.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where address and credential come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The one file that was named; it must be there.
    Named(PathBuf),
    /// The files of a list; those that are missing are passed over.
    Listed(Vec<PathBuf>),
    /// The account of the pod this runs in.
    Pod {
        /// The API server's address.
        host: String,
        /// Its port.
        port: String,
    },
}

impl Origin {
    /// What holds, given the flag, the variables, and whether a file is there.
    ///
    /// # Errors
    /// [`KubeconfigError::Nowhere`] when there is nothing at all.
    pub(crate) fn choose<'a>(
        flag: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<&'a str>,
        is_there: &dyn Fn(&Path) -> bool,
    ) -> Result<Self, KubeconfigError> {
        if let Some(path) = flag {
            return Ok(Self::Named(path.to_owned()));
        }
        let listed: Vec<PathBuf> = variable("KUBECONFIG").into_iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
        if !listed.is_empty() {
            return Ok(Self::Listed(listed));
        }
        let usual = variable("HOME").map(|home| Path::new(home).join(".kube/config"));
        if let Some(path) = usual.filter(|path| is_there(path)) {
            return Ok(Self::Named(path));
        }
        Self::pod(variable).ok_or(KubeconfigError::Nowhere)
    }

    /// The account of the pod this runs in, if it runs in one.
    pub(crate) fn pod<'a>(variable: &dyn Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        Some(Self::Pod { host: host.to_owned(), port: port.to_owned() })
    }

    /// Address and credential; `context` is the one to take in place of the current one.
    ///
    /// # Errors
    /// When a file cannot be read, or does not say enough.
    pub(crate) fn access(&self, context: Option<&str>) -> Result<Access, KubeconfigError> {
        match self {
            Self::Named(path) => Kubeconfig::read(std::slice::from_ref(path))?.access(context),
            Self::Listed(paths) => {
                let there: Vec<PathBuf> = paths.iter().filter(|path| is_there(path)).cloned().collect();
                if there.is_empty() {
                    return Err(KubeconfigError::NoneThere { paths: paths.clone() });
                }
                Kubeconfig::read(&there)?.access(context)
            }
            Self::Pod { .. } if context.is_some() => Err(KubeconfigError::PodHasNoContexts),
            Self::Pod { host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let account = Path::new(ACCOUNT);
                Ok(Access {
                    server: format!("https://{host}:{port}"),
                    roots: Roots::File(account.join("ca.crt")),
                    server_name: None,
                    user_name: "the pod's service account".to_owned(),
                    login: Login::TokenFile(account.join("token")),
                    certificate: None,
                })
            }
        }
    }
}

/// Address and credential by kubectl's rules.
///
/// # Errors
/// When there is no kubeconfig, or it does not say enough.
pub(crate) fn find_access<'a>(flag: Option<&Path>, context: Option<&str>, variable: &dyn Fn(&str) -> Option<&'a str>) -> Result<Access, KubeconfigError> {
    Origin::choose(flag, variable, &is_there)?.access(context)
}

/// What cannot be looked at is there: reading it then says why.
fn is_there(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(flag: Option<&str>, variables: &[(&'static str, &'static str)], there: &[&str]) -> Result<Origin, String> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        Origin::choose(flag.map(Path::new), &variable, &|path| there.iter().any(|known| Path::new(known) == path)).map_err(|error| error.to_string())
    }

    #[test]
    fn flag_then_variable_then_home_then_pod() {
        let pod = [("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443"), ("HOME", "/home/a")];
        let listed = [("KUBECONFIG", "/x::/y"), ("HOME", "/home/a")];
        let home = "/home/a/.kube/config";
        assert_eq!(chosen(Some("/f"), &listed, &[home]), Ok(Origin::Named("/f".into())));
        assert_eq!(chosen(None, &listed, &[home]), Ok(Origin::Listed(vec!["/x".into(), "/y".into()])));
        assert_eq!(chosen(None, &[("KUBECONFIG", ":"), ("HOME", "/home/a")], &[home]), Ok(Origin::Named(home.into())));
        assert_eq!(chosen(None, &pod, &[home]), Ok(Origin::Named(home.into())));
        assert_eq!(chosen(None, &pod, &[]), Ok(Origin::Pod { host: "10.96.0.1".to_owned(), port: "443".to_owned() }));
        assert!(chosen(None, &[("HOME", "/home/a")], &[]).unwrap_err().contains("there is no kubeconfig"));
    }

    #[test]
    fn a_pod_has_its_account_and_no_contexts() {
        let origin = Origin::Pod { host: "fd00::1".to_owned(), port: "443".to_owned() };
        let access = origin.access(None).unwrap();
        assert_eq!(access.server, "https://[fd00::1]:443");
        assert_eq!(access.login, Login::TokenFile("/var/run/secrets/kubernetes.io/serviceaccount/token".into()));
        assert!(origin.access(Some("prod")).is_err());
    }

    #[test]
    fn missing_files_of_a_list_are_passed_over_but_not_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        std::fs::write(
            &second,
            "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: k, cluster: {server: 'https://k:6443/'}}]\n",
        )
        .unwrap();
        assert_eq!(Origin::Listed(vec![first.clone(), second]).access(None).unwrap().server, "https://k:6443");
        let error = Origin::Listed(vec![first.clone()]).access(None).unwrap_err().to_string();
        assert!(error.contains("$KUBECONFIG") && error.contains("first"), "{error}");
        assert!(Origin::Named(first).access(None).is_err(), "a named file must be there");
    }
}
