//! Which kinds of traffic are cut to stay within a budget.

use std::collections::BTreeMap;

use super::noise::Noise;
use super::traffic::{Key, Traffic, Who};
use crate::Level;

/// What one rule cuts: everything in it was seen, and nothing in it must be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Why it may go.
    pub noise: Noise,
    /// What is left of it.
    pub level: Level,
    /// Whose.
    pub who: Who,
    /// In order.
    pub verbs: Vec<String>,
    /// Resources by API group, in order; empty for paths.
    pub resources: BTreeMap<String, Vec<String>>,
    /// Paths; empty for resources.
    pub paths: Vec<String>,
    /// Bytes it saves, of the traffic seen.
    pub saved_bytes: u64,
    /// Events it touches.
    pub n_events: u64,
}

/// What to cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of their rules.
    pub cuts: Vec<Cut>,
    /// Bytes without the cuts, of the traffic seen.
    pub before: u64,
    /// Bytes with them.
    pub after: u64,
}

/// What of one kind of traffic goes.
struct Chosen {
    noise: Noise,
    saved: u64,
    n_events: u64,
}

/// The fewest cuts, least telling first, after which the traffic takes at most `budget` bytes. It takes more still where
/// everything that may be cut is.
pub fn plan(traffic: &Traffic, budget: u64) -> Plan {
    let mut after = traffic.n_bytes;
    let mut chosen: BTreeMap<&Key, Chosen> = BTreeMap::new();
    for noise in Noise::ALL {
        let mut found: Vec<(u64, &Key)> = Vec::new();
        for (key, sum) in &traffic.sums {
            let now = chosen.get(key).map_or(key.level, |chosen| chosen.noise.level());
            // Bodies may be left out of what must be kept: the event stays.
            if noise.cuts(key) && now > noise.level() && !(sum.has_kept && noise.level() == Level::None) {
                let saved = sum.bytes.at(now).saturating_sub(sum.bytes.at(noise.level()));
                if saved > 0 {
                    found.push((saved, key));
                }
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        for (saved, key) in found {
            if after <= budget {
                return Plan { cuts: rules(&chosen), before: traffic.n_bytes, after };
            }
            after -= saved;
            let n_events = traffic.sums.get(key).map_or(0, |sum| sum.n_events);
            let entry = chosen.entry(key).or_insert(Chosen { noise, saved: 0, n_events });
            entry.noise = noise;
            entry.saved += saved;
        }
    }
    Plan { cuts: rules(&chosen), before: traffic.n_bytes, after }
}

/// Noise, user, API group, resource and path: a rule's subject without its verbs.
type Thing<'a> = (Noise, &'a Who, &'a str, &'a str, &'a str);

/// The chosen kinds as rules: kinds of the same user stand in one rule where every pair of its verbs and resources was chosen.
fn rules(chosen: &BTreeMap<&Key, Chosen>) -> Vec<Cut> {
    // First the verbs of each resource, then the resources of each set of verbs.
    let mut by_thing: BTreeMap<Thing<'_>, (Vec<&str>, u64, u64)> = BTreeMap::new();
    for (key, kind) in chosen {
        let place = by_thing.entry((kind.noise, &key.who, &key.api_group, &key.resource, &key.path)).or_default();
        if !place.0.contains(&key.verb.as_str()) {
            place.0.push(&key.verb);
        }
        place.1 += kind.saved;
        place.2 += kind.n_events;
    }
    let mut by_verbs: BTreeMap<(Noise, &Who, Vec<&str>, bool), Cut> = BTreeMap::new();
    for ((noise, who, api_group, resource, path), (mut verbs, saved, n_events)) in by_thing {
        verbs.sort_unstable();
        let cut = by_verbs.entry((noise, who, verbs.clone(), path.is_empty())).or_insert_with(|| Cut {
            noise,
            level: noise.level(),
            who: who.clone(),
            verbs: verbs.into_iter().map(str::to_owned).collect(),
            resources: BTreeMap::new(),
            paths: Vec::new(),
            saved_bytes: 0,
            n_events: 0,
        });
        if path.is_empty() {
            cut.resources.entry(api_group.to_owned()).or_default().push(resource.to_owned());
        } else {
            cut.paths.push(path.to_owned());
        }
        cut.saved_bytes += saved;
        cut.n_events += n_events;
    }
    let mut cuts: Vec<Cut> = by_verbs.into_values().collect();
    // A rule that leaves less stands first: where two meet, the first decides.
    cuts.sort_by(|a, b| (a.level, a.noise, b.saved_bytes).cmp(&(b.level, b.noise, a.saved_bytes)));
    cuts
}
