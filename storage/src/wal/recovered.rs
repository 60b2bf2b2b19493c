//! What a chain holds, as recovery finds it.

use odradek_common::ids::{SlotNumber, TopicPartition};

use super::chain::SlotRange;
use super::slot::{Footer, ProducerBatch};
use crate::names::SlotRef;

/// The longest gapless prefix of a chain, from where recovery started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The readable slots, in order.
    pub slots: Vec<RecoveredSlot>,
    /// Slots that are part of the prefix and cannot be read, in order (law 3.5).
    pub unreadable: Vec<UnreadableSlot>,
    /// The slot after the last one.
    pub end: SlotNumber,
}

/// What one slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredSlot {
    /// Its place.
    pub slot: SlotRef,
    /// Its blocks, in the order in which they lie. A partition comes twice if its leader epoch
    /// changed within the slot, its ranges then in order of offset.
    pub ranges: Vec<SlotRange>,
    /// For each block with idempotent producers, what their windows must learn.
    pub producers: Vec<SlotProducers>,
}

/// The last batches of the producers of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProducers {
    /// The partition.
    pub partition: TopicPartition,
    /// At most [`odradek_common::limits::PRODUCER_WINDOW_BATCHES`] a producer, in order of offset.
    pub batches: Vec<ProducerBatch>,
}

/// A slot that is there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableSlot {
    /// Its place.
    pub slot: SlotRef,
    /// The partitions in it, as its successor names them; `None` if there is no successor or that
    /// cannot be read either: then it may be any of the chain's.
    pub partitions: Option<Vec<TopicPartition>>,
    /// What is wrong with it.
    pub reason: String,
}

impl Recovered {
    /// Nothing yet, from `from` on.
    pub(super) fn starting_at(from: SlotNumber) -> Self {
        Self { slots: Vec::new(), unreadable: Vec::new(), end: from }
    }
}

impl RecoveredSlot {
    /// As the footer of `slot` has it.
    pub(super) fn new(slot: SlotRef, footer: Footer) -> Self {
        let ranges = footer.blocks.iter();
        let ranges = ranges.map(|b| SlotRange { partition: b.partition, range: b.range(slot) });
        let ranges = ranges.collect();
        let producers = footer
            .blocks
            .into_iter()
            .filter(|block| !block.producers.is_empty())
            .map(|block| SlotProducers { partition: block.partition, batches: block.producers })
            .collect();
        Self { slot, ranges, producers }
    }
}
