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

/// What an input became: ranges in order, or why it could not be read where it lies, in slots. What
/// was written of such an input is in segments, and nothing refers to it.
pub type Written = Result<Vec<Range>, WriteError>;

/// Writes segments and returns for each input what it became.
///
/// # Errors
/// What went wrong first, other than with the slots of one input.
pub async fn write(attempt: &Attempt, inputs: Vec<Input>) -> Result<Vec<Written>, WriteError> {
    let mut all: Vec<Written> = inputs.iter().map(|_| Ok(Vec::new())).collect();
    let segments = stream::iter(plan(inputs)?);
    let mut written = segments
        .map(|pieces| write_segment(attempt, pieces))
        .buffer_unordered(limits::SEGMENTS_AT_ONCE);
    while let Some(segment) = written.try_next().await? {
        for (input, range) in segment {
            match (range, &mut all[input]) {
                (Ok(range), Ok(ranges)) => ranges.push(range),
                (Err(error), written @ Ok(_)) => *written = Err(error),
                (_, Err(_)) => {}
            }
        }
    }
    for ranges in all.iter_mut().flatten() {
        ranges.sort_by_key(|range| range.base_offset);
    }
    Ok(all)
}

/// What pieces became, by the number of their input.
type WrittenPieces = Vec<(usize, Result<Range, WriteError>)>;

/// Reads what lies in slots, puts the segment together and creates it, if anything is in it.
async fn write_segment(attempt: &Attempt, pieces: Vec<Piece>) -> Result<WrittenPieces, WriteError> {
    let mut builder = SegmentBuilder::new(attempt.fresh_name(ObjectKind::Segment));
    let mut read = read_slots(attempt, &pieces).await?.into_iter();
    let mut inputs = Vec::with_capacity(pieces.len());
    let mut written = WrittenPieces::with_capacity(pieces.len());
    for piece in pieces {
        let Piece { input, partition, group, base_offset, next_offset, .. } = piece;
        let wrong = |source| WriteError::Batches { partition, source };
        let chunks = match piece.source {
            Source::Batches(chunks) => chunks,
            Source::Slots(ranges) => {
                let of_piece: Vec<_> = read.by_ref().take(ranges.len()).collect();
                let chunks: Result<Vec<Bytes>, WriteError> =
                    of_piece.into_iter().map(|chunk| Ok(chunk?)).collect();
                let checked = chunks.and_then(|chunks| {
                    check_slots(&ranges, &chunks, piece.leader_epoch).map_err(wrong)?;
                    Ok(chunks)
                });
                match checked {
                    Ok(chunks) => chunks,
                    Err(error) => {
                        written.push((input, Err(error)));
                        continue;
                    }
                }
            }
        };
        builder.add(partition, group, base_offset, next_offset, chunks).map_err(wrong)?;
        inputs.push(input);
    }
    if inputs.is_empty() {
        return Ok(written);
    }
    let segment = builder.finish();
    attempt.create(segment.name, segment.payload).await?;
    written.extend(inputs.into_iter().zip(segment.ranges.into_iter().map(|held| Ok(held.range))));
    Ok(written)
}

/// The bytes of all pieces that lie in slots, in order.
async fn read_slots(
    attempt: &Attempt,
    pieces: &[Piece],
) -> Result<Vec<Result<Bytes, SlotRangeError>>, WriteError> {
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
