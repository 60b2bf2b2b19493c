//! What Raft would hold, as far as data at rest depends on it, with the checks of sections 3 and 4.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use odradek_common::ids::{GroupId, SlotNumber, TopicPartition};

use crate::collect::{ChainState, Roots};
use crate::flush::{FlushedPart, FlushedRound};
use crate::merge::{MergePlan, Merged};
use crate::names::{ChainRef, ObjectName};
use crate::testkit::partition;

pub(super) const PARTITIONS: i32 = 4;

/// Two groups, of two partitions each.
pub(super) fn group_of(partition: &TopicPartition) -> GroupId {
    GroupId(u64::from(partition.partition.unsigned_abs() / 2))
}

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub log_start: i64,
    pub flushed_end: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub index: u64,
    pub horizon: u64,
    /// Without those that were deleted.
    pub logs: BTreeMap<TopicPartition, Log>,
    pub live: BTreeMap<ObjectName, BTreeSet<TopicPartition>>,
    pub manifests: BTreeMap<GroupId, (Option<ObjectName>, u64)>,
    pub chains: HashMap<ChainRef, ChainState>,
}

impl Metadata {
    pub fn new(chain: ChainRef) -> Self {
        let logs = (0..PARTITIONS).map(|number| (partition(number), Log::default()));
        let chains = HashMap::from([(chain, new_chain())]);
        let (live, manifests) = (BTreeMap::new(), BTreeMap::new());
        Self { index: 1, horizon: 0, logs: logs.collect(), live, manifests, chains }
    }

    /// One claim of a round: accepted only where the log ends, and only if it is young enough.
    pub fn commit_part(&mut self, round: &FlushedRound, part: &FlushedPart) {
        let Some(log) = self.logs.get_mut(&part.partition) else { return };
        if round.mark < self.horizon || log.flushed_end != part.base_offset {
            return;
        }
        log.flushed_end = part.next_offset;
        self.live.entry(round.index_object).or_default().insert(part.partition);
        self.index += 1;
    }

    /// Compare-and-swap of a manifest; exactly what was taken is no longer live.
    pub fn commit_merge(&mut self, plan: &MergePlan, merged: &Merged) {
        let current = self.manifests.entry(plan.group).or_default();
        if merged.mark < self.horizon || current.1 != plan.version {
            return;
        }
        *current = (merged.manifest, merged.version);
        for (name, taken) in &merged.taken {
            if let Some(accepted) = self.live.get_mut(name) {
                accepted.retain(|partition| !taken.contains(partition));
            }
        }
        self.live.retain(|_, accepted| !accepted.is_empty());
        self.index += 1;
    }

    pub fn commit_horizon(&mut self, horizon: u64) {
        self.horizon = self.horizon.max(horizon);
        self.index += 1;
    }

    pub fn delete(&mut self, partition: &TopicPartition) {
        self.logs.remove(partition);
        self.index += 1;
    }

    /// All that was accepted of a group and not merged.
    pub fn plan(&self, group: GroupId) -> MergePlan {
        let (manifest, version) = self.manifests.get(&group).copied().unwrap_or_default();
        let of_group = |accepted: &BTreeSet<TopicPartition>| -> Vec<TopicPartition> {
            accepted.iter().filter(|partition| group_of(partition) == group).copied().collect()
        };
        let taken = self.live.iter().map(|(name, accepted)| (*name, of_group(accepted)));
        let taken = taken.filter(|(_, partitions)| !partitions.is_empty()).collect();
        MergePlan { group, manifest, version, taken }
    }

    /// The live index objects that accepted a partition.
    pub fn live_of(&self, partition: &TopicPartition) -> Vec<ObjectName> {
        let live = self.live.iter().filter(|(_, accepted)| accepted.contains(partition));
        live.map(|(name, _)| *name).collect()
    }

    pub fn manifest_of(&self, partition: &TopicPartition) -> Option<ObjectName> {
        self.manifests.get(&group_of(partition)).and_then(|(name, _)| *name)
    }

    pub fn roots(&self) -> Roots {
        let index_objects = self.live.iter().map(|(name, accepted)| {
            let there = accepted.iter().filter(|partition| self.logs.contains_key(partition));
            (*name, there.copied().collect())
        });
        Roots {
            applied: self.index,
            horizon: self.horizon,
            index_objects: index_objects.collect(),
            manifests: self.manifests.values().filter_map(|(name, _)| *name).collect(),
            chains: self.chains.clone(),
        }
    }
}

pub(super) fn new_chain() -> ChainState {
    ChainState { trim_point: SlotNumber(0), recovered: false }
}
