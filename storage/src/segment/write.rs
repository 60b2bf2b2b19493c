//! Writing the batches of many partitions into segments. What is in memory at once is bounded.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use odradek_common::ids::{LeaderEpoch, TopicPartition};
use odradek_common::limits;

use super::batches::{BadBatches, Walk};
use super::build::SegmentBuilder;
use super::plan::{Input, Piece, Source, plan};
use crate::attempt::{Attempt, CreateError};
use crate::names::ObjectKind;
use crate::range::Range;
use crate::slots::{self, SlotRangeError};

/// Why segments were not written. Those that were are left to the collector.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A segment could not be created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The batches are not those announced.
    #[error("{partition}: {source}")]
    Batches {
        /// The partition.
        partition: TopicPartition,
        /// What is wrong.
        source: BadBatches,
    },
    /// A range in a slot could not be had.
    #[error(transparent)]
    Slot(#[from] SlotRangeError),
}

/// Writes segments and returns, for each input, the ranges that it became, in order.
///
/// # Errors
/// What went wrong first.
pub async fn write(attempt: &Attempt, inputs: Vec<Input>) -> Result<Vec<Vec<Range>>, WriteError> {
    let mut ranges: Vec<Vec<Range>> = vec![Vec::new(); inputs.len()];
    let segments = stream::iter(plan(inputs)?);
    let mut written = segments
        .map(|pieces| write_segment(attempt, pieces))
        .buffer_unordered(limits::SEGMENTS_AT_ONCE);
    while let Some(segment) = written.try_next().await? {
        for (input, range) in segment {
            ranges[input].push(range);
        }
    }
    for ranges in &mut ranges {
        ranges.sort_by_key(|range| range.base_offset);
    }
    Ok(ranges)
}

/// Reads what lies in slots, puts the segment together and creates it.
async fn write_segment(
    attempt: &Attempt,
    pieces: Vec<Piece>,
) -> Result<Vec<(usize, Range)>, WriteError> {
    let mut builder = SegmentBuilder::new(attempt.fresh_name(ObjectKind::Segment));
    let mut read = read_slots(attempt, &pieces).await?.into_iter();
    let mut inputs = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let Piece { input, partition, group, base_offset, next_offset, .. } = piece;
        let wrong = |source| WriteError::Batches { partition, source };
        let chunks = match piece.source {
            Source::Batches(chunks) => chunks,
            Source::Slots(ranges) => {
                let chunks: Vec<Bytes> = read.by_ref().take(ranges.len()).collect();
                check_slots(&ranges, &chunks, piece.leader_epoch).map_err(wrong)?;
                chunks
            }
        };
        builder.add(partition, group, base_offset, next_offset, chunks).map_err(wrong)?;
        inputs.push(input);
    }
    let segment = builder.finish();
    attempt.create(segment.name, segment.payload).await?;
    Ok(inputs.into_iter().zip(segment.ranges.into_iter().map(|held| held.range)).collect())
}

/// The bytes of all pieces that lie in slots, in order.
async fn read_slots(attempt: &Attempt, pieces: &[Piece]) -> Result<Vec<Bytes>, WriteError> {
    let mut wanted: Vec<Range> = Vec::new();
    for piece in pieces {
        if let Source::Slots(ranges) = &piece.source {
            wanted.extend(ranges);
        }
    }
    Ok(slots::read_ranges(attempt.slots(), &wanted).await?)
}

/// Checks that what was read of slots is what their ranges say.
fn check_slots(
    ranges: &[Range],
    chunks: &[Bytes],
    leader_epoch: LeaderEpoch,
) -> Result<(), BadBatches> {
    for (range, chunk) in ranges.iter().zip(chunks) {
        let chunk = std::slice::from_ref(chunk);
        let mut walk = Walk::new(range.base_offset, range.next_offset, chunk);
        while let Some(header) = walk.strict_header(leader_epoch)? {
            walk.pass(&header, |_| ())?;
        }
        if walk.expected() != range.next_offset {
            return Err(BadBatches::Missing { from: walk.expected(), to: range.next_offset });
        }
    }
    Ok(())
}
