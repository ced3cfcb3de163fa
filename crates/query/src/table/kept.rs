//! What was read of files that never change, kept up to so many bytes; what was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Values by key, of which each counts with the bytes it takes.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    limit: usize,
    by_key: HashMap<K, Entry<V>>,
    /// Keys by when they were used last.
    by_use: BTreeMap<u64, K>,
    n_bytes: usize,
    n_uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    n_bytes: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Kept<K, V> {
    /// Room for that many bytes; a larger value is kept alone.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, by_key: HashMap::new(), by_use: BTreeMap::new(), n_bytes: 0, n_uses: 0 }
    }

    /// The value of `key`, if it is still there.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.by_key.get_mut(key)?;
        self.by_use.remove(&entry.used);
        self.n_uses += 1;
        entry.used = self.n_uses;
        self.by_use.insert(entry.used, key.clone());
        Some(entry.value.clone())
    }

    /// Keeps `value`, which takes `n_bytes`, in place of what `key` had.
    pub(super) fn keep(&mut self, key: K, value: V, n_bytes: usize) {
        self.n_uses += 1;
        let used = self.n_uses;
        if let Some(old) = self.by_key.insert(key.clone(), Entry { value, n_bytes, used }) {
            self.by_use.remove(&old.used);
            self.n_bytes -= old.n_bytes;
        }
        self.n_bytes += n_bytes;
        self.by_use.insert(used, key);
        while self.n_bytes > self.limit && self.by_key.len() > 1 {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(gone) = self.by_key.remove(&oldest) {
                self.n_bytes -= gone.n_bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut kept = Kept::new(100);
        kept.keep("a", 1, 40);
        kept.keep("b", 2, 40);
        assert_eq!(kept.get(&"a"), Some(1));
        kept.keep("c", 3, 40);
        assert_eq!([kept.get(&"a"), kept.get(&"b"), kept.get(&"c")], [Some(1), None, Some(3)]);
    }

    #[test]
    fn a_key_counts_once_and_a_large_value_is_kept_alone() {
        let mut kept = Kept::new(100);
        kept.keep("a", 1, 60);
        kept.keep("a", 2, 60);
        kept.keep("b", 3, 40);
        assert_eq!([kept.get(&"a"), kept.get(&"b")], [Some(2), Some(3)]);
        kept.keep("c", 4, 1_000);
        assert_eq!([kept.get(&"a"), kept.get(&"b"), kept.get(&"c")], [None, None, Some(4)]);
    }
}
