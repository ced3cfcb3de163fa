//! From rules to rows of bits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::names::{Names, Scope};
use super::{Defaults, Index, MAX_INDEX_BYTES, NAMES, NAMESPACES, URLS, USER_GROUPS, USERS, VERBS};
use crate::policy::model::{Policy, Rule};

/// The longest `resource/subresource` that is looked up; a policy with a longer one is walked.
pub(super) const MAX_COMBINED: usize = 128;
const STAR_GROUP: u32 = 0;

impl Scope {
    /// A resource without subresource.
    pub(super) fn alone(group: u32) -> Self {
        Self(Self::FIRST_OF_GROUPS + 4 * group)
    }

    /// `resource/subresource`.
    pub(super) fn combined(group: u32) -> Self {
        Self(Self::FIRST_OF_GROUPS + 4 * group + 1)
    }

    /// `resource/*`, by the resource.
    pub(super) fn with_any(group: u32) -> Self {
        Self(Self::FIRST_OF_GROUPS + 4 * group + 2)
    }

    /// `*/subresource`, by the subresource.
    pub(super) fn subresource(group: u32) -> Self {
        Self(Self::FIRST_OF_GROUPS + 4 * group + 3)
    }
}

/// The index of a policy; nothing if it would be too large.
pub(super) fn index(policy: &Policy) -> Option<Index> {
    let words = policy.rules.len().div_ceil(64);
    let max_rows = MAX_INDEX_BYTES / (8 * words.max(1));
    let mut builder = Builder { words, max_rows, ..Builder::default() };
    builder.groups.insert("*".to_owned(), STAR_GROUP);
    for (rule_index, rule) in policy.rules.iter().enumerate() {
        builder.add(rule_index, rule);
        if builder.listed.len() + builder.groups.len() > max_rows || builder.texts > MAX_INDEX_BYTES || builder.too_long {
            return None;
        }
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    words: usize,
    max_rows: usize,
    /// Which rules name a text.
    listed: HashMap<(u32, String), Vec<usize>>,
    /// Bytes of the texts.
    texts: usize,
    too_long: bool,
    asks: Vec<u8>,
    groups: BTreeMap<String, u32>,
    /// Rules that match every resource of a group, by its number.
    whole_group: BTreeMap<u32, Vec<usize>>,
    any_verb: Vec<usize>,
    any_user: Vec<usize>,
    any_user_group: Vec<usize>,
    any_namespace: Vec<usize>,
    any_resource: Vec<usize>,
    non_resource: Vec<usize>,
    any_url: Vec<usize>,
    prefix_lengths: BTreeSet<usize>,
}

impl Builder {
    fn add(&mut self, index: usize, rule: &Rule) {
        let mut asks = 0;
        asks |= self.field(Scope::USER, &rule.users, index, |builder| &mut builder.any_user, USERS);
        asks |= self.field(Scope::USER_GROUP, &rule.user_groups, index, |builder| &mut builder.any_user_group, USER_GROUPS);
        asks |= self.field(Scope::VERB, &rule.verbs, index, |builder| &mut builder.any_verb, VERBS);
        asks |= self.field(Scope::NAMESPACE, &rule.namespaces, index, |builder| &mut builder.any_namespace, NAMESPACES);
        let for_resources = !rule.namespaces.is_empty() || !rule.resources.is_empty();
        if for_resources {
            // URLs beside resources are never looked at.
            self.any_url.push(index);
        } else {
            self.non_resource.push(index);
            asks |= self.urls(index, rule);
        }
        if rule.resources.is_empty() && (for_resources || rule.non_resource_urls.is_empty()) {
            self.any_resource.push(index);
        }
        for entry in &rule.resources {
            if !entry.resources.is_empty() && !entry.resource_names.is_empty() {
                asks |= NAMES;
            }
            let next = self.groups.len() as u32;
            let group = *self.groups.entry(entry.group.clone()).or_insert(next);
            if entry.resources.is_empty() {
                self.whole_group.entry(group).or_default().push(index);
            }
            for pattern in &entry.resources {
                self.resource(index, group, pattern);
            }
        }
        self.asks.push(asks);
    }

    /// A list of exact words: each of them names the rule, or all do.
    fn field(&mut self, scope: Scope, words: &[String], index: usize, any: impl Fn(&mut Self) -> &mut Vec<usize>, ask: u8) -> u8 {
        if words.is_empty() {
            any(self).push(index);
            return 0;
        }
        words.iter().for_each(|word| self.list(scope, word, index));
        ask
    }

    fn urls(&mut self, index: usize, rule: &Rule) -> u8 {
        if rule.non_resource_urls.is_empty() {
            self.any_url.push(index);
            return 0;
        }
        for pattern in &rule.non_resource_urls {
            let prefix = pattern.trim_end_matches('*');
            if pattern.ends_with('*') && prefix.is_empty() {
                self.any_url.push(index);
            } else {
                self.list(Scope::PATH, pattern, index);
                if pattern.ends_with('*') {
                    self.prefix_lengths.insert(prefix.len());
                    self.list(Scope::PATH_PREFIX, prefix, index);
                }
            }
        }
        URLS
    }

    fn resource(&mut self, index: usize, group: u32, pattern: &str) {
        if pattern == "*" {
            self.whole_group.entry(group).or_default().push(index);
            return;
        }
        self.too_long |= pattern.len() > MAX_COMBINED;
        self.list(Scope::alone(group), pattern, index);
        if pattern.contains('/') {
            self.list(Scope::combined(group), pattern, index);
        }
        if let Some(resource) = pattern.strip_suffix("/*") {
            self.list(Scope::alone(group), resource, index);
            self.list(Scope::with_any(group), resource, index);
        }
        if let Some(subresource) = pattern.strip_prefix("*/") {
            self.list(Scope::subresource(group), subresource, index);
        }
    }

    fn list(&mut self, scope: Scope, text: &str, index: usize) {
        self.texts += text.len();
        let rules = self.listed.entry((scope.0, text.to_owned())).or_default();
        if rules.last() != Some(&index) {
            rules.push(index);
        }
    }

    fn finish(mut self) -> Option<Index> {
        let mut rows = Rows { words: self.words, bits: vec![0; self.words] };
        let defaults = Defaults {
            verb: rows.add([&self.any_verb]),
            user: rows.add([&self.any_user]),
            user_group: rows.add([&self.any_user_group]),
            namespace: rows.add([&self.any_namespace]),
            non_resource: rows.add([&self.non_resource]),
            url: rows.add([&self.any_url]),
        };
        let none = Vec::new();
        let star = self.whole_group.get(&STAR_GROUP).unwrap_or(&none);
        let of_group: Vec<u32> =
            (0..self.groups.len() as u32).map(|group| rows.add([&self.any_resource, star, self.whole_group.get(&group).unwrap_or(&none)])).collect();
        let any_star_group = self.listed.keys().any(|(scope, _)| (Scope::FIRST_OF_GROUPS..Scope::FIRST_OF_GROUPS + 4).contains(scope));
        let mut entries = Vec::with_capacity(self.listed.len() + self.groups.len());
        for ((scope, text), rules) in self.listed.drain() {
            let any = match Scope(scope) {
                Scope::VERB => &self.any_verb,
                Scope::USER => &self.any_user,
                Scope::NAMESPACE => &self.any_namespace,
                // Unions: what matches any of them is in one of their other rows.
                _ => &none,
            };
            let group = scope.checked_sub(Scope::FIRST_OF_GROUPS).filter(|number| number % 4 == 0).map(|number| number / 4);
            let row = match group {
                // Of a resource without subresource: also what matches the whole group, to spare a union.
                Some(group) => rows.add([&self.any_resource, star, self.whole_group.get(&group).unwrap_or(&none), &rules]),
                None => rows.add([any, &rules]),
            };
            entries.push((Scope(scope), text, row));
        }
        if rows.bits.len() / self.words.max(1) > self.max_rows {
            return None;
        }
        let core_group = self.groups.get("").copied().unwrap_or(STAR_GROUP);
        entries.extend(self.groups.into_iter().filter(|(_, group)| *group != STAR_GROUP).map(|(name, group)| (Scope::API_GROUP, name, group)));
        Some(Index {
            names: Names::new(entries),
            rows: rows.bits,
            words: self.words,
            asks: self.asks,
            defaults,
            of_group,
            core_group,
            any_star_group,
            prefix_lengths: self.prefix_lengths.into_iter().collect(),
        })
    }
}

struct Rows {
    words: usize,
    bits: Vec<u64>,
}

impl Rows {
    /// A row of these rules.
    fn add<'r>(&mut self, lists: impl IntoIterator<Item = &'r Vec<usize>>) -> u32 {
        let start = self.bits.len();
        let row = start.checked_div(self.words).unwrap_or(0);
        self.bits.resize(start + self.words, 0);
        for rule in lists.into_iter().flatten() {
            self.bits[start + rule / 64] |= 1 << (rule % 64);
        }
        row as u32
    }
}
