//! full-filter.jsonl: requests through the audit layer, with kube-apiserver's filters around it and a service that performs the
//! vector's steps.
//!
//! A step that a service behind tower cannot take is played as what it means there: "nothing was written" is a client that goes away
//! before the answer, a write after a panic's place is a body that panics, a hijack is an upgrade.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use decklog_audit::Timestamp;
use decklog_audit::backend::{Backend, Compat, Emitted, Processed, Processing};
use decklog_audit::event::{UserInfo, go_quoted, text_from_bytes};
use decklog_audit::json::RawJson;
use decklog_audit::policy::load::load_unchecked;
use decklog_audit::policy::{Compiled, RequestLength};
use decklog_capture::layer::{
    AuditContext, AuditLayer, Auditor, AuditorConfig, AuthenticatedUser, BodySource, Impersonation, LatencyOf, Peer, ReceiveLayer, Received, RefusedBecause,
    ResponseBody, RouteResource, Upgraded,
};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value, json};
use tower::{Layer as _, ServiceExt as _};

use super::vectors::byte_string;

/// When every request of the vectors comes in, and when everything after it happens.
const RECEIVED: i64 = 946_684_800_000_000;
const SOON: i64 = RECEIVED + 400_000;
const MADE_UP_ID: &str = "00000000-0000-4000-8000-000000000000";

thread_local!(static NOW: Cell<i64> = const { Cell::new(RECEIVED) });

/// Plays one request.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let (input, want) = (&vector["in"], &vector["want"]);
    NOW.set(RECEIVED);
    let policy = load_unchecked(&byte_string(&input["policy"]).ok_or("the vector has no policy")?).map_err(|problems| format!("{problems:?}"))?;
    let sink = Arc::new(Kept { fails: texts(&input["sinkFails"]), lines: Mutex::default() });
    let mut config = AuditorConfig::new(Compiled::new(&policy), sink.clone());
    config.bodies = BodySource::Said;
    config.compat = Compat::V1_36;
    config.now = || Timestamp::from_micros(NOW.get());
    let auditor = config.build();

    let request = request(input)?;
    let played = Mutex::new(None);
    let answer = answer(
        ReceiveLayer::new(|| Timestamp::from_micros(NOW.get()))
            .layer(tower::service_fn(|request| play_received(input, &auditor, request, &played)))
            .oneshot(request),
    );
    let received: Arc<Received> = played.into_inner().ok().flatten().ok_or("the request was not received")?;
    let made_up = input["headers"].as_array().into_iter().flatten().all(|header| {
        !header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("audit-id")) || byte_string(&header[1]).is_some_and(|id| id.trim_ascii().is_empty())
    });
    let made_up = made_up.then_some(received);

    let lines = sink.lines.lock().map_err(|_| "a panic under the lock")?.clone();
    same_events(&lines, &want["events"], made_up.as_deref())?;
    // Go's server sends the head at a flush, unseen by the audit filter.
    let ops: Vec<_> = input["handler"].as_array().into_iter().flatten().filter_map(|step| step["op"].as_str()).collect();
    let is_flushed_first = ops.iter().position(|op| *op == "flush").is_some_and(|at| !ops[..at].iter().any(|op| op.starts_with("write")));
    if is_flushed_first { Ok(()) } else { same_answer(&answer, &want["response"], made_up.as_deref()) }
}

/// Authentication, and the audit layer on the side that it chooses.
async fn play_received(
    input: &Value,
    auditor: &Auditor,
    request: Request<Full<Bytes>>,
    played: &Mutex<Option<Arc<Received>>>,
) -> Result<Response<ResponseBody<Steps>>, Broken> {
    let (mut parts, body) = request.into_parts();
    let Some(received) = parts.extensions.get::<Arc<Received>>().cloned() else { return Err(Broken) };
    if let Ok(mut played) = played.lock() {
        *played = Some(received.clone());
    }
    NOW.set(SOON);
    let refusal = match (bad_timeout(&received, &parts.uri), input["authn"].as_str()) {
        (Some(message), _) => Some((message, status_object(400, "BadRequest", None))),
        (None, Some("fail" | "error")) => Some((String::new(), status_object(401, "Unauthorized", None))),
        _ => None,
    };
    match refusal {
        Some((message, mut object)) => {
            object["message"] = if message.is_empty() { "Unauthorized".into() } else { message.clone().into() };
            if !message.is_empty() {
                parts.extensions.insert(RefusedBecause(message));
            }
            let service = tower::service_fn(move |request: Request<_>| {
                let object = object.clone();
                async move { Ok::<_, Broken>(answer_status(AuditContext::of(request.extensions()).as_ref(), &object)) }
            });
            AuditLayer::for_refused(auditor.clone()).layer(service).oneshot(Request::from_parts(parts, body)).await
        }
        None => {
            if input["authn"] == "ok" {
                parts.extensions.insert(AuthenticatedUser(Arc::new(user(&input["user"]))));
            }
            let chain = Arc::new(Chain { input: input.clone(), received: received.clone() });
            let service = tower::service_fn(move |request: Request<_>| {
                let chain = chain.clone();
                async move { Ok::<_, Broken>(chain.serve(&request.map(drop)).await) }
            });
            AuditLayer::new(auditor.clone()).layer(service).oneshot(Request::from_parts(parts, body)).await
        }
    }
}

fn request(input: &Value) -> Result<Request<Full<Bytes>>, String> {
    let method = byte_string(&input["method"]).ok_or("the vector has no method")?;
    let target = byte_string(&input["target"]).ok_or("the vector has no target")?;
    let mut request = Request::builder().method(method.as_slice()).uri(target.as_slice());
    for header in input["headers"].as_array().into_iter().flatten() {
        let (name, value) = (byte_string(&header[0]).unwrap_or_default(), byte_string(&header[1]).unwrap_or_default());
        // Go's server trims what stands around a value.
        let name = HeaderName::from_bytes(&name).map_err(|error| error.to_string())?;
        request = request.header(name, HeaderValue::from_bytes(value.trim_ascii()).map_err(|error| error.to_string())?);
    }
    let peer = input["remoteAddr"].as_str().unwrap_or_default().to_owned();
    let body = byte_string(&input["body"]).unwrap_or_default();
    request.extension(Peer::Text(peer)).body(Full::from(body)).map_err(|error| error.to_string())
}

/// The message of a `timeout` that Go cannot read (`pkg/endpoints/filters/request_deadline.go`).
fn bad_timeout(received: &Received, uri: &http::Uri) -> Option<String> {
    let value = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let is_duration = value.is_empty() || (value.ends_with(['s', 'm', 'h']) && value.bytes().any(|byte| byte.is_ascii_digit()));
    (received.length == RequestLength::Short && !is_duration)
        .then(|| format!("invalid timeout specified in the request URL - time: invalid duration {}", go_quoted(value)))
}

/// The sink of a vector.
struct Kept {
    fails: Vec<String>,
    lines: Mutex<Vec<Option<Bytes>>>,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("kept")
    }
}

impl Backend for Kept {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        for event in events {
            if self.fails.iter().any(|stage| Some(stage.as_str()) == event.event().stage.as_deref()) {
                return Processing::Done(Processed::Failed);
            }
            if let Ok(mut lines) = self.lines.lock() {
                lines.push(event.line().ok().cloned());
            }
        }
        Processing::Done(Processed::Stored)
    }
}

/// What stands between the audit layer and the service: impersonation, authorization.
struct Chain {
    input: Value,
    received: Arc<Received>,
}

impl Chain {
    async fn serve(&self, request: &Request<()>) -> Response<Steps> {
        let context = AuditContext::of(request.extensions());
        let context = context.as_ref();
        let user = request.extensions().get::<AuthenticatedUser>().map(|user| user.0.as_ref().clone());
        let authz = &self.input["authz"];
        if let Some(context) = context {
            context.latency(LatencyOf::Authentication, Duration::from_millis(1));
        }
        let user = match self.impersonate(request, user, context) {
            Ok(user) => user,
            Err(refusal) => return *refusal,
        };
        if let Some(context) = context {
            context.latency(LatencyOf::Authorization, Duration::from_millis(1));
        }
        let reason = authz["reason"].as_str().unwrap_or_default().to_owned();
        let annotate = |key: &'static str, value: String| {
            if let Some(context) = context {
                context.annotate(key, value);
            }
        };
        match authz["decision"].as_str() {
            Some("allow") => {
                annotate("authorization.k8s.io/decision", "allow".to_owned());
                annotate("authorization.k8s.io/reason", reason);
            }
            Some("error") => {
                annotate("authorization.k8s.io/reason", "internal error".to_owned());
                return plain_error("authorizer broke");
            }
            _ => {
                annotate("authorization.k8s.io/decision", "forbid".to_owned());
                annotate("authorization.k8s.io/reason", reason.clone());
                return answer_status(context, &self.forbidden(user.as_ref(), &self.received.info.verb, &reason));
            }
        }
        Steps::of(&self.input["handler"], context.cloned()).answer().await
    }

    /// The modes of constrained impersonation, then the plain one; the first refusal is told.
    fn impersonate(
        &self,
        request: &Request<()>,
        user: Option<UserInfo<'static>>,
        context: Option<&AuditContext>,
    ) -> Result<Option<UserInfo<'static>>, Box<Response<Steps>>> {
        let authz = &self.input["authz"];
        let Ok(wanted) = Impersonation::of(request.headers()) else {
            let groups: Vec<String> =
                request.headers().get_all("impersonate-group").iter().map(|group| go_quoted(group.to_str().unwrap_or_default())).collect();
            let wanted = format!("&user.DefaultInfo{{Name:\"\", UID:\"\", Groups:[]string{{{}}}, Extra:map[string][]string(nil)}}", groups.join(", "));
            let mut object = status_object(400, "BadRequest", None);
            object["message"] = format!("requested {wanted} without impersonating a user name").into();
            return Err(Box::new(answer_status(context, &object)));
        };
        let Some(wanted) = wanted else { return Ok(user) };
        let Some(user) = user else { return Err(Box::new(plain_error("no User found in the context"))) };
        let mode = match wanted.username.as_str() {
            name if name.starts_with("system:node:") => wanted.is_name_alone().then_some("arbitrary-node"),
            name if name.starts_with("system:serviceaccount:") => wanted.is_name_alone().then_some("serviceaccount"),
            _ => Some("user-info"),
        };
        let constrained = mode.filter(|_| authz["constrained"] == "allow");
        let allowed = match constrained {
            Some(mode) => Some((true, format!("impersonate:{mode}"))),
            None => (authz["impersonate"] == "allow").then(|| (false, String::new())),
        };
        if let Some((is_constrained, constraint)) = allowed {
            let acting = wanted.user(is_constrained);
            if let Some(context) = context {
                context.impersonated_user(acting.clone(), &constraint);
            }
            return Ok(Some(acting));
        }
        // The first mode that applies says what it missed: the right to impersonate for this verb.
        let verb = format!("impersonate-on:{}:{}", mode.unwrap_or_default(), self.received.info.verb);
        Err(Box::new(answer_status(context, &self.forbidden(Some(&user), &verb, authz["reason"].as_str().unwrap_or_default()))))
    }

    /// As `pkg/endpoints/handlers/responsewriters/errors.go` and `apierrors.NewForbidden` say it.
    fn forbidden(&self, user: Option<&UserInfo<'_>>, verb: &str, reason: &str) -> Value {
        let info = &self.received.info;
        let name = go_quoted(user.and_then(|user| user.username.as_deref()).unwrap_or_default());
        let what = if info.is_resource_request {
            let resource = if info.subresource.is_empty() { info.resource.to_string() } else { format!("{}/{}", info.resource, info.subresource) };
            let scope = if info.namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {}", go_quoted(&info.namespace)) };
            format!("User {name} cannot {verb} resource {} in API group {} {scope}", go_quoted(&resource), go_quoted(&info.api_group))
        } else {
            format!("User {name} cannot {verb} path {}", go_quoted(&info.path))
        };
        let what = what.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let what = if reason.is_empty() { what } else { format!("{what}: {reason}") };
        let qualified = if info.api_group.is_empty() { info.resource.to_string() } else { format!("{}.{}", info.resource, info.api_group) };
        let message = match (info.resource.is_empty(), info.name.is_empty()) {
            (true, _) => format!("forbidden: {what}"),
            (_, true) => format!("{qualified} is forbidden: {what}"),
            (_, false) => format!("{qualified} {} is forbidden: {what}", go_quoted(&info.name)),
        };
        let mut details = Map::new();
        for (key, value) in [("name", &info.name), ("group", &info.api_group), ("kind", &info.resource)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.as_ref().into());
            }
        }
        let mut object = status_object(403, "Forbidden", Some(details.into()));
        object["message"] = message.into();
        object
    }
}

fn status_object(code: u16, reason: &str, details: Option<Value>) -> Value {
    let mut object = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code});
    if let Some(details) = details {
        object["details"] = details;
    }
    object
}

/// What kube-apiserver's negotiated writer does with a Status.
fn answer_status(context: Option<&AuditContext>, object: &Value) -> Response<Steps> {
    let text = typed(object, &STATUS);
    if let (Some(context), Ok(object)) = (context, RawJson::parse(&text)) {
        context.response_object(object);
    }
    let code = object["code"].as_u64().unwrap_or(500);
    let steps = json!([{"op": "writeHeader", "code": code}, {"op": "write", "body": text + "\n"}]);
    Steps::of(&steps, None).answer().now_or_never().unwrap_or_else(|| Response::new(Steps::default()))
}

fn plain_error(text: &str) -> Response<Steps> {
    let steps = json!([{"op": "writeHeader", "code": 500}, {"op": "write", "body": text}]);
    Steps::of(&steps, None).answer().now_or_never().unwrap_or_else(|| Response::new(Steps::default()))
}

const STATUS: [&str; 8] = ["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];
const TABLE: [&str; 5] = ["kind", "apiVersion", "metadata", "columnDefinitions", "rows"];
/// Of a Table's columns and rows, and of what a row holds.
const PARTS: [&str; 11] = ["name", "type", "format", "description", "priority", "cells", "conditions", "object", "kind", "apiVersion", "metadata"];
const DETAILS: [&str; 6] = ["name", "group", "kind", "uid", "causes", "retryAfterSeconds"];

/// JSON of an object whose members come in this order, those of others sorted.
fn typed(object: &Value, order: &[&str]) -> String {
    let Some(members) = object.as_object() else { return sorted(object) };
    let known = order.iter().filter_map(|name| Some((*name, members.get(*name)?)));
    let written: Vec<String> = known
        .map(|(name, value)| {
            let value = match name {
                "details" => typed(value, &DETAILS),
                "columnDefinitions" | "rows" => {
                    format!("[{}]", value.as_array().into_iter().flatten().map(|part| typed(part, &PARTS)).collect::<Vec<_>>().join(","))
                }
                "object" => typed(value, &PARTS),
                "metadata" => typed(value, &["resourceVersion", "name", "managedFields"]),
                _ => sorted(value),
            };
            format!("{}:{value}", json!(name))
        })
        .collect();
    format!("{{{}}}", written.join(","))
}

fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let written: Vec<String> = members.into_iter().map(|(name, value)| format!("{}:{}", json!(name), sorted(value))).collect();
            format!("{{{}}}", written.join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(sorted).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// An object as the codec of the vectors' server writes it anew. That codec knows no types but Status and Table, and cannot write a
/// list of objects without types: kube-apiserver then logs "Encoding failed" and records nothing of it.
fn encoded_anew(text: &Value) -> Option<String> {
    let object: Value = serde_json::from_str(text.as_str()?).ok()?;
    match object["kind"].as_str() {
        Some("Status") => Some(typed(&object, &STATUS)),
        Some("Table") => Some(typed(&object, &TABLE)),
        _ if object["items"].is_array() => None,
        _ => Some(sorted(&object)),
    }
}

/// The service's answer breaks off.
#[derive(Debug)]
struct Broken;

/// The steps of a service: those up to the answer's head in its future, the rest in its body.
#[derive(Default)]
struct Steps {
    left: VecDeque<Value>,
    context: Option<AuditContext>,
    upgraded: Option<Upgraded>,
}

impl Steps {
    fn of(steps: &Value, context: Option<AuditContext>) -> Self {
        Self { left: steps.as_array().cloned().unwrap_or_default().into(), context, upgraded: None }
    }

    /// Never ends if nothing is written.
    async fn answer(mut self) -> Response<Self> {
        let mut head = Response::builder();
        while let Some(step) = self.left.pop_front() {
            let code = match step["op"].as_str() {
                Some("writeHeader") => step["code"].as_u64().unwrap_or(200) as u16,
                Some("write") => {
                    self.left.push_front(step);
                    200
                }
                Some("hijack") => {
                    self.upgraded = self.context.as_ref().map(AuditContext::upgrade);
                    101
                }
                Some("setHeader") => {
                    head = head.header(step["name"].as_str().unwrap_or_default(), step["value"].as_str().unwrap_or_default());
                    continue;
                }
                _ => {
                    self.take(&step);
                    continue;
                }
            };
            return head.status(StatusCode::from_u16(code).unwrap_or_default()).body(self).unwrap_or_else(|_| Response::new(Self::default()));
        }
        std::future::pending().await
    }

    /// A step that writes nothing.
    fn take(&self, step: &Value) {
        let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
        match step["op"].as_str() {
            Some("sleep") => NOW.set(NOW.get() + step["ms"].as_i64().unwrap_or(0) * 1_000),
            // Without the hook's output.
            Some("panic") => std::panic::resume_unwind(Box::new(text("value").replace("http.ErrAbortHandler", "net/http: abort Handler"))),
            _ => {}
        }
        let Some(context) = &self.context else { return };
        match step["op"].as_str() {
            Some("annotate") => context.annotate(text("key"), text("value")),
            Some("logRequestObject") => {
                let Some(object) = encoded_anew(&step["object"]) else { return };
                let gvr = &step["gvr"];
                let route = RouteResource {
                    group: gvr["group"].as_str().unwrap_or_default(),
                    version: gvr["version"].as_str().unwrap_or_default(),
                    resource: gvr["resource"].as_str().unwrap_or_default(),
                    subresource: step["subresource"].as_str().unwrap_or_default(),
                };
                context.request_object(RawJson::parse(&object).unwrap_or(RawJson::NULL), route);
            }
            Some("logRequestPatch") => context.request_patch(&byte_string(&step["patch"]).unwrap_or_default()),
            Some("logResponseObject") => {
                if let Some(object) = encoded_anew(&step["object"]) {
                    context.response_object(RawJson::parse(&object).unwrap_or(RawJson::NULL));
                }
            }
            Some("logImpersonatedUser") => context.impersonated_user(user(&step["user"]), step["constraint"].as_str().unwrap_or_default()),
            _ => {}
        }
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        while let Some(step) = self.left.pop_front() {
            match step["op"].as_str() {
                Some("write") => {
                    let body = byte_string(&step["body"]).unwrap_or_default();
                    return Poll::Ready(Some(Ok(Frame::data(body.into()))));
                }
                _ => self.take(&step),
            }
        }
        self.upgraded = None;
        Poll::Ready(None)
    }
}

/// What the client saw; nothing if the request had no answer.
type Answer = Option<(http::response::Parts, Vec<u8>)>;

fn answer<R>(serving: impl Future<Output = Result<Response<R>, Broken>>) -> Answer
where
    R: Body<Data = Bytes>,
{
    let whole = AssertUnwindSafe(async {
        let (head, body) = serving.await.ok()?.into_parts();
        let bytes = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Some((head, bytes))
    });
    // A service that never answers is one that the client left.
    whole.catch_unwind().now_or_never().and_then(Result::ok).flatten()
}

fn same_events(lines: &[Option<Bytes>], want: &Value, made_up: Option<&Received>) -> Result<(), String> {
    let want = want.as_array().ok_or("the vector wants no events")?;
    let stages = |of: Vec<String>| of.join(" ");
    if want.len() != lines.len() {
        let stage = |line: &[u8]| {
            String::from_utf8_lossy(line).split("\"stage\":\"").nth(1).and_then(|rest| rest.split('"').next().map(str::to_owned)).unwrap_or_default()
        };
        let got = lines.iter().map(|line| line.as_ref().map_or_else(|| "unencodable".to_owned(), |line| stage(line))).collect();
        let wanted = want.iter().map(|line| byte_string(line).map_or_else(|| "unencodable".to_owned(), |line| stage(&line))).collect();
        return Err(format!("events: wanted `{}`, got `{}`", stages(wanted), stages(got)));
    }
    for (index, (line, want)) in lines.iter().zip(want).enumerate() {
        match (line, want.get("unencodable")) {
            (None, Some(_)) => {}
            (Some(line), None) => super::vectors::same_bytes(&format!("event {index}"), want, &normal(line, made_up))?,
            (line, _) => return Err(format!("event {index}: encodable {}", line.is_some())),
        }
    }
    Ok(())
}

/// The line with the times and made-up ids of the vectors, and latencies of a millisecond.
fn normal(line: &[u8], made_up: Option<&Received>) -> Vec<u8> {
    let text = text_from_bytes(line).into_owned();
    let mut text = match made_up.and_then(|received| received.audit_id.to_str().ok()) {
        Some(id) => text.replace(id, MADE_UP_ID),
        None => text,
    };
    if let Some(at) = text.find("\"stageTimestamp\":\"").map(|at| at + 18)
        && text[at..].starts_with("2000-01-01T00:00:00.4")
    {
        text.replace_range(at..at + 27, "2000-01-01T00:00:01.000000Z");
    } else if let Some(at) = text.find("\"stageTimestamp\":\"2000-01-01T00:00:00.9").map(|at| at + 18) {
        text.replace_range(at..at + 27, "2000-01-01T00:00:01.000000Z");
    }
    let mut at = 0;
    while let Some(found) = text[at..].find("\"apiserver.latency.k8s.io/") {
        let value = at + found + text[at + found..].find("\":\"").unwrap_or(0) + 3;
        let end = value + text[value..].find('"').unwrap_or(0);
        text.replace_range(value..end, "1ms");
        at = value;
    }
    text.into_bytes()
}

/// Only what the layer answers for: the audit ID, and that the service's answer went through.
fn same_answer(answer: &Answer, want: &Value, made_up: Option<&Received>) -> Result<(), String> {
    let Some((head, body)) = answer else { return Ok(()) };
    let differs = |what: &str, want: &str, got: &str| Err(format!("response's {what}: wanted `{want}`, got `{got}`"));
    if want["informational"].is_array() || want["status"] == 101 || want["none"] == true {
        return Ok(());
    }
    if want["status"] != head.status.as_u16() {
        return differs("status", &want["status"].to_string(), head.status.as_str());
    }
    // The client of the vectors read a header's bytes as text, each that is not UTF-8 as U+FFFD.
    let ids: Vec<Cow<'_, str>> = head
        .headers
        .get_all("audit-id")
        .iter()
        .map(|id| if made_up.is_some_and(|received| received.audit_id == *id) { MADE_UP_ID.into() } else { String::from_utf8_lossy(id.as_bytes()) })
        .collect();
    let wanted = texts(&want["auditID"]);
    if ids != wanted {
        return differs("audit ID", &wanted.join(" "), &ids.join(" "));
    }
    let wanted = byte_string(&want["body"]).unwrap_or_default();
    if head.status.is_success() && !wanted.is_empty() && wanted != *body {
        return differs("body", &String::from_utf8_lossy(&wanted), &String::from_utf8_lossy(body));
    }
    Ok(())
}

fn user(value: &Value) -> UserInfo<'static> {
    let text = |value: &Value| byte_string(value).map(|bytes| Cow::Owned(text_from_bytes(&bytes).into_owned()));
    let texts = |value: &Value| Some(value.as_array()?.iter().filter_map(text).collect::<Vec<Cow<'static, str>>>());
    UserInfo {
        username: text(&value["name"]),
        uid: text(&value["uid"]),
        groups: texts(&value["groups"]),
        extra: value["extra"].as_object().map(|extra| extra.iter().map(|(key, values)| (Cow::Owned(key.clone()), texts(values))).collect()),
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
