//! How long partitions went without an acknowledgement.

use std::collections::BTreeMap;

/// A time in which records of a partition were due and none was acknowledged, in ns after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The partition.
    pub partition: i32,
    /// When it began: the last acknowledgement before it, or the first record due after that.
    pub from_ns: u64,
    /// The next acknowledgement, or when its record was given up.
    pub until_ns: u64,
}

impl Stall {
    /// How long it was.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.until_ns.saturating_sub(self.from_ns)
    }
}

/// The longest stall of all partitions. One for which nothing is due does not stall.
#[derive(Debug)]
pub struct Stalls {
    /// What was before is not measured.
    from_ns: u64,
    /// By partition the last acknowledgement.
    last_ns: BTreeMap<i32, u64>,
    /// By partition when the stall began in which batches were given up, and none acknowledged since.
    open_ns: BTreeMap<i32, u64>,
    longest: Option<Stall>,
}

impl Stalls {
    /// None yet; what is before `from_ns` does not count.
    #[must_use]
    pub fn new(from_ns: u64) -> Self {
        Self { from_ns, last_ns: BTreeMap::new(), open_ns: BTreeMap::new(), longest: None }
    }

    /// Takes an acknowledgement at `now_ns` of a batch whose first record was due at `due_ns`.
    pub fn acknowledged(&mut self, partition: i32, due_ns: u64, now_ns: u64) {
        self.waited(partition, due_ns, now_ns);
        let last_ns = self.last_ns.entry(partition).or_default();
        *last_ns = now_ns.max(*last_ns);
        self.open_ns.remove(&partition);
    }

    /// Takes that a batch whose first record was due at `due_ns` was not acknowledged until `now_ns`.
    pub fn waited(&mut self, partition: i32, due_ns: u64, now_ns: u64) {
        let last_ns = self.last_ns.get(&partition).copied().unwrap_or_default();
        let from_ns = due_ns.max(last_ns).max(self.from_ns);
        let from_ns = *self.open_ns.entry(partition).or_insert(from_ns);
        let stall = Stall { partition, from_ns, until_ns: now_ns };
        if stall.length_ns() > self.longest.map_or(0, |longest| longest.length_ns()) {
            self.longest = Some(stall);
        }
    }

    /// The longest so far.
    #[must_use]
    pub fn longest(&self) -> Option<Stall> {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_ends_with_the_partitions_own_acknowledgement() {
        let mut stalls = Stalls::new(0);
        stalls.acknowledged(0, 10, 100);
        stalls.acknowledged(1, 20, 110);
        // Partition 1 goes on, and that does not help partition 0.
        for now_ns in (200..1000).step_by(50) {
            stalls.acknowledged(1, now_ns - 60, now_ns);
        }
        stalls.acknowledged(0, 90, 1000);
        assert_eq!(stalls.longest(), Some(Stall { partition: 0, from_ns: 100, until_ns: 1000 }));
    }

    #[test]
    fn a_partition_with_nothing_due_does_not_stall() {
        let mut stalls = Stalls::new(0);
        stalls.acknowledged(0, 0, 5);
        stalls.acknowledged(0, 9_000, 9_005);
        assert_eq!(stalls.longest().unwrap().length_ns(), 5);
    }

    #[test]
    fn what_is_given_up_stalls_and_the_warm_up_does_not_count() {
        let mut stalls = Stalls::new(1000);
        stalls.acknowledged(3, 0, 900);
        assert_eq!(stalls.longest(), None);
        stalls.waited(3, 950, 1700);
        stalls.waited(3, 1650, 1800);
        assert_eq!(stalls.longest(), Some(Stall { partition: 3, from_ns: 1000, until_ns: 1800 }));
    }
}
