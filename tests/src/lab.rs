//! A real control plane, by the scripts of `tests/lab`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::{free_ports, text};

/// A running control plane; ended when dropped.
pub struct Cluster {
    folder: PathBuf,
    binaries: PathBuf,
    down: bool,
}

/// How kube-apiserver is started.
pub struct ClusterConfig<'a> {
    /// Where its files go.
    pub folder: &'a Path,
    /// A file of `tests/lab/policies`.
    pub policy: &'a str,
    /// Where its webhook posts to; without one it stops at once.
    pub webhook_url: Option<&'a str>,
    /// More flags.
    pub flags: &'a [&'a str],
}

impl Cluster {
    /// Builds what is not built yet, and starts it; gives back when kube-apiserver is ready.
    pub fn up(config: &ClusterConfig<'_>) -> Self {
        let built = Command::new(script("build.sh")).output().expect("bash is there");
        assert!(built.status.success(), "tests/lab/build.sh: {}", String::from_utf8_lossy(&built.stderr));
        let binaries = PathBuf::from(String::from_utf8_lossy(&built.stdout).trim());
        std::fs::create_dir_all(config.folder).expect("the test folder is writable");
        let webhook = config.webhook_url.map(|url| webhook_config(config.folder, url));
        // Before it starts: a drop must end what a failed start leaves behind.
        let cluster = Self { folder: config.folder.to_owned(), binaries, down: false };
        let started = Command::new(script("up.sh"))
            .args([text(&crate::root().join("tests/lab/policies").join(config.policy)), text(config.folder)])
            .args(config.flags)
            .env("LAB_BIN", &cluster.binaries)
            .env("PORT_BASE", free_ports(12).to_string())
            .env("WEBHOOK_CONFIG", webhook.unwrap_or_default())
            .output()
            .expect("bash is there");
        assert!(started.status.success(), "up.sh: {}{}", String::from_utf8_lossy(&started.stdout), String::from_utf8_lossy(&started.stderr));
        cluster
    }

    /// Runs a traffic script to its end.
    pub fn traffic(&self, name: &str) {
        let ran = Command::new(script(name)).arg(&self.folder).env("LAB_BIN", &self.binaries).output().expect("bash is there");
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// A sample of kube-apiserver's metrics, by its name and labels as they are written; 0 if it is not there.
    pub fn metric(&self, sample: &str) -> f64 {
        let page = self.kubectl(&["get", "--raw", "/metrics"]);
        page.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// What `kubectl` prints as admin.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let cache = self.folder.join("kubectl-cache");
        let ran = Command::new(self.binaries.join("kubectl"))
            .args([&format!("--kubeconfig={}", text(&self.folder.join("admin.kubeconfig"))), &format!("--cache-dir={}", text(&cache))])
            .args(arguments)
            .output()
            .expect("kubectl was built");
        assert!(ran.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// The kubeconfig of one of `up.sh`'s users.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.kubeconfig"))
    }

    /// A program of the lab, such as `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The folder of its keys and certificates; the authority is `ca`.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// Creates or changes objects as admin.
    pub fn apply(&self, objects: &str) {
        let file = self.folder.join("apply.yaml");
        std::fs::write(&file, objects).expect("the test folder is writable");
        self.kubectl(&["apply", "-f", text(&file)]);
    }

    /// The file its log backend writes.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// The complete lines of its log so far.
    pub fn logged_lines(&self) -> Vec<Vec<u8>> {
        let log = std::fs::read(self.audit_log()).unwrap_or_default();
        let complete = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        crate::binary::split_lines(&log[..complete])
    }

    /// Stops it; its webhook gets what is still waiting.
    pub fn down(&mut self) {
        if !std::mem::replace(&mut self.down, true) {
            let ran = Command::new(script("down.sh")).arg(&self.folder).status();
            assert!(ran.is_ok_and(|status| status.success()), "down.sh");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.down();
    }
}

/// The file that names kube-apiserver's webhook.
fn webhook_config(folder: &Path, url: &str) -> PathBuf {
    let file = folder.join("webhook.kubeconfig");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: w, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: u}}]\ncontexts: [{{name: c, context: {{cluster: w, user: u}}}}]\ncurrent-context: c\n"
    );
    std::fs::write(&file, kubeconfig).expect("the test folder is writable");
    file
}

fn script(name: &str) -> PathBuf {
    crate::root().join("tests/lab").join(name)
}
