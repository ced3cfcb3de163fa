//! A policy made ready to be asked often: an answer allocates nothing, and hardly costs more with more rules.
//!
//! For each text that rules ask about (a verb, a user, a resource of a group and so on) there is a row of bits, one for
//! each rule, that says which rules this text does not rule out. A request's resource gives a row at once; those of its verb,
//! user, groups, namespace and path are looked up only when a rule that is still possible asks about them. The lowest
//! bit that stays is the rule that decides, as in [`walk`], which a property test holds it to.
//!
//! What the bits cannot say (`resourceNames`) is asked of the rule itself. A policy whose rows would take more than
//! [`MAX_INDEX_BYTES`] is walked instead.

mod build;
mod names;
#[cfg(test)]
mod tests;

use super::decision::Decision;
use super::model::{Attributes, Policy, User};
use super::walk::{decision_of, mismatch, walk};
use names::{ABSENT, Names, Scope};

/// Above this a policy is walked: no real one comes near it, a hostile one must not fill the memory.
pub const MAX_INDEX_BYTES: usize = 16 << 20;
/// Rows that one request may have in one dimension; with more known groups or URL patterns it is walked.
const MAX_ROWS: usize = 16;

/// A policy with its index.
#[derive(Clone, Debug)]
pub struct Compiled {
    policy: Policy,
    index: Option<Index>,
}

/// Rows of bits, and how to find them.
#[derive(Clone, Debug)]
struct Index {
    names: Names,
    /// One after the other, `words` each. The first is all zeros.
    rows: Vec<u64>,
    /// 64 rules a word.
    words: usize,
    /// What each rule asks about beside the resource.
    asks: Vec<u8>,
    defaults: Defaults,
    /// By number of the API group: rules that its requests match whatever the resource.
    of_group: Vec<u32>,
    /// The number of the core group, which most requests are about; 0 if no rule names it.
    core_group: u32,
    /// Whether there are resources under group `*`, which is number 0.
    any_star_group: bool,
    /// The lengths of URL prefixes, rising.
    prefix_lengths: Vec<usize>,
}

/// The rows of texts that no rule names.
#[derive(Clone, Copy, Debug, Default)]
struct Defaults {
    verb: u32,
    user: u32,
    user_group: u32,
    namespace: u32,
    /// Rules that may match a request for a path.
    non_resource: u32,
    url: u32,
}

// In the order in which they are asked: the cheapest and most telling first.
const VERBS: u8 = 1;
const USERS: u8 = 2;
const NAMESPACES: u8 = 4;
const USER_GROUPS: u8 = 8;
const URLS: u8 = 16;
const NAMES: u8 = 32;

/// Rows whose union counts.
#[derive(Clone, Copy)]
struct Union {
    rows: [u32; MAX_ROWS],
    n_rows: usize,
}

impl Union {
    #[inline]
    fn of(row: u32) -> Self {
        let mut rows = [ABSENT; MAX_ROWS];
        rows[0] = row;
        Self { rows, n_rows: 1 }
    }

    /// Says whether there was room.
    #[inline]
    fn add(&mut self, row: u32) -> bool {
        if row == ABSENT {
            return true;
        }
        match self.rows.get_mut(self.n_rows) {
            Some(place) => {
                *place = row;
                self.n_rows += 1;
                true
            }
            None => false,
        }
    }
}

/// More rows than there is room for.
struct TooMany;

impl Compiled {
    /// Makes a policy ready.
    pub fn new(policy: &Policy) -> Self {
        Self { policy: policy.clone(), index: build::index(policy) }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the policy says of a request: always what [`walk`] says.
    pub fn evaluate(&self, attributes: &Attributes<'_>) -> Decision<'_> {
        match self.index.as_ref().map(|index| index.first_match(&self.policy, attributes)) {
            Some(Ok(rule)) => decision_of(&self.policy, rule),
            Some(Err(TooMany)) | None => walk(&self.policy, attributes),
        }
    }
}

impl Index {
    #[inline]
    fn first_match(&self, policy: &Policy, attributes: &Attributes<'_>) -> Result<Option<usize>, TooMany> {
        let target = if attributes.is_resource_request { self.resource_rows(attributes) } else { Union::of(self.defaults.non_resource) };
        let (mut verb, mut user, mut groups, mut namespace, mut url) = (None, None, None, None, None);
        // With several words to look at, the verb spares most of them.
        let at_once = (self.words > 1).then(|| *verb.insert(self.row_of(Scope::VERB, attributes.verb, self.defaults.verb)));
        for word in 0..self.words {
            let (mut candidates, mut asked) = (self.union(&target, word), 0);
            if let Some(verb) = at_once {
                candidates &= self.word(verb, word);
                asked = VERBS;
            }
            while candidates != 0 {
                let rule = word * 64 + candidates.trailing_zeros() as usize;
                let lowest = candidates & candidates.wrapping_neg();
                let open = self.asks[rule] & !asked;
                let possible = match open & open.wrapping_neg() {
                    0 => return Ok(Some(rule)),
                    VERBS => {
                        let row = *verb.get_or_insert_with(|| self.row_of(Scope::VERB, attributes.verb, self.defaults.verb));
                        self.word(row, word)
                    }
                    USERS => {
                        let row = *user
                            .get_or_insert_with(|| attributes.user.map_or(self.defaults.user, |user| self.row_of(Scope::USER, user.name, self.defaults.user)));
                        self.word(row, word)
                    }
                    NAMESPACES => {
                        let row = *namespace.get_or_insert_with(|| self.row_of(Scope::NAMESPACE, attributes.namespace, self.defaults.namespace));
                        self.word(row, word)
                    }
                    USER_GROUPS => {
                        let rows = match &groups {
                            Some(rows) => rows,
                            None => groups.insert(self.group_rows(attributes.user)?),
                        };
                        self.union(rows, word)
                    }
                    URLS => {
                        let rows = match &url {
                            Some(rows) => rows,
                            None => url.insert(self.url_rows(attributes.path)?),
                        };
                        self.union(rows, word)
                    }
                    _ => {
                        // Names are asked last, when all else about the rule is known to match.
                        if mismatch(&policy.rules[rule], attributes).is_none() {
                            return Ok(Some(rule));
                        }
                        candidates ^= lowest;
                        continue;
                    }
                };
                asked |= open & open.wrapping_neg();
                candidates &= possible;
            }
        }
        Ok(None)
    }

    #[inline]
    fn word(&self, row: u32, word: usize) -> u64 {
        self.rows[row as usize * self.words + word]
    }

    #[inline]
    fn union(&self, union: &Union, word: usize) -> u64 {
        union.rows[..union.n_rows].iter().fold(0, |bits, row| bits | self.word(*row, word))
    }

    #[inline]
    fn row_of(&self, scope: Scope, text: &str, default: u32) -> u32 {
        match self.names.get(scope, text.as_bytes()) {
            ABSENT => default,
            row => row,
        }
    }

    /// At most seven.
    #[inline]
    fn resource_rows(&self, attributes: &Attributes<'_>) -> Union {
        let group = match attributes.api_group.as_bytes() {
            [] => self.core_group,
            name => self.names.get(Scope::API_GROUP, name),
        };
        if !self.any_star_group && attributes.subresource.is_empty() {
            // Such a row has what matches the whole group too.
            let row = if group == 0 { ABSENT } else { self.names.get(Scope::alone(group), attributes.resource.as_bytes()) };
            return Union::of(if row == ABSENT { self.of_group[group as usize] } else { row });
        }
        let mut rows = Union::of(self.of_group[group as usize]);
        if group != 0 {
            self.add_resource_rows(group, attributes, &mut rows);
        }
        if self.any_star_group {
            self.add_resource_rows(0, attributes, &mut rows);
        }
        rows
    }

    #[inline]
    fn add_resource_rows(&self, group: u32, attributes: &Attributes<'_>, rows: &mut Union) {
        let (resource, subresource) = (attributes.resource.as_bytes(), attributes.subresource.as_bytes());
        if subresource.is_empty() {
            rows.add(self.names.get(Scope::alone(group), resource));
            return;
        }
        rows.add(self.names.get(Scope::with_any(group), resource));
        rows.add(self.names.get(Scope::subresource(group), subresource));
        let mut buffer = [0; build::MAX_COMBINED];
        let length = resource.len() + 1 + subresource.len();
        // Longer texts than the buffer are not in the table either: see `build`.
        if let Some(combined) = buffer.get_mut(..length) {
            combined[..resource.len()].copy_from_slice(resource);
            combined[resource.len()] = b'/';
            combined[resource.len() + 1..].copy_from_slice(subresource);
            rows.add(self.names.get(Scope::combined(group), combined));
        }
    }

    fn group_rows(&self, user: Option<User<'_>>) -> Result<Union, TooMany> {
        let mut rows = Union::of(self.defaults.user_group);
        for group in user.map_or(&[][..], |user| user.groups) {
            if !rows.add(self.names.get(Scope::USER_GROUP, group.as_bytes())) {
                return Err(TooMany);
            }
        }
        Ok(rows)
    }

    fn url_rows(&self, path: &str) -> Result<Union, TooMany> {
        let path = path.as_bytes();
        let mut rows = Union::of(self.defaults.url);
        rows.add(self.names.get(Scope::PATH, path));
        for length in &self.prefix_lengths {
            let Some(prefix) = path.get(..*length) else { break };
            if !rows.add(self.names.get(Scope::PATH_PREFIX, prefix)) {
                return Err(TooMany);
            }
        }
        Ok(rows)
    }
}
