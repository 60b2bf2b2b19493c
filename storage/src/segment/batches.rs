//! Walking the batches of a range as they are written: their offsets rise and stay within it. The
//! bytes come in chunks that are cut anywhere: in memory a batch's patched header and its records
//! lie apart.

use bytes::Bytes;
use odradek_common::batch::{BatchError, BatchHeader, HEADER_LENGTH};
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

/// A walk over the batches of a range.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    later: std::slice::Iter<'a, Bytes>,
    /// What is left of the current chunk.
    rest: &'a [u8],
    expected: i64,
    end: i64,
}

impl<'a> Walk<'a> {
    /// Over a range of offsets whose batches lie in `chunks`.
    #[must_use]
    pub fn new(base_offset: i64, next_offset: i64, chunks: &'a [Bytes]) -> Self {
        Self { later: chunks.iter(), rest: &[], expected: base_offset, end: next_offset }
    }

    /// The lowest offset that the next batch may have.
    #[must_use]
    pub fn expected(&self) -> i64 {
        self.expected
    }

    /// The header of the next batch; `None` at the end of the bytes.
    ///
    /// # Errors
    /// There is something else, or its offsets lie where they cannot.
    pub fn header(&self) -> Result<Option<BatchHeader>, BadBatches> {
        let mut bytes = [0; HEADER_LENGTH];
        let mut got = 0;
        let chunks = std::iter::once(self.rest).chain(self.later.clone().map(|chunk| &chunk[..]));
        for chunk in chunks {
            let taken = chunk.len().min(HEADER_LENGTH - got);
            bytes[got..got + taken].copy_from_slice(&chunk[..taken]);
            got += taken;
            if got == HEADER_LENGTH {
                break;
            }
        }
        if got == 0 {
            return Ok(None);
        }
        let offset = self.expected;
        let header = BatchHeader::parse(&bytes[..got])
            .map_err(|source| BadBatches::NoBatch { offset, source })?;
        let (base_offset, next_offset) = (header.base_offset, header.next_offset());
        if base_offset < offset || next_offset <= base_offset || next_offset > self.end {
            let (expected, end) = (offset, self.end);
            return Err(BadBatches::Offsets { base_offset, next_offset, expected, end });
        }
        Ok(Some(header))
    }

    /// As [`Self::header`] where nothing was compacted and no batch is of a later leader epoch
    /// than `highest`.
    ///
    /// # Errors
    /// As for [`Self::header`], or offsets are missing, or the leader epoch is impossible.
    pub fn strict_header(&self, highest: LeaderEpoch) -> Result<Option<BatchHeader>, BadBatches> {
        let Some(header) = self.header()? else { return Ok(None) };
        let (offset, found) = (header.base_offset, header.leader_epoch);
        if offset != self.expected {
            return Err(BadBatches::Missing { from: self.expected, to: offset });
        }
        if !(0..=highest.0).contains(&found) {
            return Err(BadBatches::LeaderEpoch { offset, found, highest: highest.0 });
        }
        Ok(Some(header))
    }

    /// Goes past the batch whose header is `header`, and shows its bytes, part by part.
    ///
    /// # Errors
    /// The bytes end before the batch does.
    pub fn pass(
        &mut self,
        header: &BatchHeader,
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), BadBatches> {
        let need = header.size_bytes();
        let mut got = 0;
        while got < need {
            if self.rest.is_empty() {
                let Some(next) = self.later.next() else {
                    let source = BatchError::Truncated { got, need };
                    return Err(BadBatches::NoBatch { offset: self.expected, source });
                };
                self.rest = next;
                continue;
            }
            let (part, rest) = self.rest.split_at(self.rest.len().min(need - got));
            visit(part);
            got += part.len();
            self.rest = rest;
        }
        self.expected = header.next_offset();
        Ok(())
    }
}
