//! Reads batches that lie in segments and slots: through the block cache, in coalesced ranged
//! reads, with a read-ahead for those who read on. It is the lane of catch-up reads and has bytes
//! and requests of its own; tail reads come from the log cache and do not pass here.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use odradek_common::batch::{Batch, BatchError};

use crate::names::Names;
use crate::range::{PartitionRanges, Place};
use crate::slots::{SlotError, SlotReader};

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

/// Reads batches. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct LogReader {
    store: Arc<dyn ObjectStore>,
    names: Names,
    slots: Arc<dyn SlotReader>,
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
        let _ = cache_bytes;
        Self { store, names, slots }
    }

    /// Whole batches, beginning with the one that holds `offset` (which may stand within it) or,
    /// in a gap that compaction left, with the next one. Together they have at most `max_bytes`;
    /// with `min_one` the first comes whatever its size. Fewer may come than there are: the
    /// caller goes on at the end of the last. None come at or past the end of the ranges, or if
    /// the first does not fit.
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
        let _ = (&self.store, &self.names, &self.slots, ranges, offset, max_bytes, min_one);
        unreachable!("skeleton")
    }

    /// The first batch, of those that reach to or past `from_offset`, whose largest timestamp is
    /// at or after `timestamp` (ms). The caller looks for the record in it and, if that lies
    /// below `from_offset`, asks again from the batch's end on.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn first_batch_at_or_after_timestamp(
        &self,
        ranges: &PartitionRanges,
        from_offset: i64,
        timestamp: i64,
    ) -> Result<Option<Batch>, ReadError> {
        let _ = (ranges, from_offset, timestamp);
        unreachable!("skeleton")
    }

    /// The first batch that has the largest timestamp of all; `None` if there is no batch.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn batch_with_max_timestamp(
        &self,
        ranges: &PartitionRanges,
    ) -> Result<Option<Batch>, ReadError> {
        let _ = ranges;
        unreachable!("skeleton")
    }
}
