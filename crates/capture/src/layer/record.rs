//! What is known of one audited request, growing from stage to stage, and the handle by which a service adds to it.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/audit/context.go` and `request.go` (v0.36.3).

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::OptionalFromRequestParts;
use decklog_audit::backend::{Bodies, Compat, Emitted, Processed, Processing, TRUNCATED_ANNOTATION, Waiting};
use decklog_audit::event::{AuthenticationMetadata, Event, ObjectReference, Status, UserInfo, text_from_bytes, without_managed_fields};
use decklog_audit::json::{JsonKind, JsonText, RawJson};
use decklog_audit::policy::request_info::RequestInfo;
use decklog_audit::{Level, Stage, Timestamp};
use http::request::Parts;
use http::{Extensions, HeaderValue};

use super::auditor::Auditor;
use super::latency::{Latencies, LatencyOf};
use super::life::{Happening, Life, StatusChange};
use super::received::Received;
use super::source_ips::SourceIps;

/// Names the fields an event should have and has not.
const MISSING: &str = "decklog.io/missing";

/// The handle of one audited request: [`AuditContext::of`] gives it for every request that is recorded, and for no other. An axum handler
/// takes it as an `Option<AuditContext>`.
#[derive(Clone)]
pub struct AuditContext(Arc<Audited>);

/// A request under audit.
pub(crate) struct Audited {
    auditor: Auditor,
    received: Arc<Received>,
    record: Mutex<Record>,
}

/// How much is recorded of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) level: Level,
    /// In the order of [`Stage::ALL`].
    pub(crate) omitted: [bool; 4],
    pub(crate) omit_managed_fields: bool,
}

/// How a request came in: what no later stage changes.
pub(crate) struct Arrival {
    pub(crate) user: Option<Arc<UserInfo<'static>>>,
    pub(crate) source_ips: SourceIps,
    pub(crate) user_agent: Option<HeaderValue>,
}

/// All that the next event will say. An event borrows from it: what is the same at every stage is not copied for each.
struct Record {
    life: Life,
    extent: Extent,
    arrival: Arrival,
    /// Once the request's object said more than the path.
    object_ref: Option<Box<ObjectReference<'static>>>,
    /// The answer's code, where nothing more is known of it: most answers have nothing else to say.
    code: Option<u16>,
    /// What more is known of the answer, its code included.
    status: Option<Box<Status<'static>>>,
    acting: Option<Box<Acting>>,
    annotations: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    request_object: Option<JsonText>,
    response_object: Option<JsonText>,
    /// Whether the request's object is a patch that is not JSON, under `--compat 1.36`.
    unencodable: bool,
    latencies: Option<Box<Latencies>>,
    /// Upgraded connections that are still open.
    n_upgrades: usize,
}

/// As whom the user acts, and what allowed it.
struct Acting {
    user: UserInfo<'static>,
    constraint: String,
}

/// kube-apiserver keeps so many bytes of a user agent.
const MAX_USER_AGENT: usize = 1024;

/// The resource of a route, for objects that are sent to one which the path does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteResource<'a> {
    /// API group; empty for the core.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
}

impl std::fmt::Debug for AuditContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditContext").field("audit_id", &self.audit_id()).finish_non_exhaustive()
    }
}

impl AuditContext {
    /// That of a request, by its extensions.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Arc<Received>>()?.audited.get()?.upgrade().map(Self)
    }

    /// The request's audit ID; bytes that are not UTF-8 stand as in [`text_from_bytes`].
    pub fn audit_id(&self) -> String {
        self.0.received.audit_id_text().into_owned()
    }

    /// How much of the request is recorded.
    pub fn level(&self) -> Level {
        self.0.record().extent.level
    }

    /// Adds an annotation. A key that is there keeps its first value. After the last event nothing is recorded any more.
    pub fn annotate(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) {
        self.0.record().annotate(&self.0.received, key.into(), value.into());
    }

    /// Says what object the request carries, once it is read: the body from level Request on, and at any level the name, namespace, uid
    /// and version that the path did not say. `object` is JSON in the version the client used.
    pub fn request_object(&self, object: RawJson<'_>, route: RouteResource<'_>) {
        self.0.record().request_object(&self.0.received, object, route);
    }

    /// Says what patch the request carries, as it came.
    pub fn request_patch(&self, patch: &[u8]) {
        let compat = self.0.auditor.compat();
        self.0.record().request_patch(patch, compat);
    }

    /// Says what object the answer carries: the body at level RequestResponse, and of a `Status` its fields at any level.
    pub fn response_object(&self, object: RawJson<'_>) {
        self.0.record().response_object(object);
    }

    /// Says as whom the user acts, once that is allowed. `constraint` is the verb that allowed it, empty for plain `impersonate`.
    pub fn impersonated_user(&self, user: UserInfo<'static>, constraint: &str) {
        self.0.record().acting = Some(Box::new(Acting { user, constraint: constraint.to_owned() }));
    }

    /// Adds to the time spent in one part of the service: told in annotations where the whole request takes over 500 ms.
    pub fn latency(&self, of: LatencyOf, spent: Duration) {
        self.0.record().latencies.get_or_insert_default().add(of, spent);
    }

    /// To be kept for as long as the upgraded connection (code 101) is open: its end is the request's end.
    #[must_use]
    pub fn upgrade(&self) -> Upgraded {
        self.0.record().n_upgrades += 1;
        Upgraded(self.0.clone())
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for AuditContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// An upgraded connection that is open.
pub struct Upgraded(Arc<Audited>);

impl Drop for Upgraded {
    fn drop(&mut self) {
        let is_last = {
            let mut record = self.0.record();
            record.n_upgrades -= 1;
            record.n_upgrades == 0 && record.life == Life::Answering
        };
        if is_last {
            self.0.end_unwaited();
        }
    }
}

impl Audited {
    pub(crate) fn new(
        auditor: Auditor,
        received: Arc<Received>,
        life: Life,
        extent: Extent,
        arrival: Arrival,
        status: Option<Box<Status<'static>>>,
    ) -> Arc<Self> {
        let record = Record {
            life,
            extent,
            arrival,
            object_ref: None,
            code: None,
            status,
            acting: None,
            annotations: Vec::new(),
            request_object: None,
            response_object: None,
            unencodable: false,
            latencies: None,
            n_upgrades: 0,
        };
        Arc::new(Self { auditor, received, record: Mutex::new(record) })
    }

    /// A panic while the lock was held leaves a record that may miss something; it is still better than none.
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn auditor(&self) -> &Auditor {
        &self.auditor
    }

    pub(crate) fn request(&self) -> &Arc<Received> {
        &self.received
    }

    pub(crate) fn extent(&self) -> Extent {
        self.record().extent
    }

    /// The request has been taken in: its first event, of which the answer counts.
    pub(crate) fn received(&self) -> Processing {
        let record = self.record();
        self.emit(&record, Stage::RequestReceived).unwrap_or(Processing::Done(Processed::Stored))
    }

    /// Something happened; what is to be waited for before it goes on.
    pub(crate) fn happen(&self, happening: Happening<'_>) -> Option<Waiting> {
        let mut record = self.record();
        if happening == Happening::End && record.n_upgrades > 0 {
            return None;
        }
        let (life, step) = record.life.step(happening);
        record.life = life;
        let was_silent = record.status.is_none() && record.code.is_none();
        record.change_status(step.status);
        let started = step.started && (step.status != StatusChange::ClosedEarly || was_silent);
        let started = if started { self.emit(&record, Stage::ResponseStarted) } else { None };
        if step.last == Some(Stage::ResponseComplete) {
            record.tell_latencies(&self.received, || self.auditor.now());
        }
        let last = step.last.and_then(|stage| self.emit(&record, stage));
        Processing::all([started, last].into_iter().flatten()).waiting()
    }

    /// The end where nobody is left to wait. Backends go on without being waited for.
    pub(crate) fn end_unwaited(&self) {
        drop(self.happen(Happening::End));
    }

    fn emit(&self, record: &Record, stage: Stage) -> Option<Processing> {
        if record.extent.omitted[stage as usize] {
            return None;
        }
        let received = self.received.at;
        let at = if stage == Stage::RequestReceived { received } else { self.auditor.now() };
        let event = record.event(&self.received, stage, at);
        let emitted = if record.unencodable {
            Emitted::unencodable(&event)
        } else {
            let bodies =
                Bodies { request: record.request_object.as_ref().map(JsonText::as_raw), response: record.response_object.as_ref().map(JsonText::as_raw) };
            Emitted::new(&event, bodies)
        };
        Some(self.auditor.process(&[emitted]))
    }

    /// The request's body, as far as it was read by the service and kept.
    pub(crate) fn saw_request_body(&self, body: &[u8], media_type: &str) {
        let compat = self.auditor.compat();
        let mut record = self.record();
        if record.request_object.is_some() || body.is_empty() {
            return;
        }
        let is_patch = self.received.info.verb == "patch";
        match std::str::from_utf8(body).ok().and_then(|text| RawJson::parse(text).ok()) {
            Some(_) if is_patch => record.request_patch(body, compat),
            Some(object) if object.kind() == JsonKind::Object => record.request_object(&self.received, object, RouteResource::default()),
            _ if is_patch && compat == Compat::V1_36 => record.request_patch(body, compat),
            // What is malformed JSON is refused before kube-apiserver would record it.
            _ if is_json(media_type) => {}
            _ => record.misses("requestObject", Level::Request),
        }
    }

    /// A field that events of this level have, and this one cannot have.
    pub(crate) fn misses(&self, field: &str, from: Level) {
        self.record().misses(field, from);
    }

    /// The request was answered before anything else happened to it: no event comes any more.
    pub(crate) fn reject(&self) {
        self.record().life = Life::Over;
        self.auditor.count_rejected();
    }

    /// A body that was longer than what is kept.
    pub(crate) fn saw_long_body(&self, from: Level) {
        let mut record = self.record();
        if record.extent.level >= from {
            record.annotate(&self.received, TRUNCATED_ANNOTATION.into(), "true".into());
        }
    }

    /// The answer's body.
    pub(crate) fn saw_response_body(&self, body: &[u8]) {
        let mut record = self.record();
        let Some(object) = std::str::from_utf8(body).ok().and_then(|text| RawJson::parse(text).ok()) else { return };
        // Only objects of the API are recorded; kube-apiserver's `/version` and the like are none.
        if record.response_object.is_none() && object.kind() == JsonKind::Object && object.member("kind").is_some() {
            record.response_object(object);
        }
    }
}

/// Whether a media type is that of JSON; without one a body is taken for it.
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.is_empty() || essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
}

impl Record {
    /// What there is to say at a stage.
    fn event<'r>(&'r self, received: &'r Received, stage: Stage, at: Timestamp) -> Event<'r> {
        let Arrival { user, source_ips, user_agent } = &self.arrival;
        let info = &received.info;
        let acting = self.acting.as_deref();
        Event {
            level: Some(Cow::Borrowed(self.extent.level.as_str())),
            audit_id: Some(received.audit_id_text()),
            stage: Some(Cow::Borrowed(stage.as_str())),
            request_uri: Some(Cow::Borrowed(&received.request_uri)),
            verb: Some(Cow::Borrowed(&info.verb)),
            user: user.as_deref().map(lent_user).unwrap_or_default(),
            impersonated_user: acting.map(|acting| lent_user(&acting.user)),
            authentication_metadata: acting
                .filter(|acting| !acting.constraint.is_empty())
                .map(|acting| AuthenticationMetadata { impersonation_constraint: Some(Cow::Borrowed(&acting.constraint)) }),
            source_ips: Some(source_ips.iter().map(Cow::Borrowed).collect()),
            user_agent: user_agent.as_ref().map(|agent| shortened(agent.as_bytes())),
            object_ref: match &self.object_ref {
                Some(reference) => Some(ObjectReference::clone(reference)),
                None => info.is_resource_request.then(|| reference(info)),
            },
            response_status: match (&self.status, self.code) {
                (Some(status), _) => Some(Status::clone(status)),
                (None, Some(code)) => Some(Status { code: Some(code.into()), ..Status::default() }),
                (None, None) => None,
            },
            request_received_timestamp: Some(received.at),
            stage_timestamp: Some(at),
            annotations: (!self.annotations.is_empty())
                .then(|| self.annotations.iter().map(|(key, value)| (Cow::Borrowed(key.as_ref()), Cow::Borrowed(value.as_ref()))).collect()),
            ..Event::default()
        }
    }

    /// Annotations of a slow request, where something was measured.
    fn tell_latencies(&mut self, received: &Received, now: impl FnOnce() -> Timestamp) {
        let Some(latencies) = &self.latencies else { return };
        let taken = now().micros().saturating_sub(received.at.micros());
        let mut told = Vec::new();
        latencies.annotate(Duration::from_micros(taken.max(0) as u64), |key, value| told.push((key, value)));
        for (key, value) in told {
            self.annotate(received, key.into(), value.into());
        }
    }

    fn annotate(&mut self, received: &Received, key: Cow<'static, str>, value: Cow<'static, str>) {
        match self.annotations.iter().find(|(known, _)| *known == key) {
            Some((_, first)) if *first != value => {
                tracing::warn!(audit_id = %received.audit_id_text(), %key, %value, kept = %first, "the annotation has been set already");
            }
            Some(_) => {}
            None => self.annotations.push((key, value)),
        }
    }

    fn misses(&mut self, field: &str, from: Level) {
        if self.extent.level < from {
            return;
        }
        match self.annotations.iter_mut().find(|(key, _)| key == MISSING) {
            Some((_, fields)) if fields.split(',').any(|known| known == field) => {}
            Some((_, fields)) => *fields = format!("{fields},{field}").into(),
            None => self.annotations.push((MISSING.into(), field.to_owned().into())),
        }
    }

    fn request_object(&mut self, received: &Received, object: RawJson<'_>, route: RouteResource<'_>) {
        let kept = self.kept(object);
        let info = &received.info;
        let reference =
            self.object_ref.get_or_insert_with(|| Box::new(if info.is_resource_request { owned_reference(info) } else { ObjectReference::default() }));
        let metadata = object.member("metadata");
        let said = |name: &str| metadata.and_then(|metadata| metadata.member(name)).and_then(|value| value.as_string().map(Cow::into_owned));
        let fill = |field: &mut Option<Cow<'static, str>>, value: Option<String>| {
            if field.as_deref().unwrap_or_default().is_empty() {
                *field = value.filter(|value| !value.is_empty()).map(Cow::Owned);
            }
        };
        fill(&mut reference.namespace, said("namespace"));
        fill(&mut reference.name, said("name"));
        fill(&mut reference.uid, said("uid"));
        fill(&mut reference.resource_version, said("resourceVersion"));
        if reference.api_version.as_deref().unwrap_or_default().is_empty() {
            reference.api_group = Some(route.group.to_owned().into());
            reference.api_version = Some(route.version.to_owned().into());
        }
        fill(&mut reference.resource, Some(route.resource.to_owned()));
        fill(&mut reference.subresource, Some(route.subresource.to_owned()));
        if self.extent.level >= Level::Request {
            (self.request_object, self.unencodable) = (Some(kept), false);
        }
    }

    fn request_patch(&mut self, patch: &[u8], compat: Compat) {
        if self.extent.level < Level::Request {
            return;
        }
        let text = text_from_bytes(patch);
        match (RawJson::parse(&text), compat) {
            (Ok(patch), _) => (self.request_object, self.unencodable) = (Some(patch.into()), false),
            (Err(_), Compat::V1_36) => self.unencodable = true,
            (Err(_), Compat::Mended) => self.misses("requestObject", Level::Request),
        }
    }

    fn response_object(&mut self, object: RawJson<'_>) {
        if object.member("kind").and_then(RawJson::as_string).as_deref() == Some("Status")
            && let Some(status) = Status::decode(object)
        {
            self.status = Some(Box::new(bounded(status)));
        }
        if self.extent.level >= Level::RequestResponse {
            self.response_object = Some(self.kept(object));
        }
    }

    /// An object as it is recorded.
    fn kept(&self, object: RawJson<'_>) -> JsonText {
        let without = if self.extent.omit_managed_fields { without_managed_fields(object) } else { None };
        without.unwrap_or_else(|| object.into())
    }

    fn change_status(&mut self, change: StatusChange<'_>) {
        let status = &mut self.status;
        match (change, status.as_deref_mut()) {
            (StatusChange::Keep, _) => {}
            (StatusChange::Code(code), Some(status)) => status.code = Some(code.into()),
            (StatusChange::Code(code), None) => self.code = Some(code),
            (StatusChange::ClosedEarly, _) if self.code.is_some() => {}
            (StatusChange::ClosedEarly, _) => {
                status.get_or_insert_with(|| {
                    Box::new(Status { status: Some("Success".into()), message: Some("Connection closed early".into()), code: Some(200), ..Status::default() })
                });
            }
            (StatusChange::Panic(text), _) => {
                *status = Some(Box::new(Status {
                    status: Some("Failure".into()),
                    message: Some(format!("APIServer panic'd: {text}").into()),
                    reason: Some("InternalError".into()),
                    code: Some(500),
                    ..Status::default()
                }));
            }
        }
    }
}

/// The fields of an answer's Status that an event keeps.
fn bounded(status: Status<'_>) -> Status<'static> {
    let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Status {
        status: owned(status.status),
        message: owned(status.message),
        reason: owned(status.reason),
        details: status.details.map(|details| details.into_owned()),
        code: status.code,
        ..Status::default()
    }
}

fn lent<'r>(text: &'r Option<Cow<'static, str>>) -> Option<Cow<'r, str>> {
    text.as_deref().map(Cow::Borrowed)
}

fn lent_user<'r>(user: &'r UserInfo<'static>) -> UserInfo<'r> {
    let texts = |texts: &'r Vec<Cow<'static, str>>| texts.iter().map(|text| Cow::Borrowed(text.as_ref())).collect();
    UserInfo {
        username: lent(&user.username),
        uid: lent(&user.uid),
        groups: user.groups.as_ref().map(texts),
        extra: user.extra.as_ref().map(|extra| extra.iter().map(|(key, values)| (Cow::Borrowed(key.as_ref()), values.as_ref().map(texts))).collect()),
    }
}

/// A user agent as an event has it: at most so many bytes, and a mark where it was longer.
fn shortened(agent: &[u8]) -> Cow<'_, str> {
    match agent.get(..MAX_USER_AGENT) {
        Some(start) if agent.len() > MAX_USER_AGENT => (text_from_bytes(start).into_owned() + "...TRUNCATED").into(),
        _ => text_from_bytes(agent),
    }
}

/// What an event says of the resource of a path.
fn reference<'r>(info: &'r RequestInfo<'static>) -> ObjectReference<'r> {
    let text = |text: &'r Cow<'static, str>| (!text.is_empty()).then(|| Cow::Borrowed(text.as_ref()));
    ObjectReference {
        resource: text(&info.resource),
        namespace: text(&info.namespace),
        name: text(&info.name),
        uid: None,
        api_group: text(&info.api_group),
        api_version: text(&info.api_version),
        resource_version: None,
        subresource: text(&info.subresource),
    }
}

/// The same, to be added to.
fn owned_reference(info: &RequestInfo<'static>) -> ObjectReference<'static> {
    let lent = reference(info);
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    ObjectReference {
        resource: own(lent.resource),
        namespace: own(lent.namespace),
        name: own(lent.name),
        uid: None,
        api_group: own(lent.api_group),
        api_version: own(lent.api_version),
        resource_version: None,
        subresource: own(lent.subresource),
    }
}
