//! The records within a batch, looked at in passing: what the broker has to know of a record, at the
//! price of a small buffer however much the batch decompresses to.

use std::io::Read;

use odradek_common::batch::{Batch, BatchError, BatchHeader, TimestampType};

use super::RecordsError;
use crate::compression::{self, DecompressError};

/// Bytes that are decompressed at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// What a broker looks at in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its timestamp in ms; that of the append for log-append time.
    pub timestamp_ms: i64,
    /// False if its key is null.
    pub has_key: bool,
}

/// Walks a batch's records, of which at most `cap_bytes` are decompressed.
///
/// # Errors
/// An unknown compression, or a decoder that cannot be made. All else shows as errors of the walk.
pub fn heads(batch: &Batch, cap_bytes: usize) -> Result<Heads<'_>, RecordsError> {
    let compression = batch.header.compression()?;
    let records = batch.bytes.get(odradek_common::batch::HEADER_LENGTH..).unwrap_or_default();
    let source = compression::reader(compression, records)
        .map_err(|source| DecompressError::Corrupt { compression, source })?;
    let window = Window { source, bytes: Vec::new(), at: 0, passed: 0, cap_bytes };
    Ok(Heads { header: batch.header, window, index: 0, ended: false })
}

/// The heads of a batch's records; ends after the first error. Records are checked as
/// [`decode`](super::decode) does, headers included, of which there may be any number.
pub struct Heads<'a> {
    header: BatchHeader,
    window: Window<'a>,
    /// Which record is the next, from 0.
    index: i32,
    ended: bool,
}

impl Iterator for Heads<'_> {
    type Item = Result<Head, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let index = self.index;
        let head = if index < self.header.record_count {
            self.read()
        } else {
            match self.window.is_over() {
                Ok(true) => {
                    self.ended = true;
                    return None;
                }
                Ok(false) => Err(Fault::Record("bytes behind the last record")),
                Err(fault) => Err(fault),
            }
        };
        self.ended = head.is_err();
        self.index += 1;
        Some(head.map_err(|fault| self.error(fault, index)))
    }
}

impl Heads<'_> {
    fn read(&mut self) -> Result<Head, Fault> {
        let window = &mut self.window;
        let length = window.length()?.ok_or(Fault::Record("negative length"))?;
        let end = window.position().saturating_add(length);
        window.skip(1, end)?; // attributes, unused
        let timestamp_delta = window.varlong()?;
        let offset_delta = window.varint()?;
        let has_key = window.skip_nullable(end)?;
        window.skip_nullable(end)?;
        let headers = window.varint()?;
        if headers < 0 {
            return Err(Fault::Record("negative count of headers"));
        }
        for _ in 0..headers {
            if !window.skip_nullable(end)? {
                return Err(Fault::Record("header without a key"));
            }
            window.skip_nullable(end)?;
        }
        if window.position() != end {
            return Err(Fault::Record("a length that is not its own"));
        }
        if offset_delta < 0 {
            return Err(Fault::Record("negative offset delta"));
        }
        let offset = self.header.base_offset.checked_add(offset_delta.into());
        let timestamp_ms = match self.header.timestamp_type() {
            // Wraps as Kafka's does: a producer may set any two timestamps.
            TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        Ok(Head {
            offset: offset.ok_or(Fault::Record("offset over 64 bits"))?,
            timestamp_ms,
            has_key,
        })
    }

    fn error(&self, fault: Fault, index: i32) -> RecordsError {
        match fault {
            Fault::Record(what) => BatchError::Record { index, what }.into(),
            Fault::OverCap => DecompressError::OverCap { cap_bytes: self.window.cap_bytes }.into(),
            Fault::Read(source) => match self.header.compression() {
                Ok(compression) => DecompressError::Corrupt { compression, source }.into(),
                Err(error) => error.into(),
            },
        }
    }
}

/// Why the walk stops.
enum Fault {
    /// A record is malformed.
    Record(&'static str),
    /// More is decompressed than is allowed.
    OverCap,
    /// What is compressed is malformed.
    Read(std::io::Error),
}

/// The decompressed bytes, of which a small part is in memory.
struct Window<'a> {
    source: Box<dyn Read + 'a>,
    bytes: Vec<u8>,
    /// How much of `bytes` was read.
    at: usize,
    /// Bytes that came before `bytes`.
    passed: usize,
    cap_bytes: usize,
}

impl Window<'_> {
    fn position(&self) -> usize {
        self.passed + self.at
    }

    /// Takes in more; false at the end.
    fn refill(&mut self) -> Result<bool, Fault> {
        self.passed += self.bytes.len();
        self.at = 0;
        self.bytes.resize(WINDOW_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        let more = read.map_err(Fault::Read)? > 0;
        if self.passed + self.bytes.len() > self.cap_bytes {
            return Err(Fault::OverCap);
        }
        Ok(more)
    }

    fn is_over(&mut self) -> Result<bool, Fault> {
        Ok(self.at == self.bytes.len() && !self.refill()?)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        if self.at == self.bytes.len() && !self.refill()? {
            return Err(Fault::Record("cut short"));
        }
        let byte = self.bytes[self.at];
        self.at += 1;
        Ok(byte)
    }

    /// A signed variable-length number of at most 64 bits (zig-zag).
    #[inline]
    fn varlong(&mut self) -> Result<i64, Fault> {
        // Most are of one byte.
        if let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte < 0x80) {
            let raw = i64::from(*byte);
            self.at += 1;
            return Ok((raw >> 1) ^ -(raw & 1));
        }
        let mut raw = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(Fault::Record("number over its bits"))
    }

    fn varint(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.varlong()?).map_err(|_| Fault::Record("number over its bits"))
    }

    /// A length, `None` for -1, which stands for null.
    fn length(&mut self) -> Result<Option<usize>, Fault> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length);
                length.map(Some).map_err(|_| Fault::Record("negative length"))
            }
        }
    }

    /// Passes over a part with its length in front; false for null.
    fn skip_nullable(&mut self, end: usize) -> Result<bool, Fault> {
        match self.length()? {
            Some(length) => self.skip(length, end).map(|()| true),
            None => Ok(false),
        }
    }

    /// Passes over `length` bytes, not beyond `end`.
    fn skip(&mut self, length: usize, end: usize) -> Result<(), Fault> {
        if length > end.saturating_sub(self.position()) {
            return Err(Fault::Record("length past the end"));
        }
        let mut left = length;
        loop {
            let here = left.min(self.bytes.len() - self.at);
            self.at += here;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            if !self.refill()? {
                return Err(Fault::Record("cut short"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use bytes::Bytes;
    use odradek_common::batch::Compression;
    use proptest::prelude::*;
    use std::io::Write;

    const CAP: usize = 8 << 20;

    fn compressed(compression: Compression, records: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => records.to_vec(),
            Compression::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                out.write_all(records).unwrap();
                out.finish().unwrap()
            }
            Compression::Snappy => {
                let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
                for block in records.chunks(32 << 10) {
                    let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                    out.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
                    out.extend(block);
                }
                out
            }
            Compression::Lz4 => {
                let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
                out.write_all(records).unwrap();
                out.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(records, 1).unwrap(),
        }
    }

    /// A batch said to be compressed, of `count` records.
    fn batch(compression: Compression, records: &[u8], count: i32) -> Batch {
        let mut builder = super::super::BatchBuilder::new(1 << 20);
        builder.push(1_000, None, None, &[]).unwrap();
        let mut header = builder.build().unwrap().header;
        header.attributes = match compression {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        };
        header.record_count = count;
        let bytes = [&header.encode()[..], &compressed(compression, records)].concat();
        Batch { header, bytes: Bytes::from(bytes) }
    }

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn walked(batch: &Batch, cap: usize) -> Result<Vec<Head>, RecordsError> {
        heads(batch, cap)?.collect()
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        // A value of 20 MiB, announced rightly.
        let mut records = Vec::new();
        let length = u64::try_from(20 << 20).unwrap();
        for number in [2 * (length + 4 + 5), 0, 0, 0, 1, 2 * length] {
            let mut number = number;
            while number >= 0x80 {
                records.push(number.to_le_bytes()[0] | 0x80);
                number >>= 7;
            }
            records.push(number.to_le_bytes()[0]);
        }
        records.resize(records.len() + (20 << 20), 0);
        for compression in ALL {
            let stopped = walked(&batch(compression, &records, 1), CAP);
            assert!(
                matches!(stopped, Err(RecordsError::Decompress(DecompressError::OverCap { .. }))),
                "{compression:?}: {stopped:?}"
            );
        }
    }

    #[test]
    fn headers_without_end_are_passed_over() {
        const HEADERS: usize = 3 << 20;
        let mut records = Vec::new();
        let put = |out: &mut Vec<u8>, value: usize| {
            let mut value = 2 * u64::try_from(value).unwrap();
            while value >= 0x80 {
                out.push(value.to_le_bytes()[0] | 0x80);
                value >>= 7;
            }
            out.push(value.to_le_bytes()[0]);
        };
        let mut body = vec![0, 0, 0, 0, 0];
        put(&mut body, HEADERS);
        body.extend([0, 1].repeat(HEADERS));
        put(&mut records, body.len());
        records.extend(body);
        let found = walked(&batch(Compression::Zstd, &records, 1), CAP).unwrap();
        assert_eq!(found, [Head { offset: 0, timestamp_ms: 1_000, has_key: true }]);
    }

    #[test]
    fn counts_that_lie_are_found() {
        let record = [12, 0, 0, 0, 1, 1, 0];
        let two = record.repeat(2);
        for compression in ALL {
            assert_eq!(walked(&batch(compression, &two, 2), CAP).unwrap().len(), 2);
            for count in [1, 3] {
                let wrong = walked(&batch(compression, &two, count), CAP);
                assert!(
                    matches!(wrong, Err(RecordsError::Batch(BatchError::Record { .. }))),
                    "{compression:?} {count}: {wrong:?}"
                );
            }
        }
    }

    proptest! {
        /// Whatever the bytes: the same records, or an error, as the decoder that holds all of them.
        #[test]
        fn heads_are_those_of_the_records(
            mut records in proptest::collection::vec(any::<u8>(), 0..60),
            good in 0_usize..4,
            count in 0_i32..6,
        ) {
            let record = [18, 0, 6, 0, 2, b'k', 2, b'v', 0, 0];
            records.splice(..0, record[..].repeat(good));
            for compression in [Compression::None, Compression::Lz4] {
                let batch = batch(compression, &records, count);
                let whole: Result<Vec<_>, RecordsError> = decode(&batch, CAP)
                    .and_then(|records| Ok(records.collect::<Result<_, _>>()?));
                let found = walked(&batch, CAP);
                prop_assert_eq!(whole.is_ok(), found.is_ok(), "{:?} {:?}", whole, found);
                if let (Ok(whole), Ok(found)) = (whole, found) {
                    let whole: Vec<_> = whole
                        .iter()
                        .map(|r| Head {
                            offset: r.offset,
                            timestamp_ms: r.timestamp_ms,
                            has_key: r.key.is_some(),
                        })
                        .collect();
                    prop_assert_eq!(whole, found);
                }
            }
        }
    }
}
