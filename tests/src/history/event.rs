//! What happened, in the order in which the clients noticed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Content, Stamp, ValueId};

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic, by a number of the test's.
    pub topic: u32,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} partition {}", self.topic, self.partition)
    }
}

/// What a producer is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Each record once and in order.
    Idempotent,
    /// Each acknowledged record at least once, in any order.
    AtLeastOnce,
}

/// What holds for a whole history.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The producers; others have sent nothing.
    pub producers: BTreeMap<u32, Guarantee>,
    /// Partitions whose beginning may be deleted. The others keep everything.
    pub deleting: BTreeSet<Place>,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// From the log start, or from 0, to the end that is given: everything there must be read.
    Scan {
        /// The end of the log when it began.
        until: i64,
    },
    /// Follows the end of the log.
    Tail,
    /// A group's member, from what the group committed.
    Group,
}

/// One thing that a client did or saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A producer sent a value. Without an answer its fate is unknown.
    Sent(Stamp),
    /// The broker acknowledged it; a duplicate may be acknowledged without an offset.
    Acknowledged {
        /// Which.
        id: ValueId,
        /// Where it is.
        offset: Option<i64>,
    },
    /// The broker refused it for good: it must never appear.
    Refused(ValueId),
    /// Records up to `low` were deleted, and that was acknowledged.
    Deleted {
        /// Where.
        place: Place,
        /// The log start from then on, at least.
        low: i64,
    },
    /// Log start and end were asked for while nobody produced.
    Bounds {
        /// Of this partition.
        place: Place,
        /// The first offset.
        start: i64,
        /// The offset after the last.
        end: i64,
    },
    /// A reader began to read a partition.
    PassBegan {
        /// Unique to reader, partition and time.
        pass: u64,
        /// Where.
        place: Place,
        /// Who.
        reader: Reader,
    },
    /// A reader got a record.
    Read {
        /// In this pass.
        pass: u64,
        /// The record's offset.
        offset: i64,
        /// Its value.
        content: Content,
    },
    /// A scan has reached its end.
    ScanEnded {
        /// Which.
        pass: u64,
    },
    /// A group asked to commit an offset.
    CommitSent {
        /// For this partition.
        place: Place,
        /// The offset.
        offset: i64,
    },
    /// A commit was acknowledged.
    Committed {
        /// For this partition.
        place: Place,
        /// The offset.
        offset: i64,
    },
    /// The committed offset was asked for. Later commits may or may not be in the answer.
    OffsetAsked {
        /// Unique to the question.
        ask: u64,
        /// Of this partition.
        place: Place,
    },
    /// The answer.
    OffsetAnswered {
        /// To this question.
        ask: u64,
        /// The committed offset, if there is one.
        offset: Option<i64>,
    },
}
