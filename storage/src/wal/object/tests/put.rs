//! Putting slots.

use super::*;

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
    let theirs = SlotDraft {
        cluster: cluster(),
        at: at(0),
        predecessors: Arc::new([]),
        blocks: vec![BlockDraft { partition: partition(0), batches: vec![batch(0, 0, 100)] }],
    };
    let theirs = theirs.freeze(nonce);
    assert_eq!(theirs.length, ours.length);
    wal.put(&theirs).await.unwrap();
    let error = wal.put(&ours).await.unwrap_err();
    assert!(matches!(error, PutError::Foreign { .. }), "{error}");
    // So is our own nonce with other bytes: a slot that was cut anew.
    let anew = slot(at(0), 101);
    let cut_anew = FrozenSlot { nonce, ..anew };
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
    // The first lands, its answer never comes; the second is told that it exists.
    let below = store.clone();
    store.script_puts(move |path, nth| {
        if nth > 0 {
            return NOW;
        }
        let put = below.below().put(path, whole(&slot(at(0), 100)).into());
        put.now_or_never().unwrap().unwrap();
        PutFault::Hangs
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
