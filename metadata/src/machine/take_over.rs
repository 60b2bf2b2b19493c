//! Partitions leave an incarnation that is fenced and sealed.

use std::sync::Arc;

use odradek_common::ids::{LeaderEpoch, TopicPartition};
use odradek_common::limits::METADATA_ITEMS;

use super::{Judged, check_limit};
use crate::command::{TakeOver, TakenPartition};
use crate::ids::Incarnation;
use crate::image::{Image, Partition};
use crate::outcome::{Outcome, PartitionRefusal, Refusal};

impl Image {
    /// Law 3.4: from a fenced incarnation, to one that is not, conditional by partition on owner,
    /// leader epoch and flushed end. That every chain of it is sealed is the proposer's word.
    pub(super) fn take_over(&mut self, index: u64, take: &TakeOver) -> Judged {
        check_limit("partitions of a command", take.items.len(), METADATA_ITEMS)?;
        self.check_mark(index, take.mark)?;
        if self.known(take.from)?.is_live() {
            return Err(Refusal::NotFenced(take.from));
        }
        self.live(take.to)?;
        let name: Option<Arc<str>> = match &take.index_object {
            Some(name) => {
                self.check_index_object(name, take.mark)?;
                Some(name.as_str().into())
            }
            None => None,
        };
        let mut results = Vec::with_capacity(take.items.len());
        for item in &take.items {
            results.push(self.take_partition(name.as_ref(), take, item));
        }
        Ok(Outcome::TakenOver(results))
    }

    fn take_partition(
        &mut self,
        name: Option<&Arc<str>>,
        take: &TakeOver,
        item: &TakenPartition,
    ) -> Result<LeaderEpoch, PartitionRefusal> {
        let at = item.partition;
        let mut partition = self.partition(at).ok_or(PartitionRefusal::Unknown)?.clone();
        partition.check_held(take.from, item.leader_epoch)?;
        let flushed_end = partition.flushed_end;
        let next = partition.leader_epoch.0.checked_add(1).map(LeaderEpoch);
        let next = next.ok_or(PartitionRefusal::LeaderEpochsExhausted)?;
        if self.is_being_deleted(at.topic) {
            // Nothing is read of it any more; its new owner consents to the deletion (law 3.2).
            partition.begin_leader_epoch(next, flushed_end);
            self.hand_to(take.to, at, partition);
            return Ok(next);
        }
        if item.flushed_end != flushed_end || item.end < flushed_end {
            return Err(PartitionRefusal::FlushedEnd { flushed_end });
        }
        if item.end < partition.log_start {
            return Err(PartitionRefusal::EndBelowLogStart { log_start: partition.log_start });
        }
        if item.end > flushed_end {
            let name = name.ok_or(PartitionRefusal::NoIndexObject)?;
            self.accept(name, take.mark, partition.group, at);
        }
        partition.begin_leader_epoch(next, item.end);
        partition.flushed_end = item.end;
        self.hand_to(take.to, at, partition);
        Ok(next)
    }

    fn hand_to(&mut self, owner: Incarnation, at: TopicPartition, mut partition: Partition) {
        partition.owner = owner;
        partition.chain = self.chain_for(at, owner);
        self.put_partition(at, partition);
    }
}
