//! Batches of magic 2 made by the broker itself, uncompressed.

use bytes::Bytes;
use odradek_common::batch::{
    Batch, BatchHeader, HEADER_LENGTH, LOG_OVERHEAD, NO_PRODUCER, NO_SEQUENCE,
};

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// A record that does not fit into its batch any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch of {size_bytes} bytes where {cap_bytes} are allowed")]
pub struct BatchFull {
    /// What the batch would have come to.
    pub size_bytes: usize,
    /// What is allowed.
    pub cap_bytes: usize,
}

/// Gathers records into one batch. Its base offset is 0 and its leader epoch -1, as a producer's:
/// the append sets both, which the CRC does not cover.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    /// Room for the header, then the records.
    bytes: Vec<u8>,
    cap_bytes: usize,
}

impl BatchBuilder {
    /// An empty batch of at most `cap_bytes`, header included.
    #[must_use]
    pub fn new(cap_bytes: usize) -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: NO_PRODUCER,
            producer_epoch: -1,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        let cap_bytes = cap_bytes.min(i32::MAX.unsigned_abs().try_into().unwrap_or(usize::MAX));
        Self { header, bytes: vec![0; HEADER_LENGTH], cap_bytes }
    }

    /// Names the producer; `base_sequence` is the first record's.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes the batch part of its producer's transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes |= TRANSACTIONAL;
        self
    }

    /// Makes the batch one of control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes |= CONTROL;
        self
    }

    /// Adds a record with its headers, in order.
    ///
    /// # Errors
    /// If the batch would become too large; it then is as it was.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BatchFull> {
        let first = self.is_empty();
        let base_timestamp = if first { timestamp_ms } else { self.header.base_timestamp };
        let mut body = vec![0];
        put_varlong(&mut body, timestamp_ms.wrapping_sub(base_timestamp));
        put_varlong(&mut body, self.header.record_count.into());
        put_bytes(&mut body, key);
        put_bytes(&mut body, value);
        put_length(&mut body, headers.len());
        for (key, value) in headers {
            put_bytes(&mut body, Some(key));
            put_bytes(&mut body, *value);
        }
        let mut length = Vec::new();
        put_length(&mut length, body.len());

        let size_bytes = self.bytes.len() + length.len() + body.len();
        if size_bytes > self.cap_bytes {
            return Err(BatchFull { size_bytes, cap_bytes: self.cap_bytes });
        }
        self.bytes.extend(length);
        self.bytes.extend(body);
        let header = &mut self.header;
        header.base_timestamp = base_timestamp;
        header.max_timestamp =
            if first { timestamp_ms } else { header.max_timestamp.max(timestamp_ms) };
        header.last_offset_delta = header.record_count;
        header.record_count += 1;
        Ok(())
    }

    /// True without a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Bytes of the batch as it is, header included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The batch, `None` without a record.
    #[must_use]
    pub fn build(self) -> Option<Batch> {
        let Self { mut header, mut bytes, .. } = self;
        if header.record_count == 0 {
            return None;
        }
        // The cap is below 2^31, so the length fits.
        header.batch_length = i32::try_from(bytes.len() - LOG_OVERHEAD).ok()?;
        header.set_crc(&bytes[HEADER_LENGTH..]);
        bytes[..HEADER_LENGTH].copy_from_slice(&header.encode());
        Some(Batch { header, bytes: Bytes::from(bytes) })
    }
}

/// A length in front of its bytes, -1 for null.
fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Memory holds no 2^63 bytes.
    put_varlong(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// A zig-zag variable-length number.
fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push(raw.to_le_bytes()[0] | 0x80);
        raw >>= 7;
    }
    out.push(raw.to_le_bytes()[0]);
}
