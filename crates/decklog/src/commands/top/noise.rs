//! Sums of what events take in the log, by a value each has, and how much smaller some changes of the audit policy would
//! make it. Pure: lines in, sums out.

use std::borrow::Cow;
use std::collections::HashMap;

use clap::ValueEnum;
use decklog_audit::event::readable_text;
use decklog_audit::{Event, Level, Stage};

use crate::output::with_thousands;

/// Different values told apart at most; the events of further ones are summed together.
const MAX_VALUES: usize = 100_000;
/// Resources named at most in the advice on status updates.
const MAX_STATUSES: usize = 3;
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// What is told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// Who authenticated.
    #[default]
    User,
    /// What was done.
    Verb,
    /// To what, with the subresource.
    Resource,
    /// With which client program.
    Tool,
    /// Where.
    Namespace,
    /// Through which source it came.
    Source,
}

impl By {
    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Verb => "verb",
            Self::Resource => "resource",
            Self::Tool => "tool",
            Self::Namespace => "namespace",
            Self::Source => "source",
        }
    }

    /// An event's value; the source is not in the event.
    pub(super) fn of(self, event: &Event<'_>) -> Option<String> {
        let object = event.object_ref.as_ref();
        match self {
            Self::User => event.user.username.as_deref().map(str::to_owned),
            Self::Verb => event.verb.as_deref().map(str::to_owned),
            Self::Resource => resource(event),
            Self::Tool => event.tool().map(str::to_owned),
            Self::Namespace => object.and_then(|object| object.namespace.as_deref()).map(str::to_owned),
            Self::Source => None,
        }
    }

    /// A value as people read it: `sa ns/name` for a service account.
    pub(super) fn shown(self, value: Option<&str>) -> Cow<'_, str> {
        match (self, value) {
            (_, None) => Cow::Borrowed("(none)"),
            (Self::User, Some(user)) => match service_account(user) {
                Some((namespace, name)) => Cow::Owned(format!("sa {namespace}/{name}")),
                None => Cow::Borrowed(user),
            },
            (_, Some(value)) => Cow::Borrowed(value),
        }
    }
}

fn resource(event: &Event<'_>) -> Option<String> {
    let object = event.object_ref.as_ref()?;
    let resource = object.resource.as_deref()?;
    Some(object.subresource.as_deref().map_or_else(|| resource.to_owned(), |subresource| format!("{resource}/{subresource}")))
}

fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
}

/// What some events take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Requests: their last events.
    pub(super) n_requests: u64,
    /// Events.
    pub(super) n_events: u64,
    /// Their bytes in kube-apiserver's log, newlines included.
    pub(super) n_bytes: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.n_requests += other.n_requests;
        self.n_events += other.n_events;
        self.n_bytes += other.n_bytes;
    }
}

/// What a change would save.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Saving {
    n_events: u64,
    /// Negative where the log would grow: `Metadata` is a longer word than `Request`.
    n_bytes: i64,
}

impl Saving {
    fn add(&mut self, n_bytes: i64) {
        self.n_events += 1;
        self.n_bytes += n_bytes;
    }
}

/// A value and what its events take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured<'a> {
    /// The value; `None` are the events without one.
    pub(super) value: Option<&'a str>,
    /// What they take.
    pub(super) sum: Sum,
}

/// The sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Noise {
    /// All events.
    pub(super) total: Sum,
    /// Those of values beyond the most that are told apart.
    pub(super) uncounted: Sum,
    values: HashMap<Option<String>, Sum>,
    received: Saving,
    /// By user: reads at level Metadata.
    reads: HashMap<String, Saving>,
    /// By resource: status updates at level Metadata.
    statuses: HashMap<String, Saving>,
}

impl Noise {
    /// Takes the line of an event, which `value` tells apart.
    pub(super) fn add(&mut self, line: &[u8], value: impl Fn(&Event<'_>) -> Option<String>) {
        let text = readable_text(line);
        // A line of a later version takes its room too.
        let event = Event::decode(&text).unwrap_or_default();
        let n_bytes = line.len() as u64 + 1;
        let sum = Sum { n_requests: u64::from(event.is_final()), n_events: 1, n_bytes };
        self.total.add(sum);
        let value = value(&event);
        if self.values.len() < MAX_VALUES || self.values.contains_key(&value) {
            self.values.entry(value).or_default().add(sum);
        } else {
            self.uncounted.add(sum);
        }
        self.add_savings(&event, n_bytes);
    }

    fn add_savings(&mut self, event: &Event<'_>, n_bytes: u64) {
        if event.stage_kind() == Some(Stage::RequestReceived) {
            self.received.add(i64::try_from(n_bytes).unwrap_or(i64::MAX));
        }
        let Some(saved) = at_metadata(event) else { return };
        let add = |sums: &mut HashMap<String, Saving>, key: &str| {
            if let Some(saving) = sums.get_mut(key) {
                saving.add(saved);
            } else if sums.len() < MAX_VALUES {
                sums.insert(key.to_owned(), Saving { n_events: 1, n_bytes: saved });
            }
        };
        match event.verb.as_deref() {
            // Not what is a read by its meaning only, such as the create of an access review: rules name verbs.
            Some("get" | "list" | "watch") => {
                if let Some(user) = event.user.username.as_deref() {
                    add(&mut self.reads, user);
                }
            }
            Some("update" | "patch") if event.object_ref.as_ref().is_some_and(|object| object.subresource.as_deref() == Some("status")) => {
                if let Some(resource) = resource(event) {
                    add(&mut self.statuses, &resource);
                }
            }
            _ => {}
        }
    }

    /// Different values, the missing one included.
    pub(super) fn n_values(&self) -> usize {
        self.values.len()
    }

    /// All values, the one with the most bytes first.
    pub(super) fn noisiest(&self) -> Vec<Measured<'_>> {
        let mut measured: Vec<Measured<'_>> = self.values.iter().map(|(value, sum)| Measured { value: value.as_deref(), sum: *sum }).collect();
        measured.sort_unstable_by(|a, b| b.sum.n_bytes.cmp(&a.sum.n_bytes).then_with(|| a.value.cmp(&b.value)));
        measured
    }

    /// The part of all bytes, from 0 to 1.
    pub(super) fn share(&self, sum: Sum) -> f64 {
        if self.total.n_bytes == 0 { 0.0 } else { sum.n_bytes as f64 / self.total.n_bytes as f64 }
    }

    /// The changes of the policy that would save something.
    pub(super) fn cuts(&self) -> Vec<Cut> {
        let received = Cut::new(CutKind::OmitReceived, vec!["RequestReceived".to_owned()], [self.received]);
        let reads = largest(&self.reads).into_iter().next().and_then(|(user, saving)| Cut::new(CutKind::Reads, vec![user.to_owned()], [saving]));
        // Those that save at least a quarter of what the first one does.
        let statuses = largest(&self.statuses);
        let enough = statuses.first().map_or(0, |(_, saving)| saving.n_bytes / 4);
        let statuses: Vec<_> = statuses.into_iter().take(MAX_STATUSES).take_while(|(_, saving)| saving.n_bytes >= enough).collect();
        let names = statuses.iter().map(|(resource, _)| (*resource).to_owned()).collect();
        let statuses = Cut::new(CutKind::Statuses, names, statuses.into_iter().map(|(_, saving)| saving));
        [received, reads, statuses].into_iter().flatten().collect()
    }
}

fn largest(sums: &HashMap<String, Saving>) -> Vec<(&str, Saving)> {
    let mut sums: Vec<(&str, Saving)> = sums.iter().map(|(key, saving)| (key.as_str(), *saving)).collect();
    sums.sort_unstable_by(|a, b| b.1.n_bytes.cmp(&a.1.n_bytes).then_with(|| a.0.cmp(b.0)));
    sums
}

/// How much shorter the event's line would be at level Metadata, in bytes; `None` if it is at that level or below.
fn at_metadata(event: &Event<'_>) -> Option<i64> {
    let level = event.level.as_deref().and_then(Level::parse).filter(|level| *level > Level::Metadata)?;
    let member = |name: &str, value: Option<usize>| value.map_or(0, |n_bytes| n_bytes + name.len() + r#","":"#.len());
    let bodies = member("requestObject", event.request_object.map(|body| body.as_str().len()))
        + member("responseObject", event.response_object.map(|body| body.as_str().len()));
    let length = |n_bytes: usize| i64::try_from(n_bytes).unwrap_or(i64::MAX);
    Some(length(bodies) + length(level.as_str().len()) - length(Level::Metadata.as_str().len()))
}

/// What could be changed in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutKind {
    OmitReceived,
    Reads,
    Statuses,
}

/// A change of the policy and what it would save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    kind: CutKind,
    /// What it is about: a stage, a user, resources.
    pub(super) of: Vec<String>,
    /// Events that would go or shrink.
    pub(super) n_events: u64,
    /// Bytes less.
    pub(super) n_bytes: u64,
}

impl Cut {
    fn new(kind: CutKind, of: Vec<String>, savings: impl IntoIterator<Item = Saving>) -> Option<Self> {
        let mut sum = Saving::default();
        for saving in savings {
            sum.n_events += saving.n_events;
            sum.n_bytes += saving.n_bytes;
        }
        let n_bytes = u64::try_from(sum.n_bytes).ok().filter(|n_bytes| *n_bytes > 0)?;
        Some(Self { kind, of, n_events: sum.n_events, n_bytes })
    }

    /// The word for programs.
    pub(super) fn kind(&self) -> &'static str {
        match self.kind {
            CutKind::OmitReceived => "omit-stage",
            CutKind::Reads => "reads-at-metadata",
            CutKind::Statuses => "status-updates-at-metadata",
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = self.of.join(", ");
        let less = with_thousands(self.n_bytes);
        match self.kind {
            CutKind::OmitReceived => write!(f, "omitStages {of} −{less} ({} events)", with_thousands(self.n_events)),
            CutKind::Reads => write!(f, "reads of {} at Metadata −{less}", service_account(&of).map_or(of.as_str(), |(_, name)| name)),
            CutKind::Statuses => write!(f, "{of} updates at Metadata −{less}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use decklog_audit::event::write_log_line;

    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/x","verb":"get","user":{"username":"bob"},"objectRef":{"resource":"pods","subresource":"status"},"requestObject":{"a":1},"responseObject":{"b":[1,2]}}"#;

    fn noise(lines: &[String], by: By) -> Noise {
        let mut noise = Noise::default();
        lines.iter().for_each(|line| noise.add(line.as_bytes(), |event| by.of(event)));
        noise
    }

    /// Level Metadata is this event without its bodies, written anew.
    #[test]
    fn what_metadata_saves_is_what_the_line_gets_shorter() {
        let mut event = Event::decode(EVENT).unwrap();
        let saved = at_metadata(&event).unwrap();
        let mut whole = Vec::new();
        write_log_line(&event, &mut whole).unwrap();
        (event.level, event.request_object, event.response_object) = (Some("Metadata".into()), None, None);
        let mut line = Vec::new();
        write_log_line(&event, &mut line).unwrap();
        assert_eq!(saved, whole.len() as i64 - line.len() as i64);
        assert_eq!(at_metadata(&event), None);
    }

    #[test]
    fn sums_by_value_and_advice() {
        let lines = [
            EVENT.to_owned(),
            EVENT.replace("ResponseComplete", "RequestReceived"),
            EVENT.replace("\"get\"", "\"update\"").replace("\"username\":\"bob\"", ""),
            "no event".to_owned(),
        ];
        let by_user = noise(&lines, By::User);
        let total: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert_eq!((by_user.total.n_requests, by_user.total.n_events, by_user.total.n_bytes), (2, 4, total as u64));
        let values: Vec<_> = by_user.noisiest().iter().map(|measured| (measured.value.map(str::to_owned), measured.sum.n_events)).collect();
        assert_eq!(values, [(Some("bob".to_owned()), 2), (None, 2)]);
        let cuts: Vec<String> = by_user.cuts().iter().map(Cut::kind).map(str::to_owned).collect();
        assert_eq!(cuts, ["omit-stage", "reads-at-metadata", "status-updates-at-metadata"]);
        assert_eq!(noise(&lines, By::Resource).noisiest()[0].value, Some("pods/status"));
        assert!(noise(&["{}".to_owned()], By::Verb).cuts().is_empty());
    }

    #[test]
    fn service_accounts_are_shown_by_name() {
        assert_eq!(By::User.shown(Some("system:serviceaccount:argocd:app")), "sa argocd/app");
        assert_eq!(By::Verb.shown(Some("system:serviceaccount:argocd:app")), "system:serviceaccount:argocd:app");
        assert_eq!(By::User.shown(None), "(none)");
    }
}
