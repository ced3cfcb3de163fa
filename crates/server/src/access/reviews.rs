//! Bearer tokens that only Kubernetes knows: whom they belong to, and what that user may read (`docs/kubectl.md`).
//!
//! ```text
//! token ─► kept answer? ─► TokenReview: who ─► SubjectAccessReview: get, list, * on auditevents.decklog.io ─► scopes
//! ```
//!
//! | Kubernetes says | is |
//! | --- | --- |
//! | `*` is allowed | admin |
//! | `get` and `list` are allowed | read |
//! | the user has neither | 403, which names the right |
//! | the token is nobody's | 401 |
//! | nothing within [`PATIENCE`], or that it cannot tell | 503 with `Retry-After`: never a 401, after which clients throw good tokens away |
//!
//! Only rights in the whole cluster count: a right in one namespace would need every answer to be cut to that namespace.
//! How the API server is asked is the binary's ([`Reviewer`]).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::access::{Identity, Scope};
use futures_util::future::{BoxFuture, try_join3};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{hash_token, is_own_name, unauthenticated};
use crate::problem::{Problem, ProblemKind};

/// How long a good answer holds: so long somebody whose right was taken away can still read.
const KEEP: Duration = Duration::from_secs(10);
/// How long a bad one does: enough for a page that asks five things at once, and no wait for who was just let in.
const KEEP_REFUSAL: Duration = Duration::from_secs(2);
/// How long Kubernetes may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers kept, of good and of bad ones each; when full of what still holds, a new one is not kept.
const MAX_KEPT: usize = 1_024;
/// Tokens asked about at once; others wait, and get a 503 after [`PATIENCE`].
const MAX_UNDER_WAY: usize = 16;
/// A longer token is none of Kubernetes'.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// What a client is to wait after a 503, in seconds.
const RETRY_AFTER: u32 = 2;

/// The resource whose verbs are rights in decklog.
pub const RESOURCE: (&str, &str) = ("decklog.io", "auditevents");

/// Asks a cluster about tokens and rights. Both questions may take as long as they do: the caller gives up.
pub trait Reviewer: fmt::Debug + Send + Sync {
    /// Whom a token belongs to (TokenReview, for the API server's own audience); `None` is nobody.
    ///
    /// # Errors
    /// When the cluster cannot tell.
    fn user_of<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<ClusterUser>, ReviewError>>;

    /// Whether the user may do `verb` with [`RESOURCE`] in the whole cluster (SubjectAccessReview).
    ///
    /// # Errors
    /// When the cluster cannot tell.
    fn may<'a>(&'a self, user: &'a ClusterUser, verb: &'a str) -> BoxFuture<'a, Result<bool, ReviewError>>;
}

/// Who a token belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterUser {
    /// The name, such as `alice@example.com` or `system:serviceaccount:shop:web`.
    pub name: String,
    /// The uid, if there is one.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What the authenticator says beside.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The cluster cannot tell; the text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReviewError(pub String);

/// Finds out whom tokens belong to, and keeps the answers for a while.
#[derive(Debug)]
pub(super) struct Reviews {
    reviewer: Arc<dyn Reviewer>,
    kept: Mutex<Kept>,
    under_way: Semaphore,
}

/// Answers by the hash of the token: tokens themselves are not kept.
#[derive(Debug, Default)]
struct Kept {
    good: HashMap<[u8; 32], (Verdict, Instant)>,
    bad: HashMap<[u8; 32], (Verdict, Instant)>,
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    May { name: Arc<str>, scope: Scope },
    MayNot { name: Arc<str> },
    Nobody,
}

impl Kept {
    fn find(&self, hash: &[u8; 32], now: Instant) -> Option<Verdict> {
        let holding = |map: &HashMap<[u8; 32], (Verdict, Instant)>| map.get(hash).filter(|(_, until)| now < *until).map(|(verdict, _)| verdict.clone());
        holding(&self.good).or_else(|| holding(&self.bad))
    }

    fn keep(&mut self, hash: [u8; 32], verdict: Verdict, now: Instant) {
        let (map, until) = match verdict {
            Verdict::May { .. } => (&mut self.good, now + KEEP),
            Verdict::MayNot { .. } | Verdict::Nobody => (&mut self.bad, now + KEEP_REFUSAL),
        };
        if map.len() >= MAX_KEPT {
            map.retain(|_, (_, until)| now < *until);
        }
        if map.len() < MAX_KEPT {
            map.insert(hash, (verdict, until));
        }
    }
}

impl Reviews {
    pub(super) fn new(reviewer: Arc<dyn Reviewer>) -> Self {
        Self { reviewer, kept: Mutex::default(), under_way: Semaphore::new(MAX_UNDER_WAY) }
    }

    /// Who brings `token`.
    pub(super) async fn identify(&self, token: &str, peer: &str) -> Result<Identity, Problem> {
        let token = token.trim();
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(nobody());
        }
        let hash = hash_token(token);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).find(&hash, Instant::now());
        let verdict = match kept {
            Some(verdict) => verdict,
            None => {
                let verdict = self.ask(token).await?;
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(hash, verdict.clone(), Instant::now());
                verdict
            }
        };
        match verdict {
            Verdict::May { name, scope } => Ok(Identity { name, scopes: vec![scope], source: None, cluster: None, peer: peer.into() }),
            Verdict::MayNot { name } => Err(Problem::new(ProblemKind::Forbidden, missing_right(&name))),
            Verdict::Nobody => Err(nobody()),
        }
    }

    async fn ask(&self, token: &str) -> Result<Verdict, Problem> {
        let asking = async {
            let _place = self.under_way.acquire().await.map_err(|error| ReviewError(error.to_string()))?;
            review(&*self.reviewer, token).await
        };
        match timeout(PATIENCE, asking).await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(error)) => Err(unknown(error.to_string())),
            Err(_) => Err(unknown(format!("Kubernetes did not answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

/// Asks the questions, and says what the answers mean.
async fn review(reviewer: &dyn Reviewer, token: &str) -> Result<Verdict, ReviewError> {
    let Some(user) = reviewer.user_of(token).await? else { return Ok(Verdict::Nobody) };
    let name: Arc<str> = user.name.as_str().into();
    // In marks these names are of those who came in by decklog's own doors.
    if is_own_name(&name) || name.is_empty() {
        return Ok(Verdict::MayNot { name });
    }
    let (everything, get, list) = try_join3(reviewer.may(&user, "*"), reviewer.may(&user, "get"), reviewer.may(&user, "list")).await?;
    Ok(match (everything, get && list) {
        (true, _) => Verdict::May { name, scope: Scope::Admin },
        (false, true) => Verdict::May { name, scope: Scope::Read },
        (false, false) => Verdict::MayNot { name },
    })
}

fn nobody() -> Problem {
    unauthenticated("the token is known neither here nor to Kubernetes")
}

fn missing_right(name: &str) -> String {
    let (group, resource) = RESOURCE;
    format!(
        "`{name}` may not read audit events: that needs `get` and `list` on {resource}.{group} in the whole cluster (ClusterRole decklog-reader); rights in single namespaces do not count"
    )
}

/// Not a 401: the token may well be good.
fn unknown(inside: String) -> Problem {
    Problem::new(ProblemKind::Unavailable, "Kubernetes cannot say now whom the token belongs to; the server's log says why")
        .inside(inside)
        .retry_after(RETRY_AFTER)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A cluster of which every token is the name of its user, and whose verbs are told.
    #[derive(Debug, Default)]
    pub(in crate::access) struct FakeCluster {
        /// `USER VERB`, all that is allowed.
        pub(in crate::access) allowed: Mutex<Vec<String>>,
        pub(in crate::access) n_asked: AtomicUsize,
        state: Mutex<State>,
    }

    #[derive(Debug, Default, Clone, Copy, PartialEq)]
    enum State {
        #[default]
        Well,
        Broken,
        Silent,
    }

    impl FakeCluster {
        pub(in crate::access) fn allowing(allowed: &[&str]) -> Arc<Self> {
            Arc::new(Self { allowed: Mutex::new(allowed.iter().map(|text| (*text).to_owned()).collect()), ..Self::default() })
        }

        fn become_(&self, state: State) {
            *self.state.lock().unwrap() = state;
        }
    }

    impl Reviewer for FakeCluster {
        fn user_of<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<ClusterUser>, ReviewError>> {
            self.n_asked.fetch_add(1, Ordering::Relaxed);
            let state = *self.state.lock().unwrap();
            Box::pin(async move {
                match state {
                    State::Well => Ok((token != "nobody").then(|| ClusterUser { name: token.to_owned(), ..ClusterUser::default() })),
                    State::Broken => Err(ReviewError("tokenreviews is forbidden".to_owned())),
                    State::Silent => std::future::pending().await,
                }
            })
        }

        fn may<'a>(&'a self, user: &'a ClusterUser, verb: &'a str) -> BoxFuture<'a, Result<bool, ReviewError>> {
            let may = self.allowed.lock().unwrap().contains(&format!("{} {verb}", user.name));
            Box::pin(async move { Ok(may) })
        }
    }

    async fn scopes(reviews: &Reviews, token: &str) -> Result<Vec<Scope>, (ProblemKind, String)> {
        reviews.identify(token, "10.0.0.1:5").await.map(|identity| identity.scopes).map_err(|problem| (problem.kind, problem.detail))
    }

    #[tokio::test]
    async fn rights_become_scopes() {
        let cluster = FakeCluster::allowing(&["carol get", "carol list", "root *", "half list", "writer create", "loopback *"]);
        let reviews = Reviews::new(cluster);
        assert_eq!(scopes(&reviews, "carol").await.unwrap(), [Scope::Read]);
        assert_eq!(scopes(&reviews, " root ").await.unwrap(), [Scope::Admin]);
        for user in ["half", "writer", "mallory", "loopback"] {
            let (kind, detail) = scopes(&reviews, user).await.unwrap_err();
            assert!(kind == ProblemKind::Forbidden && detail.contains(user) && detail.contains("auditevents.decklog.io"), "{detail}");
        }
        for token in ["nobody", "", "a b", "ü"] {
            assert_eq!(scopes(&reviews, token).await.unwrap_err().0, ProblemKind::Unauthenticated, "{token}");
        }
        let identity = reviews.identify("carol", "10.0.0.1:5").await.unwrap();
        assert_eq!((&*identity.name, &*identity.peer, identity.source), ("carol", "10.0.0.1:5", None));
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_hold_for_ten_seconds_and_bad_ones_for_two() {
        let cluster = FakeCluster::allowing(&["carol get", "carol list"]);
        let reviews = Reviews::new(cluster.clone());
        let asked = || cluster.n_asked.load(Ordering::Relaxed);
        scopes(&reviews, "carol").await.unwrap();
        cluster.allowed.lock().unwrap().clear();
        tokio::time::advance(Duration::from_millis(9_900)).await;
        assert!(scopes(&reviews, "carol").await.is_ok() && asked() == 1);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(scopes(&reviews, "carol").await.is_err() && asked() == 2);
        cluster.allowed.lock().unwrap().extend(["carol get".to_owned(), "carol list".to_owned()]);
        assert!(scopes(&reviews, "carol").await.is_err() && asked() == 2);
        tokio::time::advance(Duration::from_millis(2_100)).await;
        assert!(scopes(&reviews, "carol").await.is_ok() && asked() == 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_is_away_is_a_503_which_is_not_kept() {
        let cluster = FakeCluster::allowing(&["carol get", "carol list"]);
        let reviews = Reviews::new(cluster.clone());
        for state in [State::Broken, State::Silent] {
            cluster.become_(state);
            let began = Instant::now();
            let problem = reviews.identify("carol", "p").await.unwrap_err();
            assert!(problem.kind == ProblemKind::Unavailable && problem.retry_after == Some(2), "{problem:?}");
            assert!(!problem.detail.contains("forbidden") && problem.inside.is_some(), "why is for the log: {problem:?}");
            assert!(began.elapsed() <= PATIENCE);
        }
        cluster.become_(State::Well);
        assert!(scopes(&reviews, "carol").await.is_ok());
        // What was found out holds while the cluster is away.
        cluster.become_(State::Silent);
        assert!(scopes(&reviews, "carol").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_and_made_up_tokens_push_no_good_one_out() {
        let cluster = FakeCluster::allowing(&["carol get", "carol list"]);
        let reviews = Reviews::new(cluster.clone());
        scopes(&reviews, "carol").await.unwrap();
        for number in 0..3 * MAX_KEPT {
            let _ = scopes(&reviews, &format!("made-up-{number}")).await;
        }
        let asked = cluster.n_asked.load(Ordering::Relaxed);
        assert!(scopes(&reviews, "carol").await.is_ok() && cluster.n_asked.load(Ordering::Relaxed) == asked);
        assert_eq!(reviews.kept.lock().unwrap().bad.len(), MAX_KEPT);
        tokio::time::advance(KEEP_REFUSAL).await;
        let _ = scopes(&reviews, "made-up").await;
        assert_eq!(reviews.kept.lock().unwrap().bad.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_sixteen_are_asked_about_at_once() {
        let cluster = FakeCluster::allowing(&[]);
        cluster.become_(State::Silent);
        let reviews = Arc::new(Reviews::new(cluster.clone()));
        let asking = (0..40).map(|number| {
            let reviews = reviews.clone();
            tokio::spawn(async move { scopes(&reviews, &format!("t{number}")).await.unwrap_err().0 })
        });
        let asking: Vec<_> = asking.collect();
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(cluster.n_asked.load(Ordering::Relaxed), MAX_UNDER_WAY);
        for asked in asking {
            assert_eq!(asked.await.unwrap(), ProblemKind::Unavailable);
        }
    }
}
