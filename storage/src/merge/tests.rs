use std::collections::HashMap;

use super::*;
use crate::flush::{self, FlushedRound, SlotPart};
use crate::testkit::{World, batch, batches, end_of, part, partition, slot};

const CACHE: usize = 64 << 20;

type Starts = HashMap<TopicPartition, i64>;

fn starts(of: &[(i32, i64)]) -> Starts {
    of.iter().map(|(number, start)| (partition(*number), *start)).collect()
}

fn plan(old: Option<&Merged>, taken: &[(&FlushedRound, &[i32])]) -> MergePlan {
    let taken = taken.iter().map(|(round, numbers)| {
        (round.index_object, numbers.iter().map(|number| partition(*number)).collect())
    });
    MergePlan {
        group: GroupId(1),
        manifest: old.and_then(|old| old.manifest),
        version: old.map_or(0, |old| old.version),
        taken: taken.collect(),
    }
}

async fn merge(world: &World, plan: &MergePlan, starts: &Starts) -> Result<Merged, MergeError> {
    write(&world.attempt(8), &world.catalog, plan, &|partition| starts.get(partition).copied())
        .await
}

async fn flush(world: &World, parts: &[(i32, &[Bytes])]) -> FlushedRound {
    let parts = parts.iter().map(|(number, batches)| part(*number, batches));
    flush::write(&world.attempt(1), parts.collect()).await.unwrap().rounds.remove(0)
}

async fn read(world: &World, manifest: &Merged, number: i32, start: i64, end: i64) -> Vec<u8> {
    let catalog = &world.catalog;
    let ranges = catalog.ranges(partition(number), manifest.manifest, &[], start, end);
    let reader = world.reader(CACHE);
    reader.read(&ranges.await.unwrap(), start, 1 << 20, true).await.unwrap().concat()
}

#[tokio::test]
async fn rounds_become_one_manifest_and_then_the_next() {
    let world = World::new();
    let all = batches(0, &[10, 20, 30, 40]);
    let other = batches(0, &[50]);
    let first = flush(&world, &[(0, &all[..1]), (1, &other)]).await;
    let second = flush(&world, &[(0, &all[1..2])]).await;
    let third = flush(&world, &[(0, &all[2..])]).await;
    let starts = starts(&[(0, 0), (1, 0)]);
    // In any order; partition 1 was not accepted yet.
    let taken: [(&FlushedRound, &[i32]); 2] = [(&second, &[0]), (&first, &[0])];
    let one = merge(&world, &plan(None, &taken), &starts).await.unwrap();
    assert_eq!((one.version, one.mark), (1, 8));
    let manifest = world.catalog.manifest(one.manifest.unwrap()).await.unwrap();
    assert_eq!((manifest.version, manifest.mark, manifest.partitions.len()), (1, 8, 1));
    assert_eq!(read(&world, &one, 0, 0, end_of(&all[..2])).await, all[..2].concat());
    let taken: [(&FlushedRound, &[i32]); 2] = [(&third, &[0]), (&first, &[1])];
    let two = merge(&world, &plan(Some(&one), &taken), &starts).await.unwrap();
    assert_eq!(two.version, 2);
    assert_eq!(read(&world, &two, 0, 0, end_of(&all)).await, all.concat());
    assert_eq!(read(&world, &two, 1, 0, 1).await, other.concat());
    let manifest = world.catalog.manifest(two.manifest.unwrap()).await.unwrap();
    let entry = &manifest.partitions[&partition(0)];
    assert_eq!((entry.end, &entry.checkpoint), (end_of(&all), &part(0, &all).checkpoint));
}

#[tokio::test]
async fn a_backlog_is_merged_piece_by_piece() {
    let world = World::new();
    let all = batches(0, &[10, 20, 30, 40, 50]);
    let mut backlog: Vec<(FlushedRound, i32)> = Vec::new();
    for at in 0..all.len() {
        let one = &all[at..=at];
        let round = flush(&world, &[(0, one), (1, one), (2, one)]).await;
        backlog.extend([0, 1, 2].map(|number| (round.clone(), number)));
    }
    let starts = starts(&[(0, 0), (1, 0), (2, 0)]);
    let mut merged: Option<Merged> = None;
    // Pieces that end within an index object.
    for piece in backlog.chunks(4) {
        let taken: Vec<(&FlushedRound, &[i32])> =
            piece.iter().map(|(round, number)| (round, std::slice::from_ref(number))).collect();
        let plan = plan(merged.as_ref(), &taken);
        merged = Some(merge(&world, &plan, &starts).await.unwrap());
    }
    let merged = merged.unwrap();
    assert_eq!(merged.version, 4);
    for number in 0..3 {
        assert_eq!(read(&world, &merged, number, 0, end_of(&all)).await, all.concat());
    }
}

#[tokio::test]
async fn what_lies_in_slots_is_written_to_segments() {
    let world = World::new();
    let all = batches(0, &[10, 20, 30, 70_000, 9]);
    let before = flush(&world, &[(0, &all[..1])]).await;
    let mut ranges = world.slots.put(slot(1), &[all[1..3].to_vec()]);
    let blocks = [vec![batch(0, 1, 0, 1)], all[3..4].to_vec()];
    ranges.push(world.slots.put(slot(2), &blocks)[1]);
    let slots = SlotPart {
        partition: partition(0),
        group: GroupId(1),
        leader_epoch: LeaderEpoch(0),
        ranges,
        checkpoint: Bytes::from_static(b"taken over"),
    };
    let takeover = flush::index_slots(&world.attempt(2), vec![slots]).await.unwrap().remove(0);
    let after = flush(&world, &[(0, &all[4..])]).await;
    let taken: [(&FlushedRound, &[i32]); 3] = [(&before, &[0]), (&takeover, &[0]), (&after, &[0])];
    let merged = merge(&world, &plan(None, &taken), &starts(&[(0, 0)])).await.unwrap();
    let manifest = world.catalog.manifest(merged.manifest.unwrap()).await.unwrap();
    let ranges = &manifest.partitions[&partition(0)].ranges;
    assert_eq!(ranges.len(), 3, "the two slots became one range");
    assert!(ranges.iter().all(|range| matches!(range.place, Place::Segment(_))));
    assert_eq!(read(&world, &merged, 0, 0, end_of(&all)).await, all.concat());
}

#[tokio::test]
async fn what_is_below_the_log_start_or_deleted_is_left_out() {
    let world = World::new();
    let all = batches(0, &[10, 20, 30]);
    let first = flush(&world, &[(0, &all[..1]), (1, &all[..1])]).await;
    let second = flush(&world, &[(0, &all[1..])]).await;
    let taken: [(&FlushedRound, &[i32]); 2] = [(&first, &[0, 1]), (&second, &[0])];
    let one = merge(&world, &plan(None, &taken), &starts(&[(0, 2)])).await.unwrap();
    let manifest = world.catalog.manifest(one.manifest.unwrap()).await.unwrap();
    assert_eq!(manifest.partitions.len(), 1);
    assert_eq!(manifest.partitions[&partition(0)].ranges[0].base_offset, 1);
    // All of it below the log start, which is past the flushed end: the state of the producers stays.
    let two = merge(&world, &plan(Some(&one), &[]), &starts(&[(0, 100)])).await.unwrap();
    let manifest = world.catalog.manifest(two.manifest.unwrap()).await.unwrap();
    let entry = &manifest.partitions[&partition(0)];
    assert_eq!((entry.end, entry.ranges.len()), (6, 0));
    let log = world.catalog.ranges(partition(0), two.manifest, &[], 100, 6).await.unwrap();
    assert_eq!(log.checkpoint(), &part(0, &all).checkpoint);
    // It grows on from there.
    let third = flush(&world, &[(0, &[batch(6, 100, 0, 10)])]).await;
    let plan_three = plan(Some(&two), &[(&third, &[0])]);
    let three = merge(&world, &plan_three, &starts(&[(0, 100)])).await.unwrap();
    assert_eq!(read(&world, &three, 0, 100, 106).await, batch(6, 100, 0, 10));
    // With the last partition the manifest goes.
    let none = merge(&world, &plan(Some(&three), &[]), &Starts::new()).await.unwrap();
    assert_eq!((none.manifest, none.version), (None, 4));
}

#[tokio::test]
async fn holes_doubles_and_strangers_are_refused() {
    let world = World::new();
    let all = batches(0, &[10, 20, 30]);
    let rounds = [0, 1, 2].map(|at| &all[at..=at]);
    let [first, second, third] = [
        flush(&world, &[(0, rounds[0])]).await,
        flush(&world, &[(0, rounds[1])]).await,
        flush(&world, &[(0, rounds[2])]).await,
    ];
    let starts = starts(&[(0, 0)]);
    let refused = |taken: Vec<(&FlushedRound, &'static [i32])>| {
        let plan = plan(None, &taken);
        let (world, starts) = (&world, &starts);
        async move { merge(world, &plan, starts).await.unwrap_err() }
    };
    let hole = refused(vec![(&first, &[0]), (&third, &[0])]).await;
    assert!(matches!(hole, MergeError::Coverage { source: CoverageError::Hole { .. }, .. }));
    let front = refused(vec![(&second, &[0])]).await;
    assert!(matches!(front, MergeError::Coverage { source: CoverageError::Hole { .. }, .. }));
    let twice = refused(vec![(&first, &[0]), (&first, &[0])]).await;
    assert!(matches!(twice, MergeError::Coverage { source: CoverageError::Overlap { .. }, .. }));
    let nothing = refused(vec![(&first, &[5])]).await;
    assert!(matches!(nothing, MergeError::Catalog(CatalogError::NoSuchPart { .. })));

    let one = merge(&world, &plan(None, &[(&first, &[0])]), &starts).await.unwrap();
    let mut stale = plan(Some(&one), &[(&second, &[0])]);
    stale.version = 7;
    let stale = merge(&world, &stale, &starts).await;
    assert!(matches!(stale, Err(MergeError::NotAsPlanned { .. })));
    let mut other = plan(None, &[(&first, &[0])]);
    other.group = GroupId(2);
    let other = merge(&world, &other, &starts).await;
    assert!(matches!(other, Err(MergeError::NotAsPlanned { .. })));
    let two = merge(&world, &plan(Some(&one), &[(&second, &[0])]), &starts).await.unwrap();
    assert_eq!(read(&world, &two, 0, 0, end_of(rounds[1])).await, all[..2].concat());
}

#[tokio::test]
async fn a_round_that_comes_late_and_is_below_the_log_start_changes_nothing() {
    let world = World::new();
    let all = batches(0, &[10, 20]);
    let first = flush(&world, &[(0, &all[..1])]).await;
    let second = flush(&world, &[(0, &all[1..])]).await;
    let starts = starts(&[(0, 1)]);
    let one = merge(&world, &plan(None, &[(&second, &[0])]), &starts).await.unwrap();
    let two = merge(&world, &plan(Some(&one), &[(&first, &[0])]), &starts).await.unwrap();
    let manifest = world.catalog.manifest(two.manifest.unwrap()).await.unwrap();
    let entry = &manifest.partitions[&partition(0)];
    assert_eq!((entry.end, entry.ranges.len()), (3, 1));
    assert_eq!(entry.checkpoint, part(0, &all).checkpoint);
}

/// As a takeover leaves it: partition 0 lies in slot 1, which is lost, partition 1 in slot 2.
async fn in_slots(world: &World, all: &[Bytes]) -> FlushedRound {
    let parts = [(0, slot(1)), (1, slot(2))].map(|(number, at)| SlotPart {
        partition: partition(number),
        group: GroupId(1),
        leader_epoch: LeaderEpoch(0),
        ranges: world.slots.put(at, &[all.to_vec()]),
        checkpoint: Bytes::new(),
    });
    let takeover = flush::index_slots(&world.attempt(2), parts.into()).await.unwrap().remove(0);
    world.slots.remove(slot(1));
    takeover
}

#[tokio::test]
async fn a_partition_whose_slot_is_lost_is_left_and_the_others_go_on() {
    let world = World::new();
    let all = batches(0, &[10, 20]);
    let first = flush(&world, &[(0, &all[..1]), (1, &all[..1])]).await;
    let all_starts = starts(&[(0, 0), (1, 0)]);
    let plan_one = plan(None, &[(&first, &[0, 1])]);
    let one = merge(&world, &plan_one, &all_starts).await.unwrap();
    let takeover = in_slots(&world, &all[1..]).await;
    let plan_two = plan(Some(&one), &[(&takeover, &[0, 1])]);
    let two = merge(&world, &plan_two, &all_starts).await.unwrap();
    assert_eq!(two.left.keys().collect::<Vec<_>>(), [&partition(0)]);
    assert!(matches!(two.left[&partition(0)], WriteError::Slot(_)));
    assert_eq!(two.taken, [(takeover.index_object, vec![partition(1)])]);
    assert_eq!(read(&world, &two, 0, 0, end_of(&all[..1])).await, all[0]);
    assert_eq!(read(&world, &two, 1, 0, end_of(&all)).await, all.concat());
    // Once its owner gives up what is lost, it is taken in with the rest.
    let after = starts(&[(0, end_of(&all)), (1, 0)]);
    let plan_three = plan(Some(&two), &[(&takeover, &[0])]);
    let three = merge(&world, &plan_three, &after).await.unwrap();
    assert_eq!((three.left.len(), three.taken), (0, plan_three.taken.clone()));
}

#[tokio::test]
async fn a_partition_that_is_left_and_is_in_no_manifest_stays_out() {
    let world = World::new();
    let takeover = in_slots(&world, &batches(0, &[10])).await;
    let plan = plan(None, &[(&takeover, &[0])]);
    let merged = merge(&world, &plan, &starts(&[(0, 0)])).await.unwrap();
    assert_eq!((merged.manifest, merged.left.len(), merged.taken.len()), (None, 1, 0));
    assert!(!world.store.names().await.iter().any(|name| name.contains("/man/")));
}
