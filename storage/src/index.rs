//! The index object: an immutable list of what one attempt brings in, partition by partition. Raft
//! decides which of its partitions count.

use bytes::Bytes;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};

use crate::range::Range;

/// One partition's part of an index object: accepted or refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPart {
    /// The partition.
    pub partition: TopicPartition,
    /// Its group.
    pub group: GroupId,
    /// The leader epoch in which it was brought in.
    pub leader_epoch: LeaderEpoch,
    /// Its ranges, at least one, each beginning where the one before ended.
    pub ranges: Vec<Range>,
    /// The state of the partition's producers exactly at the end of the last range. The broker
    /// writes and reads it; nothing here looks into it.
    pub checkpoint: Bytes,
}

/// An index object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexObject {
    /// The birth mark of its attempt.
    pub mark: u64,
    /// Its parts, in order of partition, no partition twice.
    pub parts: Vec<IndexPart>,
}

impl IndexPart {
    /// First offset that it brings in.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        self.ranges.first().map_or(0, |range| range.base_offset)
    }

    /// Offset after the last one that it brings in.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.ranges.last().map_or(0, |range| range.next_offset)
    }
}

impl IndexObject {
    /// The part of `partition`, if there is one.
    #[must_use]
    pub fn part(&self, partition: &TopicPartition) -> Option<&IndexPart> {
        let at = self.parts.binary_search_by_key(partition, |part| part.partition).ok()?;
        self.parts.get(at)
    }
}
