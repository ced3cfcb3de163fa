//! What all requests of a service share: the policy in force, the backend, the counters.

use std::sync::{Arc, PoisonError, RwLock};

use decklog_audit::backend::{Backend, Compat, Emitted, Processing};
use decklog_audit::event::{Status, UserInfo};
use decklog_audit::policy::{Compiled, User};
use decklog_audit::{Level, Stage, Timestamp};
use http::header;
use http::request::Parts;

use super::life::Life;
use super::metrics::{LayerMetrics, LevelCounters};
use super::received::Received;
use super::record::{Arrival, Audited, Extent};
use super::source_ips::{Peer, SourceIps};

/// Where the bodies of events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySource {
    /// The service says them, as kube-apiserver's handlers do: [`AuditContext`](super::AuditContext).
    Said,
    /// They are looked at on their way, and passed on whole; at most so many bytes of each are kept. What the service says goes first.
    Observed {
        /// Bytes.
        max_bytes: usize,
    },
}

impl Default for BodySource {
    /// What kube-apiserver reads of a request (`MaxRequestBodyBytes`): 3 MiB.
    fn default() -> Self {
        Self::Observed { max_bytes: 3 << 20 }
    }
}

/// What an [`Auditor`] is made of.
pub struct AuditorConfig {
    /// What is recorded.
    pub policy: Compiled,
    /// Where events go.
    pub backend: Arc<dyn Backend>,
    /// Where bodies come from.
    pub bodies: BodySource,
    /// Whether kube-apiserver's faults are mended.
    pub compat: Compat,
    /// The counters.
    pub metrics: LayerMetrics,
    /// The time of day.
    pub now: fn() -> Timestamp,
}

impl AuditorConfig {
    /// The usual one.
    #[must_use]
    pub fn new(policy: Compiled, backend: Arc<dyn Backend>) -> Self {
        Self {
            policy,
            backend,
            bodies: BodySource::default(),
            compat: Compat::default(),
            metrics: LayerMetrics::default(),
            now: || Timestamp::from_system(std::time::SystemTime::now()),
        }
    }

    /// Puts it to use.
    #[must_use]
    pub fn build(self) -> Auditor {
        let levels = self.metrics.by_level();
        Auditor(Arc::new(Shared {
            policy: RwLock::new(Arc::new(self.policy)),
            backend: self.backend,
            bodies: self.bodies,
            compat: self.compat,
            metrics: self.metrics,
            levels,
            now: self.now,
        }))
    }
}

/// Decides what is recorded of requests and passes their events on. Clones are the same.
#[derive(Clone)]
pub struct Auditor(Arc<Shared>);

struct Shared {
    policy: RwLock<Arc<Compiled>>,
    backend: Arc<dyn Backend>,
    bodies: BodySource,
    compat: Compat,
    metrics: LayerMetrics,
    levels: LevelCounters,
    now: fn() -> Timestamp,
}

/// Who sends a request: put into its extensions by what authenticates, in front of the layer.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthenticatedUser(pub Arc<UserInfo<'static>>);

/// In the extensions of a request whose client showed a certificate.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificate;

/// Why a request is refused before it has a user: the message of its one event, where the answer has no `Status` of its own. Without
/// one, the event says which ways of authenticating were tried.
#[derive(Clone, Debug)]
pub struct RefusedBecause(pub String);

/// Which requests a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Those that were let in.
    Admitted,
    /// Those that it answers with a refusal.
    Refused,
}

impl Auditor {
    /// From now on another policy decides; requests under way keep the decision they have.
    pub fn replace_policy(&self, policy: Compiled) {
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The policy that decides now.
    pub fn policy_in_force(&self) -> Arc<Compiled> {
        self.0.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where events go.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    pub(crate) fn bodies(&self) -> BodySource {
        self.0.bodies
    }

    pub(crate) fn compat(&self) -> Compat {
        self.0.compat
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.now)()
    }

    pub(crate) fn process(&self, events: &[Emitted<'_>]) -> Processing {
        self.0.metrics.events.inc_by(events.len() as u64);
        self.0.backend.process(events)
    }

    pub(crate) fn count_rejected(&self) {
        self.0.metrics.rejected.inc();
    }

    /// What the policy says of a request; nothing at level None.
    pub(crate) fn extent(&self, received: &Received, user: Option<&UserInfo<'static>>) -> Option<Extent> {
        let (mut few, many);
        let groups = user.and_then(|user| user.groups.as_deref()).unwrap_or_default();
        let groups: &[&str] = if groups.len() <= 16 {
            few = [""; 16];
            for (place, group) in few.iter_mut().zip(groups) {
                *place = group;
            }
            &few[..groups.len()]
        } else {
            many = groups.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
            &many
        };
        let user = user.map(|user| User { name: user.username.as_deref().unwrap_or_default(), groups });
        let policy = self.0.policy.read().unwrap_or_else(PoisonError::into_inner);
        let decision = policy.evaluate(&received.info.attributes(user));
        let level = decision.known_level();
        self.0.levels.count(level);
        (level > Level::None).then(|| Extent {
            level,
            omitted: Stage::ALL.map(|stage| decision.omit_stages.contains(stage)),
            omit_managed_fields: decision.omit_managed_fields,
        })
    }

    /// Takes a request under audit.
    pub(crate) fn begin(
        &self,
        parts: &Parts,
        received: &Arc<Received>,
        user: Option<&Arc<UserInfo<'static>>>,
        extent: Extent,
        admission: Admission,
    ) -> Arc<Audited> {
        let arrival = Arrival {
            user: user.cloned(),
            source_ips: SourceIps::of(&parts.headers, peer(parts).as_ref()),
            user_agent: parts.headers.get(header::USER_AGENT).cloned(),
        };
        match admission {
            Admission::Admitted => Audited::new(self.clone(), received.clone(), Life::Received(received.length), extent, arrival, None),
            Admission::Refused => {
                let because = parts.extensions.get::<RefusedBecause>().map_or_else(|| tried(parts), |because| because.0.clone());
                let status = Status { message: Some(because.into()), ..Status::default() };
                Audited::new(self.clone(), received.clone(), Life::Refused, extent, arrival, Some(Box::new(status)))
            }
        }
    }
}

fn peer(parts: &Parts) -> Option<Peer> {
    let connected = || parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>().map(|info| Peer::Address(info.0));
    parts.extensions.get::<Peer>().cloned().or_else(connected)
}

/// The ways of authenticating that a refused request tried (`pkg/endpoints/filters/authn_audit.go`).
fn tried(parts: &Parts) -> String {
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let words: Vec<&str> = authorization.trim().split(' ').collect();
    let is_basic = authorization.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")) && is_basic_credential(&authorization[6..]);
    let query = parts.uri.query().unwrap_or_default();
    let has_token = query.split('&').any(|pair| pair.strip_prefix("access_token=").is_some_and(|token| !token.replace(['+'], " ").trim().is_empty()));
    let ways: Vec<&str> = [
        (is_basic, "basic"),
        (words.len() > 1 && words[0].eq_ignore_ascii_case("bearer"), "bearer"),
        (has_token, "access_token"),
        (parts.extensions.get::<ClientCertificate>().is_some(), "x509"),
    ]
    .into_iter()
    .filter_map(|(tried, way)| tried.then_some(way))
    .collect();
    if ways.is_empty() {
        return "Authentication failed, no credentials provided".to_owned();
    }
    format!("Authentication failed, attempted: {}", ways.join(", "))
}

/// Base64 of a name, a colon and a password, as Go's `Request.BasicAuth` reads it.
fn is_basic_credential(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok_and(|decoded| decoded.contains(&b':'))
}
