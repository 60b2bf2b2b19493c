//! The handle by which partitions append and wait.

use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::SlotNumber;
use odradek_common::pressure;
use tokio::time::{Instant, timeout_at};

use super::ChainError;
use super::state::{Shared, Standing};
use crate::wal::AppendedBatch;

/// A cheap handle to a running [`super::Chain`].
#[derive(Clone, Debug)]
pub struct ChainHandle {
    pub(super) shared: Arc<Shared>,
}

/// How a chain stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainStats {
    /// The number that the next cut slot gets.
    pub open_slot: SlotNumber,
    /// The first slot that has not landed.
    pub landed_end: SlotNumber,
    /// Slots cut and not landed.
    pub slots_in_flight: usize,
    /// Bytes of memory of the batches appended and not landed.
    pub unlanded_bytes: usize,
    /// How long the oldest batch, or wish for a slot, waits that has not landed. Zero if none.
    pub oldest_unlanded: Duration,
    /// What stands in the way of puts at present, in words.
    pub trouble: Option<String>,
}

impl ChainHandle {
    /// Adds a batch to the open slot. Short, never waits; to be called under the partition's lock,
    /// for the order of calls is the order in the chain. The batch is durable when the slot is:
    /// see [`ChainHandle::durable`].
    ///
    /// # Errors
    /// The chain has ended, and the batch is not in it.
    pub fn append(&self, batch: AppendedBatch) -> Result<SlotNumber, ChainError> {
        let shared = &*self.shared;
        let (slot, look) = shared.state.lock().append(batch, &shared.options)?;
        if look {
            shared.wake.notify_one();
        }
        Ok(slot)
    }

    /// Waits until another append is welcome. From half of the limit on it delays, the longer the
    /// fuller it is, and at the limit it waits for landings: producers are slowed before they are
    /// stopped. The caller bounds the wait.
    ///
    /// # Errors
    /// The chain has ended.
    pub async fn room(&self) -> Result<(), ChainError> {
        let start = Instant::now();
        let limit = self.shared.options.unlanded_bytes_max as u64;
        loop {
            let landing = self.shared.room.notified();
            let deadline = {
                let state = self.shared.state.lock();
                if let Some(error) = state.ended() {
                    return Err(error.clone());
                }
                pressure::delay(state.unlanded_bytes() as u64, limit).map(|delay| start + delay)
            };
            match deadline {
                Some(deadline) if deadline <= Instant::now() => return Ok(()),
                // A landing may shorten the delay, so look again; its end is looked at above.
                Some(deadline) => drop(timeout_at(deadline, landing).await),
                None => landing.await,
            }
        }
    }

    /// Waits until `slot` and every earlier slot is durable (law 2.2).
    ///
    /// # Errors
    /// The chain ended before that. Then it is not known whether the slot will be found durable.
    pub async fn durable(&self, slot: SlotNumber) -> Result<(), ChainError> {
        loop {
            let gate;
            let told = {
                let state = self.shared.state.lock();
                match state.standing(slot)? {
                    Standing::Landed => return Ok(()),
                    Standing::Waits(waits) => gate = waits,
                }
                // Made under the lock: whoever takes the gate out of the state tells this one.
                gate.notified()
            };
            told.await;
        }
    }

    /// Waits until a slot, empty if nothing else joins it, is durable that was cut after this call:
    /// proof that the chain was not sealed before it (law 5.3). All who call before the cut share
    /// the slot.
    ///
    /// # Errors
    /// The chain ended before that.
    pub async fn confirm(&self) -> Result<(), ChainError> {
        let slot = self.shared.state.lock().want_cut()?;
        self.shared.wake.notify_one();
        self.durable(slot).await
    }

    /// Slots below `up_to` may be deleted: the trim command that says so was read as committed
    /// (law 4.2). They go in the background; a lower `up_to` than before changes nothing.
    pub fn trim(&self, up_to: SlotNumber) {
        self.shared.trim.send_if_modified(|point| {
            let higher = up_to > *point;
            *point = up_to.max(*point);
            higher
        });
    }

    /// How the chain stands.
    #[must_use]
    pub fn stats(&self) -> ChainStats {
        let trouble = self.shared.wal.trouble();
        let state = self.shared.state.lock();
        ChainStats {
            open_slot: state.open_number(),
            landed_end: state.landed_end(),
            slots_in_flight: state.slots_in_flight(),
            unlanded_bytes: state.unlanded_bytes(),
            oldest_unlanded: state
                .oldest_unlanded()
                .map_or(Duration::ZERO, |since| since.elapsed()),
            trouble,
        }
    }
}
