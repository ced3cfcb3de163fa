//! The configuration from the outside: layers, errors, defaults, and texts nobody meant.

use std::path::PathBuf;

use proptest::prelude::*;

use super::layers::Loaded;
use super::*;
use crate::failure::Failures;

fn load_text(text: &str, flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Loaded, Failures> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decklog.yaml");
    std::fs::write(&path, text).unwrap();
    let find = |flag: &str| SETTINGS.iter().find(|setting| setting.flag == flag).unwrap();
    let flags = SettingFlags(flags.iter().map(|(flag, value)| (find(flag), (*value).to_owned())).collect());
    let environment: Vec<(String, String)> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load_layers(Some(&path), &flags, &[], &environment)
}

const HEAD: &str = "apiVersion: decklog.io/v1alpha1\nkind: Config\n";

fn faults(text: &str) -> Vec<String> {
    let failures = load_text(&format!("{HEAD}{text}"), &[], &[]).unwrap_err();
    let line = |failure: &crate::failure::Failure| {
        let place = failure.place.clone().unwrap_or_default();
        format!("{}:{}+{} {} | {}", place.line, place.column, place.length, failure.message, failure.help.clone().unwrap_or_default())
    };
    failures.causes().iter().map(line).collect()
}

#[test]
fn flag_before_variable_before_file_before_default() {
    let file = format!("{HEAD}cluster: from-file\nretention: {{maxAge: 30d}}\nserver: {{listen: \"127.0.0.1:1\"}}\n");
    let variables = [("DECKLOG_CLUSTER", "from-variable"), ("DECKLOG_SERVER_LISTEN", "127.0.0.1:2")];
    let loaded = load_text(&file, &[("listen", "127.0.0.1:3")], &variables).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 3);
    assert_eq!(loaded.config.cluster, "from-variable");
    assert_eq!(loaded.config.retention.max_age, Some(std::time::Duration::from_secs(30 * 86400)));
    assert_eq!(loaded.config.retention.max_size, None);
    let origins: Vec<String> = loaded.given.iter().map(|given| format!("{}={}", given.setting.path, given.origin)).collect();
    assert!(origins.contains(&"server.listen=--listen".to_owned()));
    assert!(origins.contains(&"cluster=DECKLOG_CLUSTER".to_owned()));
    assert!(origins.iter().any(|origin| origin.starts_with("retention.maxAge=") && origin.ends_with("decklog.yaml:4")), "{origins:?}");
    assert!(origins.contains(&"retention.maxSize=default".to_owned()));
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let text = "retention:\n  maxage: 400d\n  maxSize: 200\njournal: 7\nserver:\n  listen: 0.0.0.0:7080\n  stopTimeout: 20\nredact: {mode: of}\nsources:\n  - {name: a, type: webhok}\n  - {name: a b, type: tail, token: x}\n  - 7\ncolour: red\n";
    assert_eq!(
        faults(text),
        [
            "4:3+6 `retention.maxage` is not a setting | did you mean `maxAge`?",
            "5:12+3 `retention.maxSize`: `200` is not a size or `none` | a size needs a unit: 200B, 200MiB, 200GiB",
            "6:10+1 `journal` takes a map, not a number | ",
            "9:16+2 `server.stopTimeout`: `20` is not a duration | a duration needs a unit: 20s, 20m, 20h, 20d",
            "10:16+2 `redact.mode`: `of` is not one of its values | did you mean `off`? values: default, off",
            "12:21+6 `sources`: `webhok` is not a type of source | did you mean `webhook`? types: webhook, tail",
            "13:5+1 `sources`: a source here has no `path` | ",
            "13:12+3 `sources`: `a b` is not a source's name | 1 to 63 lower-case letters, digits, `-` and `.`, a letter or digit first and last",
            "13:29+5 `sources`: a source has no `token` | secrets come by file: write the token to a file and name it in `tokenFile`",
            "14:5+1 `sources`: a source is a map, not a number | {name: prod, type: webhook}",
            "15:1+6 `colour` is not a setting | settings here: dataDir, cluster, server, sources, journal, table, retention, redact, log",
            "8:11+12 `server.listen`: `0.0.0.0:7080` can be reached from other machines, which needs TLS and credentials: set server.tls.certFile and server.tls.keyFile, and server.auth.tokensFile, server.auth.kubernetes or server.tls.clientCAFile | or stay on this machine: 127.0.0.1:7080",
        ]
    );
}

#[test]
fn addresses_of_other_machines_need_tls_and_credentials() {
    let check = |server: &str, expected: &[&str]| {
        let loaded = load_text(&format!("{HEAD}server: {{{server}}}\n"), &[("listen", "0.0.0.0:7443")], &[]);
        let messages: Vec<String> = loaded.err().map(|failures| failures.causes().iter().map(|failure| failure.message.clone()).collect()).unwrap_or_default();
        assert_eq!(messages.len(), expected.len(), "{server}: {messages:?}");
        assert!(messages.iter().zip(expected).all(|(message, part)| message.contains(part)), "{server}: {messages:?}");
    };
    check("auth: {tokensFile: t}, tls: {certFile: c, keyFile: k}", &[]);
    check("auth: {kubernetes: true}, tls: {certFile: c, keyFile: k}", &[]);
    check("auth: {kubernetes: false}, tls: {certFile: c, keyFile: k}", &["needs credentials"]);
    check("tls: {certFile: c, keyFile: k, clientCAFile: a}", &[]);
    check("auth: {tokensFile: t}", &["--listen: `0.0.0.0:7443` can be reached from other machines, which needs TLS: "]);
    check("tls: {certFile: c, keyFile: k}", &["needs credentials: "]);
    check("auth: {tokensFile: t}, tls: {certFile: c}", &["needs TLS: ", "`server.tls.certFile`: is there without"]);
    check("auth: {tokensFile: t}, tls: {keyFile: k}", &["needs TLS: ", "`server.tls.keyFile`: is there without"]);
    check("tls: {clientCAFile: a}", &["needs TLS: ", "`server.tls.clientCAFile`: asks for client certificates"]);
}

#[test]
fn kubernetes_is_off_on_or_a_file() {
    let read = |value: &str| load_text("", &[("auth-kubernetes", value)], &[]).map(|loaded| loaded.config.server.kubernetes);
    assert_eq!(read("off"), Ok(KubernetesAuth::Off));
    assert_eq!(read("on"), Ok(KubernetesAuth::InCluster));
    assert_eq!(read("./kubeconfig"), Ok(KubernetesAuth::Kubeconfig("./kubeconfig".into())));
    assert!(read("yes").unwrap_err().causes()[0].message.contains("`yes` is not off, on or the path of a kubeconfig"));
}

#[test]
fn header_is_required_and_known() {
    let failures = load_text("kind: Konfig\n", &[], &[]).unwrap_err();
    let messages: Vec<&str> = failures.causes().iter().map(|failure| failure.message.as_str()).collect();
    assert_eq!(messages, ["`apiVersion` is missing", "`kind` is not one this version knows"]);
    assert!(load_text("", &[], &[]).is_ok());
}

#[test]
fn faults_of_variables_and_flags_name_them() {
    let failures = load_text("", &[("segment-size", "64")], &[("DECKLOG_SOURCES", "[{\"name\":\"a\"}]"), ("DECKLOG_LOG_LEVEL", "loud")]).unwrap_err();
    let messages: Vec<&str> = failures.causes().iter().map(|failure| failure.message.as_str()).collect();
    assert_eq!(
        messages,
        ["DECKLOG_SOURCES: a source here has no `type`", "DECKLOG_LOG_LEVEL: `loud` is not one of its values", "--segment-size: `64` is not a size"]
    );
}

#[test]
fn yaml_words_are_taken_as_written() {
    let loaded = load_text(&format!("{HEAD}redact:\n  mode: off\ncluster: 7\n"), &[], &[]).unwrap();
    assert_eq!(loaded.config.redact.mode, RedactMode::Off);
    assert_eq!(loaded.config.cluster, "7");
}

#[test]
fn the_printed_defaults_are_the_defaults() {
    let from_file = load_text(&commented_file(), &[], &[]).unwrap().config;
    assert_eq!(from_file, load_text("", &[], &[]).unwrap().config);
}

#[test]
fn every_example_is_legal_and_says_something_else() {
    // The files of TLS are legal only together.
    let file = format!("{HEAD}server: {{tls: {{certFile: c, keyFile: k}}}}\n");
    for setting in SETTINGS {
        let plain = load_text(&file, &[], &[]).unwrap().config;
        let other = load_text(&file, &[(setting.flag, setting.example)], &[]).unwrap().config;
        assert_ne!(plain, other, "{}", setting.path);
    }
}

#[test]
fn tails_become_sources_with_names_of_their_own() {
    let flags = SettingFlags::default();
    let tails = [PathBuf::from("/var/log/audit.log"), PathBuf::from("/other/audit.log"), PathBuf::from("/var/log/audit.log")];
    let loaded = load_layers(None, &flags, &tails, &[]).unwrap();
    let names: Vec<&str> = loaded.config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["audit", "audit-2"]);
}

/// docs/config.md is what the list of settings says.
#[test]
fn reference_page_is_up_to_date() {
    crate::bless::check("docs/config.md", &reference_page());
}

fn yaml_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("apiVersion: decklog.io/v1alpha1\n".to_owned()),
        Just("kind: Config\n".to_owned()),
        prop::sample::select(SETTINGS).prop_map(|setting| format!("{}: ", setting.path.rsplit('.').next().unwrap_or_default())),
        prop::sample::select(vec![
            "server:\n  ",
            "retention: {",
            "}",
            "sources:\n  - ",
            "name: a\n",
            "type: tail\n",
            "&a ",
            "*a",
            "<<: ",
            "!!int ",
            "|\n",
            "'",
            "\"",
            "${",
            "$$",
            "}",
            "[",
            "]",
            ", ",
            "\t",
            "\n",
            "? ",
            "---\n",
            "...\n",
            "# "
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in yaml_like()) {
        match load_text(&text, &[], &[]) {
            Ok(_) => {}
            Err(failures) => prop_assert!(!failures.causes().is_empty()),
        }
    }

    #[test]
    fn no_value_makes_it_panic(which in 0..SETTINGS.len(), value in "\\PC{0,20}") {
        let _ = load_text("", &[(SETTINGS[which].flag, &value)], &[]);
    }
}
