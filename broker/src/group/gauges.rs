//! Counts that are shown to operators, kept as the groups change.

use std::sync::atomic::{AtomicU64, Ordering};

use super::state::GroupState;

/// Counts of the groups of one partition.
#[derive(Debug, Default)]
pub struct ShardGauges {
    groups: [AtomicU64; GroupState::ALL.len()],
    members: AtomicU64,
    live_bytes: AtomicU64,
    /// Memory of the live groups, by and large: what is not kept is not in `live_bytes`.
    memory_bytes: AtomicU64,
    rebalances: AtomicU64,
}

/// Counts of all groups that this broker coordinates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Partitions of `__consumer_offsets` coordinated here, each with its own limits.
    pub partitions: u64,
    /// Groups by state, in the order of [`GroupState::ALL`].
    pub groups: [u64; GroupState::ALL.len()],
    /// Members of all groups.
    pub members: u64,
    /// Bytes of live records.
    pub live_bytes: u64,
    /// Bytes of memory that groups and members take beside their records.
    pub memory_bytes: u64,
    /// Rebalances completed since the partitions were loaded.
    pub rebalances: u64,
}

impl ShardGauges {
    pub(super) fn occupied(&self, bytes: usize) {
        self.memory_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn released(&self, bytes: usize) {
        self.memory_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
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
        self.live_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Begins anew for a load: what the last one counted is gone. Rebalances go on counting.
    pub(super) fn reset(&self) {
        self.groups
            .iter()
            .chain([&self.members, &self.memory_bytes])
            .for_each(|count| count.store(0, Ordering::Relaxed));
    }

    /// Adds these counts to `sum`.
    pub fn add_to(&self, sum: &mut GroupCounts) {
        for (sum, count) in sum.groups.iter_mut().zip(&self.groups) {
            *sum += count.load(Ordering::Relaxed);
        }
        sum.partitions += 1;
        sum.members += self.members.load(Ordering::Relaxed);
        sum.live_bytes += self.live_bytes.load(Ordering::Relaxed);
        sum.memory_bytes += self.memory_bytes();
        sum.rebalances += self.rebalances.load(Ordering::Relaxed);
    }
}
