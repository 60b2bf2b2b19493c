//! The record batch of magic 2 (KIP-98) seen in place: 61 bytes of header, then the records as the
//! producer wrote them. Odradek never re-encodes records; base offset and leader epoch stand
//! outside the CRC and are all that a broker writes anew.

mod header;
mod records;

pub use header::{
    BatchHeader, Compression, HEADER_LENGTH, LENGTH_OFFSET, LOG_OVERHEAD, NO_PRODUCER, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
};
pub use records::{RecordView, Records, walk_uncompressed};

use bytes::Bytes;

/// Why bytes are not a record batch that can be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header, or than the header's length says.
    #[error("{got} bytes where the batch needs {need}")]
    Truncated {
        /// Bytes there are.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A magic other than 2.
    #[error("magic {0} is not supported, only 2")]
    Magic(i8),
    /// A length below that of the header, or one that lies.
    #[error("a batch length of {0} is not possible")]
    Length(i32),
    /// The CRC-32C does not fit the bytes.
    #[error("CRC-32C is {computed:#010x}, the header says {stored:#010x}")]
    Crc {
        /// As stored in the header.
        stored: u32,
        /// As computed over the bytes.
        computed: u32,
    },
    /// Count of records and last offset delta do not fit each other.
    #[error("{count} records with a last offset delta of {last_offset_delta}")]
    Count {
        /// Records said to be in the batch.
        count: i32,
        /// The last offset delta of the header.
        last_offset_delta: i32,
    },
    /// An unknown compression.
    #[error("compression {0} is not known")]
    Compression(i16),
    /// A record that runs over its end, or over that of the batch.
    #[error("record {index} of the batch is malformed: {what}")]
    Record {
        /// Which one, from 0.
        index: i32,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// A batch whose header was parsed and whose length fits: header and records share the buffer
/// they came in, nothing is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The parsed header.
    pub header: BatchHeader,
    /// Header and records, as they came.
    pub bytes: Bytes,
}

impl Batch {
    /// Cuts the first batch off `bytes`, which keeps the rest.
    ///
    /// # Errors
    /// If the header is malformed or the batch is longer than `bytes`; `bytes` is then unchanged.
    pub fn split_first(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.size_bytes();
        if bytes.len() < size {
            return Err(BatchError::Truncated { got: bytes.len(), need: size });
        }
        Ok(Self { header, bytes: bytes.split_to(size) })
    }

    /// The records behind the header, compressed as they came.
    #[must_use]
    pub fn records(&self) -> Bytes {
        self.bytes.slice(HEADER_LENGTH..)
    }

    /// Checks what a broker checks before it appends: the CRC, the count of records against the
    /// last offset delta, a known compression; uncompressed records are walked by their lengths.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(&self) -> Result<(), BatchError> {
        self.verify_newest().map(|_| ())
    }

    /// As [`Self::verify`]. Returns the largest timestamp of its records in ms, or -1 as Kafka says for
    /// none; `None` if they are compressed.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify_newest(&self) -> Result<Option<i64>, BatchError> {
        let header = &self.header;
        let computed = crc32c(&self.bytes[header::CRC_START..]);
        if computed != header.crc {
            return Err(BatchError::Crc { stored: header.crc, computed });
        }
        let compression = header.compression()?;
        if header.record_count < 1
            || i64::from(header.last_offset_delta) != i64::from(header.record_count) - 1
        {
            return Err(BatchError::Count {
                count: header.record_count,
                last_offset_delta: header.last_offset_delta,
            });
        }
        if compression != Compression::None {
            return Ok(None);
        }
        let delta = walk_uncompressed(&self.bytes[HEADER_LENGTH..], header.record_count)?;
        Ok(Some(header.base_timestamp.saturating_add(delta).max(NO_TIMESTAMP)))
    }
}

/// The batches that lie one behind the other in `bytes`; stops after the first error. A batch cut
/// off at the end of a range is left out silently, as a fetch answer may hold one.
pub fn batches(mut bytes: Bytes) -> impl Iterator<Item = Result<Batch, BatchError>> {
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || bytes.is_empty() {
            return None;
        }
        match Batch::split_first(&mut bytes) {
            Ok(batch) => Some(Ok(batch)),
            Err(BatchError::Truncated { .. }) => None,
            Err(error) => {
                failed = true;
                Some(Err(error))
            }
        }
    })
}

/// CRC-32C (Castagnoli, RFC 3720) of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The 64-bit result of the library carries a 32-bit CRC.
    u32::try_from(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
