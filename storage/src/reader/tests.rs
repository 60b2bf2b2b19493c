use std::sync::Arc;

use bytes::Bytes;
use odradek_common::batch::BatchHeader;
use odradek_common::limits;
use proptest::prelude::*;

use super::*;
use crate::flush;
use crate::testkit::{Harm, World, batch, batches, end_of, part, partition, slot};

const CACHE: usize = 64 << 20;
const MIB: usize = 1 << 20;

/// Flushes `batches` as the only ones of a partition and says where they lie.
async fn flushed(world: &World, batches: &[Bytes]) -> Arc<PartitionRanges> {
    let round =
        flush::write(&world.attempt(1), vec![part(0, batches)]).await.unwrap().rounds.remove(0);
    let ranges =
        world.catalog.ranges(partition(0), None, &[round.index_object], 0, end_of(batches)).await;
    world.store.take_gets();
    ranges.unwrap()
}

/// What a read must give, found out the simple way.
fn expected(batches: &[Bytes], offset: i64, max_bytes: usize, min_one: bool) -> Vec<Bytes> {
    let wanted = batches.iter().filter(|b| BatchHeader::parse(b).unwrap().next_offset() > offset);
    let mut bytes = 0;
    let fits = |batch: &&Bytes| {
        let first = bytes == 0;
        bytes += batch.len();
        bytes <= max_bytes || (first && min_one)
    };
    wanted.take_while(fits).cloned().collect()
}

#[tokio::test]
async fn a_read_begins_with_the_batch_that_holds_the_offset() {
    let world = World::new();
    let batches = batches(0, &[100, 2000, 5, 70_000, 300]);
    let ranges = flushed(&world, &batches).await;
    let reader = world.reader(CACHE);
    for offset in 0..end_of(&batches) {
        let read = reader.read(&ranges, offset, MIB, false).await.unwrap();
        assert_eq!(read.concat(), expected(&batches, offset, MIB, false).concat(), "at {offset}");
    }
    assert!(reader.read(&ranges, end_of(&batches), MIB, true).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_below_the_log_start_is_not_read() {
    let world = World::new();
    let all = batches(0, &[10, 10, 10, 10]);
    let ranges = flushed(&world, &all).await;
    let held = ranges.ranges().to_vec();
    let ranges = PartitionRanges::new(partition(0), 4, end_of(&all), held, Bytes::new()).unwrap();
    let reader = world.reader(CACHE);
    let below = reader.read(&ranges, 3, MIB, true).await;
    assert!(matches!(below, Err(ReadError::BelowStart { offset: 3, start: 4 })));
    let read = reader.read(&ranges, 4, MIB, true).await.unwrap();
    assert_eq!(read.concat(), all[2..].concat());
}

#[tokio::test]
async fn the_first_batch_comes_whatever_its_size_if_asked_for() {
    let world = World::new();
    let all = batches(0, &[3 * MIB, limits::READ_BYTES + 5, 10]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(CACHE);
    assert!(reader.read(&ranges, 0, MIB, false).await.unwrap().is_empty());
    assert_eq!(reader.read(&ranges, 0, MIB, true).await.unwrap().concat(), all[0]);
    // The second is larger than any read, but fits what the caller allows.
    let read = reader.read(&ranges, 1, 2 * limits::READ_BYTES, false).await.unwrap();
    assert_eq!(read.concat(), all[1]);
    assert!(reader.read(&ranges, 1, MIB, false).await.unwrap().is_empty());
}

#[tokio::test]
async fn neighbouring_blocks_come_in_one_request_and_only_once() {
    let world = World::new();
    let all = batches(0, &[50_000; 60]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(CACHE);
    let first = reader.read(&ranges, 0, 5 * MIB, false).await.unwrap();
    assert_eq!(first.concat(), all.concat());
    let asked = world.store.ranges();
    let blocks = ranges.bytes().div_ceil(limits::CACHE_BLOCK_BYTES);
    // The index, which lies in the first block, is needed first.
    let block = limits::CACHE_BLOCK_BYTES;
    assert_eq!(asked, [0..block, block..blocks * block]);
    reader.read(&ranges, 7, 5 * MIB, false).await.unwrap();
    assert_eq!(world.store.take_gets(), 2, "all of it was in the cache");
}

#[tokio::test]
async fn many_who_want_a_block_read_it_once() {
    let world = World::new();
    let all = batches(0, &[30_000; 6]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(CACHE);
    let reads = (0..20).map(|_| reader.read(&ranges, 0, MIB, false));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap().concat(), all.concat());
    }
    assert_eq!(world.store.take_gets(), 1);
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_the_others_their_block() {
    let world = World::new();
    let all = batches(0, &[3000; 6]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(CACHE);
    let mut first = Box::pin(reader.read(&ranges, 0, MIB, false));
    assert!(futures::poll!(&mut first).is_pending());
    let second = reader.read(&ranges, 0, MIB, false);
    drop(first);
    assert_eq!(second.await.unwrap().concat(), all.concat());
    assert_eq!(world.store.take_gets(), 1);
}

#[tokio::test]
async fn who_reads_on_finds_it_read_ahead() {
    let world = World::new();
    let all = batches(0, &[200_000; 40]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(CACHE);
    let mut offset = 0;
    let mut waited = 0;
    while offset < end_of(&all) {
        world.store.take_gets();
        let read = reader.read(&ranges, offset, 450_000, false).await.unwrap();
        let last = read.iter().flat_map(|bytes| odradek_common::batch::batches(bytes.clone()));
        offset = last.last().unwrap().unwrap().header.next_offset();
        waited += u64::from(world.store.take_gets() > 0);
        // Whatever is read ahead arrives before the next read.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    assert!(waited <= 3, "waited {waited} times");
}

#[tokio::test]
async fn damage_on_the_way_heals_and_damage_that_stays_is_told() {
    let world = World::new();
    let all = batches(0, &[30_000, 70_000, 20_000, 20]);
    let ranges = flushed(&world, &all).await;
    let range = ranges.ranges()[0];
    assert!(range.index.1 > 0);
    let data = usize::try_from(range.position).unwrap() + 40_000;
    for position in [usize::try_from(range.index.0).unwrap() + 3, data] {
        let reader = world.reader(CACHE);
        world.store.take_gets();
        world.store.harm(Harm::Flip(position), 1);
        let read = reader.read(&ranges, 0, MIB, false).await.unwrap();
        assert_eq!(read.concat(), all.concat());
        assert_eq!(world.store.take_gets(), 2);

        let reader = world.reader(CACHE);
        world.store.harm(Harm::Flip(position), 2);
        let read = reader.read(&ranges, 0, MIB, false).await;
        assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
        // What was damaged does not stay in the cache.
        let read = reader.read(&ranges, 0, MIB, false).await.unwrap();
        assert_eq!(read.concat(), all.concat());
    }
}

#[tokio::test]
async fn what_the_batch_crc_leaves_out_is_checked_too() {
    let world = World::new();
    let all = batches(0, &[30_000]);
    let ranges = flushed(&world, &all).await;
    let epoch = usize::try_from(ranges.ranges()[0].position).unwrap() + 15;
    let reader = world.reader(CACHE);
    world.store.harm(Harm::Flip(epoch), 2);
    let read = reader.read(&ranges, 0, MIB, false).await;
    assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
}

#[tokio::test]
async fn a_cut_answer_is_an_error_and_is_not_kept() {
    let world = World::new();
    let all = batches(0, &[30_000; 50]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(CACHE);
    world.store.harm(Harm::Cut, 1);
    let read = reader.read(&ranges, 0, MIB, false).await;
    assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
    world.store.harm(Harm::Fail, 1);
    let read = reader.read(&ranges, 0, MIB, false).await;
    assert!(matches!(read, Err(ReadError::Store { .. })), "{read:?}");
    assert!(!reader.read(&ranges, 0, MIB, false).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_segment_that_is_gone_says_that_the_ranges_are_stale() {
    let world = World::new();
    let ranges = flushed(&world, &batches(0, &[30])).await;
    let other = World::new();
    let read = other.reader(CACHE).read(&ranges, 0, MIB, true).await;
    assert!(matches!(read, Err(ReadError::Stale(Place::Segment(_)))), "{read:?}");
}

#[tokio::test]
async fn ranges_that_lie_about_their_bytes_are_refused() {
    let world = World::new();
    let all = batches(0, &[30_000, 70_000, 20]);
    let ranges = flushed(&world, &all).await;
    let end = end_of(&all);
    let lie = |change: fn(&mut Range)| {
        let mut range = ranges.ranges()[0];
        change(&mut range);
        PartitionRanges::new(partition(0), 0, end, vec![range], Bytes::new()).unwrap()
    };
    let lies: [fn(&mut Range); 6] = [
        |range| range.length += 1000,
        |range| range.length = 1 << 50,
        |range| (range.length, range.index) = (1 << 50, (0, 0)),
        |range| range.index.1 = u32::MAX,
        |range| range.index = (1 << 40, 400),
        |range| range.position += 1,
    ];
    for (number, change) in lies.into_iter().enumerate() {
        let reader = world.reader(CACHE);
        let read = reader.read(&lie(change), 0, MIB, true).await;
        assert!(read.is_err(), "lie {number}");
    }
}

#[tokio::test]
async fn slots_are_read_checked_and_kept() {
    let world = World::new();
    let all = batches(0, &[300, 400, 500, 20]);
    let mut held = world.slots.put(slot(1), &[vec![batch(0, 1, 0, 9)], all[..2].to_vec()]);
    held.remove(0);
    held.extend(world.slots.put(slot(2), &[all[2..].to_vec()]));
    let end = end_of(&all);
    let ranges = PartitionRanges::new(partition(0), 0, end, held, Bytes::new()).unwrap();
    let reader = world.reader(CACHE);
    for offset in 0..end {
        let read = reader.read(&ranges, offset, MIB, true).await.unwrap();
        assert_eq!(read.concat(), expected(&all, offset, MIB, true).concat(), "at {offset}");
    }
    world.slots.remove(slot(1));
    reader.read(&ranges, 0, MIB, true).await.unwrap();
    let gone = world.reader(CACHE).read(&ranges, 0, MIB, true).await;
    assert!(matches!(gone, Err(ReadError::Stale(Place::Slot(_)))), "{gone:?}");
    world.slots.damage(slot(2), 40);
    let damaged = world.reader(CACHE).read(&ranges, end - 1, MIB, true).await;
    assert!(matches!(damaged, Err(ReadError::Damaged { .. })), "{damaged:?}");
}

#[tokio::test]
async fn gaps_of_compaction_are_read_over() {
    // Segments with gaps are written by compaction; here by hand.
    let world = World::new();
    let name = world.attempt(3).fresh_name(crate::names::ObjectKind::Segment);
    let mut builder = crate::segment::SegmentBuilder::new(name);
    let kept = vec![batch(5, 2, 1, 40_000), batch(20, 1, 2, 40_000), batch(50, 10, 3, 10)];
    let group = odradek_common::ids::GroupId(1);
    builder.add(partition(0), group, 0, 100, kept.clone()).unwrap();
    let segment = builder.finish();
    world.attempt(3).create(name, segment.payload).await.unwrap();
    let held = vec![segment.ranges[0].range];
    let ranges = PartitionRanges::new(partition(0), 0, 100, held, Bytes::new()).unwrap();
    let reader = world.reader(CACHE);
    for (offset, first) in [(0, 0), (6, 0), (7, 1), (20, 1), (21, 2), (59, 2), (60, 3), (99, 3)] {
        let read = reader.read(&ranges, offset, MIB, true).await.unwrap();
        assert_eq!(read.concat(), kept[first..].concat(), "at {offset}");
    }
}

#[tokio::test]
async fn a_tiny_cache_only_costs_requests() {
    let world = World::new();
    let all = batches(0, &[90_000; 30]);
    let ranges = flushed(&world, &all).await;
    let reader = world.reader(1);
    for _ in 0..2 {
        let read = reader.read(&ranges, 0, 4 * MIB, true).await.unwrap();
        assert_eq!(read.concat(), all.concat());
    }
}

/// Batches with odd timestamps in one or more flushes.
fn dated() -> impl Strategy<Value = Vec<Vec<(usize, i64)>>> {
    let size = prop_oneof![5 => 0usize..2000, 1 => 30_000usize..100_000];
    let one = proptest::collection::vec((size, 0i64..30), 1..12);
    proptest::collection::vec(one, 1..4)
}

async fn flush_dated(world: &World, rounds: &[Vec<(usize, i64)>]) -> (Vec<Bytes>, Vec<Range>) {
    let mut all: Vec<Bytes> = Vec::new();
    let mut held = Vec::new();
    for round in rounds {
        let from = all.len();
        for (size, timestamp) in round {
            let count = i32::try_from(size % 7 + 1).unwrap();
            all.push(batch(end_of(&all), count, *timestamp, *size));
        }
        let parts = vec![part(0, &all[from..])];
        let round = flush::write(&world.attempt(1), parts).await.unwrap().rounds.remove(0);
        let index = world.catalog.index_object(round.index_object).await.unwrap();
        held.extend(index.parts[0].ranges.clone());
    }
    (all, held)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn reads_give_what_was_written(
        rounds in dated(),
        reads in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0usize..200_000, any::<bool>()), 1..12),
    ) {
        block_on(async {
            let world = World::new();
            let (all, held) = flush_dated(&world, &rounds).await;
            let end = end_of(&all);
            let ranges = PartitionRanges::new(partition(0), 0, end, held, Bytes::new()).unwrap();
            let reader = world.reader(CACHE);
            for (offset, max_bytes, min_one) in reads {
                let offset = i64::try_from(offset.index(usize::try_from(end).unwrap())).unwrap();
                let read = reader.read(&ranges, offset, max_bytes, min_one).await.unwrap();
                let expected = expected(&all, offset, max_bytes, min_one);
                prop_assert_eq!(read.concat(), expected.concat(), "{} {}", offset, max_bytes);
            }
            Ok(())
        })?;
    }

    #[test]
    fn timestamps_are_found_as_by_looking_at_all(rounds in dated(), start in 0i64..40, at in 0i64..32) {
        block_on(async {
            let world = World::new();
            let (all, held) = flush_dated(&world, &rounds).await;
            let end = end_of(&all);
            let start = start.min(end);
            let log_start = start / 2;
            let ranges = PartitionRanges::new(partition(0), log_start, end, held, Bytes::new());
            let (ranges, reader) = (ranges.unwrap(), world.reader(CACHE));
            let seen: Vec<(BatchHeader, &Bytes)> = all
                .iter()
                .map(|batch| (BatchHeader::parse(batch).unwrap(), batch))
                .filter(|(header, _)| header.next_offset() > start)
                .collect();
            let first = reader.first_batch_at_or_after_timestamp(&ranges, start, at).await.unwrap();
            let expected = seen.iter().find(|(header, _)| header.max_timestamp >= at);
            prop_assert_eq!(first.map(|batch| batch.bytes), expected.map(|(_, b)| (*b).clone()));
            let largest = reader.batch_with_max_timestamp(&ranges, start).await.unwrap();
            let expected = seen.iter().rev().max_by_key(|(header, _)| header.max_timestamp);
            prop_assert_eq!(largest.map(|batch| batch.bytes), expected.map(|(_, b)| (*b).clone()));
            Ok(())
        })?;
    }
}
