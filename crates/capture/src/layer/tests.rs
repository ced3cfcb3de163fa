//! Services under audit, called as a server calls them.

use std::sync::Mutex;
use std::time::Duration;

use decklog_audit::backend::{Backend, Emitted, Processing};
use decklog_audit::event::UserInfo;
use decklog_audit::policy::Compiled;
use decklog_audit::policy::load::load_unchecked;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};
use tower::ServiceExt as _;

use super::*;

/// Keeps the lines of events; at stages it was told to it fails, or lets its caller wait for ever.
#[derive(Default)]
struct Memory {
    fails_at: Option<&'static str>,
    waits_at: Option<&'static str>,
    lines: Mutex<Vec<String>>,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memory")
    }
}

impl Backend for Memory {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        let stage = events[0].event().stage.as_deref();
        for event in events {
            self.lines.lock().unwrap().push(String::from_utf8(event.line().unwrap().to_vec()).unwrap());
        }
        match stage {
            stage if stage == self.fails_at => Processing::Done(Processed::Failed),
            stage if stage == self.waits_at => Processing::Later(Box::pin(std::future::pending())),
            _ => Processing::Done(Processed::Stored),
        }
    }
}

impl Memory {
    fn stages(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|line| member(line, "stage").to_owned()).collect()
    }

    fn last(&self) -> String {
        self.lines.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// The text of a member, up to its closing quote.
fn member<'l>(line: &'l str, name: &str) -> &'l str {
    line.split_once(&format!("\"{name}\":\"")).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

fn auditor(level: &str, memory: Memory) -> (Auditor, Arc<Memory>) {
    let policy = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: {level}}}]\n");
    let memory = Arc::new(memory);
    let mut config = AuditorConfig::new(Compiled::new(&load_unchecked(policy.as_bytes()).unwrap()), memory.clone());
    config.bodies = BodySource::Observed { max_bytes: 1000 };
    (config.build(), memory)
}

type TestBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

fn full(text: impl Into<Bytes>) -> TestBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

fn frames(frames: Vec<Result<&'static str, std::io::Error>>) -> TestBody {
    StreamBody::new(stream::iter(frames.into_iter().map(|frame| frame.map(|text| Frame::data(Bytes::from(text)))))).boxed_unsync()
}

/// A request with its body, answered by `answer` after it has read the body.
async fn ask(
    auditor: Auditor,
    request: Request<TestBody>,
    answer: impl FnOnce() -> Response<TestBody> + Clone + Send + 'static,
) -> (StatusCode, Option<String>) {
    let service = tower::service_fn(move |request: Request<RequestBody<TestBody>>| {
        let answer = answer.clone();
        async move {
            let _ = request.into_body().collect().await;
            Ok::<_, std::io::Error>(answer())
        }
    });
    let response = AuditLayer::new(auditor).layer(service).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.ok().map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
    (status, body)
}

fn create(body: impl Into<Bytes>) -> Request<TestBody> {
    Request::post("/api/v1/namespaces/ns/configmaps").header("content-type", "application/json").body(full(body)).unwrap()
}

fn json_answer(code: u16, body: impl Into<Bytes>) -> Response<TestBody> {
    Response::builder().status(code).header("content-type", "application/json").body(full(body)).unwrap()
}

#[tokio::test]
async fn bodies_are_recorded_by_level_and_passed_on_whole() {
    const SENT: &str = r#"{"kind":"ConfigMap", "metadata":{"name":"cm","uid":"u"},"data":{"a":"b"}}"#;
    const GIVEN: &str = r#"{"kind":"ConfigMap","metadata":{"name":"cm","uid":"v"}}"#;
    for (level, request, response) in [("Metadata", false, false), ("Request", true, false), ("RequestResponse", true, true)] {
        let (auditor, memory) = auditor(level, Memory::default());
        let answered = ask(auditor, create(SENT), || json_answer(201, GIVEN)).await;
        assert_eq!(answered, (StatusCode::CREATED, Some(GIVEN.to_owned())));
        let line = memory.last();
        assert_eq!(memory.stages(), ["RequestReceived", "ResponseComplete"]);
        assert_eq!(line.contains(r#""requestObject":{"kind":"ConfigMap","metadata""#), request, "{line}");
        assert_eq!(line.contains(&format!("\"responseObject\":{GIVEN}")), response, "{line}");
        assert!(line.contains(r#""name":"cm","uid":"u","apiVersion":"v1""#), "the body names the object: {line}");
    }
}

#[tokio::test]
async fn a_body_over_the_bound_is_passed_on_whole_and_marked() {
    let long = format!(r#"{{"kind":"ConfigMap","data":"{}"}}"#, "x".repeat(2_000));
    let (auditor, memory) = auditor("RequestResponse", Memory::default());
    let given = long.clone();
    let (_, body) = ask(auditor, create(long.clone()), move || json_answer(201, given)).await;
    assert_eq!(body, Some(long));
    assert!(memory.last().contains(r#""annotations":{"audit.k8s.io/truncated":"true"}"#), "{}", memory.last());
    assert!(!memory.last().contains("Object\":"), "{}", memory.last());
}

#[tokio::test]
async fn a_status_is_told_at_any_level() {
    const STATUS: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","details":{"name":"x"},"code":403}"#;
    let (auditor, memory) = auditor("Metadata", Memory::default());
    ask(auditor.clone(), create("{}"), || json_answer(403, STATUS)).await;
    let told = r#""responseStatus":{"metadata":{},"status":"Failure","message":"no","reason":"Forbidden","details":{"name":"x"},"code":403}"#;
    assert!(memory.last().contains(told), "{}", memory.last());
    // A watch that is refused has it at its start already.
    let watch = Request::get("/api/v1/pods?watch=1").body(full("")).unwrap();
    assert_eq!(ask(auditor, watch, || json_answer(403, STATUS)).await.1.as_deref(), Some(STATUS));
    let lines = memory.lines.lock().unwrap();
    assert!(lines[3].contains("ResponseStarted") && lines[3].contains(told), "{}", lines[3]);
}

#[tokio::test]
async fn patches_that_are_not_json_lose_no_event() {
    let yaml = || Request::patch("/api/v1/namespaces/ns/pods/p").header("content-type", "application/apply-patch+yaml").body(full("a: b\n")).unwrap();
    let (auditor, memory) = auditor("Request", Memory::default());
    ask(auditor, yaml(), || json_answer(200, "{}")).await;
    assert!(memory.last().contains(r#""annotations":{"decklog.io/missing":"requestObject"}"#), "{}", memory.last());
}

#[tokio::test]
async fn a_stream_is_passed_on_frame_by_frame_and_a_break_is_told() {
    let (auditor, memory) = auditor("RequestResponse", Memory::default());
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let body = Mutex::new(Some(
        StreamBody::new(stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|frame| (frame, receiver)) })).boxed_unsync(),
    ));
    let body = Arc::new(body);
    let service = tower::service_fn(move |_: Request<RequestBody<TestBody>>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, std::io::Error>(Response::new(body)) }
    });
    let watch = Request::get("/api/v1/pods?watch=1").body(full("")).unwrap();
    let response = AuditLayer::new(auditor).layer(service).oneshot(watch).await.unwrap();
    assert_eq!(memory.stages(), ["RequestReceived", "ResponseStarted"]);
    let mut body = response.into_body();
    for text in ["{\"type\":\"ADDED\"}", "\n"] {
        sender.send(Ok(Frame::data(Bytes::from(text)))).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), text);
    }
    sender.send(Err(std::io::ErrorKind::ConnectionReset.into())).await.unwrap();
    assert!(body.frame().await.unwrap().is_err());
    drop(body);
    assert_eq!(memory.stages(), ["RequestReceived", "ResponseStarted", "Panic"]);
    assert!(memory.last().contains("APIServer panic'd: net/http: abort Handler"));
}

#[tokio::test]
async fn clients_that_go_away_are_seen() {
    let (auditor, memory) = auditor("Metadata", Memory::default());
    let pending = tower::service_fn(|_: Request<RequestBody<TestBody>>| std::future::pending::<Result<Response<TestBody>, std::io::Error>>());
    let request = || Request::get("/x").body(full("")).unwrap();
    let call = AuditLayer::new(auditor.clone()).layer(pending).oneshot(request());
    assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    assert_eq!(memory.stages(), ["RequestReceived", "ResponseComplete"]);
    assert!(memory.last().contains("Connection closed early"));
    // In the middle of the answer.
    let two = tower::service_fn(|_: Request<RequestBody<TestBody>>| async { Ok::<_, std::io::Error>(Response::new(frames(vec![Ok("a"), Ok("b")]))) });
    let mut body = AuditLayer::new(auditor).layer(two).oneshot(request()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(memory.stages().len(), 3);
    drop(body);
    assert_eq!((memory.stages().len(), member(&memory.last(), "stage")), (4, "ResponseComplete"));
    assert!(memory.last().contains("\"code\":200"));
}

#[tokio::test]
async fn an_upgrade_ends_when_its_connection_does() {
    let (auditor, memory) = auditor("Metadata", Memory::default());
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let service = tower::service_fn(move |request: Request<RequestBody<TestBody>>| {
        sender.send(AuditContext::of(request.extensions()).unwrap().upgrade()).unwrap();
        async { Ok::<_, std::io::Error>(Response::builder().status(101).body(full("")).unwrap()) }
    });
    let exec = Request::get("/api/v1/namespaces/ns/pods/p/exec?command=sh").body(full("")).unwrap();
    drop(AuditLayer::new(auditor).layer(service).oneshot(exec).await.unwrap());
    assert_eq!(memory.stages(), ["RequestReceived", "ResponseStarted"]);
    drop(receiver.recv().unwrap());
    assert_eq!(memory.stages(), ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    assert!(memory.last().contains("\"code\":101"));
}

#[tokio::test]
async fn panics_are_told_and_go_on() {
    let (auditor, memory) = auditor("Metadata", Memory::default());
    let service = tower::service_fn(|_: Request<RequestBody<TestBody>>| -> std::future::Ready<Result<Response<TestBody>, std::io::Error>> {
        std::panic::resume_unwind(Box::new("out of range"))
    });
    let call = AuditLayer::new(auditor).layer(service).oneshot(Request::get("/x").body(full("")).unwrap());
    assert_eq!(AssertUnwindSafe(call).catch_unwind().await.err().unwrap().downcast_ref::<&str>(), Some(&"out of range"));
    assert_eq!(memory.stages(), ["RequestReceived", "Panic"]);
    assert!(memory.last().contains("\"message\":\"APIServer panic'd: out of range\",\"reason\":\"InternalError\",\"code\":500"));
}

#[tokio::test]
async fn a_request_whose_first_event_is_not_stored_is_refused() {
    let (auditor, memory) = auditor("Metadata", Memory { fails_at: Some("RequestReceived"), ..Memory::default() });
    let answered = ask(auditor, Request::get("/x?a=1&c").body(full("")).unwrap(), || json_answer(200, "")).await;
    assert_eq!(answered.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answered.1.unwrap(), "Internal Server Error: \"/x?a=1&amp;c\": failed to store audit event\n");
    assert_eq!(memory.stages(), ["RequestReceived"]);
}

#[tokio::test]
async fn nobody_gets_an_answer_before_its_event_is_where_it_is_to_be() {
    for (stage, target) in [("RequestReceived", "/x"), ("ResponseStarted", "/api/v1/pods?watch=1"), ("ResponseComplete", "/x")] {
        let (auditor, memory) = auditor("Metadata", Memory { waits_at: Some(stage), ..Memory::default() });
        let call = ask(auditor, Request::get(target).body(full("")).unwrap(), || json_answer(200, "all of it"));
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err(), "{stage}");
        assert!(memory.stages().contains(&stage.to_owned()));
    }
}

#[tokio::test]
async fn refused_requests_have_one_event_without_a_user() {
    let (auditor, memory) = auditor("Metadata", Memory::default());
    let service = tower::service_fn(|_: Request<RequestBody<TestBody>>| async {
        Ok::<_, std::io::Error>(Response::builder().status(401).header("content-type", "text/plain").body(full("no")).unwrap())
    });
    let request = Request::get("/api/v1/pods?access_token=x").header("authorization", "Bearer y").body(full("")).unwrap();
    let response = AuditLayer::for_refused(auditor).layer(service).oneshot(request).await.unwrap();
    assert!(response.headers().contains_key(&AUDIT_ID));
    assert_eq!(response.body().size_hint().exact(), Some(2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "no");
    assert_eq!(memory.stages(), ["ResponseStarted"]);
    let told = r#""user":{},"objectRef":{"resource":"pods","apiVersion":"v1"},"responseStatus":{"metadata":{},"message":"Authentication failed, attempted: bearer, access_token","code":401}"#;
    assert!(memory.last().contains(told), "{}", memory.last());
}

#[tokio::test]
async fn nothing_is_recorded_at_none_and_the_audit_id_is_given_back() {
    let (auditor, memory) = auditor("None", Memory::default());
    let service = tower::service_fn(|request: Request<RequestBody<TestBody>>| async move {
        assert!(AuditContext::of(request.extensions()).is_none());
        Ok::<_, std::io::Error>(Response::new(Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()))
    });
    let request = Request::get("/x").header("audit-id", "mine").body(full("")).unwrap();
    assert_eq!(AuditLayer::new(auditor.clone()).layer(service).oneshot(request).await.unwrap().headers()["audit-id"], "mine");
    assert_eq!(memory.stages().len(), 0);
    // Another policy holds from the next request on.
    auditor.replace_policy(Compiled::new(&load_unchecked(b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n").unwrap()));
    ask(auditor, Request::get("/x").body(full("")).unwrap(), || json_answer(200, "{}")).await;
    assert_eq!(memory.stages().len(), 2);
}

#[tokio::test]
async fn axum_services_take_the_layer() {
    let (auditor, memory) = auditor("Metadata", Memory::default());
    let who = |mut request: axum::extract::Request, next: axum::middleware::Next| async move {
        request.extensions_mut().insert(AuthenticatedUser(Arc::new(UserInfo { username: Some("alice".into()), ..UserInfo::default() })));
        next.run(request).await
    };
    let router = axum::Router::new()
        .route("/orders", axum::routing::get(|context: Option<AuditContext>| async move { context.unwrap().annotate("shop/orders", "7") }))
        .layer(AuditLayer::new(auditor))
        .layer(axum::middleware::from_fn(who));
    let request = Request::get("/orders").extension(Peer::Text("192.0.2.1:5".to_owned())).body(axum::body::Body::empty()).unwrap();
    router.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let line = memory.last();
    for part in [r#""user":{"username":"alice"}"#, r#""sourceIPs":["192.0.2.1"]"#, r#""annotations":{"shop/orders":"7"}"#, r#""code":200"#] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
