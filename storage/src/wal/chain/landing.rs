//! What a chain tells of slots that became durable.

use odradek_common::ids::TopicPartition;

use crate::names::SlotRef;
use crate::range::Range;

/// Consecutive batches of a partition in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The partition.
    pub partition: TopicPartition,
    /// Its place is the slot.
    pub range: Range,
}

/// A slot that is durable, as is every earlier one of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandedSlot {
    /// The slot.
    pub slot: SlotRef,
    /// What is in it, in the order in which it lies there.
    pub ranges: Vec<SlotRange>,
    /// Bytes of batches in it.
    pub bytes: u64,
}

/// Who wants to know first. Called by the sequencer in order of slots, before any waiter of the
/// slot completes: high watermarks rise here. It must not block.
pub trait SlotSink: Send + Sync {
    /// `slot` landed.
    fn landed(&self, slot: &LandedSlot);
}
