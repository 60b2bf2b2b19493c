//! A partition passes from one leader epoch to the next: what takeover and handover share.

use std::sync::Arc;

use odradek_common::ids::LeaderEpoch;

use crate::command::HandedPartition;
use crate::ids::Incarnation;
use crate::image::{Image, Partition};
use crate::outcome::{PartitionRefusal, Refusal};

/// What a takeover or handover says of all its partitions.
pub(super) struct Passing {
    /// The attempt's birth mark.
    pub(super) mark: u64,
    /// Who loses them.
    pub(super) from: Incarnation,
    /// Who gets them: not fenced.
    pub(super) to: Incarnation,
    /// What names their ranges that are not flushed.
    pub(super) index_object: Option<Arc<str>>,
}

impl Image {
    /// The index object of a takeover or handover, which must be of its attempt.
    pub(super) fn passed_index_object(
        &self,
        name: Option<&str>,
        mark: u64,
    ) -> Result<Option<Arc<str>>, Refusal> {
        let Some(name) = name else { return Ok(None) };
        self.check_index_object(name, mark)?;
        Ok(Some(name.into()))
    }

    /// Closes the open range of a partition at its stated end, which is where its next leader epoch
    /// begins (laws 3.1 and 3.3), and gives it to the next owner.
    pub(super) fn pass_on(
        &mut self,
        passing: &Passing,
        item: &HandedPartition,
    ) -> Result<LeaderEpoch, PartitionRefusal> {
        let at = item.partition;
        let mut partition = self.partition(at).ok_or(PartitionRefusal::Unknown)?.clone();
        partition.check_held(passing.from, item.leader_epoch)?;
        let next = partition.leader_epoch.0.checked_add(1).map(LeaderEpoch);
        let next = next.ok_or(PartitionRefusal::LeaderEpochsExhausted)?;
        if !self.is_being_deleted(at.topic) {
            partition.check_end(item)?;
            if item.end > partition.flushed_end {
                let name = passing.index_object.as_ref().ok_or(PartitionRefusal::NoIndexObject)?;
                self.accept(name, passing.mark, partition.group, at);
            }
            partition.flushed_end = item.end;
        }
        // Of a topic that is being deleted nothing is read any more; its new owner consents to the
        // deletion (law 3.2).
        partition.begin_leader_epoch(next, partition.flushed_end);
        partition.owner = passing.to;
        partition.chain = self.chain_for(at, passing.to);
        self.go_on_with_reassignment(&mut partition);
        self.put_partition(at, partition);
        Ok(next)
    }
}

impl Partition {
    /// Refuses an end that was planned on another flushed end, and one that would lose records.
    fn check_end(&self, item: &HandedPartition) -> Result<(), PartitionRefusal> {
        let (log_start, flushed_end) = (self.log_start, self.flushed_end);
        if item.flushed_end != flushed_end || item.end < flushed_end {
            return Err(PartitionRefusal::FlushedEnd { flushed_end });
        }
        if item.end < log_start {
            return Err(PartitionRefusal::EndBelowLogStart { log_start });
        }
        Ok(())
    }
}
