use std::collections::HashSet;

use odradek_common::limits;

use super::*;
use crate::names::SlotRef;
use crate::range::Place;
use crate::segment::BadBatches;
use crate::slots::{SlotError, SlotRangeError, SlotReader};
use crate::testkit::{World, batch, batch_of, batches, end_of, part, partition, slot};

const MIB: usize = 1 << 20;

async fn index(world: &World, round: &FlushedRound) -> std::sync::Arc<IndexObject> {
    world.catalog.index_object(round.index_object).await.unwrap()
}

fn segments(part: &IndexPart) -> HashSet<Place> {
    part.ranges.iter().map(|range| range.place).collect()
}

async fn read_all(world: &World, round: &FlushedRound, number: i32, end: i64) -> Vec<u8> {
    let names = [round.index_object];
    let ranges = world.catalog.ranges(partition(number), None, &names, 0, end).await.unwrap();
    let reader = world.reader(64 << 20);
    let (mut offset, mut all) = (0, Vec::new());
    while offset < end {
        let read = reader.read(&ranges, offset, 4 * MIB, true).await.unwrap().concat();
        let last = odradek_common::batch::batches(Bytes::from(read.clone())).last();
        offset = last.unwrap().unwrap().header.next_offset();
        all.extend(read);
    }
    all
}

#[tokio::test]
async fn small_ones_share_by_group_and_large_ones_do_not() {
    let world = World::new();
    let large = batches(0, &[MIB; 33]);
    let small = batches(0, &[100, 200]);
    let group = |number, group| FlushPart { group: GroupId(group), ..part(number, &small) };
    let parts = vec![group(3, 1), part(2, &large), group(1, 2), group(0, 1)];
    let round = write(&world.attempt(6), parts).await.unwrap().rounds.remove(0);
    assert_eq!((round.mark, round.index_object.mark), (6, 6));
    let claimed: Vec<(i32, i64, i64)> = round
        .parts
        .iter()
        .map(|part| (part.partition.partition, part.base_offset, part.next_offset))
        .collect();
    assert_eq!(claimed, [(0, 0, 3), (1, 0, 3), (2, 0, end_of(&large)), (3, 0, 3)]);
    let index = index(&world, &round).await;
    let held: Vec<HashSet<Place>> = index.parts.iter().map(segments).collect();
    assert_eq!(held[0], held[3], "one group shares");
    assert_eq!(
        HashSet::from([&held[0], &held[1], &held[2]].map(|set| format!("{set:?}"))).len(),
        3
    );
    assert!(index.parts.iter().all(|part| part.ranges.iter().all(|range| match range.place {
        Place::Segment(name) => name.mark == 6,
        Place::Slot(_) => false,
    })));
    assert_eq!(world.store.names().await.len(), 4);
    assert_eq!(read_all(&world, &round, 2, end_of(&large)).await, large.concat());
    assert_eq!(read_all(&world, &round, 1, 3).await, small.concat());
}

#[tokio::test]
async fn segments_are_bounded_wherever_the_buffers_end() {
    let world = World::new();
    let all = batches(0, &[5 * MIB; 30]);
    let end = end_of(&all);
    // Buffers that have nothing to do with batches, so that some must be cut.
    let whole = Bytes::from(all.concat());
    let cut = |at: usize| whole.slice(at..whole.len().min(at + 31 * MIB + 7));
    let buffers: Vec<Bytes> = (0..whole.len()).step_by(31 * MIB + 7).map(cut).collect();
    let source = FlushSource::Batches(buffers);
    let parts = vec![FlushPart { source, ..part(0, &all) }];
    let round = write(&world.attempt(1), parts).await.unwrap().rounds.remove(0);
    let index = index(&world, &round).await;
    let lengths: Vec<u64> = index.parts[0].ranges.iter().map(|range| range.length).collect();
    assert_eq!(lengths.len(), 3, "{lengths:?}");
    assert!(lengths.iter().all(|length| *length <= limits::SEGMENT_BYTES));
    assert!(read_all(&world, &round, 0, end).await == all.concat());
}

#[tokio::test]
async fn what_the_cache_let_go_comes_from_slots() {
    let world = World::new();
    let (a, b) = (batches(0, &[100, 2000, 30]), batches(0, &[7, 70_000]));
    let mut held = [Vec::new(), Vec::new()];
    for (number, (a, b)) in [(1, (&a[..2], &b[..1])), (2, (&a[2..], &b[1..]))] {
        let ranges = world.slots.put(slot(number), &[a.to_vec(), b.to_vec()]);
        held.iter_mut().zip(ranges).for_each(|(held, range)| held.push(range));
    }
    let [of_a, of_b] = held.map(FlushSource::Slots);
    let parts = || {
        vec![
            FlushPart { source: of_a.clone(), ..part(0, &a) },
            FlushPart { source: of_b.clone(), ..part(1, &b) },
        ]
    };
    let round = write(&world.attempt(1), parts()).await.unwrap().rounds.remove(0);
    assert_eq!(read_all(&world, &round, 0, end_of(&a)).await, a.concat());
    assert_eq!(read_all(&world, &round, 1, end_of(&b)).await, b.concat());
    let merged = index(&world, &round).await;
    assert_eq!(merged.parts[0].ranges.len(), 1, "two slots become one range");
}

#[tokio::test]
async fn a_slot_that_cannot_be_read_holds_up_its_partitions_only() {
    let world = World::new();
    // Of three partitions the first lies in both slots, the others in one each.
    let (a, b, c) = (batches(0, &[100, 30]), batches(0, &[70]), batches(0, &[9, 60]));
    let one = world.slots.put(slot(1), &[a[..1].to_vec(), b.clone()]);
    let two = world.slots.put(slot(2), &[a[1..].to_vec(), c.clone()]);
    let slots = |ranges: &[Range]| FlushSource::Slots(ranges.to_vec());
    let parts = || {
        vec![
            FlushPart { source: slots(&[one[0], two[0]]), ..part(0, &a) },
            FlushPart { source: slots(&one[1..]), ..part(1, &b) },
            FlushPart { source: slots(&two[1..]), ..part(2, &c) },
            part(3, &c),
        ]
    };
    let left_out = |flushed: &Flushed| -> Vec<i32> {
        flushed.left_out.iter().map(|out| out.partition.partition).collect()
    };
    let whole = write(&world.attempt(1), parts()).await.unwrap();
    assert_eq!((left_out(&whole), whole.rounds[0].parts.len()), (vec![], 4));

    // A byte of what the first has in it: what the third has beside it is sound.
    world.slots.damage(slot(2), 20);
    let damaged = write(&world.attempt(1), parts()).await.unwrap();
    assert_eq!(left_out(&damaged), [0]);
    let why = &damaged.left_out[0].why;
    assert!(matches!(why, WriteError::Slot(SlotRangeError::Damaged { .. })), "{why}");
    let round = &damaged.rounds[0];
    assert_eq!(read_all(&world, round, 1, end_of(&b)).await, b.concat());
    assert_eq!(read_all(&world, round, 2, end_of(&c)).await, c.concat());
    assert_eq!(read_all(&world, round, 3, end_of(&c)).await, c.concat());
    assert!(index(&world, round).await.part(&partition(0)).is_none());

    world.slots.remove(slot(2));
    let gone = write(&world.attempt(1), parts()).await.unwrap();
    assert_eq!((left_out(&gone), gone.rounds[0].parts.len()), (vec![0, 2], 2));

    world.slots.remove(slot(1));
    let before = world.store.names().await.len();
    let nothing = write(&world.attempt(1), parts()[..3].to_vec()).await.unwrap();
    assert_eq!((left_out(&nothing), nothing.rounds), (vec![0, 1, 2], vec![]));
    assert_eq!(world.store.names().await.len(), before, "no object without anything in it");
}

#[tokio::test]
async fn a_batch_in_a_slot_that_is_not_as_its_range_says_holds_up_its_partition_only() {
    let world = World::new();
    let all = batches(0, &[10, 20]);
    let mut ranges = world.slots.put(slot(1), std::slice::from_ref(&all));
    ranges[0].next_offset += 1;
    let next_offset = ranges[0].next_offset;
    let wrong = FlushPart { source: FlushSource::Slots(ranges), next_offset, ..part(0, &all) };
    let flushed = write(&world.attempt(1), vec![wrong, part(1, &all)]).await.unwrap();
    assert!(matches!(
        flushed.left_out[..],
        [LeftOut { why: WriteError::Batches { source: BadBatches::Missing { .. }, .. }, .. }]
    ));
    assert_eq!(flushed.rounds[0].parts.len(), 1);
}

#[tokio::test]
async fn nothing_is_left_out_while_slots_cannot_be_read_at_all() {
    /// A log in a store that does not answer.
    #[derive(Debug)]
    struct Away;

    #[async_trait::async_trait]
    impl SlotReader for Away {
        async fn read(&self, _: SlotRef, _: u64, _: u64) -> Result<Bytes, SlotError> {
            Err(SlotError::Failed(std::sync::Arc::new(std::io::Error::other("away"))))
        }
    }

    let world = World::new();
    let all = batches(0, &[10, 20]);
    let source = FlushSource::Slots(world.slots.put(slot(1), std::slice::from_ref(&all)));
    let parts = vec![FlushPart { source, ..part(0, &all) }, part(1, &all)];
    let away = world.attempt_with(1, std::sync::Arc::new(Away));
    let void = write(&away, parts).await;
    assert!(matches!(
        void,
        Err(FlushError::Segments(WriteError::Slot(SlotRangeError::Slot {
            source: SlotError::Failed(_),
            ..
        })))
    ));
}

#[tokio::test]
async fn what_is_not_as_announced_is_refused() {
    let world = World::new();
    let all = batches(0, &[10, 20, 30]);
    let wrong = |part: FlushPart| {
        let attempt = world.attempt(1);
        async move {
            match write(&attempt, vec![part]).await {
                Err(FlushError::Segments(WriteError::Batches { source, .. })) => source,
                other => panic!("{other:?}"),
            }
        }
    };
    let good = || part(0, &all);
    let of = |batches: Vec<Bytes>| FlushSource::Batches(batches);
    let missing = |error| matches!(error, BadBatches::Missing { .. });
    assert!(missing(wrong(FlushPart { next_offset: 7, ..good() }).await));
    assert!(missing(wrong(FlushPart { base_offset: -1, ..good() }).await));
    let hole = of(vec![all[0].clone(), all[2].clone()]);
    assert!(missing(wrong(FlushPart { source: hole, ..good() }).await));
    assert!(missing(wrong(FlushPart { source: of(Vec::new()), ..good() }).await));
    let past = wrong(FlushPart { next_offset: 5, ..good() }).await;
    assert!(matches!(past, BadBatches::Offsets { .. }));
    let cut = of(vec![Bytes::from(all.concat()).slice(..120)]);
    let cut = wrong(FlushPart { source: cut, ..good() }).await;
    assert!(matches!(cut, BadBatches::NoBatch { .. }));
    let epoch = of(vec![batch_of(0, 1, 1, 0, 10)]);
    let epoch = wrong(FlushPart { source: epoch, next_offset: 1, ..good() }).await;
    assert!(matches!(epoch, BadBatches::LeaderEpoch { .. }));
    let slots =
        FlushSource::Slots(world.slots.put(slot(1), &[all.clone(), vec![batch(9, 1, 0, 1)]]));
    assert!(missing(wrong(FlushPart { source: slots, next_offset: 10, ..good() }).await));
    assert!(!world.store.names().await.iter().any(|name| name.contains("/idx/")));
}

#[tokio::test]
async fn a_partition_comes_once_and_with_something() {
    let world = World::new();
    let one = || part(0, &batches(0, &[10]));
    let twice = write(&world.attempt(1), vec![one(), one()]).await;
    assert!(matches!(twice, Err(FlushError::Twice(name)) if name == partition(0)));
    let source = FlushSource::Batches(Vec::new());
    let empty = FlushPart { next_offset: 0, source, ..one() };
    let empty = write(&world.attempt(1), vec![empty]).await;
    assert!(matches!(empty, Err(FlushError::Empty(name)) if name == partition(0)));
    assert!(world.store.names().await.is_empty());
}

#[tokio::test]
async fn slots_are_named_where_they_lie() {
    let world = World::new();
    let all = batches(0, &[10, 20]);
    let mut ranges = world.slots.put(slot(1), &[all[..1].to_vec()]);
    ranges.extend(world.slots.put(slot(2), &[all[1..].to_vec()]));
    let slots = |ranges: Vec<Range>| SlotPart {
        partition: partition(0),
        group: GroupId(1),
        leader_epoch: LeaderEpoch(3),
        ranges,
        checkpoint: Bytes::from_static(b"state"),
    };
    let round =
        index_slots(&world.attempt(1), vec![slots(ranges.clone())]).await.unwrap().remove(0);
    assert_eq!(world.store.names().await.len(), 1, "no data moves");
    assert_eq!(read_all(&world, &round, 0, 3).await, all.concat());
    assert_eq!(round.parts[0].leader_epoch, LeaderEpoch(3));
    let turned = ranges.iter().rev().copied().collect();
    let turned = index_slots(&world.attempt(1), vec![slots(turned)]).await.unwrap().remove(0);
    assert_eq!(turned.parts, round.parts);
    let mut hole = ranges;
    hole.extend(world.slots.put(slot(3), &[vec![batch(9, 1, 0, 1)]]));
    let hole = index_slots(&world.attempt(1), vec![slots(hole)]).await;
    assert!(matches!(hole, Err(FlushError::Coverage(CoverageError::Hole { .. }))));
    let empty = index_slots(&world.attempt(1), vec![slots(Vec::new())]).await;
    assert!(matches!(empty, Err(FlushError::Empty(_))));
}

#[tokio::test]
async fn long_checkpoints_go_into_several_index_objects() {
    let world = World::new();
    let all = batches(0, &[10]);
    // Two fit into one object, three do not; the last alone is larger than one should be.
    let third = limits::INDEX_OBJECT_BYTES * 2 / 5;
    let sizes = [third, third, third, 9, 2 * limits::INDEX_OBJECT_BYTES, 7];
    let state = |size: usize| Bytes::from(vec![b'c'; size]);
    let parts = (0..)
        .zip(sizes)
        .map(|(number, size)| FlushPart { checkpoint: state(size), ..part(number, &all) });
    let flushed = write(&world.attempt(4), parts.collect()).await.unwrap();
    let claimed: Vec<Vec<i32>> = flushed
        .rounds
        .iter()
        .map(|round| round.parts.iter().map(|part| part.partition.partition).collect())
        .collect();
    assert_eq!(claimed, [vec![0, 1], vec![2, 3], vec![4], vec![5]]);
    for round in &flushed.rounds {
        let index = index(&world, round).await;
        let held = index.parts.iter().map(|part| part.partition).collect::<Vec<_>>();
        assert_eq!(held, round.parts.iter().map(|part| part.partition).collect::<Vec<_>>());
        for part in &index.parts {
            let number = usize::try_from(part.partition.partition).unwrap();
            assert!(part.checkpoint == state(sizes[number]), "{number}");
        }
        assert_eq!((round.mark, index.mark), (4, 4));
    }
}

#[test]
fn a_part_takes_no_more_room_than_is_said() {
    let ranges = (0..100).map(|number| Range {
        place: Place::Slot(slot(u64::MAX - number)),
        base_offset: i64::MAX - 1,
        next_offset: i64::MAX,
        leader_epoch: LeaderEpoch(i32::MAX),
        max_timestamp: i64::MIN,
        position: u64::MAX,
        length: u64::MAX,
        crc: u32::MAX,
        index: (u64::MAX, u32::MAX),
    });
    let part = IndexPart {
        partition: partition(i32::MAX),
        group: GroupId(u64::MAX),
        leader_epoch: LeaderEpoch(i32::MAX),
        ranges: ranges.collect(),
        checkpoint: Bytes::from(vec![1; 1000]),
    };
    let said = part.encoded_bytes();
    let envelope = IndexObject { mark: u64::MAX, parts: vec![] }.encode().len();
    let taken = IndexObject { mark: u64::MAX, parts: vec![part] }.encode().len() - envelope;
    assert!(taken <= said, "{taken} of {said}");
}
