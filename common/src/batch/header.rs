//! The 61 bytes in front of a batch's records.

use super::{BatchError, crc32c};

/// Bytes of a batch header.
pub const HEADER_LENGTH: usize = 61;
/// Bytes in front of what the length field counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Where the length field stands.
pub const LENGTH_OFFSET: usize = 8;
/// The producer id of a batch without one.
pub const NO_PRODUCER: i64 = -1;
/// The base sequence of a batch without one.
pub const NO_SEQUENCE: i32 = -1;
/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;

/// The CRC covers everything from the attributes on.
pub(super) const CRC_START: usize = 21;
const EPOCH_START: usize = 12;
const CRC_FIELD: usize = 17;
const MAX_TIMESTAMP_START: usize = 35;

const COMPRESSION_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_MASK: i16 = 0x08;
const TRANSACTIONAL_MASK: i16 = 0x10;
const CONTROL_MASK: i16 = 0x20;
const DELETE_HORIZON_MASK: i16 = 0x40;

/// How the records of a batch are compressed (attributes, bits 0-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, in the framing of xerial's Java library.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// Who set a batch's timestamps (attributes, bit 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, at append.
    LogAppendTime,
}

/// A batch header's fields, as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes that follow this field, at least 49.
    pub batch_length: i32,
    /// Leader epoch of the append, set by the broker.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type, transactional, control, delete horizon.
    pub attributes: i16,
    /// Offset of the last record, less the base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record in ms, or the delete horizon.
    pub base_timestamp: i64,
    /// Largest timestamp in ms; that of the append for log-append time.
    pub max_timestamp: i64,
    /// Producer id, [`NO_PRODUCER`] for none.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Sequence number of the first record, [`NO_SEQUENCE`] for none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads a header and checks magic and length; the rest is [`super::Batch::verify`]'s.
    ///
    /// # Errors
    /// Too few bytes, another magic, an impossible length.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return Err(BatchError::Truncated { got: bytes.len(), need: HEADER_LENGTH });
        };
        let magic = i8::from_be_bytes([bytes[16]]);
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            batch_length: i32::from_be_bytes(field(bytes, LENGTH_OFFSET)),
            leader_epoch: i32::from_be_bytes(field(bytes, EPOCH_START)),
            crc: u32::from_be_bytes(field(bytes, CRC_FIELD)),
            attributes: i16::from_be_bytes(field(bytes, CRC_START)),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, MAX_TIMESTAMP_START)),
            producer_id: i64::from_be_bytes(field(bytes, 43)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)),
            base_sequence: i32::from_be_bytes(field(bytes, 53)),
            record_count: i32::from_be_bytes(field(bytes, 57)),
        };
        let least = HEADER_LENGTH - LOG_OVERHEAD;
        if usize::try_from(header.batch_length).is_ok_and(|length| length >= least) {
            Ok(header)
        } else {
            Err(BatchError::Length(header.batch_length))
        }
    }

    /// The whole batch's size in bytes, header included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record; saturates, so that a lying delta cannot wrap.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// The compression.
    ///
    /// # Errors
    /// If the bits name none that exists.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        match self.attributes & COMPRESSION_MASK {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            other => Err(BatchError::Compression(other)),
        }
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_MASK == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// True if the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_MASK != 0
    }

    /// True if the batch holds control records: only brokers write these.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_MASK != 0
    }

    /// True if the base timestamp is a delete horizon (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_MASK != 0
    }

    /// True if the batch carries a producer id, and so a sequence.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id > NO_PRODUCER
    }

    /// The sequence number of the last record: it wraps from 2^31-1 to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            NO_SEQUENCE
        } else {
            add_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    /// The header's bytes with the crc field as it stands in `self`.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        put(&mut bytes, 0, self.base_offset.to_be_bytes());
        put(&mut bytes, LENGTH_OFFSET, self.batch_length.to_be_bytes());
        put(&mut bytes, EPOCH_START, self.leader_epoch.to_be_bytes());
        bytes[16] = 2;
        put(&mut bytes, CRC_FIELD, self.crc.to_be_bytes());
        put(&mut bytes, CRC_START, self.attributes.to_be_bytes());
        put(&mut bytes, 23, self.last_offset_delta.to_be_bytes());
        put(&mut bytes, 27, self.base_timestamp.to_be_bytes());
        put(&mut bytes, MAX_TIMESTAMP_START, self.max_timestamp.to_be_bytes());
        put(&mut bytes, 43, self.producer_id.to_be_bytes());
        put(&mut bytes, 51, self.producer_epoch.to_be_bytes());
        put(&mut bytes, 53, self.base_sequence.to_be_bytes());
        put(&mut bytes, 57, self.record_count.to_be_bytes());
        bytes
    }

    /// Stamps the batch with the broker's time: type, largest timestamp and, as these are covered
    /// by it, the CRC over the new header and `records`.
    pub fn set_log_append_time(&mut self, now_ms: i64, records: &[u8]) {
        self.attributes |= TIMESTAMP_TYPE_MASK;
        self.max_timestamp = now_ms;
        self.set_crc(records);
    }

    /// Puts the largest timestamp of the records in place of what a producer stated.
    pub fn set_max_timestamp(&mut self, max_ms: i64, records: &[u8]) {
        self.max_timestamp = max_ms;
        self.set_crc(records);
    }

    /// Computes the CRC anew, over this header and `records`.
    pub fn set_crc(&mut self, records: &[u8]) {
        let header = self.encode();
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&header[CRC_START..]);
        digest.update(records);
        self.crc = u32::try_from(digest.finalize()).unwrap_or(0);
        debug_assert!(!records.is_empty() || self.crc == crc32c(&header[CRC_START..]));
    }
}

/// `sequence + by` in the ring of 0 to 2^31-1, both at least 0.
pub(super) fn add_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    i32::try_from(sum & i64::from(i32::MAX)).unwrap_or(0)
}

fn field<const N: usize>(bytes: &[u8; HEADER_LENGTH], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn put<const N: usize>(bytes: &mut [u8; HEADER_LENGTH], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
