//! What must never be found in a history.

use super::{Place, Stamp, ValueId};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An acknowledged record is gone.
    #[error("lost: {id} was acknowledged{} and was not found by a later scan", at(*.offset))]
    AcknowledgedLost {
        /// The record.
        id: ValueId,
        /// Where it was acknowledged.
        offset: Option<i64>,
    },
    /// An offset that was acknowledged for one record holds another.
    #[error("{acknowledged} was acknowledged at offset {offset}, where {found} is")]
    OtherRecord {
        /// The offset.
        offset: i64,
        /// What was acknowledged.
        acknowledged: ValueId,
        /// What is there.
        found: ValueId,
    },
    /// A record of an idempotent producer is in the log twice.
    #[error("twice: {id} of an idempotent producer is at the offsets {first} and {second}")]
    Duplicate {
        /// The record.
        id: ValueId,
        /// Its first offset.
        first: i64,
        /// Its second.
        second: i64,
    },
    /// Records of an idempotent producer do not lie in the order in which it sent them.
    #[error("out of order: {later} is at offset {offset}, in front of {earlier}")]
    OutOfOrder {
        /// Sent earlier, behind.
        earlier: ValueId,
        /// Sent later, in front.
        later: ValueId,
        /// The offset of the one in front.
        offset: i64,
    },
    /// An offset held one thing for one read and another for the next.
    #[error("two contents: offset {offset} of {place} held {first}, and later {second}")]
    TwoContents {
        /// Where.
        place: Place,
        /// The offset.
        offset: i64,
        /// What was read first.
        first: Stamp,
        /// What was read later.
        second: Stamp,
    },
    /// A record holds a value that nobody sent, or that was sent to another partition.
    #[error("nobody sent what is at offset {offset} of {place}: {found}")]
    NobodySent {
        /// Where.
        place: Place,
        /// The offset.
        offset: i64,
        /// What is there.
        found: Stamp,
    },
    /// The bytes of a record are damaged.
    #[error("the record at offset {offset} of {place} is damaged")]
    Damaged {
        /// Where.
        place: Place,
        /// The offset.
        offset: i64,
    },
    /// A reader was given an offset that was not above the one before.
    #[error("pass {pass} over {place} went from offset {from} to {to}")]
    WentBack {
        /// The pass.
        pass: u64,
        /// Where.
        place: Place,
        /// The offset before.
        from: i64,
        /// The offset that followed.
        to: i64,
    },
    /// A reader was not given offsets that are in the log.
    #[error("pass {pass} over {place} read nothing from offset {from} up to {to}")]
    Gap {
        /// The pass.
        pass: u64,
        /// Where.
        place: Place,
        /// The first offset that is missing.
        from: i64,
        /// The offset after the last that is missing.
        to: i64,
    },
    /// An acknowledged commit of a group is gone, or an older one is in its place.
    #[error("the group's offset of {place} is {found:?}, though {committed} was committed")]
    CommitLost {
        /// Of this partition.
        place: Place,
        /// The highest that was acknowledged before.
        committed: i64,
        /// What was found, or begun at.
        found: Option<i64>,
    },
    /// The group's offset is one that nobody committed.
    #[error("the group's offset of {place} is {found}, which nobody committed")]
    CommitInvented {
        /// Of this partition.
        place: Place,
        /// What was found.
        found: i64,
    },
    /// The end of a log is below what was seen or acknowledged before.
    #[error("the log of {place} ends at {end}, though {seen} was its end before")]
    EndWentBack {
        /// Where.
        place: Place,
        /// The end.
        end: i64,
        /// The least that it must be.
        seen: i64,
    },
    /// The start of a log is below what was seen or acknowledged before.
    #[error("the log of {place} starts at {start}, though {seen} was its start before")]
    StartWentBack {
        /// Where.
        place: Place,
        /// The start.
        start: i64,
        /// The least that it must be.
        seen: i64,
    },
    /// The beginning of a log that keeps everything is gone.
    #[error("the log of {place} keeps everything and starts at {start}")]
    DeletedUnasked {
        /// Where.
        place: Place,
        /// The start.
        start: i64,
    },
    /// A record that was refused for good is in the log.
    #[error("{id} was refused and is at offset {offset}")]
    RefusedStored {
        /// The record.
        id: ValueId,
        /// Where it is.
        offset: i64,
    },
}

fn at(offset: Option<i64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at offset {offset}"))
}
