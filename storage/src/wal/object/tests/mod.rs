//! The object kind over a store that misbehaves.

mod put;
mod recover;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use object_store::{ObjectStoreExt, PutMode, PutPayload};
use odradek_common::ids::SlotNumber;
use odradek_common::random::Random;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::collect::SealCheck;
use crate::wal::slot::{BlockDraft, Seal, SlotDraft};
use crate::wal::testing::{
    FaultyStore, GetFault, Landings, PutFault, at, batch, chain, cluster, names, partition, random,
    slot, whole,
};
use crate::wal::{Chain, ChainError, ChainOptions, RecoveredSlot};

const MS: Duration = Duration::from_millis(1);
const NOW: PutFault = PutFault::Works(Duration::ZERO);
const WINDOW: u32 = 4;

fn open(store: &FaultyStore) -> ObjectWal {
    let store = Arc::new(store.clone());
    ObjectWal::new(store, names(), ObjectOptions::default(), random(3))
}

/// A store whose first puts go as `faults` say, and a log over it.
fn with_puts<const N: usize>(faults: [PutFault; N]) -> (FaultyStore, ObjectWal) {
    let store = FaultyStore::new();
    let mut faults = faults.into_iter();
    store.script_puts(move |_, _| faults.next().unwrap_or(NOW));
    let wal = open(&store);
    (store, wal)
}

async fn recover(wal: &ObjectWal, from: u64) -> Recovered {
    wal.recover(chain(1), SlotNumber(from), WINDOW, 42).await.unwrap()
}

async fn seal_of(store: &FaultyStore, place: u64) -> Option<Seal> {
    let bytes = store.stored(at(place)).await?;
    match decode_head(&bytes, &cluster(), at(place)).unwrap() {
        Head::Seal(seal) => Some(seal),
        Head::Slot(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn five_requests_are_in_flight_over_a_store_that_takes_its_time() {
    let store = FaultyStore::new();
    store.script_puts(|_, _| PutFault::Works(100 * MS));
    let landings = Arc::new(Landings::default());
    let options = ChainOptions {
        slot_bytes: 1 << 20,
        linger_max: 20 * MS,
        ..ChainOptions::new(chain(1), cluster())
    };
    let (chain, handle) = Chain::new(options, Arc::new(open(&store)), landings, random(1));
    tokio::spawn(chain.run(CancellationToken::new()));
    // A connection sends its next request when the one before has its place, five at a time.
    let before = Instant::now();
    let mut waiting = std::collections::VecDeque::new();
    for offset in 0..50 {
        if waiting.len() == 5 {
            handle.durable(waiting.pop_front().unwrap()).await.unwrap();
        }
        waiting.push_back(handle.append(batch(0, offset, 1 << 20)).unwrap());
    }
    for slot in waiting {
        handle.durable(slot).await.unwrap();
    }
    assert!(store.in_flight().bytes_max > 5 << 20, "{:?}", store.in_flight());
    assert_eq!(store.in_flight().puts_max, 5);
    // Ten round trips, not fifty.
    assert!(before.elapsed() <= 1100 * MS, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_acknowledgement_follows_the_landing_within_a_millisecond() {
    let store = FaultyStore::new();
    store.script_puts(|_, _| PutFault::Works(100 * MS));
    let landings = Arc::new(Landings::default());
    let options = ChainOptions::new(chain(1), cluster());
    let (chain, handle) = Chain::new(options, Arc::new(open(&store)), landings, random(1));
    tokio::spawn(chain.run(CancellationToken::new()));
    let before = Instant::now();
    let slot = handle.append(batch(0, 0, 10)).unwrap();
    handle.durable(slot).await.unwrap();
    assert!(before.elapsed() <= 101 * MS, "{:?}", before.elapsed());
}

/// Appends over a store that fails in every way, crashes, recovers: nothing acknowledged is lost.
#[tokio::test(start_paused = true)]
async fn chaos_loses_nothing_acknowledged() {
    let mut acknowledged_in_all = 0;
    for seed in 0..60 {
        let store = FaultyStore::new();
        let dice = random(seed);
        let script = random(seed + 1000);
        store.script_puts(move |_, _| match script.next_u64() % 10 {
            0 => PutFault::AnswerLost,
            1 => PutFault::Fails(Duration::from_millis(script.next_u64() % 50)),
            2 => PutFault::LandsLater(Duration::from_millis(script.next_u64() % 3000)),
            3 => PutFault::Hangs,
            4 => PutFault::Collides,
            _ => PutFault::Works(Duration::from_millis(script.next_u64() % 200)),
        });
        let script = random(seed + 2000);
        store.script_gets(move |_, _| match script.next_u64() % 6 {
            0 => GetFault::Fails,
            1 => GetFault::Cut,
            _ => GetFault::Works,
        });
        let landings = Arc::new(Landings::default());
        let options = ChainOptions {
            slot_bytes: 3000,
            window: WINDOW,
            ..ChainOptions::new(chain(1), cluster())
        };
        let owner = Arc::new(open(&store));
        let (running, handle) = Chain::new(options, owner, landings.clone(), random(seed));
        let run = tokio::spawn(running.run(CancellationToken::new()));
        let mut offset = 0;
        let pause = dice.next_u64() % 40 + 1;
        for _ in 0..200 {
            let _ = handle.append(batch(0, offset, 700));
            offset += 1;
            tokio::time::sleep(Duration::from_millis(dice.next_u64() % pause)).await;
        }
        // The sealer comes while the owner lives and goes on.
        let sealer = open(&store);
        let found = recover(&sealer, 0).await;
        for _ in 0..20 {
            let _ = handle.append(batch(0, offset, 700));
            offset += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let _ = timeout(Duration::from_secs(600), handle.confirm()).await;
        let ended = timeout(Duration::from_secs(600), run).await.expect("it meets the seal");
        assert!(matches!(ended.unwrap(), Err(ChainError::Fenced(_))), "seed {seed}");
        let acknowledged = landings.offsets(0);
        let ranges = found.slots.iter().flat_map(|slot| &slot.ranges);
        let recovered: Vec<_> =
            ranges.flat_map(|r| r.range.base_offset..r.range.next_offset).collect();
        assert!(recovered.starts_with(&acknowledged), "seed {seed}");
        acknowledged_in_all += acknowledged.len();
        // And whoever comes later finds the same.
        assert_eq!(recover(&open(&store), 0).await, found, "seed {seed}");
    }
    assert!(acknowledged_in_all > 1000, "{acknowledged_in_all} show nothing");
}
