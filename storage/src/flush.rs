//! Flush: un-flushed records below the high watermark go into segments, and one index object says
//! where. Nothing counts until Raft accepts it.

use bytes::Bytes;
use odradek_common::batch::BatchError;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};

use crate::attempt::{Attempt, CreateError};
use crate::names::ObjectName;
use crate::range::{CoverageError, Place, Range};
use crate::slots::SlotError;

/// Where a flush takes a partition's batches from.
#[derive(Clone, Debug)]
pub enum FlushSource {
    /// From memory, in order. Each `Bytes` holds one or more whole batches.
    Batches(Vec<Bytes>),
    /// From slots, as the cache had to let go, in order.
    Slots(Vec<Range>),
}

/// What a flush takes of one partition: exactly `base_offset..next_offset`.
#[derive(Clone, Debug)]
pub struct FlushPart {
    /// The partition.
    pub partition: TopicPartition,
    /// Its group.
    pub group: GroupId,
    /// The leader epoch that brings it in.
    pub leader_epoch: LeaderEpoch,
    /// The partition's flushed end.
    pub base_offset: i64,
    /// At most the high watermark.
    pub next_offset: i64,
    /// The batches.
    pub source: FlushSource,
    /// The state of the partition's producers exactly at `next_offset`.
    pub checkpoint: Bytes,
}

/// What of a partition is to be brought in where it lies: in slots.
#[derive(Clone, Debug)]
pub struct SlotPart {
    /// The partition.
    pub partition: TopicPartition,
    /// Its group.
    pub group: GroupId,
    /// The leader epoch that brings it in.
    pub leader_epoch: LeaderEpoch,
    /// The ranges in slots, in order, none missing, at least one.
    pub ranges: Vec<Range>,
    /// The state of the partition's producers exactly at the end of the last range.
    pub checkpoint: Bytes,
}

/// What was written of one partition, to be claimed in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushedPart {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch that brings it in.
    pub leader_epoch: LeaderEpoch,
    /// Its first offset.
    pub base_offset: i64,
    /// The offset after its last.
    pub next_offset: i64,
}

/// What an attempt wrote; its commands carry the same mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushedRound {
    /// The index object.
    pub index_object: ObjectName,
    /// The birth mark of all that was written.
    pub mark: u64,
    /// What is in it.
    pub parts: Vec<FlushedPart>,
}

/// Why nothing was flushed. What was written is left to the collector.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// An object could not be created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Batches to flush are malformed, or not those announced.
    #[error("{partition}: batch at offset {offset}: {what}")]
    NotAsAnnounced {
        /// The partition.
        partition: TopicPartition,
        /// The offset of the batch, or where one was expected.
        offset: i64,
        /// What is wrong.
        what: &'static str,
    },
    /// Batches to flush are malformed.
    #[error("{partition}: batch expected at offset {offset}: {source}")]
    NoBatch {
        /// The partition.
        partition: TopicPartition,
        /// Where it was expected.
        offset: i64,
        /// What is wrong.
        source: BatchError,
    },
    /// A slot could not be read.
    #[error("could not read {place}: {source}")]
    Slot {
        /// The slot.
        place: Place,
        /// Why.
        source: SlotError,
    },
    /// A slot's bytes are not those written.
    #[error("{place} is damaged: {what}")]
    Damaged {
        /// The slot.
        place: Place,
        /// What is wrong.
        what: &'static str,
    },
    /// Ranges do not follow one another, or not over what was announced.
    #[error(transparent)]
    Coverage(#[from] CoverageError),
    /// A partition is given twice.
    #[error("{0} is in this round twice")]
    Twice(TopicPartition),
}

/// Writes the batches of `parts` into segments and one index object. A partition with at least
/// [`odradek_common::limits::OWN_SEGMENT_BYTES`] gets segments of its own, the others share by
/// partition group.
///
/// # Errors
/// What went wrong first; the round is then void.
pub async fn write(attempt: &Attempt, parts: Vec<FlushPart>) -> Result<FlushedRound, FlushError> {
    let _ = (attempt, parts);
    unreachable!("skeleton")
}

/// Writes one index object that names ranges where they lie, in slots: for a takeover or handover.
///
/// # Errors
/// What went wrong first; the round is then void.
pub async fn index_slots(
    attempt: &Attempt,
    parts: Vec<SlotPart>,
) -> Result<FlushedRound, FlushError> {
    let _ = (attempt, parts);
    unreachable!("skeleton")
}
