//! Walking the batches of a range, as they are written and as they are read: their offsets rise
//! and stay within it.

use bytes::Bytes;
use odradek_common::batch::{Batch, BatchError, BatchHeader};
use odradek_common::ids::LeaderEpoch;

/// Why bytes are not the batches of a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatches {
    /// Something else is where a batch should be.
    #[error("no batch where offset {offset} is expected: {source}")]
    NoBatch {
        /// The offset expected.
        offset: i64,
        /// What is wrong.
        source: BatchError,
    },
    /// A batch whose offsets lie where they cannot.
    #[error("a batch of offsets {base_offset}..{next_offset} in {expected}..{end}")]
    Offsets {
        /// Its first offset.
        base_offset: i64,
        /// Its end.
        next_offset: i64,
        /// The lowest offset expected.
        expected: i64,
        /// The end of the range.
        end: i64,
    },
    /// Offsets that no batch holds, though nothing was compacted.
    #[error("no batch holds the offsets {from}..{to}")]
    Missing {
        /// The first.
        from: i64,
        /// The one after the last.
        to: i64,
    },
    /// A batch of a leader epoch that was yet to come, or of none.
    #[error("the batch at offset {offset} has leader epoch {found}, at most {highest} is possible")]
    LeaderEpoch {
        /// Its first offset.
        offset: i64,
        /// Its leader epoch.
        found: i32,
        /// The leader epoch of the owner.
        highest: i32,
    },
}

/// A walk over the batches of a range, chunk by chunk.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    expected: i64,
    end: i64,
}

impl Walk {
    /// Over a range of offsets.
    #[must_use]
    pub fn new(base_offset: i64, next_offset: i64) -> Self {
        Self { expected: base_offset, end: next_offset }
    }

    /// The lowest offset that the next batch may have.
    #[must_use]
    pub fn expected(&self) -> i64 {
        self.expected
    }

    /// The batches of the next chunk, which holds whole ones. Stops after the first error.
    pub fn chunk(&mut self, chunk: &Bytes) -> impl Iterator<Item = Result<Batch, BadBatches>> {
        let mut rest = chunk.clone();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let batch = self.step(&mut rest);
            if batch.is_err() {
                rest.clear();
            }
            Some(batch)
        })
    }

    /// Cuts the next batch off `rest`.
    ///
    /// # Errors
    /// There is none, or its offsets lie where they cannot.
    pub fn step(&mut self, rest: &mut Bytes) -> Result<Batch, BadBatches> {
        let offset = self.expected;
        let batch =
            Batch::split_first(rest).map_err(|source| BadBatches::NoBatch { offset, source })?;
        let (base_offset, next_offset) = (batch.header.base_offset, batch.header.next_offset());
        if base_offset < offset || next_offset <= base_offset || next_offset > self.end {
            let (expected, end) = (offset, self.end);
            return Err(BadBatches::Offsets { base_offset, next_offset, expected, end });
        }
        self.expected = next_offset;
        Ok(batch)
    }
}

/// A walk over batches of which none is missing.
#[derive(Debug)]
pub(super) struct StrictWalk {
    walk: Walk,
    leader_epoch: LeaderEpoch,
}

impl StrictWalk {
    pub fn new(base_offset: i64, next_offset: i64, leader_epoch: LeaderEpoch) -> Self {
        Self { walk: Walk::new(base_offset, next_offset), leader_epoch }
    }

    pub fn expected(&self) -> i64 {
        self.walk.expected()
    }

    /// Cuts off `rest` as many whole batches as fit into `room` bytes, at least one.
    pub fn run(&mut self, rest: &mut Bytes, room: u64) -> Result<Bytes, BadBatches> {
        let whole = rest.clone();
        let mut taken = 0;
        while !rest.is_empty() {
            let (before, walk) = (rest.clone(), self.walk);
            let batch = self.walk.step(rest)?;
            self.check(walk.expected(), &batch.header)?;
            let end = taken + batch.bytes.len();
            if taken > 0 && end as u64 > room {
                (*rest, self.walk) = (before, walk);
                break;
            }
            taken = end;
        }
        Ok(whole.slice(..taken))
    }

    fn check(&self, expected: i64, header: &BatchHeader) -> Result<(), BadBatches> {
        let (offset, found) = (header.base_offset, header.leader_epoch);
        if offset != expected {
            return Err(BadBatches::Missing { from: expected, to: offset });
        }
        let highest = self.leader_epoch.0;
        if !(0..=highest).contains(&found) {
            return Err(BadBatches::LeaderEpoch { offset, found, highest });
        }
        Ok(())
    }
}
