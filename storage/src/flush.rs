//! Flush: un-flushed records below the high watermark go into segments, and index objects say where:
//! one, or several where what is known of producers is long. Nothing counts until Raft accepts it.

use std::collections::HashSet;

use bytes::Bytes;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};
use odradek_common::limits::INDEX_OBJECT_BYTES;

use crate::attempt::{Attempt, CreateError};
use crate::index::{IndexObject, IndexPart};
use crate::names::{ObjectKind, ObjectName};
use crate::range::{CoverageError, PartitionRanges, Range};
use crate::segment::{self, Input, WriteError};

pub use crate::segment::Source as FlushSource;

/// What a flush takes of one partition: exactly `base_offset..next_offset`.
#[derive(Clone, Debug)]
pub struct FlushPart {
    /// The partition.
    pub partition: TopicPartition,
    /// Its group.
    pub group: GroupId,
    /// The leader epoch that brings it in: no batch has a higher one.
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
    /// The ranges in slots, none missing, at least one.
    pub ranges: Vec<Range>,
    /// The state of the partition's producers exactly at the end of the last range.
    pub checkpoint: Bytes,
}

impl SlotPart {
    /// Looks whether the ranges are whole from `flushed_end` on.
    ///
    /// # Errors
    /// What is missing, or there twice.
    pub fn check_from(&self, flushed_end: i64) -> Result<(), CoverageError> {
        let end = self.ranges.last().map_or(flushed_end, |last| last.next_offset);
        let ranges = self.ranges.clone();
        PartitionRanges::new(self.partition, flushed_end, end, ranges, Bytes::new()).map(drop)
    }
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

/// One index object that an attempt wrote; its commands carry the same mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushedRound {
    /// The index object.
    pub index_object: ObjectName,
    /// The birth mark of all that was written.
    pub mark: u64,
    /// What is in it, in order of partition.
    pub parts: Vec<FlushedPart>,
}

/// What became of a flush.
#[derive(Debug)]
pub struct Flushed {
    /// What was written, by index object; none if all was left out.
    pub rounds: Vec<FlushedRound>,
    /// The partitions of which nothing was.
    pub left_out: Vec<LeftOut>,
}

/// A partition of which nothing was written, as a slot of it is damaged or gone.
#[derive(Debug)]
pub struct LeftOut {
    /// The partition.
    pub partition: TopicPartition,
    /// What is wrong.
    pub why: WriteError,
}

/// Why nothing was flushed. What was written is left to the collector.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The batches were not written into segments.
    #[error(transparent)]
    Segments(#[from] WriteError),
    /// The index object was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Ranges that do not follow one another.
    #[error(transparent)]
    Coverage(#[from] CoverageError),
    /// A partition is in the round twice.
    #[error("{0} is in this round twice")]
    Twice(TopicPartition),
    /// A part without a record.
    #[error("nothing of {0} is in this round")]
    Empty(TopicPartition),
}

/// Writes the batches of `parts` into segments and index objects. A partition with at least
/// [`odradek_common::limits::OWN_SEGMENT_BYTES`] gets segments of its own, the others share by
/// partition group. A partition whose slots are damaged or gone is left out, so that it does not
/// hold up the others.
///
/// # Errors
/// What else went wrong first; the round is then void.
pub async fn write(attempt: &Attempt, parts: Vec<FlushPart>) -> Result<Flushed, FlushError> {
    let mut inputs = Vec::with_capacity(parts.len());
    let mut announced = Vec::with_capacity(parts.len());
    let mut known = HashSet::with_capacity(parts.len());
    for part in parts {
        let FlushPart { partition, group, leader_epoch, base_offset, next_offset, .. } = part;
        // Found out before anything is written.
        if !known.insert(partition) {
            return Err(FlushError::Twice(partition));
        }
        if base_offset >= next_offset {
            return Err(FlushError::Empty(partition));
        }
        let ranges = Vec::new();
        announced.push(IndexPart {
            partition,
            group,
            leader_epoch,
            ranges,
            checkpoint: part.checkpoint,
        });
        let source = part.source;
        inputs.push(Input { partition, group, leader_epoch, base_offset, next_offset, source });
    }
    let (mut whole, mut left_out) = (Vec::with_capacity(announced.len()), Vec::new());
    for (part, written) in announced.into_iter().zip(segment::write(attempt, inputs).await?) {
        match written {
            Ok(ranges) => whole.push(IndexPart { ranges, ..part }),
            Err(why) => left_out.push(LeftOut { partition: part.partition, why }),
        }
    }
    Ok(Flushed { rounds: write_indexes(attempt, whole).await?, left_out })
}

/// Writes index objects that name ranges where they lie, in slots: for a takeover or handover.
///
/// # Errors
/// What went wrong first; the round is then void.
pub async fn index_slots(
    attempt: &Attempt,
    parts: Vec<SlotPart>,
) -> Result<Vec<FlushedRound>, FlushError> {
    let parts = parts.into_iter().map(|part| IndexPart {
        partition: part.partition,
        group: part.group,
        leader_epoch: part.leader_epoch,
        ranges: part.ranges,
        checkpoint: part.checkpoint,
    });
    write_indexes(attempt, parts.collect()).await
}

async fn write_indexes(
    attempt: &Attempt,
    mut parts: Vec<IndexPart>,
) -> Result<Vec<FlushedRound>, FlushError> {
    parts.sort_by_key(|part| part.partition);
    for part in &mut parts {
        part.ranges.sort_by_key(|range| range.base_offset);
    }
    if let Some(twice) = parts.windows(2).find(|pair| pair[0].partition == pair[1].partition) {
        return Err(FlushError::Twice(twice[0].partition));
    }
    // Found out before anything is written.
    let mut claims = parts.iter().map(claim).collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut rounds = Vec::new();
    for parts in in_objects(parts) {
        let claimed = claims.by_ref().take(parts.len()).collect();
        let index = IndexObject { mark: attempt.mark(), parts };
        let name = attempt.fresh_name(ObjectKind::Index);
        attempt.create_list(name, index.encode()).await?;
        rounds.push(FlushedRound { index_object: name, mark: attempt.mark(), parts: claimed });
    }
    Ok(rounds)
}

/// Parts by the index object that they go into: each is of a bounded size, but holds at least one.
fn in_objects(parts: Vec<IndexPart>) -> Vec<Vec<IndexPart>> {
    let (mut objects, mut bytes) = (Vec::<Vec<IndexPart>>::new(), 0);
    for part in parts {
        let more = part.encoded_bytes();
        bytes += more;
        match objects.last_mut() {
            Some(object) if bytes <= INDEX_OBJECT_BYTES => object.push(part),
            _ => {
                objects.push(vec![part]);
                bytes = more;
            }
        }
    }
    objects
}

/// What a part claims, after a look whether its ranges cover it.
fn claim(part: &IndexPart) -> Result<FlushedPart, FlushError> {
    let (partition, leader_epoch) = (part.partition, part.leader_epoch);
    let (base_offset, next_offset) = (part.base_offset(), part.next_offset());
    if part.ranges.is_empty() {
        return Err(FlushError::Empty(partition));
    }
    let (ranges, checkpoint) = (part.ranges.clone(), Bytes::new());
    PartitionRanges::new(partition, base_offset, next_offset, ranges, checkpoint)?;
    Ok(FlushedPart { partition, leader_epoch, base_offset, next_offset })
}

#[cfg(test)]
mod tests;
