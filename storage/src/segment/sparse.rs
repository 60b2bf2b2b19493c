//! The sparse index of a range cuts it into stretches: whole batches of together some
//! [`limits::SPARSE_INDEX_BYTES`]. A stretch is the unit that is read and checked: its CRC covers
//! what the batches' own leaves out, base offsets and leader epochs.
//!
//! ```text
//! per stretch   base offset (8) · position in the range (8) · max timestamp (8) · CRC-32C (4)
//! at the end    CRC-32C of all entries (4)
//! ```
//!
//! All numbers are big-endian. A range of one stretch has no index: its own fields say it all.

use bytes::{BufMut, Bytes, BytesMut};
use odradek_common::batch::{BatchHeader, crc32c};
use odradek_common::limits;

use crate::range::Range;

/// Bytes of an entry of a sparse index.
pub const ENTRY_BYTES: usize = 28;
const CRC_BYTES: usize = 4;

/// Consecutive whole batches of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Where its first byte stands in the range.
    pub position: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The largest timestamp in it, in ms.
    pub max_timestamp: i64,
    /// CRC-32C of its bytes.
    pub crc: u32,
}

/// All stretches of a range, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretches(Vec<Stretch>);

impl Stretches {
    /// Of a range without an index.
    #[must_use]
    pub fn whole(range: &Range) -> Self {
        Self(vec![Stretch {
            base_offset: range.base_offset,
            position: 0,
            length: range.length,
            max_timestamp: range.max_timestamp,
            crc: range.crc,
        }])
    }

    /// From the bytes of the index of `range`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8], range: &Range) -> Result<Self, &'static str> {
        let (entries, stated) =
            bytes.split_last_chunk::<CRC_BYTES>().ok_or("sparse index too short")?;
        if crc32c(entries) != u32::from_be_bytes(*stated) {
            return Err("wrong CRC of a sparse index");
        }
        let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
        if entries.is_empty() || !rest.is_empty() {
            return Err("impossible length of a sparse index");
        }
        let mut stretches: Vec<Stretch> = entries.iter().map(decode_entry).collect();
        for i in 0..stretches.len() {
            let (offset_end, end) =
                stretches.get(i + 1).map_or((range.next_offset, range.length), |next| {
                    (next.base_offset, next.position)
                });
            let stretch = &mut stretches[i];
            if stretch.base_offset >= offset_end || stretch.position >= end {
                return Err("sparse index out of order");
            }
            stretch.length = end - stretch.position;
        }
        let first = stretches[0];
        if first.position != 0 || first.base_offset < range.base_offset {
            return Err("sparse index of another range");
        }
        Ok(Self(stretches))
    }

    /// The bytes of the index, empty if it needs none.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        if self.0.len() <= 1 {
            return Bytes::new();
        }
        let mut out = BytesMut::with_capacity(self.0.len() * ENTRY_BYTES + CRC_BYTES);
        for stretch in &self.0 {
            out.put_i64(stretch.base_offset);
            out.put_u64(stretch.position);
            out.put_i64(stretch.max_timestamp);
            out.put_u32(stretch.crc);
        }
        let crc = crc32c(&out);
        out.put_u32(crc);
        out.freeze()
    }

    /// The stretches in order.
    #[must_use]
    pub fn all(&self) -> &[Stretch] {
        &self.0
    }

    /// The stretch that holds `offset`, or the one in front of the gap in which it lies.
    #[must_use]
    pub fn find(&self, offset: i64) -> usize {
        self.0.partition_point(|stretch| stretch.base_offset <= offset).saturating_sub(1)
    }
}

fn decode_entry(entry: &[u8; ENTRY_BYTES]) -> Stretch {
    Stretch {
        base_offset: i64::from_be_bytes(array(entry, 0)),
        position: u64::from_be_bytes(array(entry, 8)),
        length: 0,
        max_timestamp: i64::from_be_bytes(array(entry, 16)),
        crc: u32::from_be_bytes(array(entry, 24)),
    }
}

fn array<const N: usize>(bytes: &[u8; ENTRY_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

/// Cuts a range into stretches, batch by batch.
#[derive(Debug, Default)]
pub(super) struct StretchBuilder {
    done: Vec<Stretch>,
    open: Option<Stretch>,
    digest: Option<crc_fast::Digest>,
}

impl StretchBuilder {
    /// Begins the next batch; its bytes follow by [`Self::bytes`].
    pub fn batch(&mut self, header: &BatchHeader) {
        if self.open.is_some_and(|open| open.length >= limits::SPARSE_INDEX_BYTES) {
            self.close();
        }
        let open = self.open.get_or_insert(Stretch {
            base_offset: header.base_offset,
            position: self.done.last().map_or(0, |last| last.position + last.length),
            length: 0,
            max_timestamp: header.max_timestamp,
            crc: 0,
        });
        open.length += header.size_bytes() as u64;
        open.max_timestamp = open.max_timestamp.max(header.max_timestamp);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.digest.get_or_insert_with(new_digest).update(bytes);
    }

    fn close(&mut self) {
        if let (Some(mut stretch), Some(digest)) = (self.open.take(), self.digest.take()) {
            stretch.crc = crc_of(&digest);
            self.done.push(stretch);
        }
    }

    /// The stretches and the CRC-32C of them all; none if nothing was pushed.
    pub fn finish(mut self) -> Option<(Stretches, u32)> {
        self.close();
        let crc = self.done.iter().fold(0, |crc: u64, stretch| {
            let algorithm = crc_fast::CrcAlgorithm::Crc32Iscsi;
            if stretch.position == 0 {
                return u64::from(stretch.crc);
            }
            crc_fast::checksum_combine(algorithm, crc, u64::from(stretch.crc), stretch.length)
        });
        let crc = u32::try_from(crc).unwrap_or(0);
        (!self.done.is_empty()).then_some((Stretches(self.done), crc))
    }
}

/// A CRC-32C that takes its bytes piece by piece.
pub(crate) fn new_digest() -> crc_fast::Digest {
    crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)
}

/// The result of [`new_digest`]: the library's 64 bits carry a 32-bit CRC.
pub(crate) fn crc_of(digest: &crc_fast::Digest) -> u32 {
    u32::try_from(digest.finalize()).unwrap_or(0)
}
