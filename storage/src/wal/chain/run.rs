//! The sequencer's loop.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use odradek_common::ids::SlotNumber;
use odradek_common::limits::DISK_WINDOW;
use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::linger::Linger;
use super::state::{Shared, State};
use super::{ChainError, ChainHandle, ChainOptions, LandedSlot, SlotRange, SlotSink, trim};
use crate::metric_names as names;
use crate::names::SlotRef;
use crate::wal::slot::{FrozenSlot, Nonce, SlotDraft};
use crate::wal::{PutError, Wal, WalKind};

/// A put that came back.
struct Put {
    at: SlotRef,
    result: Result<LandedSlot, PutError>,
    sent_at: Instant,
}

const GAUGES_EVERY: Duration = Duration::from_secs(1);

type Puts = FuturesUnordered<Pin<Box<dyn Future<Output = Put> + Send>>>;

/// The sequencer of a chain that begins at slot 0. A chain is written by one `Chain` ever, that of
/// the registration which opened it.
pub struct Chain {
    shared: Arc<Shared>,
    sink: Arc<dyn SlotSink>,
    random: SharedRandom,
    window: u32,
    one_at_a_time: bool,
    linger: Linger,
    budget: Budget,
    /// Slots that landed, by their distance from the first that has not.
    landed: VecDeque<Option<LandedSlot>>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Ends the chain for all who wait, however the loop is left.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(ChainError::Closed);
    }
}

impl Chain {
    /// A chain and the handle to it. Nothing happens before [`Chain::run`].
    #[must_use]
    pub fn new(
        options: ChainOptions,
        wal: Arc<dyn Wal>,
        sink: Arc<dyn SlotSink>,
        random: SharedRandom,
    ) -> (Self, ChainHandle) {
        let options = options.within_bounds();
        let one_at_a_time = wal.kind() == WalKind::Disk;
        let window = if one_at_a_time { DISK_WINDOW.min(options.window) } else { options.window };
        let linger = Linger::new(options.linger_floor, options.linger_max);
        // Nobody sends a bill for writes to a local disk, and it paces them by itself.
        let puts_per_second = if one_at_a_time { f64::INFINITY } else { options.puts_per_second };
        let budget = Budget::new(puts_per_second, Instant::now());
        let shared = Arc::new(Shared {
            options,
            wal,
            state: Mutex::new(State::new()),
            wake: Notify::new(),
            room: Notify::new(),
            trim: tokio::sync::watch::Sender::new(SlotNumber(0)),
        });
        let handle = ChainHandle { shared: Arc::clone(&shared) };
        let landed = VecDeque::new();
        let chain = Self { shared, sink, random, window, one_at_a_time, linger, budget, landed };
        (chain, handle)
    }

    /// Runs the chain until `shutdown`, and then until everything appended has landed; or until
    /// it is fenced or fails. Those who wait then learn how it ended; dropping the future closes
    /// the chain at once.
    ///
    /// # Errors
    /// It was fenced or failed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ChainError> {
        let shared = Arc::clone(&self.shared);
        let _end = EndOnDrop(Arc::clone(&shared));
        let result = tokio::select! {
            result = self.sequence(shutdown) => result,
            never = trim::run(&shared) => match never {},
        };
        if let Err(error) = &result {
            shared.end(error.clone());
        }
        result
    }

    async fn sequence(mut self, shutdown: CancellationToken) -> Result<(), ChainError> {
        let mut puts = Puts::new();
        let mut closing = false;
        // In an outage nothing else happens that would show how the age grows.
        let mut tick = tokio::time::interval(GAUGES_EVERY);
        loop {
            let cut_at = self.send_what_may_go(&mut puts);
            if closing && puts.is_empty() && cut_at.is_none() {
                return Ok(());
            }
            tokio::select! {
                biased;
                Some(put) = puts.next() => self.came_back(put)?,
                () = self.shared.wake.notified() => {}
                () = sleep_until(cut_at.unwrap_or_else(Instant::now)), if cut_at.is_some() => {}
                _ = tick.tick() => self.gauges(),
                () = shutdown.cancelled(), if !closing => {
                    closing = true;
                    self.shared.state.lock().close_to_appends();
                }
            }
        }
    }

    /// Sends every slot that is due. Gives back when the open slot is due, if that is known.
    fn send_what_may_go(&mut self, puts: &mut Puts) -> Option<Instant> {
        loop {
            let now = Instant::now();
            let draft = {
                let mut state = self.shared.state.lock();
                match state.take_full(self.window) {
                    Some(full) => full,
                    None => {
                        let since = state.gathers_since(self.window)?;
                        let due = if state.is_closing() {
                            now
                        } else {
                            let in_flight = state.slots_in_flight() > 0;
                            self.linger
                                .cut_at(since, now, in_flight, self.one_at_a_time)?
                                .max(self.budget.ready_at(now))
                        };
                        if due > now {
                            return Some(due);
                        }
                        state.cut(&self.shared.options)
                    }
                }
            };
            self.budget.spend(now);
            puts.push(self.put(draft, now));
            self.gauges();
        }
    }

    fn put(&self, draft: SlotDraft, sent_at: Instant) -> Pin<Box<dyn Future<Output = Put> + Send>> {
        let mut nonce = Nonce([0; 16]);
        self.random.fill(&mut nonce.0);
        let wal = Arc::clone(&self.shared.wal);
        Box::pin(async move {
            let at = draft.at;
            let slot = draft.freeze(nonce);
            let result = wal.put(&slot).await.map(|()| landed_slot(&slot));
            Put { at, result, sent_at }
        })
    }

    /// Takes in a put that came back, and lets land in order what now can (law 2.2).
    fn came_back(&mut self, put: Put) -> Result<(), ChainError> {
        let slot = put.result?;
        let took = put.sent_at.elapsed();
        self.linger.measured(took);
        metrics::histogram!(names::WAL_PUT_SECONDS).record(took.as_secs_f64());
        let first = self.shared.state.lock().landed_end();
        let behind = usize::try_from(put.at.slot.0 - first.0).unwrap_or(usize::MAX);
        if self.landed.len() <= behind {
            self.landed.resize(behind + 1, None);
        }
        self.landed[behind] = Some(slot);
        while let Some(Some(slot)) = self.landed.front() {
            self.sink.landed(slot);
            metrics::counter!(names::WAL_SLOTS_LANDED).increment(1);
            metrics::counter!(names::WAL_BYTES_LANDED).increment(slot.bytes);
            self.landed.pop_front();
            let gate = self.shared.state.lock().land();
            if let Some(gate) = gate {
                gate.notify_waiters();
            }
        }
        self.shared.room.notify_waiters();
        self.gauges();
        Ok(())
    }
}

impl Chain {
    fn gauges(&self) {
        let (in_flight, bytes, age) = {
            let state = self.shared.state.lock();
            let age = state.oldest_unlanded().map_or(0.0, |since| since.elapsed().as_secs_f64());
            (state.slots_in_flight(), state.unlanded_bytes(), age)
        };
        metrics::gauge!(names::WAL_SLOTS_IN_FLIGHT).set(as_f64(in_flight));
        metrics::gauge!(names::WAL_UNLANDED_BYTES).set(as_f64(bytes));
        metrics::gauge!(names::WAL_OLDEST_UNLANDED_SECONDS).set(age);
    }
}

fn landed_slot(slot: &FrozenSlot) -> LandedSlot {
    let ranges = slot.blocks.iter();
    let ranges = ranges.map(|b| SlotRange { partition: b.partition, range: b.range(slot.at) });
    LandedSlot {
        slot: slot.at,
        ranges: ranges.collect(),
        bytes: slot.blocks.iter().map(|block| block.length).sum(),
    }
}

/// For gauges, which are of this type.
fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
