//! A small server that audits itself: an API of orders, shaped as Kubernetes shapes one, with the audit layer in front and
//! kube-apiserver's backends behind it.
//!
//! ```console
//! $ cargo run -p decklog-capture --example audited -- --audit-policy-file policy.yaml --audit-log-path -
//! $ curl -H 'Authorization: Bearer alice' localhost:8080/apis/shop.example/v1/namespaces/eu/orders -d '{"metadata":{"name":"o-1"}}'
//! ```
//!
//! A bearer token is the name of a user; a request with another credential is refused (and recorded as such), one without any is of
//! `system:anonymous`. It takes every `--audit-*` flag (docs/reference/audit-flags.md) and `--listen=ADDRESS`.

mod orders;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use decklog_audit::Timestamp;
use decklog_audit::backend::{Backend, Emitted, Processed, Processing};
use decklog_audit::event::UserInfo;
use decklog_audit::journal::Reader;
use decklog_audit::policy::{Compiled, Policy};
use decklog_capture::layer::{AuditLayer, AuditorConfig, AuthenticatedUser, LayerMetrics, PolicyFile};
use decklog_deliver::backend::{BackendFlags, Carrier, Carriers, Follower, JournaledConfig, PluginErrors};
use decklog_store::{JournalConfig, LocalJournal, LocalQuarantine, QuarantineConfig, StartFrom};
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tower::{Layer as _, ServiceExt as _};

type Fault = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match serve().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("command failed: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Fault> {
    let mut listen = "127.0.0.1:8080".to_owned();
    let flags = BackendFlags::parse(std::env::args().skip(1), |name, value| match (name, value) {
        ("listen", Some(address)) => {
            listen = address.to_owned();
            true
        }
        _ => false,
    })?;
    for notice in &flags.notices {
        tracing::warn!("{notice}");
    }
    flags.check()?;

    let (errors, metrics) = (PluginErrors::default(), LayerMetrics::default());
    let policy = if flags.policy_file.is_empty() { None } else { Some(PolicyFile::open(flags.policy_file.as_ref())?) };
    let (carriers, backend) = if flags.journal.is_empty() {
        let carriers = flags.open(&errors, &Handle::current())?;
        let backend = flags.build(&carriers, &errors)?;
        (carriers, backend)
    } else {
        let carriers = flags.open(&errors.retried(), &Handle::current())?;
        let backend = journaled(&flags, &carriers, &errors)?;
        (carriers, Some(backend))
    };
    // Without a policy nothing is recorded, though the log's file is made: as kube-apiserver does it.
    let (policy_file, compiled) = policy.map_or_else(|| (None, Compiled::new(&Policy::default())), |(file, compiled)| (Some(file), compiled));
    let backend: Arc<dyn Backend> = backend.filter(|_| policy_file.is_some()).unwrap_or_else(|| Arc::new(Nowhere));
    tracing::info!("Using audit backend: {backend}");
    let mut config = AuditorConfig::new(compiled, backend.clone());
    config.compat = flags.compat;
    config.metrics = metrics.clone();
    let auditor = config.build();

    let mut registry = Registry::default();
    errors.register(&mut registry);
    metrics.register(&mut registry);
    let registry = Arc::new(registry);
    let refused = AuditLayer::for_refused(auditor.clone()).layer(Router::new().fallback(unauthorized).with_state(()));
    let app = Router::new()
        .merge(orders::routes())
        .route("/healthz", get(|| async { "ok" }))
        .layer(AuditLayer::new(auditor.clone()))
        .layer(from_fn_with_state(Arc::new(refused), authenticate::<_>))
        .route("/metrics", get(move || async move { exposition(&registry) }));

    let listener = TcpListener::bind(&listen).await?;
    tracing::info!("listening on {}", listener.local_addr()?);
    let mut hangup = signal(SignalKind::hangup())?;
    let log = carriers.log.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Some(log) = &log {
                log.reopen();
            }
        }
    });
    if let Some(file) = policy_file {
        tokio::spawn(file.follow(auditor, std::future::pending()));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(stop).await?;
    // Requests are over: what the queues hold goes out now.
    backend.stop().await;
    Ok(())
}

/// A private journal in front of the backends.
fn journaled(flags: &BackendFlags, carriers: &Carriers, errors: &PluginErrors) -> Result<Arc<dyn Backend>, Fault> {
    let log = carriers.log.clone().map(|log| (log as Arc<dyn Carrier>, flags.log.common.truncation()));
    let webhook = carriers.webhook.clone().map(|webhook| (webhook as Arc<dyn Carrier>, flags.webhook.common.truncation()));
    let followers: Vec<_> = log.into_iter().chain(webhook).collect();
    let folder = std::path::Path::new(&flags.journal);
    // What all backends have is removed; what one has not never is.
    let names = followers.iter().map(|(carrier, _)| carrier.to_string()).collect();
    let config = JournalConfig { max_size: Some(0), never_overtaken: names, ..JournalConfig::default() };
    let journal = Arc::new(LocalJournal::open(folder, config)?);
    let followers = followers.into_iter().map(|(carrier, truncate)| {
        let reader: Box<dyn Reader> = Box::new(journal.reader(&carrier.to_string(), StartFrom::Earliest)?);
        Ok(Follower { carrier, reader, truncate })
    });
    let config = JournaledConfig {
        journal: journal.clone(),
        quarantine: Arc::new(LocalQuarantine::open(folder, QuarantineConfig::default())?),
        followers: followers.collect::<Result<_, Fault>>()?,
        mode: flags.journal_mode(),
        errors: errors.clone(),
        now: || Timestamp::from_system(std::time::SystemTime::now()),
    };
    Ok(Arc::new(config.start(&Handle::current())))
}

/// Lets a request in with its user, or has it refused under audit.
async fn authenticate<S>(State(refused): State<Arc<S>>, mut request: Request, next: Next) -> Response
where
    S: tower::Service<Request, Response: IntoResponse, Error = std::convert::Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let named = match request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "))) {
        None => Some(("system:anonymous".to_owned(), "system:unauthenticated")),
        Some(Some(name)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-.".contains(&byte)) => {
            Some((name.to_owned(), "system:authenticated"))
        }
        Some(_) => None,
    };
    let Some((name, group)) = named else {
        let service = S::clone(&refused);
        return match service.oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        };
    };
    let user = UserInfo { username: Some(name.into()), groups: Some(vec![group.into()]), ..UserInfo::default() };
    request.extensions_mut().insert(AuthenticatedUser(Arc::new(user)));
    next.run(request).await
}

async fn unauthorized() -> Response {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
    (StatusCode::UNAUTHORIZED, Json(status)).into_response()
}

fn exposition(registry: &Registry) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Where events go when there is no backend.
struct Nowhere;

impl std::fmt::Display for Nowhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("none")
    }
}

impl Backend for Nowhere {
    fn process(&self, _: &[Emitted<'_>]) -> Processing {
        Processing::Done(Processed::Stored)
    }
}
