//! When slots are cut, and what is in them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_slot_is_cut_at_once_when_nothing_is_in_flight() {
    let f = start();
    let before = Instant::now();
    f.append(0);
    settle().await;
    assert_eq!(f.wal.held(), [0]);
    // What comes while it is in flight gathers ...
    assert_eq!((f.append(1), f.append(2)), (1, 1));
    settle().await;
    assert_eq!(f.wal.held(), [0]);
    // ... until it has landed.
    f.wal.land(0);
    settle().await;
    assert_eq!(f.wal.held(), [1]);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(f.wal.slot(1).blocks.len(), 1);
    assert_eq!(f.wal.slot(1).blocks[0].last_offset, 2);
}

#[tokio::test(start_paused = true)]
async fn the_linger_ends_the_gathering() {
    let f = start();
    f.append(0);
    settle().await;
    f.append(1);
    sleep(49 * MS).await;
    settle().await;
    assert_eq!(f.wal.held(), [0]);
    sleep(2 * MS).await;
    settle().await;
    assert_eq!(f.wal.held(), [0, 1]);
    // Once puts are known to take 10 ms, batches gather for half of that.
    f.wal.land(0);
    f.wal.land(1);
    settle().await;
    for i in 0..60 {
        f.append(2 + i);
        sleep(10 * MS).await;
        f.wal.land(2 + u64::try_from(i).unwrap());
        settle().await;
    }
    f.append(62);
    settle().await;
    f.append(63);
    sleep(7 * MS).await;
    settle().await;
    assert_eq!(f.wal.held(), [62, 63]);
}

#[tokio::test(start_paused = true)]
async fn a_full_slot_does_not_linger() {
    let f = start();
    f.append(0);
    settle().await;
    assert_eq!((f.append(1), f.append_full(2), f.append(3)), (1, 1, 2));
    settle().await;
    assert_eq!(f.wal.held(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_disk_gathers_while_it_writes() {
    let f = start_with(WalKind::Disk, options());
    f.append(0);
    settle().await;
    f.append(1);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(f.wal.held(), [0]);
    // Full slots queue up, but no more than one.
    f.append_full(2);
    f.append_full(3);
    settle().await;
    assert_eq!(f.wal.held(), [0, 1]);
    f.wal.land(0);
    settle().await;
    assert_eq!(f.wal.held(), [1, 2]);
}

/// How long sixty slots take, one after the other, of which ten a second are paid for.
async fn seconds_of_sixty(kind: WalKind) -> f64 {
    let f = start_with(kind, ChainOptions { puts_per_second: 10.0, ..options() });
    let start = Instant::now();
    for i in 0..60 {
        let slot = f.append(i);
        settle().await;
        while f.wal.held().is_empty() {
            sleep(MS).await;
        }
        f.wal.land(slot);
        f.handle.durable(SlotNumber(slot)).await.unwrap();
    }
    start.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn puts_keep_to_their_budget() {
    // Ten were saved up; the other fifty take five seconds.
    let seconds = seconds_of_sixty(WalKind::Object).await;
    assert!((4.9..5.3).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn writes_to_the_disk_cost_no_puts() {
    assert_eq!(seconds_of_sixty(WalKind::Disk).await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_epoch_or_a_gap_begins_a_new_block() {
    let f = start();
    f.append(0);
    settle().await;
    let mut raised = header(3, 1, 10);
    raised.leader_epoch = 4;
    for appended in [
        batch(0, 1, 10),
        batch(1, 0, 10),
        batch(0, 2, 10),
        with_header(partition(0), raised, 3),
        batch(1, 7, 10),
    ] {
        f.handle.append(appended).unwrap();
    }
    f.wal.land(0);
    settle().await;
    let slot = f.wal.slot(1);
    let blocks: Vec<_> = slot
        .blocks
        .iter()
        .map(|b| (b.partition.partition, b.leader_epoch.0, b.base_offset, b.last_offset))
        .collect();
    assert_eq!(blocks, [(0, 3, 1, 2), (1, 3, 0, 0), (0, 4, 3, 3), (1, 3, 7, 7)]);
    f.wal.land(1);
    settle().await;
    let landed = f.landings.0.lock()[1].clone();
    assert_eq!(landed.ranges.len(), 4);
    assert_eq!(landed.bytes, 5 * 71);
}

#[tokio::test(start_paused = true)]
async fn slots_name_their_place_and_their_predecessors_partitions() {
    let f = start();
    f.append_full(0);
    f.handle.append(batch(5, 0, 1000)).unwrap();
    settle().await;
    let second = whole(&f.wal.slot(1));
    assert!(matches!(decode_head(&second, &cluster(), at(1)), Ok(Head::Slot(_))));
    let list = crate::wal::slot::decode_predecessors(&second, &cluster(), at(1)).unwrap();
    assert_eq!(list, crate::wal::slot::Predecessors::List(vec![partition(0)]));
    assert_ne!(f.wal.slot(0).nonce, f.wal.slot(1).nonce);
}
