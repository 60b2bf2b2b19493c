//! The records of `__consumer_offsets`, as Apache Kafka 4.1 writes them, so that its tools read
//! ours: `OffsetCommitKey` (types 0 and 1), `GroupMetadataKey` (type 2) and their values. All
//! versions are read; of the values those are written that Kafka 4.1 writes: an offset in version 4,
//! in version 1 if it carries an expiry, a group in version 3.

mod group;
mod key;
mod offset;
mod wire;

#[cfg(test)]
mod tests;

pub use group::{GroupRecord, MemberRecord};
pub use key::RecordKey;
pub use offset::OffsetRecord;
pub use wire::{FormatError, TooLong};
