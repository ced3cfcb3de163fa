//! Which rules are decided by earlier ones. A rule is taken apart into cells, each a verb and a thing, and a cell is covered where
//! one earlier rule matches every request of it. What is said to be covered is never reached ([`walk`](super::super::walk)); that
//! several rules together cover a cell is not seen.

use std::collections::HashSet;

use super::super::model::{GroupResources, Policy, Rule};
use super::super::walk::{resource_matches, url_matches};
use super::{Found, has};

/// Comparisons of words, for all questions together: a second or two.
const MAX_STEPS: usize = 100_000_000;
/// A rule with more cells is taken to be reached.
const MAX_CELLS: usize = 10_000;

/// What a cell is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Thing<'p> {
    /// Any request.
    Any,
    /// Any request for a resource.
    Resources,
    /// Of a group; a string of `resources` or none for all; names of objects or none for all.
    Resource { group: &'p str, pattern: Option<&'p str>, names: &'p [String] },
    /// A string of `nonResourceURLs`.
    Url(&'p str),
}

/// Requests of a rule: those with one verb, or with any of its verbs where it names none, for one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell<'p> {
    pub(super) verb: Option<&'p str>,
    pub(super) thing: Thing<'p>,
}

/// A policy that is asked what reaches its rules.
pub(super) struct Reach<'p> {
    policy: &'p Policy,
    words: Vec<Words<'p>>,
    n_steps: usize,
}

/// The words of a rule, to be found at once.
struct Words<'p> {
    users: HashSet<&'p str>,
    user_groups: HashSet<&'p str>,
    verbs: HashSet<&'p str>,
    namespaces: HashSet<&'p str>,
    /// Words in its resources and URLs.
    n_things: usize,
}

impl<'p> Words<'p> {
    fn of(rule: &'p Rule) -> Self {
        let set = |list: &'p [String]| list.iter().map(String::as_str).collect();
        let n_in_entries: usize = rule.resources.iter().map(|entry| 1 + entry.resources.len() + entry.resource_names.len()).sum();
        Self {
            users: set(&rule.users),
            user_groups: set(&rule.user_groups),
            verbs: set(&rule.verbs),
            namespaces: set(&rule.namespaces),
            n_things: 1 + n_in_entries + rule.non_resource_urls.len(),
        }
    }
}

impl<'p> Reach<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self { policy, words: policy.rules.iter().map(Words::of).collect(), n_steps: 0 }
    }

    /// Whether the questions were too many: later ones were answered as if nothing was covered.
    pub(super) fn is_exhausted(&self) -> bool {
        self.n_steps > MAX_STEPS
    }

    /// The earlier rule that decides all requests of that cell of a rule.
    pub(super) fn covering(&mut self, index: usize, cell: Cell<'_>) -> Option<usize> {
        (0..index).find(|earlier| !self.is_exhausted() && self.covers(*earlier, index, cell))
    }

    /// Whether a rule matches every request that a later one matches and that is of the cell.
    fn covers(&mut self, earlier: usize, index: usize, cell: Cell<'_>) -> bool {
        let (rule, words) = (&self.policy.rules[index], &self.words[earlier]);
        self.n_steps += 1;
        let is_verb = words.verbs.is_empty() || cell.verb.is_some_and(|verb| words.verbs.contains(verb));
        if !is_verb {
            return false;
        }
        self.n_steps += rule.users.len() + rule.user_groups.len();
        if !is_within(&rule.users, &words.users) || !is_within(&rule.user_groups, &words.user_groups) {
            return false;
        }
        let n_names = if let Thing::Resource { names, .. } = cell.thing { names.len() } else { 0 };
        self.n_steps += words.n_things * (1 + n_names) + rule.namespaces.len();
        is_within(&rule.namespaces, &words.namespaces) && covers_thing(&self.policy.rules[earlier], cell.thing)
    }
}

/// The things of a rule.
pub(super) fn things(rule: &Rule) -> Vec<Thing<'_>> {
    if !rule.non_resource_urls.is_empty() {
        return rule.non_resource_urls.iter().map(|url| Thing::Url(url)).collect();
    }
    if rule.resources.is_empty() {
        return vec![if rule.namespaces.is_empty() { Thing::Any } else { Thing::Resources }];
    }
    rule.resources.iter().flat_map(things_of_entry).collect()
}

fn things_of_entry(entry: &GroupResources) -> Vec<Thing<'_>> {
    let thing = |pattern| Thing::Resource { group: &entry.group, pattern, names: &entry.resource_names };
    if entry.resources.is_empty() { vec![thing(None)] } else { entry.resources.iter().map(|pattern| thing(Some(pattern.as_str()))).collect() }
}

fn verbs(rule: &Rule) -> Vec<Option<&str>> {
    if rule.verbs.is_empty() { vec![None] } else { rule.verbs.iter().map(|verb| Some(verb.as_str())).collect() }
}

/// Whether a list, of which none stands for everything, is within another.
fn is_within(list: &[String], other: &HashSet<&str>) -> bool {
    other.is_empty() || (!list.is_empty() && list.iter().all(|item| other.contains(item.as_str())))
}

fn covers_thing(earlier: &Rule, thing: Thing<'_>) -> bool {
    if !earlier.resources.is_empty() || !earlier.namespaces.is_empty() {
        return matches!(thing, Thing::Resources | Thing::Resource { .. }) && covers_resource(&earlier.resources, thing);
    }
    if earlier.non_resource_urls.is_empty() {
        return true;
    }
    match thing {
        Thing::Url("*") => has(&earlier.non_resource_urls, "*"),
        Thing::Url(url) => earlier.non_resource_urls.iter().any(|pattern| pattern == url || covers_url(pattern, url)),
        _ => false,
    }
}

/// Whether a pattern matches each path that begins as `url` does, or the one path that it is.
fn covers_url(pattern: &str, url: &str) -> bool {
    match url.strip_suffix('*') {
        None => url_matches(pattern, url),
        Some(_) => pattern == "*" || (pattern.ends_with('*') && url.trim_end_matches('*').starts_with(pattern.trim_end_matches('*'))),
    }
}

fn covers_resource(entries: &[GroupResources], thing: Thing<'_>) -> bool {
    if entries.is_empty() {
        return true;
    }
    let (group, wanted, names) = match thing {
        Thing::Resource { group, pattern, names } => (group, pattern, names),
        _ => ("*", None, &[][..]),
    };
    entries.iter().any(|entry| {
        let is_group = entry.group == "*" || entry.group == group;
        let all = entry.resources.is_empty();
        is_group && (all || (entry.resources.iter().any(|pattern| covers_pattern(pattern, wanted)) && are_named(names, &entry.resource_names)))
    })
}

fn are_named(names: &[String], by: &[String]) -> bool {
    by.is_empty() || (!names.is_empty() && names.iter().all(|name| has(by, name)))
}

fn covers_pattern(pattern: &str, wanted: Option<&str>) -> bool {
    match wanted {
        _ if pattern == "*" => true,
        None => false,
        Some(wanted) if wanted == pattern => true,
        Some(wanted) if wanted.contains('*') => false,
        Some(wanted) => {
            let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
            resource_matches(pattern, resource, subresource)
        }
    }
}

pub(super) fn check(policy: &Policy, reach: &mut Reach<'_>, found: &mut Found<'_>) {
    for (index, rule) in policy.rules.iter().enumerate().skip(1) {
        let (verbs, things) = (verbs(rule), things(rule));
        if verbs.len() * things.len() > MAX_CELLS {
            continue;
        }
        let mut cells = Vec::with_capacity(verbs.len() * things.len());
        for thing in &things {
            for verb in &verbs {
                let cell = Cell { verb: *verb, thing: *thing };
                cells.push((cell, reach.covering(index, cell)));
            }
        }
        let mut takers: Vec<usize> = cells.iter().filter_map(|(_, taker)| *taker).collect();
        takers.sort_unstable();
        takers.dedup();
        if cells.iter().all(|(_, taker)| taker.is_some()) {
            unreachable(index, &takers, found);
            continue;
        }
        let differs = |taker: &usize| policy.rules[*taker].level != rule.level;
        takers.retain(differs);
        if !takers.is_empty() {
            partly(index, rule, &cells, policy, found);
        }
    }
}

fn unreachable(index: usize, takers: &[usize], found: &mut Found<'_>) {
    let names: Vec<String> = takers.iter().take(3).map(|taker| found.name(*taker)).collect();
    let (verb, more) = (if takers.len() == 1 { "decides" } else { "decide" }, if takers.len() > 3 { " and others" } else { "" });
    let span = found.rule_span(index);
    let message = format!("rule {} is never asked: {}{more} {verb} all of its requests before", index + 1, names.join(" and "));
    found.add("unreachable", span, message, "move it up, or delete it");
}

/// Verbs and resources that the rule names, and that it never decides anything of.
fn partly(index: usize, rule: &Rule, cells: &[(Cell<'_>, Option<usize>)], policy: &Policy, found: &mut Found<'_>) {
    let taken = |of: &dyn Fn(&Cell<'_>) -> bool| {
        let mut takers: Vec<usize> = Vec::new();
        for cell in cells.iter().filter(|(cell, _)| of(cell)) {
            takers.push(cell.1?);
        }
        takers.retain(|taker| policy.rules[*taker].level != rule.level);
        takers.first().copied()
    };
    let mut lints = Vec::new();
    for (entry_index, entry) in rule.resources.iter().enumerate() {
        for (at, pattern) in entry.resources.iter().enumerate() {
            let thing = Thing::Resource { group: &entry.group, pattern: Some(pattern), names: &entry.resource_names };
            if let Some(taker) = taken(&|cell| cell.thing == thing) {
                let list = found.entry(index, entry_index).get("resources");
                let span = list.and_then(|list| list.items().get(at)).map_or_else(|| found.rule_span(index), |item| item.span);
                lints.push((span, format!("`{pattern}`"), taker));
            }
        }
    }
    for (at, url) in rule.non_resource_urls.iter().enumerate() {
        if let Some(taker) = taken(&|cell| cell.thing == Thing::Url(url)) {
            lints.push((found.item(index, "nonResourceURLs", at), format!("`{url}`"), taker));
        }
    }
    for (at, verb) in rule.verbs.iter().enumerate() {
        if let Some(taker) = taken(&|cell| cell.verb == Some(verb.as_str())) {
            lints.push((found.item(index, "verbs", at), format!("verb `{verb}`"), taker));
        }
    }
    for (span, what, taker) in lints {
        let message = format!("{what} never comes to this rule: {} decides it, at {}", found.name(taker), policy.rules[taker].level);
        found.add("partly-unreachable", super::begin(found.text, span), message, "move the rule up, or leave this out of it");
    }
}
