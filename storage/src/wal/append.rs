//! A batch as its partition's owner has sequenced it, on its way into a slot.

use bytes::Bytes;
use odradek_common::batch::BatchHeader;
use odradek_common::ids::TopicPartition;

/// Bytes that the two shared buffers of a batch take beside their content, allocator included.
pub const SHARED_BYTES: usize = 128;

/// A batch whose base offset and leader epoch are final. The records are the producer's own bytes,
/// shared with the log cache; the header is the only thing that was written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Where it was appended.
    pub partition: TopicPartition,
    /// The header, patched.
    pub header: BatchHeader,
    /// The same header as bytes: [`odradek_common::batch::HEADER_LENGTH`] of them.
    pub encoded_header: Bytes,
    /// The records, compressed as they came.
    pub records: Bytes,
}

impl AppendedBatch {
    /// Bytes of header and records.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.encoded_header.len() + self.records.len()
    }

    /// Bytes of memory that it takes, which for tiny batches is far more than their size.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + SHARED_BYTES + self.size_bytes()
    }
}
