//! `decklog forward`: a control-plane node's audit log to a server.

use std::net::SocketAddr;
use std::path::PathBuf;

use decklog_capture::webhook::is_source_name;

use crate::cli::{TEMPLATE, TargetFlags};
use crate::client::Client;
use crate::commands::Context;
use crate::config::{SettingFlags, load_layers};
use crate::failure::{Failure, Failures, Outcome};
use crate::wiring::{ForwardConfig, forward, init_logging, runtime};

/// Follows an audit log on a control-plane node and sends its events to a decklog server
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog forward --tail /var/log/kubernetes/audit/audit.log --to https://decklog.example:7080 \\
      --token-file /etc/decklog/token --source cp-1 --data-dir /var/lib/decklog-forward
  decklog forward --tail audit.log --to http://127.0.0.1:7080",
    after_help = "Events are kept in DIR until the server has them: through restarts of both, rotation of the log and outages of any
length. The server stores each once.
Exit codes: 0 stopped as asked, 2 wrong use, 3 it could not be done, 130 ended at once by a second signal
(decklog help exit-codes)"
)]
pub(crate) struct ForwardFlags {
    /// The audit log file to follow; may be given several times
    #[arg(long, required = true, value_name = "FILE", help_heading = "What")]
    tail: Vec<PathBuf>,
    /// The server to send to
    #[arg(long, value_name = "URL", help_heading = "Server")]
    to: String,
    /// The source that events belong to there; a token that is bound to a source wants that one
    #[arg(long, value_name = "NAME", default_value = "forward", help_heading = "Server")]
    source: String,
    /// A file with the bearer token; read again when the server refuses it
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    token_file: Option<PathBuf>,
    /// The authorities to trust at an https:// server, in PEM, in place of the system's
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    ca_file: Option<PathBuf>,
    /// A client certificate, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    client_cert: Option<PathBuf>,
    /// Its key, if that is another file
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    client_key: Option<PathBuf>,
    /// Where events wait and positions are kept [default: ./decklog-forward]
    #[arg(long, value_name = "DIR", help_heading = "Here")]
    data_dir: Option<PathBuf>,
    /// The server's redaction key: credentials are then hidden here already
    #[arg(long, value_name = "FILE", help_heading = "Here")]
    redaction_key_file: Option<PathBuf>,
    /// Where /livez, /readyz and /metrics are told, in clear
    #[arg(long, value_name = "ADDR", help_heading = "Here")]
    status_listen: Option<SocketAddr>,
    /// The largest event taken [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Here")]
    max_event_size: Option<String>,
    /// How its own log is written: text or json [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    log_format: Option<String>,
    /// How much of it: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    log_level: Option<String>,
}

/// Forwards until a signal.
pub(crate) fn run(flags: &ForwardFlags, context: &Context) -> Outcome {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let data_dir = flags.data_dir.as_ref().map_or_else(|| "./decklog-forward".to_owned(), text);
    let given = [
        ("data-dir", Some(data_dir)),
        ("redaction-key-file", flags.redaction_key_file.as_ref().map(text)),
        ("max-event-size", flags.max_event_size.clone()),
        ("log-format", flags.log_format.clone()),
        ("log-level", flags.log_level.clone()),
    ];
    let loaded = load_layers(None, &SettingFlags::of(given), &[], &context.environment)?;
    init_logging(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if !is_source_name(&flags.source) {
        return Err(Failure::usage("source", format!("`{}` is no name of a source", flags.source))
            .help("up to 63 lower-case letters, digits, `-` and `.`, with a letter or digit first and last, such as cp-1")
            .into());
    }
    let target = TargetFlags {
        token_file: flags.token_file.clone(),
        ca_file: flags.ca_file.clone(),
        client_cert: flags.client_cert.clone(),
        client_key: flags.client_key.clone(),
        ..TargetFlags::default()
    };
    let connect = {
        let (to, context) = (flags.to.clone(), context.clone());
        move || Client::new(&to, &target, &context)
    };
    // What is wrong with files and address is told now, and not on every try.
    let client = connect()?;
    refuse_clear_token(&client)?;
    let config = ForwardConfig {
        tails: flags.tail.clone(),
        source: flags.source.as_str().into(),
        has_redaction_key: flags.redaction_key_file.is_some(),
        status_listen: flags.status_listen,
        settings: loaded.config,
    };
    let runtime = runtime()?;
    let outcome = runtime.block_on(forward(config, client, Box::new(connect), &|text| context.note(text)));
    // A thread that still waits on the disk must not keep the process: everything that was acknowledged is safe.
    runtime.shutdown_background();
    outcome
}

/// A token never leaves this machine in clear, as kube-apiserver has it.
fn refuse_clear_token(client: &Client) -> Result<(), Failures> {
    if client.has_token() && client.base().starts_with("http:") && !client.is_loopback() {
        let failure = Failure::usage("clear-token", format!("a token for {} would be sent in clear", client.base()));
        return Err(failure.help("use https:// there, and --ca-file for an authority that this machine does not know").into());
    }
    Ok(())
}
