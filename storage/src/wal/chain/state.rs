//! What sequencer and handles share: which slots there are and how far they landed.

use std::collections::VecDeque;
use std::sync::Arc;

use odradek_common::ids::{SlotNumber, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::open::OpenSlot;
use super::{ChainError, ChainOptions};
use crate::wal::slot::SlotDraft;
use crate::wal::{AppendedBatch, Wal};

/// Shared by the sequencer and its handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: ChainOptions,
    pub(super) wal: Arc<dyn Wal>,
    pub(super) state: Mutex<State>,
    /// Wakes the sequencer: there is something to cut.
    pub(super) wake: Notify,
    /// Wakes those who wait for room: something landed, or the chain ended.
    pub(super) room: Notify,
    /// Slots below may be deleted.
    pub(super) trim: tokio::sync::watch::Sender<SlotNumber>,
}

/// A closed slot that has not landed in order yet.
#[derive(Debug)]
struct Unlanded {
    gate: Arc<Notify>,
    memory_bytes: usize,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct State {
    open: OpenSlot,
    /// Closed for their size, waiting for the window; the oldest first.
    full: VecDeque<SlotDraft>,
    /// Every closed slot from `landed_end` up to the open one.
    unlanded: VecDeque<Unlanded>,
    /// The partitions of the slot that was closed last.
    predecessors: Arc<[TopicPartition]>,
    /// The first slot that has not landed, or landed behind one that has not.
    landed_end: SlotNumber,
    /// Bytes of memory of all batches in them and in the open slot.
    unlanded_bytes: usize,
    /// Nothing more is appended; what is there is cut at once.
    closing: bool,
    ended: Option<ChainError>,
}

/// Where a slot stands for one who waits for it.
pub(super) enum Standing {
    /// It landed, and all before it.
    Landed,
    /// It has not, and what tells of it is this.
    Waits(Arc<Notify>),
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            open: OpenSlot::new(SlotNumber(0)),
            full: VecDeque::new(),
            unlanded: VecDeque::new(),
            predecessors: Arc::new([]),
            landed_end: SlotNumber(0),
            unlanded_bytes: 0,
            closing: false,
            ended: None,
        }
    }

    fn check_takes_more(&self) -> Result<(), ChainError> {
        match &self.ended {
            Some(error) => Err(error.clone()),
            None if self.closing => Err(ChainError::Closed),
            None => Ok(()),
        }
    }

    /// Adds a batch; true with the slot's number if the sequencer has to look.
    pub(super) fn append(
        &mut self,
        batch: AppendedBatch,
        options: &ChainOptions,
    ) -> Result<(SlotNumber, bool), ChainError> {
        self.check_takes_more()?;
        let number = self.open.number;
        let first = self.open.since.is_none();
        self.unlanded_bytes += batch.memory_bytes();
        self.open.since.get_or_insert_with(Instant::now);
        self.open.push(batch);
        let full = self.open.bytes >= options.slot_bytes;
        if full {
            let draft = self.close(options);
            self.full.push_back(draft);
        }
        Ok((number, first || full))
    }

    /// The open slot, which will be cut even if nothing joins it.
    pub(super) fn want_cut(&mut self) -> Result<SlotNumber, ChainError> {
        self.check_takes_more()?;
        self.open.since.get_or_insert_with(Instant::now);
        Ok(self.open.number)
    }

    /// Closes the open slot and opens the next one.
    fn close(&mut self, options: &ChainOptions) -> SlotDraft {
        let next = OpenSlot::new(self.open.number.next());
        let closed = std::mem::replace(&mut self.open, next);
        let number = closed.number;
        self.unlanded.push_back(Unlanded {
            gate: Arc::clone(&closed.gate),
            memory_bytes: closed.memory_bytes,
            since: closed.since.unwrap_or_else(Instant::now),
        });
        let (partitions, blocks) = closed.into_content();
        let predecessors = std::mem::replace(&mut self.predecessors, partitions);
        let cluster = options.cluster.clone();
        SlotDraft { cluster, at: options.chain.slot(number), predecessors, blocks }
    }

    /// Closed slots that are not in flight yet do not count: the window reaches `window` slots
    /// from the first hole, and no farther, whatever landed behind it.
    fn window_is_open(&self, slot: SlotNumber, window: u32) -> bool {
        slot.0 < self.landed_end.0 + u64::from(window)
    }

    /// The next full slot, if the window lets it go.
    pub(super) fn take_full(&mut self, window: u32) -> Option<SlotDraft> {
        let next = self.full.front()?.at.slot;
        if self.window_is_open(next, window) { self.full.pop_front() } else { None }
    }

    /// Since when the open slot is wanted, if the window lets it go.
    pub(super) fn gathers_since(&self, window: u32) -> Option<Instant> {
        let may_go = self.full.is_empty() && self.window_is_open(self.open.number, window);
        self.open.since.filter(|_| may_go)
    }

    /// Cuts the open slot.
    pub(super) fn cut(&mut self, options: &ChainOptions) -> SlotDraft {
        debug_assert!(self.full.is_empty(), "slots are cut in order");
        self.close(options)
    }

    /// The slot at `landed_end` landed: its waiters, to be told outside the lock.
    pub(super) fn land(&mut self) -> Option<Arc<Notify>> {
        let slot = self.unlanded.pop_front()?;
        self.landed_end = self.landed_end.next();
        self.unlanded_bytes -= slot.memory_bytes;
        Some(slot.gate)
    }

    /// Where `slot` stands. A slot beyond the open one is waited for step by step.
    pub(super) fn standing(&self, slot: SlotNumber) -> Result<Standing, ChainError> {
        let Some(behind) = slot.0.checked_sub(self.landed_end.0) else {
            return Ok(Standing::Landed);
        };
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let unlanded = usize::try_from(behind).ok().and_then(|at| self.unlanded.get(at));
        let gate = unlanded.map_or(&self.open.gate, |slot| &slot.gate);
        Ok(Standing::Waits(Arc::clone(gate)))
    }

    /// Takes nothing more. True if all that was taken has landed.
    pub(super) fn close_to_appends(&mut self) {
        self.closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Ends the chain, once: what has not landed never will for anyone who waits here. Gives back
    /// who is to be told, outside the lock.
    pub(super) fn end(&mut self, error: ChainError) -> Vec<Arc<Notify>> {
        if self.ended.is_some() {
            return Vec::new();
        }
        self.ended = Some(error);
        self.full.clear();
        let gates = self.unlanded.iter().map(|slot| &slot.gate).chain([&self.open.gate]);
        gates.map(Arc::clone).collect()
    }

    pub(super) fn ended(&self) -> Option<&ChainError> {
        self.ended.as_ref()
    }

    pub(super) fn landed_end(&self) -> SlotNumber {
        self.landed_end
    }

    pub(super) fn unlanded_bytes(&self) -> usize {
        self.unlanded_bytes
    }

    /// Since when the oldest slot waits that has not landed.
    pub(super) fn oldest_unlanded(&self) -> Option<Instant> {
        self.unlanded.front().map(|slot| slot.since).or(self.open.since)
    }

    pub(super) fn open_number(&self) -> SlotNumber {
        self.open.number
    }

    /// Slots that were cut and have not landed in order.
    pub(super) fn slots_in_flight(&self) -> usize {
        self.unlanded.len() - self.full.len()
    }
}

impl Shared {
    /// Ends the chain and tells everyone who waits.
    pub(super) fn end(&self, error: ChainError) {
        let gates = self.state.lock().end(error);
        for gate in gates {
            gate.notify_waiters();
        }
        self.room.notify_waiters();
    }
}
