//! A range: consecutive batches of one partition that lie one behind the other in one object.

pub(crate) mod message;
mod partition;

pub use message::ListError;
pub use partition::{CoverageError, PartitionRanges};

use std::fmt;

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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(name) => name.fmt(f),
            Self::Slot(at) => {
                let chain = at.chain;
                let (broker, epoch) = (chain.broker.0, chain.epoch.0);
                write!(f, "wal/{broker}/{epoch}/{}/{}", chain.chain.0, at.slot.0)
            }
        }
    }
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
    /// Where its sparse index stands in the object, in bytes; (0, 0) if it has none: in a slot,
    /// and where a range is so short that its index would have one entry.
    pub index: (u64, u32),
}

/// A range that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a range of offsets {base_offset}..{next_offset} at {position}+{length} in {place}: {what}"
)]
pub struct BadRange {
    /// Its first offset.
    pub base_offset: i64,
    /// Its end.
    pub next_offset: i64,
    /// Its object.
    pub place: Place,
    /// Its position.
    pub position: u64,
    /// Its length.
    pub length: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Range {
    /// Where its bytes end in the object.
    #[must_use]
    pub fn end_position(&self) -> u64 {
        self.position.saturating_add(self.length)
    }

    /// True if `offset` lies between its first and its last.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        (self.base_offset..self.next_offset).contains(&offset)
    }

    /// Checks what does not depend on the bytes: order of the offsets, sane lengths.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(&self) -> Result<(), BadRange> {
        let what = if self.base_offset < 0 || self.next_offset <= self.base_offset {
            "offsets out of order"
        } else if self.leader_epoch.0 < 0 {
            "negative leader epoch"
        } else if self.length == 0 {
            "no bytes"
        } else if self.position.checked_add(self.length).is_none() {
            "end past 64 bits"
        } else if self.index.0.checked_add(u64::from(self.index.1)).is_none() {
            "index past 64 bits"
        } else {
            return Ok(());
        };
        Err(BadRange {
            base_offset: self.base_offset,
            next_offset: self.next_offset,
            place: self.place,
            position: self.position,
            length: self.length,
            what,
        })
    }
}
