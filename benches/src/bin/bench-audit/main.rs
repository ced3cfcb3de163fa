//! `bench-audit`: what the audit layer and its backends cost, beside kube-apiserver's own filter and encoder and beside plain writing, in one
//! run; fails if a target is missed.
//!
//! The layer's cost is that of requests through it less that of the same requests without it: request info, user and audit ID are
//! there already, as kube-apiserver's own filters in front leave them, and the backend does nothing. The encoder writes the same events
//! as Go's. The log backend, in mode batch with rotation, gets lines that are written already, beside plain buffered writes of the same bytes.

mod peer;

use std::convert::Infallible;
use std::fs::File;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use decklog_audit::backend::{Backend, Bodies, Emitted, Processed, Processing};
use decklog_audit::event::{Event, UserInfo, write_log_line};
use decklog_audit::policy::load::load_unchecked;
use decklog_audit::policy::request_info::RequestInfo;
use decklog_audit::policy::{Attributes, Compiled, User};
use decklog_audit::{Level, Timestamp};
use decklog_capture::layer::{AuditLayer, AuditorConfig, AuthenticatedUser, BodySource, Peer, Received};
use decklog_deliver::backend::{Batch, BatchConfig, LogBackend, LogConfig, LogFormat, Oversize, PluginErrors};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tower::{Layer as _, Service};

const REQUESTS: &str = include_str!("../../../data/attrs.json");
const POLICY: &str = include_str!("../../../data/policy-30.json");
const EVENTS: [(&str, &str); 2] =
    [("event-metadata", include_str!("../../../data/event-metadata.json")), ("event-4k", include_str!("../../../data/event-4k.json"))];
const ROUNDS: usize = 31;
/// Bytes that are written in a round of the log.
const LOG_BYTES: usize = 256 << 20;
const LOG_ROUNDS: usize = 5;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]
fn main() -> ExitCode {
    let go = match peer::go_audit() {
        Ok(go) => go,
        Err(error) => {
            eprintln!("error: Go's filter was not measured: {error}");
            return ExitCode::from(3);
        }
    };
    let layer = layer();
    let encode = encode();
    println!("{:<28} {:>10} {:>10}", "ns of one", "decklog", "Go");
    let own = |name: &str| go(&format!("audited {name}"));
    println!("{:<28} {:>10.0} {:>10.0}", "layer, recorded", layer[0], own("recorded"));
    println!("{:<28} {:>10.0} {:>10.0}", "layer, level None", layer[1], own("none"));
    for ((name, _), nanoseconds) in EVENTS.iter().zip(&encode) {
        println!("{:<28} {nanoseconds:>10.0} {:>10.0}", format!("write {name}"), go(name));
    }
    let (plain, written, encoded) = log();
    println!("log: plain {plain:.0} MB/s, batch with rotation {written:.0} MB/s, with the events' encoding {encoded:.0} MB/s");
    let ratios = [
        ("times Go: layer, recorded", own("recorded") / layer[0], 3.0),
        ("times Go: layer, level None", own("none") / layer[1], 3.0),
        ("times Go: write the line at Metadata", go("event-metadata") / encode[0], 4.0),
        ("times Go: write the line with 4 KB of bodies", go("event-4k") / encode[1], 4.0),
        ("times plain buffered writes: log in mode batch, with rotation", written / plain, 0.6),
    ];
    let mut missed = false;
    for (what, ratio, target) in ratios {
        let met = ratio >= target;
        missed |= !met;
        println!("{ratio:6.2} (at least {target:.2}) {what}{}", if met { "" } else { ": MISSED" });
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Takes every event.
struct Nop;

impl std::fmt::Display for Nop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nop")
    }
}

impl Backend for Nop {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        black_box(events);
        Processing::Done(Processed::Stored)
    }
}

/// Answers everything with two bytes.
#[derive(Clone)]
struct Handler;

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(bytes::Bytes::from_static(b"{}")))))
    }
}

/// A request as the filters in front leave it.
struct Prepared {
    info: RequestInfo<'static>,
    request_uri: String,
    user: Option<Arc<UserInfo<'static>>>,
}

impl Prepared {
    fn request(&self) -> Request<Full<bytes::Bytes>> {
        let mut request = Request::new(Full::default());
        let agent = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abcdef0/system:serviceaccount:kube-system:deployment-controller";
        request.headers_mut().insert(http::header::USER_AGENT, HeaderValue::from_static(agent));
        request.headers_mut().insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
        let extensions = request.extensions_mut();
        let audit_id = HeaderValue::from_static("87b4ad0a-5a5e-4f43-9a55-0c624e0f3630");
        let now = Timestamp::from_system(std::time::SystemTime::now());
        extensions.insert(Arc::new(Received::new(now, audit_id, self.info.clone(), self.request_uri.clone())));
        extensions.insert(Peer::Address(([10, 128, 0, 12], 40_000).into()));
        if let Some(user) = &self.user {
            extensions.insert(AuthenticatedUser(user.clone()));
        }
        request
    }
}

/// Nanoseconds that the layer adds to a request that is recorded, and to one that is not.
fn layer() -> [f64; 2] {
    let policy = Compiled::new(&load_unchecked(POLICY.as_bytes()).expect("a policy"));
    let requests: Vec<Value> = serde_json::from_str(REQUESTS).expect("requests in JSON");
    let [recorded, none] = [true, false]
        .map(|is_recorded| requests.iter().filter(|request| (level(&policy, request) > Level::None) == is_recorded).map(prepared).collect::<Vec<Prepared>>());
    let mut config = AuditorConfig::new(policy, Arc::new(Nop));
    config.bodies = BodySource::Said;
    let audited = AuditLayer::new(config.build()).layer(Handler);
    let mut contenders: Vec<(usize, Box<dyn FnMut() + '_>)> = Vec::new();
    for requests in [&recorded, &none] {
        let (mut bare, mut audited) = (Handler, audited.clone());
        contenders.push((requests.len(), Box::new(move || requests.iter().for_each(|request| serve(&mut bare, request.request())))));
        contenders.push((requests.len(), Box::new(move || requests.iter().for_each(|request| serve(&mut audited, request.request())))));
    }
    let [bare, audited, bare_none, audited_none]: [Vec<f64>; 4] = in_turns(contenders, 40).try_into().expect("as many answers as contenders");
    // What the layer adds is the median of the differences within a round.
    [(audited, bare), (audited_none, bare_none)].map(|(with, without)| median(with.iter().zip(&without).map(|(with, without)| with - without).collect()))
}

/// Serves a request and reads its answer to the end; nothing in it waits.
fn serve<S, R>(service: &mut S, request: Request<Full<bytes::Bytes>>)
where
    S: Service<Request<Full<bytes::Bytes>>, Response = Response<R>, Error = Infallible>,
    R: http_body::Body<Data = bytes::Bytes>,
{
    let waker = std::task::Waker::noop();
    let mut context = Context::from_waker(waker);
    let mut call = std::pin::pin!(service.call(request));
    let Poll::Ready(Ok(response)) = call.as_mut().poll(&mut context) else { panic!("nothing waits here") };
    let mut body = std::pin::pin!(response.into_body());
    while let Poll::Ready(Some(frame)) = std::pin::pin!(body.frame()).poll(&mut context) {
        black_box(frame.is_ok());
        if body.is_end_stream() {
            break;
        }
    }
}

fn level(policy: &Compiled, request: &Value) -> Level {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let groups: Vec<&str> = request["user"]["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let attributes = Attributes {
        user: request["user"].is_object().then(|| User { name: request["user"]["name"].as_str().unwrap_or_default(), groups: &groups }),
        verb: text("verb"),
        namespace: text("namespace"),
        api_group: text("apiGroup"),
        api_version: text("apiVersion"),
        resource: text("resource"),
        subresource: text("subresource"),
        name: text("name"),
        path: text("path"),
        is_resource_request: request["isResourceRequest"] == true,
    };
    policy.evaluate(&attributes).known_level()
}

fn prepared(request: &Value) -> Prepared {
    let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    let info = RequestInfo {
        is_resource_request: request["isResourceRequest"] == true,
        path: text("path").into(),
        verb: text("verb").into(),
        api_group: text("apiGroup").into(),
        api_version: text("apiVersion").into(),
        namespace: text("namespace").into(),
        resource: text("resource").into(),
        subresource: text("subresource").into(),
        name: text("name").into(),
        ..RequestInfo::default()
    };
    let request_uri = if info.is_resource_request {
        format!("/apis/{}/{}/namespaces/{}/{}/{}", info.api_group, info.api_version, info.namespace, info.resource, info.name)
    } else {
        info.path.to_string()
    };
    let user = request["user"].is_object().then(|| {
        let groups = request["user"]["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|group| group.to_owned().into());
        Arc::new(UserInfo {
            username: request["user"]["name"].as_str().map(|name| name.to_owned().into()),
            groups: Some(groups.collect()),
            ..UserInfo::default()
        })
    });
    Prepared { info, request_uri, user }
}

/// Nanoseconds of writing each event's line.
fn encode() -> Vec<f64> {
    let events: Vec<Event<'_>> = EVENTS.iter().map(|(_, text)| Event::decode(text).expect("an event")).collect();
    let contenders = events
        .iter()
        .map(|event| {
            let write: Box<dyn FnMut() + '_> = Box::new(move || {
                for _ in 0..200 {
                    // As in Go, a fresh buffer for each line.
                    let mut line = Vec::new();
                    match write_log_line(black_box(event), &mut line) {
                        Ok(()) => drop(black_box(line)),
                        Err(error) => match error {},
                    }
                }
            });
            (200, write)
        })
        .collect();
    in_turns(contenders, 10).into_iter().map(median).collect()
}

/// Megabytes a second: plain buffered writes; the log backend in mode batch with rotation, of written lines; and with their encoding.
fn log() -> (f64, f64, f64) {
    let event = Event::decode(EVENTS[0].1).expect("an event");
    let line = Emitted::new(&event, Bodies::default()).line().expect("an event that can be written").clone();
    let n_lines = LOG_BYTES / line.len();
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..LOG_ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        rates[0].push(rate(n_lines * line.len(), || {
            let mut file = BufWriter::with_capacity(64 << 10, File::create(folder.path().join("plain")).expect("a file"));
            (0..n_lines).for_each(|_| file.write_all(&line).expect("a write"));
            file.flush().expect("a write");
        }));
        drop(folder);
        for (index, is_written) in [(1, true), (2, false)] {
            let folder = tempfile::tempdir().expect("a folder");
            let batch = batch(folder.path());
            rates[index].push(rate(n_lines * line.len(), || {
                let ready = Emitted::new(&event, Bodies::default());
                ready.line().expect("an event that can be written");
                for _ in 0..n_lines {
                    let emitted = if is_written { ready.same() } else { Emitted::new(&event, Bodies::default()) };
                    // A full queue drops, so that a producer that is faster than the disk has to slow down here.
                    while batch.n_waiting() > 8_000 {
                        std::thread::yield_now();
                    }
                    drop(batch.process(&[emitted]));
                }
                tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(batch.stop());
            }));
            let n_files = std::fs::read_dir(folder.path()).expect("the folder").count();
            assert!(n_files > 2, "the log was rotated: {n_files}");
        }
    }
    let [plain, written, encoded] = rates.map(median);
    (plain, written, encoded)
}

fn batch(folder: &std::path::Path) -> Batch {
    let config = LogConfig {
        path: Some(folder.join("audit.log")),
        format: LogFormat::Json,
        max_bytes: 100 << 20,
        max_age_days: 366,
        max_backups: 100,
        compress: false,
        oversize: Oversize::Lost,
    };
    let errors = PluginErrors::default();
    let log = LogBackend::open(&config, errors.clone()).expect("a log");
    // kube-apiserver's defaults for the log in mode batch.
    let config = BatchConfig { buffer_size: 10_000, max_batch_size: 1, max_batch_wait: Duration::ZERO, throttle: None };
    Batch::start(Arc::new(log), config, errors).expect("a thread")
}

fn rate(n_bytes: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    n_bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// CPU nanoseconds of one of each contender, which do so many at a call: a value for each round.
fn in_turns(contenders: Vec<(usize, Box<dyn FnMut() + '_>)>, repeats: usize) -> Vec<Vec<f64>> {
    let mut contenders = contenders;
    let mut rounds = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..=ROUNDS {
        for ((n, contender), nanoseconds) in contenders.iter_mut().zip(&mut rounds) {
            let start = cpu_seconds();
            (0..repeats).for_each(|_| contender());
            // The first round warms up.
            if round > 0 {
                nanoseconds.push((cpu_seconds() - start) * 1e9 / (repeats * *n) as f64);
            }
        }
    }
    rounds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
