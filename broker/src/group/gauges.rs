//! Counts that are shown to operators, kept as the groups change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use odradek_common::limits::{
    COORDINATOR_LIVE_BYTES, COORDINATORS_LIVE_BYTES, GROUP_MEMORY_BYTES, GROUPS_MEMORY_BYTES,
};

use super::state::GroupState;

/// Bytes that one partition takes, and all of this broker together.
#[derive(Debug, Default)]
struct Bytes {
    here: AtomicU64,
    all: Arc<AtomicU64>,
}

impl Bytes {
    fn among(all: &Arc<AtomicU64>) -> Self {
        Self { here: AtomicU64::new(0), all: Arc::clone(all) }
    }

    fn add(&self, bytes: u64) {
        self.here.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.here.fetch_sub(bytes, Ordering::Relaxed);
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn set(&self, bytes: u64) {
        let before = self.here.swap(bytes, Ordering::Relaxed);
        // At once, so that nobody sees both.
        self.all.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }

    fn here(&self) -> u64 {
        self.here.load(Ordering::Relaxed)
    }

    /// Whether all have come to `limit` and this one has its share of it or more: who takes little is not refused for
    /// what others take.
    fn is_over_share(&self, limit: u64) -> bool {
        // Each holds the sum once, and the service too.
        let partitions = (Arc::strong_count(&self.all) as u64).saturating_sub(1).max(1);
        self.all.load(Ordering::Relaxed) >= limit && self.here() >= limit / partitions
    }
}

/// What was coordinated is not any more.
impl Drop for Bytes {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What the partitions that a broker coordinates take together.
#[derive(Debug, Default)]
pub struct AllShards {
    live_bytes: Arc<AtomicU64>,
    memory_bytes: Arc<AtomicU64>,
}

/// Counts of the groups of one partition.
#[derive(Debug, Default)]
pub struct ShardGauges {
    groups: [AtomicU64; GroupState::ALL.len()],
    members: AtomicU64,
    live_bytes: Bytes,
    /// Memory of the live groups, by and large: what is not kept is not in `live_bytes`.
    memory_bytes: Bytes,
    rebalances: AtomicU64,
}

/// Counts of all groups that this broker coordinates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Groups by state, in the order of [`GroupState::ALL`].
    pub groups: [u64; GroupState::ALL.len()],
    /// Members of all groups.
    pub members: u64,
    /// Bytes of memory that live records take.
    pub live_bytes: u64,
    /// Bytes of memory that groups and members take beside their records.
    pub memory_bytes: u64,
    /// Rebalances completed since the partitions were loaded.
    pub rebalances: u64,
}

impl ShardGauges {
    /// Those of one partition among all of the broker.
    pub(super) fn among(all: &AllShards) -> Self {
        Self {
            live_bytes: Bytes::among(&all.live_bytes),
            memory_bytes: Bytes::among(&all.memory_bytes),
            ..Self::default()
        }
    }

    pub(super) fn occupied(&self, bytes: usize) {
        self.memory_bytes.add(bytes as u64);
    }

    pub(super) fn released(&self, bytes: usize) {
        self.memory_bytes.subtract(bytes as u64);
    }

    /// Whether groups take as much memory as they may, here or in all partitions.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.memory_bytes.here() >= GROUP_MEMORY_BYTES
            || self.memory_bytes.is_over_share(GROUPS_MEMORY_BYTES)
    }

    /// Whether live records, which take so many bytes here, have outgrown their limit, here or in all partitions. What all
    /// have is known as of the last calls.
    pub(super) fn is_full(&self, live_bytes: u64) -> bool {
        live_bytes >= COORDINATOR_LIVE_BYTES
            || self.live_bytes.is_over_share(COORDINATORS_LIVE_BYTES)
    }

    pub(super) fn group_entered(&self, state: GroupState) {
        self.groups[state.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn group_left(&self, state: GroupState) {
        self.groups[state.index()].fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn member_entered(&self) {
        self.members.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn member_left(&self) {
        self.members.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn rebalanced(&self) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_live_bytes(&self, bytes: usize) {
        self.live_bytes.set(bytes as u64);
    }

    /// Begins anew for a load: what the last one counted is gone. Rebalances go on counting.
    pub(super) fn reset(&self) {
        self.groups
            .iter()
            .chain([&self.members])
            .for_each(|count| count.store(0, Ordering::Relaxed));
        self.memory_bytes.set(0);
    }

    /// Adds these counts to `sum`.
    pub fn add_to(&self, sum: &mut GroupCounts) {
        for (sum, count) in sum.groups.iter_mut().zip(&self.groups) {
            *sum += count.load(Ordering::Relaxed);
        }
        sum.members += self.members.load(Ordering::Relaxed);
        sum.live_bytes += self.live_bytes.here();
        sum.memory_bytes += self.memory_bytes.here();
        sum.rebalances += self.rebalances.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_partitions_together_have_limits() {
        let all = AllShards::default();
        let [one, two] = [ShardGauges::among(&all), ShardGauges::among(&all)];
        let half = usize::try_from(COORDINATORS_LIVE_BYTES / 2).unwrap();
        one.set_live_bytes(half);
        two.set_live_bytes(half - 1);
        assert!(!one.is_full(1) && !two.is_full(1));
        one.set_live_bytes(half + 1);
        assert!(one.is_full(1), "it has more than its share");
        assert!(!two.is_full(1), "it has less");
        two.set_live_bytes(half);
        assert!(two.is_full(1));
        drop(one);
        assert!(!two.is_full(1), "what is not coordinated here any more does not count");
        two.occupied(usize::try_from(GROUPS_MEMORY_BYTES).unwrap());
        assert!(two.is_out_of_memory());
        two.reset();
        assert_eq!(all.memory_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn each_partition_has_limits() {
        let one = ShardGauges::default();
        assert!(!one.is_full(COORDINATOR_LIVE_BYTES - 1) && one.is_full(COORDINATOR_LIVE_BYTES));
        one.occupied(usize::try_from(GROUP_MEMORY_BYTES).unwrap());
        assert!(one.is_out_of_memory());
    }
}
