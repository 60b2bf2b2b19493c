//! Reading ranges that lie in write-ahead slots, as the reader, the flush and the merge need it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use odradek_common::batch::crc32c;
use odradek_common::limits;

use crate::names::SlotRef;
use crate::range::{Place, Range};

/// Why a slot's bytes could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SlotError {
    /// There is no such slot, or no longer.
    #[error("the slot is not there")]
    Gone,
    /// It cannot be read where it lies; others may be.
    #[error("{0}")]
    Damaged(#[source] Arc<dyn Error + Send + Sync>),
    /// The write-ahead log could not read at present, this slot or any other.
    #[error("{0}")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}

/// Reads bytes of slots, whatever kind of write-ahead log they are in.
#[async_trait]
pub trait SlotReader: Send + Sync + std::fmt::Debug {
    /// `length` bytes of the slot `at` from `position` on. What comes may be shorter; the caller
    /// checks length and CRC.
    ///
    /// # Errors
    /// The slot is gone or cannot be read.
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError>;
}

/// For those who have no slots to read: all are gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSlots;

#[async_trait]
impl SlotReader for NoSlots {
    async fn read(&self, _at: SlotRef, _position: u64, _length: u64) -> Result<Bytes, SlotError> {
        Err(SlotError::Gone)
    }
}

/// Why a range in a slot could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SlotRangeError {
    /// Its slot could not be read.
    #[error("could not read {place}: {source}")]
    Slot {
        /// The slot.
        place: Place,
        /// Why.
        source: SlotError,
    },
    /// Its bytes are not those that were written.
    #[error("{place} is damaged at {position}: {what}")]
    Damaged {
        /// The slot.
        place: Place,
        /// Where in it.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Neighbouring ranges of one slot that are read at once.
#[derive(Debug)]
struct Span {
    at: SlotRef,
    start: u64,
    end: u64,
    /// Which ranges, as numbers in the list given.
    wanted: Vec<usize>,
}

/// The bytes of `ranges`, all of which lie in slots, in the same order, each for itself: one that is
/// damaged or gone says nothing of the others. Each is checked against its CRC. Neighbours in a slot
/// are read together, several slots at once; a result may pin up to [`limits::SLOT_SPAN_BYTES`] until
/// all that were read with it are dropped.
///
/// # Errors
/// A range that is none of a slot, or nothing can be read at present.
pub async fn read_ranges(
    slots: &dyn SlotReader,
    ranges: &[Range],
) -> Result<Vec<Result<Bytes, SlotRangeError>>, SlotRangeError> {
    let mut found: Vec<Result<Bytes, SlotRangeError>> = vec![Ok(Bytes::new()); ranges.len()];
    let spans = stream::iter(spans(ranges)?);
    let mut read = spans
        .map(|span| async move {
            let place = Place::Slot(span.at);
            let bytes = slots.read(span.at, span.start, span.end - span.start).await;
            (span, bytes.map_err(|source| SlotRangeError::Slot { place, source }))
        })
        .buffer_unordered(limits::SLOT_READS);
    while let Some((span, bytes)) = read.next().await {
        if let Err(error @ SlotRangeError::Slot { source: SlotError::Failed(_), .. }) = bytes {
            return Err(error);
        }
        for wanted in span.wanted {
            let bytes = bytes.as_ref().map_err(SlotRangeError::clone);
            found[wanted] = bytes.and_then(|bytes| cut_out(&ranges[wanted], span.start, bytes));
        }
    }
    Ok(found)
}

fn spans(ranges: &[Range]) -> Result<Vec<Span>, SlotRangeError> {
    let mut order: Vec<(SlotRef, &Range, usize)> = Vec::with_capacity(ranges.len());
    for (number, range) in ranges.iter().enumerate() {
        let Place::Slot(at) = range.place else {
            return Err(damaged(range, "a segment where a slot was expected"));
        };
        if range.length > limits::STRETCH_BYTES {
            return Err(damaged(range, "a length beyond all limits"));
        }
        order.push((at, range, number));
    }
    order.sort_by_key(|(at, range, number)| (*at, range.position, *number));
    let mut spans: Vec<Span> = Vec::new();
    for (at, range, number) in order {
        let end = range.end_position();
        match spans.last_mut() {
            Some(span)
                if span.at == at
                    && range.position <= span.end.saturating_add(limits::READ_GAP_BYTES)
                    && end - span.start <= limits::SLOT_SPAN_BYTES =>
            {
                span.end = span.end.max(end);
                span.wanted.push(number);
            }
            _ => spans.push(Span { at, start: range.position, end, wanted: vec![number] }),
        }
    }
    Ok(spans)
}

fn cut_out(range: &Range, span_start: u64, bytes: &Bytes) -> Result<Bytes, SlotRangeError> {
    let start = usize::try_from(range.position - span_start).unwrap_or(usize::MAX);
    let end = usize::try_from(range.end_position() - span_start).unwrap_or(usize::MAX);
    if bytes.len() < end {
        return Err(damaged(range, "it ends too early"));
    }
    let bytes = bytes.slice(start..end);
    if crc32c(&bytes) == range.crc { Ok(bytes) } else { Err(damaged(range, "wrong CRC")) }
}

fn damaged(range: &Range, what: &'static str) -> SlotRangeError {
    SlotRangeError::Damaged { place: range.place, position: range.position, what }
}
