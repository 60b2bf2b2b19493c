//! The object kind over a store that misbehaves.

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
use crate::wal::slot::Seal;
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
async fn a_put_whose_answer_was_lost_is_known_again() {
    let (store, wal) = with_puts([PutFault::AnswerLost]);
    let slot = slot(at(0), 100);
    wal.put(&slot).await.unwrap();
    assert_eq!(store.puts(), 2);
    assert_eq!(store.stored(at(0)).await.unwrap(), whole(&slot));
}

#[tokio::test(start_paused = true)]
async fn outages_are_waited_for_with_the_same_bytes() {
    let faults = || PutFault::Fails(Duration::ZERO);
    let (store, wal) = with_puts([faults(), faults(), PutFault::Hangs, faults(), PutFault::Denied]);
    let slot = slot(at(0), 100);
    wal.put(&slot).await.unwrap();
    assert_eq!((store.puts(), store.stored(at(0)).await.unwrap()), (6, whole(&slot)));
    assert_eq!(wal.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_lands_after_it_failed_is_ours() {
    let late = PutFault::LandsLater(20 * MS);
    let (store, wal) = with_puts([late, PutFault::Fails(100 * MS)]);
    wal.put(&slot(at(0), 100)).await.unwrap();
    assert_eq!(store.puts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_landed_nothing_is_tried_again() {
    let (store, wal) = with_puts([PutFault::Collides, PutFault::Collides]);
    wal.put(&slot(at(0), 100)).await.unwrap();
    assert_eq!(store.puts(), 3);
    assert!(store.stored(at(0)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_seal_in_its_place_fences() {
    let (store, wal) = with_puts([]);
    let seal = Seal { cluster: cluster(), at: at(0), fence: 5 };
    store.below().put(&names().slot(at(0)), seal.encode().into()).await.unwrap();
    let error = wal.put(&slot(at(0), 100)).await.unwrap_err();
    assert!(matches!(error, PutError::Sealed { fence: 5, .. }), "{error}");
    assert_eq!(seal_of(&store, 0).await, Some(seal));
}

#[tokio::test(start_paused = true)]
async fn another_process_with_our_epoch_is_fatal() {
    let (store, wal) = with_puts([]);
    let ours = slot(at(0), 100);
    // The same batches, cut by another process: only the nonce tells.
    let mut nonce = ours.nonce;
    nonce.0[0] ^= 1;
    let theirs = super::super::slot::SlotDraft {
        cluster: cluster(),
        at: at(0),
        predecessors: Arc::new([]),
        blocks: vec![super::super::slot::BlockDraft {
            partition: partition(0),
            batches: vec![batch(0, 0, 100)],
        }],
    };
    let theirs = theirs.freeze(nonce);
    assert_eq!(theirs.length, ours.length);
    wal.put(&theirs).await.unwrap();
    let error = wal.put(&ours).await.unwrap_err();
    assert!(matches!(error, PutError::Foreign { .. }), "{error}");
    // So is our own nonce with other bytes: a slot that was cut anew.
    let anew = slot(at(0), 101);
    let cut_anew = super::super::FrozenSlot { nonce, ..anew };
    assert!(matches!(wal.put(&cut_anew).await, Err(PutError::Foreign { .. })));
    assert_eq!(store.stored(at(0)).await.unwrap(), whole(&theirs));
}

#[tokio::test(start_paused = true)]
async fn rubbish_in_its_place_is_fatal_but_only_if_it_stays_rubbish() {
    let (store, wal) = with_puts([PutFault::AnswerLost]);
    store.script_gets(|_, nth| match nth {
        0 => GetFault::Cut,
        1 => GetFault::Flipped,
        2 => GetFault::Fails,
        _ => GetFault::Works,
    });
    wal.put(&slot(at(0), 100)).await.unwrap();
    let rubbish = PutPayload::from_static(b"rubbish");
    store.below().put(&names().slot(at(1)), rubbish).await.unwrap();
    let error = wal.put(&slot(at(1), 100)).await.unwrap_err();
    assert!(matches!(error, PutError::Foreign { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn trouble_is_shown_while_it_lasts() {
    let store = FaultyStore::new();
    store.script_puts(|_, nth| if nth < 30 { PutFault::Denied } else { NOW });
    let wal = Arc::new(open(&store));
    let putting = tokio::spawn({
        let wal = Arc::clone(&wal);
        async move { wal.put(&slot(at(0), 100)).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let trouble = wal.trouble().unwrap();
    assert!(trouble.contains("access denied"), "{trouble}");
    putting.await.unwrap().unwrap();
    assert_eq!(wal.trouble(), None);
}

/// Twenty quick puts, so that it is known how long a put takes.
async fn warm_up(wal: &ObjectWal) {
    for number in 1000..1020 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_put_is_hedged_with_the_same_bytes() {
    let store = FaultyStore::new();
    let wal = open(&store);
    store.script_puts(|_, _| PutFault::Works(10 * MS));
    warm_up(&wal).await;
    store.script_puts(|_, nth| PutFault::Works(if nth == 0 { 3000 * MS } else { 10 * MS }));
    let before = Instant::now();
    let slot = slot(at(0), 100);
    wal.put(&slot).await.unwrap();
    assert!(before.elapsed() <= 25 * MS, "{:?}", before.elapsed());
    assert_eq!((store.puts(), store.stored(at(0)).await.unwrap()), (2, whole(&slot)));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_finds_the_first_one_landed_is_ours() {
    let store = FaultyStore::new();
    let wal = open(&store);
    store.script_puts(|_, _| PutFault::Works(10 * MS));
    warm_up(&wal).await;
    // The first lands at 5 ms, its answer never comes; the second is told that it exists.
    store.script_puts(|_, nth| if nth == 0 { PutFault::LandsLater(5 * MS) } else { NOW });
    let (hanging, landed) = (store.clone(), store.clone());
    landed.script_puts(move |path, nth| {
        if nth == 0 {
            let (below, path) = (hanging.clone(), path.clone());
            tokio::spawn(async move {
                let bytes = whole(&slot(at(0), 100));
                below.below().put(&path, bytes.into()).await.unwrap();
            });
            PutFault::Hangs
        } else {
            NOW
        }
    });
    timeout(Duration::from_secs(1), wal.put(&slot(at(0), 100))).await.unwrap().unwrap();
    assert_eq!(store.puts(), 2);
}

#[tokio::test(start_paused = true)]
async fn few_puts_are_hedged_when_all_are_slow() {
    let store = FaultyStore::new();
    let wal = open(&store);
    store.script_puts(|_, _| PutFault::Works(10 * MS));
    warm_up(&wal).await;
    let random = random(8);
    store.script_puts(move |_, _| {
        PutFault::Works(Duration::from_millis(100 + random.next_u64() % 900))
    });
    for number in 0..200 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    let hedges = store.puts() - 200;
    assert!((2..=14).contains(&hedges), "{hedges}");
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

#[tokio::test(start_paused = true)]
async fn recovery_seals_the_first_hole_and_one_a_window_past_it() {
    let (store, wal) = with_puts([]);
    for number in [0, 1, 2, 4] {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    let found = recover(&wal, 0).await;
    assert_eq!((found.slots.len(), found.end), (3, SlotNumber(3)));
    assert_eq!(seal_of(&store, 3).await.unwrap().fence, 42);
    assert_eq!(seal_of(&store, 3 + u64::from(WINDOW)).await.unwrap().fence, 42);
    // The zombie's late put of the hole, and of what comes after its window.
    for number in [3, 7] {
        let error = wal.put(&slot(at(number), 100)).await.unwrap_err();
        assert!(matches!(error, PutError::Sealed { .. }), "{error}");
    }
    assert_eq!(recover(&wal, 0).await, found);
}

#[tokio::test(start_paused = true)]
async fn recovery_starts_at_the_trim_point_and_not_in_a_hole_that_trimming_made() {
    let (store, wal) = with_puts([]);
    for number in 0..6 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    wal.delete(&[at(0), at(1), at(2)]).await.unwrap();
    let found = recover(&wal, 3).await;
    let slots: Vec<_> = found.slots.iter().map(|slot| slot.slot.slot.0).collect();
    assert_eq!((slots, found.end), (vec![3, 4, 5], SlotNumber(6)));
    assert!(store.stored(at(0)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_former_sealers_seal_ends_the_chain_and_its_work_is_taken_up() {
    let (store, wal) = with_puts([]);
    for number in 0..3 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    // It put its ahead-seal, and died; the owner went on to that.
    let ahead = Seal { cluster: cluster(), at: at(5), fence: 9 };
    store.below().put(&names().slot(at(5)), ahead.encode().into()).await.unwrap();
    wal.put(&slot(at(3), 100)).await.unwrap();
    wal.put(&slot(at(4), 100)).await.unwrap();
    assert!(matches!(wal.put(&slot(at(5), 100)).await, Err(PutError::Sealed { fence: 9, .. })));
    let found = recover(&wal, 0).await;
    assert_eq!((found.slots.len(), found.end), (5, SlotNumber(5)));
    assert_eq!(store.stored(at(6)).await, None);
    assert_eq!(seal_of(&store, 5).await, Some(ahead));
}

/// An owner that fills every hole just before the sealer's seal comes there is stopped at the
/// ahead-seal.
#[tokio::test(start_paused = true)]
async fn a_live_owner_is_not_chased_for_long() {
    let store = FaultyStore::new();
    let wal = open(&store);
    let owner = store.clone();
    let mut next = 0;
    store.script_puts(move |path, _| {
        if *path == names().slot(at(next)) {
            let slot = whole(&slot(at(next), 10));
            let put = owner.below().put_opts(path, slot.into(), PutMode::Create.into());
            next += u64::from(put.now_or_never().unwrap().is_ok());
        }
        NOW
    });
    let found = timeout(Duration::from_secs(60), recover(&wal, 0)).await.unwrap();
    assert_eq!((found.slots.len(), found.end), (4, SlotNumber(u64::from(WINDOW))));
    assert!(seal_of(&store, 4).await.is_some());
}

/// One that is ahead of the sealer by more than its window when the ahead-seal comes.
#[tokio::test(start_paused = true)]
async fn the_ahead_seal_goes_farther_out_where_it_meets_slots() {
    let store = FaultyStore::new();
    let wal = open(&store);
    let owner = store.clone();
    store.script_puts(move |_, nth| {
        for number in 0..10 {
            let slot = whole(&slot(at(number), 10));
            let path = names().slot(at(number));
            let put = owner.below().put_opts(&path, slot.into(), PutMode::Create.into());
            assert_eq!(put.now_or_never().unwrap().is_ok(), nth == 0);
        }
        NOW
    });
    let found = recover(&wal, 0).await;
    assert_eq!((found.slots.len(), found.end), (10, SlotNumber(10)));
    // Met at 4 and 8, it went to 16.
    assert!(seal_of(&store, 10).await.is_some() && seal_of(&store, 16).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn many_sealers_agree() {
    let store = FaultyStore::new();
    let owner = open(&store);
    for number in [0, 1, 2, 3, 5] {
        owner.put(&slot(at(number), 100)).await.unwrap();
    }
    let random = random(4);
    store.script_puts(move |_, _| match random.next_u64() % 4 {
        0 => PutFault::AnswerLost,
        1 => PutFault::Fails(MS),
        2 => PutFault::LandsLater(30 * MS),
        _ => PutFault::Works(Duration::from_millis(random.next_u64() % 20)),
    });
    let sealers = (0..5).map(|_| {
        let wal = open(&store);
        tokio::spawn(async move { recover(&wal, 0).await })
    });
    let late = tokio::spawn(async move { owner.put(&slot(at(4), 100)).await });
    let found = futures::future::join_all(sealers).await;
    let first = found[0].as_ref().unwrap();
    for other in &found {
        assert_eq!(other.as_ref().unwrap(), first);
    }
    // The owner's last put either is part of the prefix, and then so is what was behind it, or met
    // a seal.
    match late.await.unwrap() {
        Ok(()) => assert_eq!(first.end, SlotNumber(6)),
        Err(error) => {
            assert!(matches!(error, PutError::Sealed { .. }), "{error}");
            assert_eq!(first.end, SlotNumber(4));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_reads_are_read_again() {
    let (store, wal) = with_puts([]);
    for number in 0..4 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    store.script_gets(|_, nth| match nth % 4 {
        0 => GetFault::Cut,
        1 => GetFault::Flipped,
        2 => GetFault::Fails,
        _ => GetFault::Works,
    });
    let found = recover(&wal, 0).await;
    assert_eq!((found.slots.len(), found.unreadable.len()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_slot_takes_down_only_its_partitions() {
    let (store, wal) = with_puts([]);
    for number in 0..4 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    let path = names().slot(at(1));
    let mut bytes = store.stored(at(1)).await.unwrap().to_vec();
    let length = bytes.len();
    bytes[length - 30] ^= 1;
    store.below().put(&path, bytes.into()).await.unwrap();
    let found = recover(&wal, 0).await;
    let slots: Vec<_> = found.slots.iter().map(|slot: &RecoveredSlot| slot.slot).collect();
    assert_eq!((slots, found.end), (vec![at(0), at(2), at(3)], SlotNumber(4)));
    assert_eq!(found.unreadable.len(), 1);
    assert_eq!(found.unreadable[0].slot, at(1));
    assert_eq!(found.unreadable[0].partitions, Some(vec![partition(0)]));
    // The last one has no successor: it may have held any.
    store.below().put(&names().slot(at(3)), PutPayload::from_static(b"?")).await.unwrap();
    let found = recover(&wal, 0).await;
    assert_eq!(found.unreadable[1].partitions, None);
}

/// Another sealer was done before, and its slots are deleted while this one reads them: what was
/// seen is no hole, and gets no seal.
#[tokio::test(start_paused = true)]
async fn slots_that_vanish_are_no_holes() {
    let (store, wal) = with_puts([]);
    for number in 0..3 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    let puts = store.puts();
    let below = store.clone();
    store.script_gets(move |path, _| {
        if *path == names().slot(at(1)) {
            let (below, path) = (below.clone(), path.clone());
            tokio::spawn(async move { below.below().delete(&path).await });
            return GetFault::Cut;
        }
        GetFault::Works
    });
    let result = wal.recover(chain(1), SlotNumber(0), WINDOW, 1).await;
    assert!(matches!(result, Err(RecoverError::Overtaken { .. })), "{result:?}");
    assert_eq!(store.puts(), puts);
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_another_cluster_is_refused() {
    let (store, wal) = with_puts([]);
    let draft = super::super::slot::SlotDraft {
        cluster: "other".parse().unwrap(),
        at: at(0),
        predecessors: Arc::new([]),
        blocks: Vec::new(),
    };
    let bytes = whole(&draft.freeze(slot(at(0), 0).nonce));
    store.below().put(&names().slot(at(0)), bytes.into()).await.unwrap();
    let result = wal.recover(chain(1), SlotNumber(0), WINDOW, 1).await;
    assert!(matches!(result, Err(RecoverError::Foreign { .. })));
}

#[tokio::test(start_paused = true)]
async fn no_seal_is_deleted() {
    let (store, wal) = with_puts([]);
    wal.put(&slot(at(0), 100)).await.unwrap();
    recover(&wal, 0).await;
    let all: Vec<_> = (0..8).map(at).collect();
    wal.delete(&all).await.unwrap();
    assert!(store.stored(at(0)).await.is_none());
    assert!(seal_of(&store, 1).await.is_some());
    assert!(seal_of(&store, 5).await.is_some());
    let size = store.stored(at(1)).await.unwrap().len() as u64;
    assert!(wal.is_seal(at(1), size).await.unwrap());
    wal.put(&slot(at(9), 0)).await.unwrap();
    let size = store.stored(at(9)).await.unwrap().len() as u64;
    assert!(!wal.is_seal(at(9), size).await.unwrap());
    // Who cannot tell does not delete.
    store.below().put(&names().slot(at(10)), PutPayload::from_static(b"?")).await.unwrap();
    assert!(wal.is_seal(at(10), 1).await.is_err());
    assert!(wal.delete(&[at(10)]).await.is_err());
    assert!(store.stored(at(10)).await.is_some());
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
