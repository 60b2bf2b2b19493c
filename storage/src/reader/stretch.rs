//! Walking the batches of a stretch where they lie, without copying any.

use odradek_common::batch::{BatchHeader, HEADER_LENGTH};

use super::ReadError;
use super::rope::Rope;
use crate::range::Range;
use crate::segment::{Stretch, crc_of, new_digest};

/// A batch in a rope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub header: BatchHeader,
    /// Where it begins in the rope.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// True if each of the consecutive `stretches` that make up `rope` has its CRC.
pub(super) fn all_sound(rope: &Rope, stretches: &[Stretch]) -> bool {
    let mut at = 0;
    stretches.iter().all(|stretch| {
        let start = at;
        at += length_of(stretch);
        let mut digest = new_digest();
        if at <= rope.len() {
            rope.each(start, at, |part| digest.update(part));
        }
        at <= rope.len() && crc_of(&digest) == stretch.crc
    })
}

/// The batches of one stretch.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    rope: &'a Rope,
    range: &'a Range,
    /// Where the rope's first byte stands in the object.
    origin: u64,
    at: usize,
    end: usize,
    expected: i64,
}

impl<'a> Batches<'a> {
    /// Of `stretch`, which lies in `rope`, whose first byte is that of `first`.
    pub fn new(rope: &'a Rope, range: &'a Range, first: &Stretch, stretch: &Stretch) -> Self {
        let at = usize::try_from(stretch.position - first.position).unwrap_or(usize::MAX);
        let end = at.saturating_add(length_of(stretch)).min(rope.len());
        let origin = range.position + first.position;
        Self { rope, range, origin, at, end, expected: stretch.base_offset }
    }

    fn step(&mut self) -> Result<Found, ReadError> {
        let (place, position) = (self.range.place, self.origin + self.at as u64);
        let start = self.at;
        let head = self.rope.slice(start, (start + HEADER_LENGTH).min(self.end));
        let header = BatchHeader::parse(&head).map_err(|source| ReadError::NoBatch {
            place,
            position,
            source,
        })?;
        let end = start + header.size_bytes();
        if end > self.end {
            let what = "a batch longer than its stretch";
            return Err(ReadError::Damaged { place, position, what });
        }
        let (base_offset, next_offset) = (header.base_offset, header.next_offset());
        let in_order = base_offset >= self.expected && next_offset > base_offset;
        if !in_order || next_offset > self.range.next_offset {
            return Err(ReadError::Offsets { place, position, base_offset, next_offset });
        }
        (self.at, self.expected) = (end, next_offset);
        Ok(Found { header, start, end })
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Found, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.at = self.end;
        }
        Some(step)
    }
}

fn length_of(stretch: &Stretch) -> usize {
    usize::try_from(stretch.length).unwrap_or(usize::MAX)
}
