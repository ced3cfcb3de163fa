//! Flags as kube-apiserver 1.36.3 reads and answers them.

use proptest::prelude::*;

use super::*;

fn parse(args: &[&str]) -> Result<BackendFlags, FlagError> {
    BackendFlags::parse(args.iter().map(|arg| (*arg).to_owned()), |_, _| false)
}

/// What kube-apiserver says of these flags, before it would start.
fn fault(args: &[&str]) -> String {
    match parse(args).and_then(|flags| flags.check()) {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_are_read_as_pflag_reads_them() {
    let flags = parse(&[
        "--audit-log-path",
        "-",
        "--audit-log-compress",
        "--audit-log-maxsize=0x10",
        "--audit-webhook-batch-max-wait",
        "1m0.5s",
        "--audit-log-batch-throttle-enable=false",
    ])
    .unwrap();
    assert_eq!((flags.log.path.as_str(), flags.log.compress, flags.log.max_size), ("-", true, 16));
    assert_eq!(flags.webhook.common.max_batch_wait, GoDuration(60_500_000_000));
    for (args, want) in [
        (&["--audit-log-maxsize", "ten"][..], r#"invalid argument "ten" for "--audit-log-maxsize" flag: strconv.ParseInt: parsing "ten": invalid syntax"#),
        (&["--audit-log-compress=yes"], r#"invalid argument "yes" for "--audit-log-compress" flag: strconv.ParseBool: parsing "yes": invalid syntax"#),
        (&["--audit-webhook-initial-backoff=10"], r#"invalid argument "10" for "--audit-webhook-initial-backoff" flag: time: missing unit in duration "10""#),
        (
            &["--audit-webhook-initial-backoff=5 s"],
            r#"invalid argument "5 s" for "--audit-webhook-initial-backoff" flag: time: unknown unit " s" in duration "5 s""#,
        ),
        (&["--audit-log-path"], "flag needs an argument: --audit-log-path"),
        (&["--audit-nothing"], "unknown flag: --audit-nothing"),
        (&["serve"], "unexpected argument `serve`"),
    ] {
        assert_eq!(parse(args).unwrap_err().to_string(), want);
    }
}

#[test]
fn the_last_of_two_names_of_one_flag_holds_and_the_old_one_is_told() {
    let flags = parse(&["--audit-webhook-initial-backoff=1s", "--audit-webhook-batch-initial-backoff=2s"]).unwrap();
    assert_eq!(flags.webhook.initial_backoff, GoDuration(2_000_000_000));
    assert_eq!(flags.notices, ["Flag --audit-webhook-batch-initial-backoff has been deprecated, Deprecated, use --audit-webhook-initial-backoff instead."]);
}

#[test]
fn faults_are_told_in_the_words_of_kube_apiserver() {
    for (args, want) in [
        (&["--audit-log-path=a", "--audit-log-mode=x"][..], r#"invalid audit log mode x, allowed modes are "batch,blocking,blocking-strict""#),
        (&["--audit-log-path=a", "--audit-log-format=x"], r#"invalid audit log format x, allowed formats are "legacy,json""#),
        (&["--audit-log-path=a", "--audit-log-version=v1"], r#"invalid group version, allowed versions are ["audit.k8s.io/v1"]"#),
        (&["--audit-log-path=a", "--audit-log-version=a/b/c"], "unexpected GroupVersion string: a/b/c"),
        (
            &["--audit-log-path=a", "--audit-log-mode=batch", "--audit-log-batch-buffer-size=0"],
            "invalid audit batch log buffer size 0, must be a positive number",
        ),
        (
            &["--audit-log-path=a", "--audit-log-mode=batch", "--audit-log-batch-throttle-enable", "--audit-log-batch-throttle-burst=3"],
            "invalid audit batch log throttle QPS 0, must be a positive number",
        ),
        (
            &["--audit-log-path=a", "--audit-log-truncate-max-batch-size=5"],
            "invalid audit truncate log max batch size 5, must be greater than max event size (102400)",
        ),
        (
            &["--audit-webhook-config-file=a", "--audit-webhook-truncate-max-event-size=-1"],
            "invalid audit truncate webhook max event size -1, must be a positive number",
        ),
        (&["--audit-webhook-config-file=a", "--audit-webhook-batch-max-size=0"], "invalid audit batch webhook max batch size 0, must be a positive number"),
        (
            &["--audit-log-path=a", "--audit-log-maxage=-1", "--audit-log-maxsize=-2"],
            "[--audit-log-maxage -1 can't be a negative number, --audit-log-maxsize -2 can't be a negative number]",
        ),
        // Of what is not enabled, and of batching in another mode, nothing is checked.
        (&["--audit-webhook-batch-max-size=0", "--audit-log-format=x"], ""),
        (&["--audit-log-path=a", "--audit-log-batch-buffer-size=0"], ""),
        (&["--audit-webhook-version=a/b/c"], "unexpected GroupVersion string: a/b/c"),
    ] {
        assert_eq!(fault(args), want, "{args:?}");
    }
}

#[test]
fn dynamic_auditing_is_answered_with_what_takes_its_place() {
    for args in [
        &["--audit-dynamic-configuration"][..],
        &["--feature-gates=DynamicAuditing=true"],
        &["--feature-gates", "A=true,DynamicAuditing=true"],
        &["--runtime-config=auditregistration.k8s.io/v1alpha1=true"],
    ] {
        let told = parse(args).unwrap_err().to_string();
        assert!(told.contains("removed in 1.19") && told.contains("--audit-webhook-config-file"), "{told}");
    }
    assert_eq!(parse(&["--feature-gates=Other=true"]).unwrap_err().to_string(), "unknown flag: --feature-gates");
}

#[tokio::test]
async fn what_is_built_prints_itself_as_in_kube_apiserver() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    std::fs::write(
        &config,
        "current-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n",
    )
    .unwrap();
    let log = format!("--audit-log-path={}", folder.path().join("a/b/audit.log").display());
    let webhook = format!("--audit-webhook-config-file={}", config.display());
    for (args, want) in [
        (vec![log.as_str()], "ignoreErrors<log>"),
        (vec![&log, "--audit-log-mode=blocking-strict"], "log"),
        (vec![&log, "--audit-log-mode=batch", "--audit-log-truncate-enabled"], "truncate<buffered<log>>"),
        (vec![&webhook], "buffered<webhook>"),
        (vec![&log, &webhook, "--audit-webhook-truncate-enabled"], "union[ignoreErrors<log>,truncate<buffered<webhook>>]"),
    ] {
        let flags = parse(&args).unwrap();
        flags.check().unwrap();
        let errors = PluginErrors::default();
        let carriers = flags.open(&errors, &Handle::current()).unwrap();
        assert_eq!(flags.build(&carriers, &errors).unwrap().unwrap().to_string(), want);
    }
    let missing = parse(&["--audit-webhook-config-file=/nowhere/x"]).unwrap().open(&PluginErrors::default(), &Handle::current());
    assert_eq!(missing.err().unwrap().to_string(), "initializing audit webhook: stat /nowhere/x: no such file or directory");
}

#[test]
fn the_documents_table_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/audit-flags.md");
    let mut rows = String::new();
    for flag in flag_table() {
        let default = if flag.default.is_empty() { "-".to_owned() } else { format!("`{}`", flag.default) };
        let whose = if flag.is_kubernetes { "" } else { " (decklog's own)" };
        rows.push_str(&format!("| `--{}` | {} | {default} | {}{whose} |\n", flag.name, flag.kind, flag.help));
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text.contains(&rows), "{} is to hold these rows:\n{rows}", path.display());
}

proptest! {
    #[test]
    fn no_command_line_panics(args in proptest::collection::vec("(--)?(audit-(log|webhook)-(mode|path|maxsize|batch-max-wait|compress|batch-throttle-qps)|feature-gates|x)?(=?-?[0-9a-zµ./ ]{0,12})?", 0..6)) {
        if let Ok(flags) = BackendFlags::parse(args, |_, _| false) {
            let _ = flags.check();
        }
    }
}
