//! What owners say of their partitions: ranges flushed, log starts raised.

use std::sync::Arc;

use odradek_common::limits::METADATA_ITEMS;

use super::{Judged, check_limit};
use crate::command::{CommitFlush, FlushedRange, LogStart, SetLogStart};
use crate::ids::Incarnation;
use crate::image::Image;
use crate::outcome::{Outcome, PartitionRefusal};

impl Image {
    /// Laws 3.1 and 2.6: the next range begins where the one before ended, and only the owner, not
    /// fenced and in its leader epoch, may say so.
    pub(super) fn commit_flush(&mut self, index: u64, flush: &CommitFlush) -> Judged {
        check_limit("ranges of a command", flush.ranges.len(), METADATA_ITEMS)?;
        self.check_mark(index, flush.mark)?;
        self.live(flush.by)?;
        self.check_index_object(&flush.index_object, flush.mark)?;
        self.check_room_for_index_object(&flush.index_object)?;
        let name: Arc<str> = flush.index_object.as_str().into();
        let mut results = Vec::with_capacity(flush.ranges.len());
        for range in &flush.ranges {
            results.push(self.flush_range(&name, flush, range));
        }
        Ok(Outcome::Flushed(results))
    }

    fn flush_range(
        &mut self,
        name: &Arc<str>,
        flush: &CommitFlush,
        range: &FlushedRange,
    ) -> Result<(), PartitionRefusal> {
        let at = range.partition;
        let mut partition = self.held(at, flush.by, range.leader_epoch)?.clone();
        if range.base_offset != partition.flushed_end {
            return Err(PartitionRefusal::FlushedEnd { flushed_end: partition.flushed_end });
        }
        if range.next_offset <= range.base_offset {
            return Err(PartitionRefusal::EmptyRange);
        }
        partition.flushed_end = range.next_offset;
        self.accept(name, flush.mark, partition.group, at);
        self.put_partition(at, partition);
        Ok(())
    }

    pub(super) fn set_log_start(&mut self, set: &SetLogStart) -> Judged {
        check_limit("partitions of a command", set.items.len(), METADATA_ITEMS)?;
        self.live(set.by)?;
        let results = set.items.iter().map(|item| self.raise_log_start(set.by, item)).collect();
        Ok(Outcome::LogStartSet(results))
    }

    /// Not bounded by the flushed end: see [`SetLogStart`].
    fn raise_log_start(
        &mut self,
        by: Incarnation,
        item: &LogStart,
    ) -> Result<(), PartitionRefusal> {
        let mut partition = self.held(item.partition, by, item.leader_epoch)?.clone();
        if item.log_start <= partition.log_start {
            return Err(PartitionRefusal::LogStartNotRaised { log_start: partition.log_start });
        }
        partition.log_start = item.log_start;
        partition.drop_old_leader_epochs();
        self.put_partition(item.partition, partition);
        Ok(())
    }
}
