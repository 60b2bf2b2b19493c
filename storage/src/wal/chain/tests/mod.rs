//! The sequencer over a log whose puts the test answers one by one.

mod cutting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::ids::SlotNumber;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::names::{ChainRef, SlotRef};
use crate::slots::{SlotError, SlotReader};
use crate::wal::slot::{Head, decode_head};
use crate::wal::testing::{
    Landings, at, batch, chain, cluster, header, partition, random, whole, with_header,
};
use crate::wal::{DeleteError, FrozenSlot, PutError, RecoverError, Recovered, Wal, WalKind};

const MS: Duration = Duration::from_millis(1);

type Answer = oneshot::Sender<Result<(), PutError>>;

/// Keeps puts until the test answers them.
#[derive(Debug)]
struct HeldWal {
    kind: WalKind,
    held: Mutex<BTreeMap<u64, (FrozenSlot, Answer)>>,
    deleted: Mutex<Vec<u64>>,
    deletions_fail: Mutex<usize>,
}

impl HeldWal {
    fn new(kind: WalKind) -> Arc<Self> {
        let (held, deleted, deletions_fail) = Default::default();
        Arc::new(Self { kind, held, deleted, deletions_fail })
    }

    fn held(&self) -> Vec<u64> {
        self.held.lock().keys().copied().collect()
    }

    fn slot(&self, slot: u64) -> FrozenSlot {
        self.held.lock()[&slot].0.clone()
    }

    fn answer(&self, slot: u64, result: Result<(), PutError>) {
        let (_, answer) = self.held.lock().remove(&slot).expect("a put of this slot");
        answer.send(result).expect("somebody waits for it");
    }

    fn land(&self, slot: u64) {
        self.answer(slot, Ok(()));
    }
}

#[async_trait]
impl SlotReader for HeldWal {
    async fn read(&self, _: SlotRef, _: u64, _: u64) -> Result<Bytes, SlotError> {
        Err(SlotError::Gone)
    }
}

#[async_trait]
impl Wal for HeldWal {
    fn kind(&self) -> WalKind {
        self.kind
    }

    async fn put(&self, slot: &FrozenSlot) -> Result<(), PutError> {
        let (answer, answered) = oneshot::channel();
        self.held.lock().insert(slot.at.slot.0, (slot.clone(), answer));
        answered.await.expect("the test answers")
    }

    async fn recover(
        &self,
        _: ChainRef,
        from: SlotNumber,
        _: u32,
        _: u64,
    ) -> Result<Recovered, RecoverError> {
        Ok(Recovered::starting_at(from))
    }

    async fn delete(&self, slots: &[SlotRef]) -> Result<(), DeleteError> {
        let mut fail = self.deletions_fail.lock();
        if *fail > 0 {
            *fail -= 1;
            return Err(DeleteError { at: slots[0], source: "503".into() });
        }
        self.deleted.lock().extend(slots.iter().map(|slot| slot.slot.0));
        Ok(())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

struct Fixture {
    wal: Arc<HeldWal>,
    landings: Arc<Landings>,
    handle: ChainHandle,
    shutdown: CancellationToken,
    run: JoinHandle<Result<(), ChainError>>,
}

fn options() -> ChainOptions {
    ChainOptions {
        slot_bytes: 1000,
        linger_max: 50 * MS,
        window: 4,
        unlanded_bytes_max: 10 * batch(0, 0, 1000).memory_bytes() - 500,
        ..ChainOptions::new(chain(1), cluster())
    }
}

fn start_with(kind: WalKind, options: ChainOptions) -> Fixture {
    let wal = HeldWal::new(kind);
    let landings = Arc::new(Landings::default());
    let (chain, handle) = Chain::new(options, wal.clone(), landings.clone(), random(1));
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(chain.run(shutdown.clone()));
    Fixture { wal, landings, handle, shutdown, run }
}

fn start() -> Fixture {
    start_with(WalKind::Object, options())
}

/// Lets everything happen that can without time passing.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

impl Fixture {
    /// Appends a batch that fills a slot by itself.
    fn append_full(&self, offset: i64) -> u64 {
        self.handle.append(batch(0, offset, 1000)).unwrap().0
    }

    fn append(&self, offset: i64) -> u64 {
        self.handle.append(batch(0, offset, 10)).unwrap().0
    }

    fn wait(&self, slot: u64) -> JoinHandle<Result<(), ChainError>> {
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.durable(SlotNumber(slot)).await })
    }
}

#[tokio::test(start_paused = true)]
async fn answers_go_in_slot_order() {
    let f = start();
    let waits: Vec<_> = (0..4).map(|i| f.wait(f.append_full(i))).collect();
    settle().await;
    assert_eq!(f.wal.held(), [0, 1, 2, 3]);
    for slot in [3, 1, 2] {
        f.wal.land(slot);
    }
    settle().await;
    // The first slot is a hole: nothing behind it may be acknowledged.
    assert!(f.landings.slots().is_empty());
    assert!(waits.iter().all(|wait| !wait.is_finished()));
    f.wal.land(0);
    settle().await;
    assert_eq!(f.landings.slots(), [0, 1, 2, 3]);
    assert_eq!(f.landings.offsets(0), [0, 1, 2, 3]);
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_sink_knows_before_the_waiters() {
    let f = start();
    let slot = SlotNumber(f.append(0));
    let (handle, landings) = (f.handle.clone(), f.landings.clone());
    let waiter = tokio::spawn(async move {
        handle.durable(slot).await.unwrap();
        landings.slots()
    });
    settle().await;
    f.wal.land(0);
    assert_eq!(waiter.await.unwrap(), [0]);
    // One that comes late need not wait.
    f.handle.durable(slot).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_window_is_counted_from_the_first_hole() {
    let f = start();
    for i in 0..8 {
        f.append_full(i);
    }
    settle().await;
    assert_eq!(f.wal.held(), [0, 1, 2, 3]);
    // Three landed, but a sealer that finds the hole at 0 puts its seal at 4.
    for slot in 1..4 {
        f.wal.land(slot);
    }
    settle().await;
    assert_eq!(f.wal.held(), [0]);
    f.wal.land(0);
    settle().await;
    assert_eq!(f.wal.held(), [4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_is_a_slot_cut_after_the_call() {
    let f = start();
    f.append_full(0);
    settle().await;
    let confirms: Vec<_> = (0..5)
        .map(|_| {
            let handle = f.handle.clone();
            tokio::spawn(async move { handle.confirm().await })
        })
        .collect();
    settle().await;
    // The slot in flight was cut before them.
    f.wal.land(0);
    settle().await;
    assert!(confirms.iter().all(|confirm| !confirm.is_finished()));
    assert_eq!(f.wal.held(), [1]);
    assert!(f.wal.slot(1).blocks.is_empty());
    f.wal.land(1);
    for confirm in confirms {
        confirm.await.unwrap().unwrap();
    }
    // One slot served all; the next call gets its own.
    assert_eq!(f.handle.stats().open_slot, SlotNumber(2));
    let handle = f.handle.clone();
    let again = tokio::spawn(async move { handle.confirm().await });
    settle().await;
    assert_eq!(f.wal.held(), [2]);
    f.wal.land(2);
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_seal_ends_the_chain_for_everyone() {
    let f = start();
    let waits: Vec<_> = (0..3).map(|i| f.wait(f.append_full(i))).collect();
    let open = f.wait(f.append(3));
    settle().await;
    f.wal.land(0);
    f.wal.land(2);
    f.wal.answer(1, Err(PutError::Sealed { at: at(1), fence: 9 }));
    assert!(matches!(f.run.await.unwrap(), Err(ChainError::Fenced(_))));
    let mut results = Vec::new();
    for wait in waits {
        results.push(wait.await.unwrap());
    }
    // Slot 2 landed, but behind the seal.
    assert!(matches!(
        results[..],
        [Ok(()), Err(ChainError::Fenced(_)), Err(ChainError::Fenced(_))]
    ));
    assert!(matches!(open.await.unwrap(), Err(ChainError::Fenced(_))));
    assert_eq!(f.landings.slots(), [0]);
    assert!(matches!(f.handle.append(batch(0, 9, 10)), Err(ChainError::Fenced(_))));
    assert!(matches!(f.handle.confirm().await, Err(ChainError::Fenced(_))));
    assert!(matches!(f.handle.room().await, Err(ChainError::Fenced(_))));
    // What was acknowledged stays so.
    f.handle.durable(SlotNumber(0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn something_foreign_fails_the_chain() {
    let f = start();
    f.append(0);
    settle().await;
    f.wal.answer(0, Err(PutError::Foreign { at: at(0), what: "a stranger".to_owned() }));
    assert!(matches!(f.run.await.unwrap(), Err(ChainError::Failed(_))));
    assert!(f.landings.slots().is_empty());
}

#[tokio::test(start_paused = true)]
async fn shutdown_lands_what_was_appended_and_takes_no_more() {
    let f = start();
    f.append(0);
    settle().await;
    let last = f.wait(f.append(1));
    f.shutdown.cancel();
    settle().await;
    assert!(matches!(f.handle.append(batch(0, 2, 10)), Err(ChainError::Closed)));
    assert_eq!(f.wal.held(), [0, 1]);
    f.wal.land(1);
    settle().await;
    assert!(!f.run.is_finished());
    f.wal.land(0);
    f.run.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert!(matches!(f.handle.durable(SlotNumber(2)).await, Err(ChainError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_dropped_closes() {
    let f = start();
    let wait = f.wait(f.append(0));
    settle().await;
    f.run.abort();
    assert!(matches!(wait.await.unwrap(), Err(ChainError::Closed)));
    assert!(matches!(f.handle.append(batch(0, 2, 10)), Err(ChainError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn room_slows_before_it_stops() {
    let f = start_with(
        WalKind::Object,
        ChainOptions { window: 16, linger_max: Duration::from_secs(60), ..options() },
    );
    let measure = async || {
        let start = Instant::now();
        let room = timeout(Duration::from_secs(5), f.handle.room()).await;
        room.map(|room| room.unwrap()).map(|()| start.elapsed())
    };
    let mut delays = Vec::new();
    for offset in 0..9 {
        delays.push(measure().await.unwrap());
        f.append_full(offset);
    }
    // Half of the limit is free, then it takes ever longer.
    assert_eq!(delays[..5], [Duration::ZERO; 5]);
    assert!(delays[5..].windows(2).all(|pair| pair[0] < pair[1]), "{delays:?}");
    assert!(delays[8] <= 100 * MS);
    f.append_full(9);
    assert!(measure().await.is_err(), "at the limit nobody passes");
    let handle = f.handle.clone();
    let waiting = tokio::spawn(async move { handle.room().await });
    settle().await;
    for slot in 0..6 {
        f.wal.land(slot);
    }
    settle().await;
    waiting.await.unwrap().unwrap();
    let stats = f.handle.stats();
    let memory_bytes = batch(0, 0, 1000).memory_bytes();
    assert_eq!((stats.slots_in_flight, stats.unlanded_bytes), (4, 4 * memory_bytes));
}

#[tokio::test(start_paused = true)]
async fn stats_show_the_age_of_what_does_not_land() {
    let f = start();
    assert_eq!(f.handle.stats().oldest_unlanded, Duration::ZERO);
    f.append(0);
    sleep(Duration::from_secs(7)).await;
    f.append(1);
    assert_eq!(f.handle.stats().oldest_unlanded, Duration::from_secs(7));
    f.wal.land(0);
    settle().await;
    assert_eq!(f.handle.stats().oldest_unlanded, Duration::ZERO);
    assert_eq!(f.handle.stats().landed_end, SlotNumber(1));
}

#[tokio::test(start_paused = true)]
async fn trimmed_slots_are_deleted_once_and_tried_again() {
    let f = start();
    *f.wal.deletions_fail.lock() = 1;
    f.handle.trim(SlotNumber(3));
    f.handle.trim(SlotNumber(2));
    sleep(Duration::from_secs(6)).await;
    assert_eq!(*f.wal.deleted.lock(), [0, 1, 2]);
    f.handle.trim(SlotNumber(300));
    settle().await;
    assert_eq!(*f.wal.deleted.lock(), (0..300).collect::<Vec<_>>());
}
