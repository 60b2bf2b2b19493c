//! A range: consecutive batches of one partition that lie one behind the other in one object.

use odradek_common::ids::LeaderEpoch;

use crate::names::{ObjectName, SlotRef};

/// Where a range's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a segment.
    Segment(ObjectName),
    /// In a write-ahead slot that was not flushed yet.
    Slot(SlotRef),
}

/// Consecutive batches of one partition in one object, with no offset missing between
/// `base_offset` and `next_offset` (compaction may have emptied some).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset after the last record.
    pub next_offset: i64,
    /// The leader epoch of the first batch; later ones of a segment may be higher.
    pub leader_epoch: LeaderEpoch,
    /// The largest timestamp in it, in ms.
    pub max_timestamp: i64,
    /// The object.
    pub place: Place,
    /// Where its first byte stands in the object.
    pub position: u64,
    /// Its length in bytes.
    pub length: u64,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// Where its sparse index stands in the object, in bytes; (0, 0) in a slot, which has none.
    pub index: (u64, u32),
}
