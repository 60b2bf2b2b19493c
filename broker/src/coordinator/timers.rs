//! Deadlines by key, in monotonic milliseconds.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// A set of keys, each with one deadline.
#[derive(Debug)]
pub struct Timers<K> {
    at_ms: HashMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { at_ms: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Timers<K> {
    /// Sets the deadline of `key`, in place of the one it had.
    pub fn schedule(&mut self, key: K, at_ms: u64) {
        if let Some(old_ms) = self.at_ms.insert(key.clone(), at_ms) {
            self.order.remove(&(old_ms, key.clone()));
        }
        self.order.insert((at_ms, key));
    }

    /// Takes the deadline of `key` away.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at_ms) = self.at_ms.remove(key) {
            self.order.remove(&(at_ms, key.clone()));
        }
    }

    /// The first deadline.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.order.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes out the keys that are due at `now_ms`, in order of their deadlines.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<K> {
        let mut due = Vec::new();
        while self.next_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            let Some((_, key)) = self.order.pop_first() else { break };
            self.at_ms.remove(&key);
            due.push(key);
        }
        due
    }

    /// Whether `key` has a deadline.
    #[must_use]
    pub fn has(&self, key: &K) -> bool {
        self.at_ms.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline() {
        let mut timers = Timers::default();
        timers.schedule("a", 5);
        timers.schedule("b", 7);
        timers.schedule("a", 9);
        assert_eq!(timers.next_ms(), Some(7));
        assert_eq!(timers.take_due(6), Vec::<&str>::new());
        assert_eq!(timers.take_due(9), vec!["b", "a"]);
        assert_eq!(timers.next_ms(), None);
        timers.schedule("a", 1);
        timers.cancel(&"a");
        assert!(!timers.has(&"a"));
        assert_eq!(timers.next_ms(), None);
    }
}
