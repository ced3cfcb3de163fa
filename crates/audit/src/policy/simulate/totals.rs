//! Sums over simulated events.

use std::collections::HashMap;

use super::{Bodies, Fate, RecordedRequest, Simulated};
use crate::event::{Event, Level, Stage};
use crate::time::Timestamp;

/// Different values told apart at most in each table; further ones are summed under `(others)`.
const MAX_VALUES: usize = 100_000;
/// The key of what is beyond.
const OTHERS: &str = "(others)";
const DAY_SECONDS: f64 = 86_400.0;

/// How many, and how large in a log with a newline behind each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sum {
    pub events: u64,
    pub bytes: u64,
}

impl Sum {
    /// Processor seconds that recording them costs kube-apiserver, about: measured on 1.36 with the log backend
    /// (docs/measured/policy.md).
    #[must_use]
    pub fn apiserver_seconds(self) -> f64 {
        self.events as f64 * 30e-6 + self.bytes as f64 * 11e-9
    }

    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64 + 1;
    }
}

/// What a policy would have recorded, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What was looked at.
    pub recorded: Sum,
    /// Its requests: events that end one.
    pub requests: u64,
    /// What the policy would have written.
    pub written: Sum,
    /// By level, from None.
    pub by_level: [Sum; 4],
    /// Written, by the index of the rule.
    pub by_rule: HashMap<usize, Sum>,
    /// Written, by `resource.group/subresource`, or the first part of a path.
    pub by_resource: HashMap<String, Sum>,
    /// Written, by user.
    pub by_user: HashMap<String, Sum>,
    /// Written, by namespace.
    pub by_namespace: HashMap<String, Sum>,
    /// Not written, as the stage is omitted.
    pub omitted_stages: [Sum; 4],
    /// Not written, as the level is None, by rule; nothing is no rule.
    pub not_recorded: HashMap<Option<usize>, Sum>,
    /// Failed logins (code 401): those looked at, and those written.
    pub failed_logins: (u64, u64),
    /// Events at a level that wants bodies which were not recorded: their bytes are too few.
    pub bodies_unknown: u64,
    /// RequestReceived events that the policy wants of requests whose end it writes, less those that are there.
    pub received_unknown: u64,
    /// Patches received whose end was not recorded: kube-apiserver to 1.36 loses it above Metadata where the body is no JSON.
    pub patches_unfinished: u64,
    received: (u64, u64),
    patches: (u64, u64),
    extent: Option<(Timestamp, Timestamp)>,
}

impl Totals {
    /// Counts an event.
    pub fn add(&mut self, event: &Event<'_>, request: &RecordedRequest<'_>, recorded_bytes: usize, simulated: &Simulated<'_, '_>) {
        self.recorded.add(recorded_bytes);
        self.requests += u64::from(event.is_final());
        self.extend(event.stage_timestamp);
        let stage = event.stage_kind();
        let failed_login = event.code() == Some(401);
        self.failed_logins.0 += u64::from(failed_login);
        if request.info.verb == "patch" {
            self.patches.0 += u64::from(stage == Some(Stage::RequestReceived));
            self.patches.1 += u64::from(matches!(stage, Some(Stage::ResponseComplete | Stage::Panic)));
            self.patches_unfinished = self.patches.0.saturating_sub(self.patches.1);
        }
        match &simulated.fate {
            Fate::NotRecorded => self.not_recorded.entry(simulated.decision.rule).or_default().add(recorded_bytes),
            Fate::StageOmitted => {
                if let Some(stage) = stage {
                    self.omitted_stages[stage as usize].add(recorded_bytes);
                }
            }
            Fate::Written { line, bodies } => {
                self.failed_logins.1 += u64::from(failed_login);
                self.bodies_unknown += u64::from(*bodies == Bodies::Unknown);
                self.written(request, simulated, line.len());
                self.received.0 += u64::from(stage == Some(Stage::RequestReceived));
            }
        }
        let ends = matches!(stage, Some(Stage::ResponseComplete | Stage::Panic));
        self.received.1 += u64::from(ends && simulated.decision.records(Stage::RequestReceived));
        self.received_unknown = self.received.1.saturating_sub(self.received.0);
    }

    fn written(&mut self, request: &RecordedRequest<'_>, simulated: &Simulated<'_, '_>, bytes: usize) {
        self.written.add(bytes);
        self.by_level[simulated.decision.known_level() as usize].add(bytes);
        if let Some(rule) = simulated.decision.rule {
            self.by_rule.entry(rule).or_default().add(bytes);
        }
        count(&mut self.by_user, request.user.unwrap_or("(none)"), bytes);
        let namespace = request.info.namespace.as_ref();
        count(&mut self.by_namespace, if namespace.is_empty() { "(none)" } else { namespace }, bytes);
        count(&mut self.by_resource, &resource_name(request), bytes);
    }

    fn extend(&mut self, time: Option<Timestamp>) {
        let Some(time) = time else { return };
        self.extent = Some(self.extent.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
    }

    /// From when to when.
    pub fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        self.extent
    }

    /// What `bytes` (or events) of this traffic are in a day; nothing where all of it is one moment.
    pub fn per_day(&self, amount: u64) -> Option<f64> {
        let (first, last) = self.extent?;
        let seconds = (last.micros() - first.micros()) as f64 / 1e6;
        (seconds > 0.0).then(|| amount as f64 * DAY_SECONDS / seconds)
    }

    /// Omitted events of a stage.
    pub fn omitted(&self, stage: Stage) -> Sum {
        self.omitted_stages[stage as usize]
    }

    /// Written events of a level.
    pub fn at_level(&self, level: Level) -> Sum {
        self.by_level[level as usize]
    }
}

/// `deployments.apps/status`; a path's first part where it is none of a resource.
pub(super) fn resource_name(request: &RecordedRequest<'_>) -> String {
    let info = &request.info;
    if !info.is_resource_request {
        return format!("/{}", info.path.trim_start_matches('/').split('/').next().unwrap_or_default());
    }
    let mut name = info.resource.to_string();
    if !info.api_group.is_empty() {
        name.push('.');
        name.push_str(&info.api_group);
    }
    if !info.subresource.is_empty() {
        name.push('/');
        name.push_str(&info.subresource);
    }
    name
}

fn count(sums: &mut HashMap<String, Sum>, key: &str, bytes: usize) {
    if let Some(sum) = sums.get_mut(key) {
        return sum.add(bytes);
    }
    let key = if sums.len() < MAX_VALUES { key } else { OTHERS };
    sums.entry(key.to_owned()).or_default().add(bytes);
}
