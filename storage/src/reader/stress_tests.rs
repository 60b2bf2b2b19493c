//! Many readers on several threads, a cache that is too small, a store that fails now and then.

use std::sync::Arc;

use bytes::Bytes;
use odradek_common::batch::batches as walk;
use odradek_common::limits;
use odradek_common::random::{Random, SeededRandom};

use super::LogReader;
use crate::flush;
use crate::range::PartitionRanges;
use crate::testkit::{Harm, World, batches, end_of, part, partition};

const READERS: u64 = 8;
const READS: u64 = 60;
const HARMS: [Harm; 3] = [Harm::Fail, Harm::Cut, Harm::Flip(1000)];

async fn read_on(
    world: Arc<World>,
    reader: Arc<LogReader>,
    ranges: Arc<PartitionRanges>,
    all: Arc<Vec<u8>>,
    seed: u64,
) -> u64 {
    let random = SeededRandom::from_seed(seed);
    let (mut offset, mut good) = (0, 0);
    for _ in 0..READS {
        // Most read on, some jump.
        if random.next_u64().is_multiple_of(4) || offset >= ranges.end() {
            offset = i64::try_from(random.next_u64() % ranges.end().unsigned_abs()).unwrap();
        }
        let max_bytes = usize::try_from(random.next_u64() % (3 << 20)).unwrap();
        // The readers plant the faults, so that their number does not depend on who runs when.
        if random.next_u64().is_multiple_of(10) {
            world.store.harm(HARMS[usize::try_from(random.next_u64() % 3).unwrap()], 1);
        }
        let Ok(read) = reader.read(&ranges, offset, max_bytes, true).await else { continue };
        let headers = read.iter().flat_map(|bytes| walk(bytes.clone())).map(|b| b.unwrap().header);
        let headers: Vec<_> = headers.collect();
        let first = headers.first().unwrap();
        assert!(first.base_offset <= offset && offset < first.next_offset());
        assert!(headers.windows(2).all(|pair| pair[0].next_offset() == pair[1].base_offset));
        // Batches differ from one another, so that this is their only place.
        let bytes = read.concat();
        assert!(memchr(&all, &bytes), "not what was written at {offset}");
        offset = headers.last().unwrap().next_offset();
        good += 1;
    }
    good
}

/// True if `part` lies in `all` where its first batch's header does.
fn memchr(all: &[u8], part: &[u8]) -> bool {
    let mut rest = Bytes::copy_from_slice(all);
    while !rest.is_empty() {
        if rest[..61] == part[..61] {
            return rest.starts_with(part);
        }
        odradek_common::batch::Batch::split_first(&mut rest).unwrap();
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_get_what_was_written_or_an_error() {
    let world = Arc::new(World::new());
    let sizes: Vec<usize> = (0..120).map(|number| (number * 7919) % 200_000).collect();
    let all = batches(0, &sizes);
    let round =
        flush::write(&world.attempt(1), vec![part(0, &all)]).await.unwrap().rounds.remove(0);
    let names = [round.index_object];
    let ranges = world.catalog.ranges(partition(0), None, &names, 0, end_of(&all)).await.unwrap();
    let whole = Arc::new(all.concat());
    let reader = Arc::new(world.reader(6 << 20));
    let readers: Vec<_> = (0..READERS)
        .map(|seed| {
            tokio::spawn(read_on(
                world.clone(),
                reader.clone(),
                ranges.clone(),
                whole.clone(),
                seed,
            ))
        })
        .collect();
    let mut good = 0;
    for reader in readers {
        good += reader.await.unwrap();
    }
    assert!(good > READERS * READS / 4, "only {good} reads succeeded");
    reader.blocks.wait_until_idle().await;
    assert_eq!(reader.lane.free_bytes(), limits::READ_LANE_BYTES as u64, "all leases came back");
}
