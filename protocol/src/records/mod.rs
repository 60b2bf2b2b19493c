//! The records within a batch: decoded for the few places that need them (timestamp look-ups, null
//! keys in compacted topics, internal topics, the command line), and batches built from records.

mod builder;
mod heads;

pub use builder::{BatchBuilder, BatchFull};
pub use heads::{Head, Heads, heads};

use crate::compression::{DecompressError, decompress};
use crate::wire::{Cursor, Fault};
use bytes::Bytes;
use odradek_common::batch::{Batch, BatchError, BatchHeader, TimestampType};
use odradek_common::limits::RECORD_HEADERS;

/// A record, its bytes slices of the (decompressed) batch, which they keep in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its timestamp in ms; that of the append for log-append time.
    pub timestamp_ms: i64,
    /// Its key, `None` for null.
    pub key: Option<Bytes>,
    /// Its value, `None` for a tombstone.
    pub value: Option<Bytes>,
    /// Its headers in their order, those of equal keys too.
    pub headers: Vec<Header>,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The key: text in UTF-8 as the protocol has it, but brokers do not check that.
    pub key: Bytes,
    /// The value, `None` for null.
    pub value: Option<Bytes>,
}

/// Why a batch's records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The header or a record is malformed.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records cannot be decompressed within the cap.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// Decompresses a batch's records, at most to `cap_bytes`, and walks them. Gaps between offsets,
/// as compaction leaves them, are taken.
///
/// # Errors
/// An unknown compression, or [`DecompressError`]. Malformed records show as errors of the walk.
pub fn decode(batch: &Batch, cap_bytes: usize) -> Result<Records, RecordsError> {
    let bytes = decompress(batch.header.compression()?, &batch.records(), cap_bytes)?;
    Ok(Records { header: batch.header, bytes, at: 0, index: 0, ended: false })
}

/// The records of a batch; ends after the first error. Bytes missing or left over are an error.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    bytes: Bytes,
    at: usize,
    /// Which record is the next, from 0.
    index: i32,
    ended: bool,
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let index = self.index;
        if index >= self.header.record_count {
            self.ended = true;
            let what = "bytes behind the last record";
            return (self.at < self.bytes.len()).then_some(Err(BatchError::Record { index, what }));
        }
        let record = self.read();
        self.ended = record.is_err();
        self.index += 1;
        Some(record.map_err(|what| BatchError::Record { index, what }))
    }
}

impl Records {
    fn read(&mut self) -> Result<Record, &'static str> {
        let mut outer = Cursor::new(self.bytes.get(self.at..).unwrap_or_default());
        let body = outer.record_bytes().map_err(what)?.ok_or("negative length")?;
        self.at += outer.position();
        self.read_body(body)
    }

    fn read_body(&self, body: &[u8]) -> Result<Record, &'static str> {
        let mut cursor = Cursor::new(body);
        cursor.take(1).map_err(what)?; // attributes, unused
        let timestamp_delta = cursor.varlong().map_err(what)?;
        let offset_delta = cursor.varint().map_err(what)?;
        let key = self.slice(cursor.record_bytes().map_err(what)?);
        let value = self.slice(cursor.record_bytes().map_err(what)?);
        let headers = self.headers(&mut cursor)?;
        if cursor.remaining() > 0 {
            return Err("bytes left over in it");
        }
        if offset_delta < 0 {
            return Err("negative offset delta");
        }
        let offset = self.header.base_offset.checked_add(offset_delta.into());
        let timestamp_ms = match self.header.timestamp_type() {
            // Wraps as Kafka's does: a producer may set any two timestamps.
            TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        let offset = offset.ok_or("offset over 64 bits")?;
        Ok(Record { offset, timestamp_ms, key, value, headers })
    }

    fn headers(&self, cursor: &mut Cursor<'_>) -> Result<Vec<Header>, &'static str> {
        let count = cursor.varint().map_err(what)?;
        // Each header takes two bytes at least.
        if usize::try_from(count).map_err(|_| "negative count of headers")? > cursor.remaining() / 2
        {
            return Err("more headers than its bytes can hold");
        }
        // In memory each takes some thirty times its smallest size.
        if count > RECORD_HEADERS {
            return Err("more headers than are taken");
        }
        (0..count)
            .map(|_| {
                let key = cursor.record_bytes().map_err(what)?.ok_or("header without a key")?;
                let value = cursor.record_bytes().map_err(what)?;
                Ok(Header { key: self.bytes.slice_ref(key), value: self.slice(value) })
            })
            .collect()
    }

    fn slice(&self, part: Option<&[u8]>) -> Option<Bytes> {
        part.map(|part| self.bytes.slice_ref(part))
    }
}

/// What a fault of the wire is called in an error about a record.
fn what(fault: Fault) -> &'static str {
    match fault {
        Fault::Varint => "number over its bits",
        Fault::Length(..) => "length past the end",
        _ => "cut short",
    }
}

#[cfg(test)]
mod tests;
