//! From recorded events to a policy: what each takes in the log at each level, the plan, and its answer for people and programs.

use serde_json::{Value, json};

use super::budget::{Cut, Plan, plan};
use super::goal::Goal;
use super::profiles::Profile;
use super::text::write_policy;
use super::traffic::{Bytes, Observed, Traffic, Who};
use crate::event::Event;
use crate::policy::Compiled;
use crate::policy::simulate::{Bodies, Fate, RecordedRequest, at_each_level, simulate};
use crate::time::Timestamp;

/// Events go in, a policy comes out.
#[derive(Debug)]
pub struct Generator {
    profile: Profile,
    compiled: Compiled,
    traffic: Traffic,
    n_recorded: u64,
    recorded_bytes: u64,
    bodies_unknown: u64,
    left_out: LeftOut,
    extent: Option<(Timestamp, Timestamp)>,
}

/// What a profile leaves out of the traffic before anything is cut: events, and bytes of their lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Of stages it omits.
    pub stages: (u64, u64),
    /// Of requests it does not record.
    pub requests: (u64, u64),
    /// Bodies above its level; the events stay.
    pub bodies: (u64, u64),
}

impl LeftOut {
    /// What it is, and how much, where there is any.
    pub fn rows(self) -> impl Iterator<Item = (&'static str, (u64, u64))> {
        let rows = [
            ("stages the profile omits", self.stages),
            ("requests the profile does not record", self.requests),
            ("bodies above the profile's levels", self.bodies),
        ];
        rows.into_iter().filter(|(_, (n_events, _))| *n_events > 0)
    }
}

fn count((n_events, n_bytes): &mut (u64, u64), bytes: u64) {
    *n_events += 1;
    *n_bytes += bytes;
}

/// A policy made from traffic.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Its YAML.
    pub text: String,
    /// What the profile leaves out by itself.
    pub left_out: LeftOut,
    /// What it cuts from the profile.
    pub plan: Plan,
    /// The bytes the log may have, of the traffic seen.
    pub budget: u64,
    /// Events that were seen, and the bytes of their lines.
    pub recorded: (u64, u64),
    /// Events whose bodies the profile wants and the record does not have: the log will be larger than is said.
    pub bodies_unknown: u64,
    /// Seconds from the first event to the last.
    pub seconds: f64,
}

impl Generator {
    /// `compiled` is the profile's policy.
    #[must_use]
    pub fn new(profile: Profile, compiled: Compiled) -> Self {
        Self { profile, compiled, traffic: Traffic::default(), n_recorded: 0, recorded_bytes: 0, bodies_unknown: 0, left_out: LeftOut::default(), extent: None }
    }

    /// Adds a recorded event whose text is `line`.
    pub fn add(&mut self, event: &Event<'_>, request: &RecordedRequest<'_>, line: &str) {
        let line_bytes = line.len() as u64 + 1;
        self.n_recorded += 1;
        self.recorded_bytes += line_bytes;
        if let Some(time) = event.stage_timestamp {
            self.extent = Some(self.extent.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        }
        let simulated = simulate(&self.compiled, request, event, line);
        let (written, bodies) = match &simulated.fate {
            Fate::NotRecorded => return count(&mut self.left_out.requests, line_bytes),
            Fate::StageOmitted => return count(&mut self.left_out.stages, line_bytes),
            Fate::Written { line, bodies } => (line.len() as u64 + 1, *bodies),
        };
        if written < line_bytes {
            count(&mut self.left_out.bodies, line_bytes - written);
        }
        self.bodies_unknown += u64::from(bodies == Bodies::Unknown);
        let [metadata, of_request, of_response] = at_each_level(event, line, simulated.decision.omit_managed_fields).map(|bytes| bytes as u64 + 1);
        let bytes = Bytes { metadata, request: of_request, response: of_response };
        let level = simulated.decision.known_level();
        let is_kept = matches!(event.code(), Some(401 | 403));
        request.ask(|attributes| self.traffic.add(&Observed { attributes: *attributes, level, bytes, is_kept }));
    }

    /// Says that events like this one must stay: of its user, verb and kind of thing.
    pub fn keep(&mut self, request: &RecordedRequest<'_>) {
        let level = request.decide(&self.compiled).known_level();
        request.ask(|attributes| self.traffic.keep(attributes, level));
    }

    /// The policy with the fewest cuts that keeps to the goal, or with all that are allowed where those are not enough.
    ///
    /// # Errors
    /// What is missing, where there is no traffic, or of one moment only.
    pub fn finish(self, goal: Goal) -> Result<Generated, String> {
        if self.n_recorded == 0 {
            return Err("there is no traffic to make a policy from".to_owned());
        }
        let seconds = self.extent.map_or(0.0, |(first, last)| (last.micros() - first.micros()) as f64 / 1e6);
        let budget = goal.bytes(seconds, self.recorded_bytes).ok_or("all events are of one moment: how many come a day cannot be told")?;
        let plan = plan(&self.traffic, budget);
        let generated = Generated {
            text: String::new(),
            left_out: self.left_out,
            plan,
            budget,
            recorded: (self.n_recorded, self.recorded_bytes),
            bodies_unknown: self.bodies_unknown,
            seconds,
        };
        let say = |bytes: u64| generated.say(bytes);
        let header = [
            format!(
                "Made by decklog from {} events: profile {}, then what follows was cut to stay within {}.",
                self.n_recorded,
                self.profile.name,
                say(budget)
            ),
            format!("Of that traffic it records {}, the profile alone {}.", say(generated.plan.after), say(generated.plan.before)),
        ];
        let text = write_policy(self.profile.text, &header, &generated.plan, &say);
        Ok(Generated { text, ..generated })
    }
}

impl Generated {
    /// Whether the traffic seen fits the budget.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.plan.after <= self.budget
    }

    /// Bytes of the traffic seen, as bytes a day where its extent says how many those are.
    #[must_use]
    pub fn per_day(&self, bytes: u64) -> Option<f64> {
        (self.seconds > 0.0).then(|| bytes as f64 * 86_400.0 / self.seconds)
    }

    /// `1.2 MB a day`, or `1.2 MB` of one moment.
    #[must_use]
    pub fn say(&self, bytes: u64) -> String {
        match self.per_day(bytes) {
            Some(bytes) => format!("{} a day", decimal(bytes)),
            None => decimal(bytes as f64),
        }
    }

    /// For programs; bytes are bytes a day, of the traffic seen where it is of one moment.
    #[must_use]
    pub fn report(&self) -> Value {
        let day = |bytes: u64| self.per_day(bytes).map_or(bytes, |bytes| bytes.round() as u64);
        json!({
            "policy": self.text,
            "recorded": day(self.recorded.1),
            "before": day(self.plan.before),
            "after": day(self.plan.after),
            "budget": day(self.budget),
            "reached": self.is_reached(),
            "unknownBodies": self.bodies_unknown,
            "leftOut": self.left_out.rows().map(|(what, (n_events, bytes))| json!({"what": what, "events": n_events, "savedBytesPerDay": day(bytes)})).collect::<Vec<_>>(),
            "cuts": self.plan.cuts.iter().map(|cut| json!({
                "noise": cut.noise.as_str(),
                "level": cut.level.as_str(),
                "who": cut.who.to_string(),
                "verbs": cut.verbs,
                "things": cut.things(),
                "savedBytesPerDay": day(cut.saved_bytes),
                "events": cut.n_events,
            })).collect::<Vec<_>>(),
        })
    }
}

impl Cut {
    /// What it is about: `leases.coordination.k8s.io`, `pods/status`, `/healthz`.
    #[must_use]
    pub fn things(&self) -> Vec<String> {
        let name = |group: &str, resource: &str| match (group, resource.split_once('/')) {
            ("", _) => resource.to_owned(),
            (group, Some((kind, subresource))) => format!("{kind}.{group}/{subresource}"),
            (group, None) => format!("{resource}.{group}"),
        };
        let resources = self.resources.iter().flat_map(|(group, resources)| resources.iter().map(move |resource| name(group, resource)));
        resources.chain(self.paths.iter().cloned()).collect()
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User(name) => name,
            Self::Nodes => "system:nodes",
        })
    }
}

/// `1.2 MB`.
fn decimal(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.*} {}", usize::from(unit > 0 && value < 99.95), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        let said = [0.0, 999.0, 1_000.0, 12_345.0, 99_960.0, 1e6, 2.5e9].map(decimal);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "12.3 kB", "100 kB", "1.0 MB", "2.5 GB"]);
    }
}
