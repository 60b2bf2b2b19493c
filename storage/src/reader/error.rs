//! What can go wrong in a read.

use std::sync::Arc;

use odradek_common::batch::BatchError;

use crate::range::Place;
use crate::slots::SlotError;

/// Why batches could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is below the start of the ranges.
    #[error("offset {offset} is below {start}, where the ranges start")]
    BelowStart {
        /// The offset asked for.
        offset: i64,
        /// The start.
        start: i64,
    },
    /// A segment or slot is gone: the ranges are stale, ask the catalog with newer metadata.
    #[error("{0} is not there: the ranges that name it are stale, or it was lost")]
    Stale(Place),
    /// The store did not give it.
    #[error("could not read {place}: {source}")]
    Store {
        /// The object.
        place: Place,
        /// What the store said.
        source: Arc<object_store::Error>,
    },
    /// The write-ahead log did not give it.
    #[error("could not read {place}: {source}")]
    Slot {
        /// The slot.
        place: Place,
        /// What it said.
        source: Arc<SlotError>,
    },
    /// Bytes that are not those written: cut off, or with another CRC.
    #[error("{place} is damaged at {position}: {what}")]
    Damaged {
        /// The object.
        place: Place,
        /// Where in it.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Offsets of batches that are not in order, or outside of their range.
    #[error("{place} holds a batch of offsets {base_offset}..{next_offset} at {position}")]
    Offsets {
        /// The object.
        place: Place,
        /// Where in it.
        position: u64,
        /// The batch's first offset.
        base_offset: i64,
        /// The batch's end.
        next_offset: i64,
    },
    /// Bytes that are no batches.
    #[error("{place} holds no batch at {position}: {source}")]
    NoBatch {
        /// The object.
        place: Place,
        /// Where in it.
        position: u64,
        /// What is wrong.
        source: BatchError,
    },
    /// The task that read was ended.
    #[error("the read of {0} was given up")]
    GivenUp(Place),
}
