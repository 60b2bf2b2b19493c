//! Reads batches that lie in segments and slots: through the block cache, in coalesced ranged
//! reads, with a read-ahead for those who read on. It is the lane of catch-up reads and has bytes
//! and requests of its own; tail reads come from the log cache and do not pass here.
//!
//! Bytes are taken by stretches (see [`crate::segment`]), each checked against its CRC every time,
//! so that neither a store nor the memory can slip in another offset or leader epoch.

mod blocks;
mod error;
mod lane;
mod rope;
mod streams;
mod stretch;
mod take;
mod timestamps;

#[cfg(test)]
mod stress_tests;
#[cfg(test)]
mod tests;

use std::ops::Range as Span;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use odradek_common::limits;

use crate::metric_names;
use crate::names::Names;
use crate::range::{PartitionRanges, Place, Range};
use crate::segment::{Stretch, Stretches};
use crate::slots::SlotReader;
use blocks::Blocks;
use lane::{Lane, Lease};
use rope::Rope;
use streams::Streams;
use take::Taken;

pub use error::ReadError;

/// Reads batches. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct LogReader {
    blocks: Blocks,
    lane: Lane,
    streams: Streams,
}

impl LogReader {
    /// A reader whose cache holds up to `cache_bytes`.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        names: Names,
        slots: Arc<dyn SlotReader>,
        cache_bytes: usize,
    ) -> Self {
        let blocks = Blocks::new(store, names, slots, cache_bytes);
        Self { blocks, lane: Lane::new(), streams: Streams::new() }
    }

    /// Bytes in the block cache.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.blocks.cached_bytes()
    }

    /// Whole batches, beginning with the one that holds `offset` (which may stand within it) or,
    /// in a gap that compaction left, with the next one. Together they have at most `max_bytes`
    /// and at most [`limits::READ_BYTES`]; the first comes also if it is larger than the latter,
    /// and with `min_one` whatever its size. The caller goes on at the end of the last. None come
    /// at or past the end of the ranges, or if the first does not fit.
    ///
    /// Each `Bytes` holds one or more whole batches and pins at most twice its own length.
    ///
    /// # Errors
    /// The offset is below the start, an object is gone or unreadable, or bytes are damaged.
    pub async fn read(
        &self,
        ranges: &PartitionRanges,
        offset: i64,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<Vec<Bytes>, ReadError> {
        if offset < ranges.start() {
            return Err(ReadError::BelowStart { offset, start: ranges.start() });
        }
        let wanted = ranges.from_offset(offset);
        let mut taken = Taken::new(offset, max_bytes, min_one);
        let mut lease = self.lane.lease(taken.room() as u64).await;
        self.ask_for_the_next(wanted, taken.room() as u64);
        let mut last = 0;
        for (number, range) in wanted.iter().enumerate() {
            last = number;
            if !self.take_range(range, &mut taken, &mut lease).await? {
                break;
            }
        }
        if let Some(next_offset) = taken.next_offset() {
            let window = self.streams.note(ranges.partition(), offset, next_offset);
            self.read_ahead(&wanted[last..], taken.end_position(), window);
        }
        Ok(taken.finish())
    }

    /// Takes what is wanted of `range`; false if the next batch did not fit.
    async fn take_range(
        &self,
        range: &Range,
        taken: &mut Taken,
        lease: &mut Lease,
    ) -> Result<bool, ReadError> {
        let stretches = self.stretches(range).await?;
        let mut rest = &stretches.all()[stretches.find(taken.offset())..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(stretches_for(rest, taken.room() as u64));
            let in_hand = taken.bytes() as u64 + now.iter().map(|s| s.length).sum::<u64>();
            lease.cover(in_hand).await;
            let rope = self.checked(range, now).await?;
            if !taken.take(range, now, &rope)? {
                return Ok(false);
            }
            rest = later;
        }
        Ok(true)
    }

    /// The stretches of `range`, from its sparse index if it has one.
    async fn stretches(&self, range: &Range) -> Result<Stretches, ReadError> {
        let damaged =
            |what| Err(ReadError::Damaged { place: range.place, position: range.index.0, what });
        let (position, length) = (range.index.0, u64::from(range.index.1));
        let object = match range.place {
            Place::Segment(object) if length > 0 => object,
            _ => return Ok(Stretches::whole(range)),
        };
        // An entry is smaller than the smallest batch, so no index is longer than its range.
        if length > range.length.min(limits::STRETCH_BYTES) {
            return damaged("a sparse index longer than its range");
        }
        let span = position..position.saturating_add(length);
        let rope = self.blocks.read(object, span.clone()).await?;
        if let Ok(stretches) = Stretches::decode(&rope.slice(0, rope.len()), range) {
            return Ok(stretches);
        }
        self.blocks.refresh(object, span.clone()).await?;
        let rope = self.blocks.read(object, span).await?;
        Stretches::decode(&rope.slice(0, rope.len()), range).or_else(damaged)
    }

    /// The bytes of consecutive stretches of `range`, each checked against its CRC. If one does
    /// not fit they are read once more: they may have been damaged on their way.
    async fn checked(&self, range: &Range, stretches: &[Stretch]) -> Result<Rope, ReadError> {
        let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else {
            return Ok(Rope::default());
        };
        let damaged =
            |what| ReadError::Damaged { place: range.place, position: range.position, what };
        if stretches.iter().any(|stretch| stretch.length > limits::STRETCH_BYTES) {
            return Err(damaged("a stretch beyond all limits"));
        }
        let span = range.position + first.position..range.position + last.position + last.length;
        let rope = self.bytes(range, span.clone()).await?;
        if stretch::all_sound(&rope, stretches) {
            return Ok(rope);
        }
        if let Place::Segment(object) = range.place {
            self.blocks.refresh(object, span.clone()).await?;
            let rope = self.bytes(range, span).await?;
            if stretch::all_sound(&rope, stretches) {
                return Ok(rope);
            }
        }
        Err(damaged("wrong CRC of a stretch"))
    }

    async fn bytes(&self, range: &Range, span: Span<u64>) -> Result<Rope, ReadError> {
        match range.place {
            Place::Segment(object) => self.blocks.read(object, span).await,
            Place::Slot(_) => {
                let bytes = self.blocks.slot_range(range).await?;
                let pinned = bytes.len();
                let mut rope = Rope::default();
                rope.push(bytes, pinned);
                Ok(rope)
            }
        }
    }

    /// Where ranges are short, several are needed for one read: they are asked for at once
    /// instead of one after the other.
    fn ask_for_the_next(&self, wanted: &[Range], bytes: u64) {
        let Some((first, next)) = wanted.split_first() else { return };
        if let Some(range) = next.first() {
            self.read_ahead(next, start_of(range), bytes.saturating_sub(first.length));
        }
    }

    /// Begins to read `bytes` of `ranges`, in the first one from `position` on.
    fn read_ahead(&self, ranges: &[Range], position: u64, bytes: u64) {
        let mut left = bytes;
        for (number, range) in ranges.iter().take(limits::READ_AHEAD_RANGES).enumerate() {
            let Place::Segment(object) = range.place else { continue };
            let start = if number == 0 { position } else { start_of(range) };
            let end = range.end_position().min(start.saturating_add(left));
            if start < end {
                metrics::counter!(metric_names::READ_AHEAD_BYTES).increment(end - start);
                self.blocks.read_ahead(object, &(start..end));
                left -= end - start;
            }
        }
    }
}

/// Where the first byte stands that a reader of the whole range needs.
fn start_of(range: &Range) -> u64 {
    if range.index.1 > 0 { range.index.0.min(range.position) } else { range.position }
}

/// How many of `stretches` to read for `room` bytes of batches: the first counts for nothing, as
/// what is wanted may begin at its end.
fn stretches_for(stretches: &[Stretch], room: u64) -> usize {
    let mut bytes = 0;
    let enough = stretches.iter().skip(1).take_while(|stretch| {
        let before = bytes;
        bytes += stretch.length;
        before < room
    });
    1 + enough.count()
}
