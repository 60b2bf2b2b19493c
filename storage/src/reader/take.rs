//! What one read takes: whole batches from an offset on, up to a number of bytes.

use bytes::Bytes;
use odradek_common::limits;

use super::ReadError;
use super::rope::Rope;
use super::stretch::{Batches, Found};
use crate::range::Range;
use crate::segment::Stretch;

/// The batches taken so far.
#[derive(Debug)]
pub(super) struct Taken {
    offset: i64,
    /// What all may have together.
    limit: usize,
    /// What the first may have.
    first_limit: usize,
    bytes: usize,
    pieces: Vec<Bytes>,
    next_offset: Option<i64>,
    end_position: u64,
}

impl Taken {
    pub fn new(offset: i64, max_bytes: usize, min_one: bool) -> Self {
        Self {
            offset,
            limit: max_bytes.min(limits::READ_BYTES),
            first_limit: if min_one { usize::MAX } else { max_bytes },
            bytes: 0,
            pieces: Vec::new(),
            next_offset: None,
            end_position: 0,
        }
    }

    /// The offset asked for.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that may still be taken.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes)
    }

    /// The end of the last batch taken.
    pub fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }

    /// Where the last batch taken ends in its object.
    pub fn end_position(&self) -> u64 {
        self.end_position
    }

    /// What was taken.
    pub fn finish(self) -> Vec<Bytes> {
        self.pieces
    }

    /// Takes what is wanted of consecutive stretches that make up `rope`; false if the next batch
    /// did not fit.
    pub fn take(
        &mut self,
        range: &Range,
        stretches: &[Stretch],
        rope: &Rope,
    ) -> Result<bool, ReadError> {
        let Some(first) = stretches.first() else { return Ok(true) };
        // Batches that lie in one piece of the rope are handed out as one.
        let mut run: Option<(usize, usize)> = None;
        let mut fits = true;
        let all = stretches.iter().flat_map(|stretch| Batches::new(rope, range, first, stretch));
        for batch in all {
            let Found { header, start, end } = batch?;
            if header.next_offset() <= self.offset {
                continue;
            }
            fits = self.admits(end - start);
            if !fits {
                break;
            }
            self.bytes += end - start;
            self.next_offset = Some(header.next_offset());
            self.end_position = range.position + first.position + end as u64;
            run = match run {
                Some((from, _)) if rope.is_in_one_piece(from, end) => Some((from, end)),
                Some((from, to)) => {
                    self.pieces.push(rope.slice_to_keep(from, to));
                    Some((start, end))
                }
                None => Some((start, end)),
            };
        }
        self.pieces.extend(run.map(|(from, to)| rope.slice_to_keep(from, to)));
        Ok(fits)
    }

    fn admits(&self, bytes: usize) -> bool {
        if self.bytes == 0 { bytes <= self.first_limit } else { bytes <= self.room() }
    }
}
