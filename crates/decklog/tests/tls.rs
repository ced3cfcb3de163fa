//! The real binary over TLS: who is trusted, who is let in, and what is said when it fails.

#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::net::TcpListener;
use std::process::{Child, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use support::{Folder, Ran, attack_lines, attack_log, sorted, until};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Its certificate is in `ca.crt`.
    fn new(folder: &Folder) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the test's authority");
        let authority = Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap());
        folder.write("ca.crt", authority.0.pem().as_bytes());
        authority
    }

    /// NAME.crt and NAME.key.
    fn sign(&self, folder: &Folder, name: &str, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        (folder.write(&format!("{name}.crt"), certificate.as_bytes()), folder.write(&format!("{name}.key"), key.serialize_pem().as_bytes()))
    }

    fn client(&self, folder: &Folder, name: &str, unit: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(folder, name, &params)
    }
}

/// `decklog serve` with TLS; killed when dropped.
struct Served {
    child: Child,
    port: u16,
}

impl Served {
    fn start(folder: &Folder, authority: &Authority, arguments: &[&str]) -> Self {
        let (certificate, key) = authority.sign(folder, "server", &CertificateParams::new(["127.0.0.1".to_owned()]).unwrap());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (data, listen) = (folder.path("served"), format!("127.0.0.1:{port}"));
        let log = std::fs::File::create(folder.path("serve.log")).unwrap();
        let mut command = folder.command(&["serve", "--data-dir", &data, "--listen", &listen, "--tls-cert-file", &certificate, "--tls-key-file", &key]);
        let child = command.args(arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { child, port }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{parts:?}: {}", ran.stderr);
}

#[test]
fn other_addresses_than_loopback_are_refused_without_tls_and_credentials() {
    let folder = Folder::new();
    let data = folder.path("data");
    let serve = |arguments: &[&str]| folder.run(&[&["serve", "--data-dir", &data, "--listen", "0.0.0.0:0"][..], arguments].concat());
    refused(&serve(&[]), 2, &["server.tls.certFile", "server.auth.tokensFile", "127.0.0.1:0"]);
    let (certificate, key) = Authority::new(&folder).sign(&folder, "server", &CertificateParams::new(["127.0.0.1".to_owned()]).unwrap());
    refused(&serve(&["--tls-cert-file", &certificate, "--tls-key-file", &key]), 2, &["needs credentials", "server.tls.clientCAFile"]);
    let ca = folder.path("ca.crt");
    refused(&serve(&["--tls-cert-file", &ca, "--tls-key-file", &key, "--tls-client-ca-file", &ca]), 2, &["does not belong to the certificate"]);
    assert_eq!(std::path::Path::new(&data).try_exists().ok(), Some(false), "nothing was begun");
}

#[test]
fn events_go_in_and_come_back_over_tls_with_client_certificates() {
    let folder = Folder::new();
    let authority = Authority::new(&folder);
    let ca = folder.path("ca.crt");
    let served = Served::start(&folder, &authority, &["--tls-client-ca-file", &ca, "--redact", "off"]);
    let url = served.url();
    let (root, root_key) = authority.client(&folder, "root", "decklog:admin");
    let (carol, carol_key) = authority.client(&folder, "carol", "decklog:read");
    let (bob, bob_key) = authority.client(&folder, "bob", "people");
    let by = |certificate: &str, key: &str, arguments: &[&str]| {
        let target = ["--server", &url, "--ca-file", &ca, "--client-cert", certificate, "--client-key", key];
        folder.run(&[arguments, &target].concat())
    };
    until("the server to be ready", || (by(&root, &root_key, &["search", "--limit", "1"]).code == 0).then_some(()));

    let log = folder.write("audit.log", &attack_log());
    let imported = by(&root, &root_key, &["import", &log]);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let found = by(&carol, &carol_key, &["search", "--limit", "0", "-o", "json"]);
    assert_eq!(sorted(found.stdout.lines()), sorted(attack_lines().iter().map(String::as_str)), "{}", found.stderr);
    refused(&by(&carol, &carol_key, &["import", &log]), 4, &["`carol` may not", "`send`"]);
    refused(&by(&bob, &bob_key, &["search"]), 4, &["`bob` has no scope", "OU=decklog:read"]);
    refused(&folder.run(&["search", "--server", &url, "--ca-file", &ca]), 4, &["--client-cert"]);
    refused(&by(&carol, &root_key, &["search"]), 2, &["client certificate", "cannot be used"]);

    let by_variables = folder
        .command(&["search", "-q", "--limit", "1", "-o", "json"])
        .envs([("DECKLOG_SERVER", url.as_str()), ("DECKLOG_CA_FILE", &ca), ("DECKLOG_CLIENT_CERT", &carol), ("DECKLOG_CLIENT_KEY", &carol_key)])
        .output()
        .unwrap();
    assert!(by_variables.status.success(), "{}", String::from_utf8_lossy(&by_variables.stderr));
}

#[test]
fn what_is_wrong_with_a_server_is_said() {
    let folder = Folder::new();
    let served = Served::start(&folder, &Authority::new(&folder), &[]);
    let (url, ca) = (served.url(), folder.path("ca.crt"));
    let search = |url: &str, ca: &str| folder.run(&["search", "--limit", "1", "--server", url, "--ca-file", ca]);
    until("the server to be ready", || (search(&url, &ca).code == 0).then_some(()));
    assert!(std::fs::read_to_string(folder.path("serve.log")).unwrap().contains(&format!("{url}/?token=")), "the link");

    let no_authorities = folder.command(&["search", "--server", &url]).env("SSL_CERT_FILE", "/dev/null").output().unwrap();
    let text = String::from_utf8(no_authorities.stderr).unwrap();
    assert!(no_authorities.status.code() == Some(3) && text.contains("authority that is not known") && text.contains("--ca-file"), "{text}");
    let from_system = folder.command(&["search", "--limit", "1", "--server", &url]).env("SSL_CERT_FILE", &ca).output().unwrap();
    assert!(from_system.status.success(), "{}", String::from_utf8_lossy(&from_system.stderr));
    refused(&search(&format!("https://localhost:{}", served.port), &ca), 3, &["not for `localhost`", "127.0.0.1"]);
    refused(&search(&format!("http://127.0.0.1:{}", served.port), &ca), 2, &["speaks TLS", "https://"]);
    refused(&search(&url, &folder.write("empty", b"")), 2, &["cannot read the CA file", "no such PEM block"]);
    refused(
        &folder.run(&["import", &folder.write("one.log", attack_lines()[0].as_bytes()), "--server", &url, "--ca-file", &folder.path("none")]),
        2,
        &["cannot read the CA file"],
    );

    let elsewhere = Folder::new();
    let plain = support::Server::start(&elsewhere, &[]);
    refused(&search(&plain.url().replace("http", "https"), &ca), 3, &["does not speak TLS", "http://"]);
}
