//! The index object: an immutable list of what one attempt brings in, partition by partition. Raft
//! decides which of its partitions count.

use bytes::Bytes;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};

use crate::envelope::Kind;
use crate::range::Range;
use crate::range::message::{
    ListError, PartitionMessage, PlaceMessage, PlaceTable, Places, RangesMessage,
};

/// How index objects are marked.
pub const INDEX_KIND: Kind = Kind { name: "index object", magic: *b"ODix", version: 1 };

/// Bytes of a range with the place that it names, or of a part without its ranges: at most.
const RANGE_BYTES: usize = 160;

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

    /// Bytes that it takes in an index object, rather more than less.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.checkpoint.len() + (1 + self.ranges.len()) * RANGE_BYTES
    }
}

impl IndexObject {
    /// The part of `partition`, if there is one.
    #[must_use]
    pub fn part(&self, partition: &TopicPartition) -> Option<&IndexPart> {
        let at = self.parts.binary_search_by_key(partition, |part| part.partition).ok()?;
        self.parts.get(at)
    }

    /// Memory that it takes, in bytes, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let part = |part: &IndexPart| {
            size_of::<IndexPart>()
                + part.ranges.capacity() * size_of::<Range>()
                + part.checkpoint.len()
        };
        size_of::<Self>() + self.parts.iter().map(part).sum::<usize>()
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut places = PlaceTable::default();
        let parts = self.parts.iter().map(|part| part_message(part, &mut places)).collect();
        INDEX_KIND.seal_message(&IndexMessage { mark: self.mark, places: places.finish(), parts })
    }

    /// From bytes.
    ///
    /// # Errors
    /// If these are not a well-formed index object of a version known here.
    pub fn decode(bytes: &Bytes) -> Result<Self, ListError> {
        let message: IndexMessage = INDEX_KIND.open_message(bytes)?;
        let places = Places::check(&message.places)?;
        let mut parts: Vec<IndexPart> = Vec::with_capacity(message.parts.len());
        for part in message.parts {
            let part = check_part(part, &places)?;
            if parts.last().is_some_and(|last| last.partition >= part.partition) {
                return Err(ListError::Field("partitions out of order"));
            }
            parts.push(part);
        }
        Ok(Self { mark: message.mark, parts })
    }
}

fn part_message(part: &IndexPart, places: &mut PlaceTable) -> PartMessage {
    PartMessage {
        partition: Some(PartitionMessage::new(part.partition, part.group)),
        leader_epoch: part.leader_epoch.0,
        ranges: Some(places.ranges(&part.ranges)),
        checkpoint: part.checkpoint.clone(),
    }
}

fn check_part(part: PartMessage, places: &Places) -> Result<IndexPart, ListError> {
    let name = part.partition.ok_or(ListError::Field("a part without a partition"))?;
    let (partition, group) = name.check()?;
    let ranges = places.ranges(&part.ranges.unwrap_or_default())?;
    if ranges.is_empty() {
        return Err(ListError::Field("a part without ranges"));
    }
    let leader_epoch = LeaderEpoch(part.leader_epoch);
    // A copy: a slice would pin the whole object for a few bytes.
    let checkpoint = Bytes::copy_from_slice(&part.checkpoint);
    Ok(IndexPart { partition, group, leader_epoch, ranges, checkpoint })
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct IndexMessage {
    #[prost(uint64, tag = "1")]
    mark: u64,
    #[prost(message, repeated, tag = "2")]
    places: Vec<PlaceMessage>,
    #[prost(message, repeated, tag = "3")]
    parts: Vec<PartMessage>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct PartMessage {
    #[prost(message, optional, tag = "1")]
    partition: Option<PartitionMessage>,
    #[prost(int32, tag = "2")]
    leader_epoch: i32,
    #[prost(message, optional, tag = "3")]
    ranges: Option<RangesMessage>,
    #[prost(bytes = "bytes", tag = "4")]
    checkpoint: Bytes,
}

#[cfg(test)]
pub(crate) mod tests;
