//! What of a log was not flushed yet: what a flush takes, and what it leaves when it is committed.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::SlotNumber;
use odradek_storage::range::{Place, Range};
use odradek_storage::wal::ProducerBatch;

use super::{Offsets, PartitionLog};
use crate::backlog::Gathered;
use crate::partition::producers::Producers;

/// What a flush takes from a partition.
#[derive(Debug)]
pub struct FlushPlan {
    /// Where it begins: the flushed end.
    pub base_offset: i64,
    /// Where it ends: where a range of a slot does, at most the high watermark.
    pub next_offset: i64,
    /// The batches, if all are still in memory.
    pub cached: Option<Vec<Bytes>>,
    /// Where they lie in slots.
    pub slots: Vec<Range>,
    /// The producers at `next_offset`.
    pub producers: Producers,
}

impl PartitionLog {
    /// The offsets and the ranges in slots that were not flushed, in order, at one moment.
    #[must_use]
    pub fn unflushed(&self) -> (Offsets, Vec<Range>) {
        let state = self.state.lock();
        (state.offsets(), state.unflushed.iter().copied().collect())
    }

    /// The first slot that holds something of this partition that was not flushed: the trim point
    /// may not pass it.
    #[must_use]
    pub fn oldest_unflushed_slot(&self) -> Option<SlotNumber> {
        let state = self.state.lock();
        state.unflushed.front().and_then(slot_of)
    }

    /// What is durable and was not flushed yet.
    #[must_use]
    pub fn gathered(&self) -> Gathered {
        let state = self.state.lock();
        let index_bytes = state.unflushed.len() * size_of::<Range>()
            + state.unflushed_batches.len() * size_of::<(ProducerBatch, i64)>();
        Gathered { log_bytes: state.unflushed_bytes, index_bytes: index_bytes as u64 }
    }

    /// Adds the durable bytes that were not flushed yet to those of their slots.
    pub fn add_unflushed(&self, by_slot: &mut BTreeMap<SlotNumber, u64>) {
        for range in &self.state.lock().unflushed {
            if let Some(slot) = slot_of(range) {
                *by_slot.entry(slot).or_default() += range.length;
            }
        }
    }

    /// What a flush of the slots up to and with `last` would take now, of all slots for none;
    /// `None` if nothing durable in them is un-flushed.
    #[must_use]
    pub fn plan_flush(
        &self,
        last: Option<SlotNumber>,
        now_ms: i64,
        expiration_ms: i64,
    ) -> Option<FlushPlan> {
        let state = self.state.lock();
        let is_taken = |range: &&Range| last.is_none_or(|last| slot_of(range) <= Some(last));
        let slots: Vec<Range> = state.unflushed.iter().take_while(is_taken).copied().collect();
        let (base_offset, next_offset) = (state.flushed_end, slots.last()?.next_offset);
        let mut producers = state.flushed_producers.clone();
        producers.expire(now_ms, expiration_ms);
        let is_taken = |(batch, _): &&(ProducerBatch, i64)| batch.last_offset < next_offset;
        for (batch, seen_ms) in state.unflushed_batches.iter().take_while(is_taken) {
            producers.append(*batch, None, *seen_ms);
        }
        Some(FlushPlan {
            base_offset,
            next_offset,
            cached: state.cache.read(base_offset, next_offset, usize::MAX, true),
            slots,
            producers,
        })
    }

    /// Takes note that the metadata accepted everything below `next_offset`, which was read as
    /// committed.
    pub fn flushed(&self, next_offset: i64) {
        let mut state = self.state.lock();
        debug_assert!(next_offset <= state.high_watermark, "only durable records are flushed");
        if next_offset <= state.flushed_end {
            return;
        }
        state.flushed_end = next_offset;
        while let Some(range) = state.unflushed.pop_front_if(|r| r.next_offset <= next_offset) {
            state.unflushed_bytes -= range.length;
        }
        while let Some((batch, seen_ms)) = state.unflushed_batches.front().copied()
            && batch.last_offset < next_offset
        {
            state.unflushed_batches.pop_front();
            state.flushed_producers.append(batch, None, seen_ms);
        }
    }
}

fn slot_of(range: &Range) -> Option<SlotNumber> {
    match range.place {
        Place::Slot(at) => Some(at.slot),
        Place::Segment(_) => None,
    }
}
