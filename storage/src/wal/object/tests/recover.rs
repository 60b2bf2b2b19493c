//! Sealing and reading chains.

use super::*;

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
    let draft = SlotDraft {
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
    wal.put(&slot(at(11), 0)).await.unwrap();
    wal.delete(&[at(10), at(11)]).await.unwrap();
    assert!(store.stored(at(10)).await.is_some());
    assert!(store.stored(at(11)).await.is_none(), "what lies behind it does not wait");
}
