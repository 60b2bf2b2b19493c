//! What every kind of write-ahead log must do, run for each.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use object_store::ObjectStore;
use odradek_common::batch::crc32c;
use odradek_common::files::{RealFiles, SharedFiles};
use odradek_common::ids::SlotNumber;
use odradek_common::random::{Random, SeededRandom};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::testing::{
    FaultyStore, Landings, PutFault, at, batch, chain, cluster, names, partition, random, slot,
};
use super::*;
use crate::range::Place;
use crate::slots::SlotError;
use crate::store::file::FileStore;

const WINDOW: u32 = 4;

/// A place where a log lives on after its process.
trait World: Send + Sync {
    /// Opens the log, as a process does that starts; the one before is gone.
    fn open(&self) -> Arc<dyn Wal>;
}

struct Objects(Arc<dyn ObjectStore>);

impl World for Objects {
    fn open(&self) -> Arc<dyn Wal> {
        let store = Arc::clone(&self.0);
        Arc::new(ObjectWal::new(store, names(), ObjectOptions::default(), random(5)))
    }
}

/// Puts take up to three milliseconds and so overtake one another.
fn objects() -> Objects {
    let (store, random) = (FaultyStore::new(), random(2));
    store.script_puts(move |_, _| PutFault::Works(Duration::from_micros(random.next_u64() % 3000)));
    Objects(Arc::new(store))
}

/// Objects as files of a directory, and the directory.
struct FileObjects {
    objects: Objects,
    /// Removed with it.
    _dir: tempfile::TempDir,
}

impl World for FileObjects {
    fn open(&self) -> Arc<dyn Wal> {
        self.objects.open()
    }
}

fn file_objects() -> FileObjects {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(Arc::new(RealFiles), dir.path()).unwrap();
    FileObjects { objects: Objects(Arc::new(store)), _dir: dir }
}

struct Disk(tempfile::TempDir);

impl World for Disk {
    fn open(&self) -> Arc<dyn Wal> {
        let dir = self.0.path().join("wal");
        let options = DiskOptions { file_bytes: 64 << 10, ..DiskOptions::new(dir, cluster()) };
        let files: SharedFiles = Arc::new(RealFiles);
        Arc::new(DiskWal::open(options, files, random(5)).unwrap())
    }
}

fn disk() -> Disk {
    Disk(tempfile::tempdir().unwrap())
}

/// A running chain.
struct Running {
    handle: ChainHandle,
    landings: Arc<Landings>,
    run: JoinHandle<Result<(), ChainError>>,
    shutdown: CancellationToken,
}

fn run(wal: &Arc<dyn Wal>, epoch: u64) -> Running {
    let options = ChainOptions {
        slot_bytes: 20_000,
        linger_max: Duration::from_millis(2),
        window: WINDOW,
        ..ChainOptions::new(chain(epoch), cluster())
    };
    let landings = Arc::new(Landings::default());
    let (chain, handle) = Chain::new(options, Arc::clone(wal), landings.clone(), random(epoch));
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(chain.run(shutdown.clone()));
    Running { handle, landings, run, shutdown }
}

async fn recover(wal: &Arc<dyn Wal>, epoch: u64, from: u64) -> Recovered {
    wal.recover(chain(epoch), SlotNumber(from), WINDOW, 77).await.unwrap()
}

/// The offsets of partition `number` in what was recovered, in order.
fn offsets(found: &Recovered, number: i32) -> Vec<i64> {
    let ranges = found.slots.iter().flat_map(|slot| &slot.ranges);
    let of_partition = ranges.filter(|range| range.partition == partition(number));
    of_partition.flat_map(|r| r.range.base_offset..r.range.next_offset).collect()
}

/// Reads a block and checks its CRC, as every reader does.
async fn read_block(wal: &Arc<dyn Wal>, range: &crate::range::Range) -> Vec<u8> {
    let Place::Slot(at) = range.place else { panic!("a range of a slot lies in a slot") };
    let bytes = wal.read(at, range.position, range.length).await.unwrap();
    assert_eq!(crc32c(&bytes), range.crc);
    bytes.to_vec()
}

async fn put_slots(wal: &Arc<dyn Wal>, count: u64) {
    for number in 0..count {
        wal.put(&slot(at(number), 500)).await.unwrap();
    }
}

/// What landed is what recovery finds, byte for byte, and reads of it work before and after.
async fn recovery_finds_what_landed(world: &dyn World) {
    let wal = world.open();
    let running = run(&wal, 1);
    for offset in 0..200 {
        for number in 0..3 {
            running.handle.append(batch(number, offset, 300)).unwrap();
        }
        if offset % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    running.shutdown.cancel();
    running.run.await.unwrap().unwrap();
    let landed: Vec<_> = running.landings.0.lock().clone();
    drop((running.handle, wal));
    let wal = world.open();
    let found = recover(&wal, 1, 0).await;
    assert_eq!(found.slots.len(), landed.len());
    assert_eq!(found.end.0, u64::try_from(landed.len()).unwrap());
    assert!(found.unreadable.is_empty());
    for (found, landed) in found.slots.iter().zip(&landed) {
        assert_eq!((found.slot, &found.ranges), (landed.slot, &landed.ranges));
        for range in &found.ranges {
            let bytes = read_block(&wal, &range.range).await;
            let number = range.partition.partition;
            let offsets = range.range.base_offset..range.range.next_offset;
            let expected = offsets.flat_map(|offset| {
                let batch = batch(number, offset, 300);
                [batch.encoded_header, batch.records].concat()
            });
            assert_eq!(bytes, expected.collect::<Vec<u8>>());
        }
    }
}

/// Whenever the process dies, recovery finds every acknowledged batch, and of the rest a prefix.
async fn a_crash_loses_nothing_acknowledged(world: &dyn World) {
    let dice = SeededRandom::from_seed(9);
    for epoch in 1..20 {
        let wal = world.open();
        let running = run(&wal, epoch);
        let handle = running.handle.clone();
        let appender = tokio::spawn(async move {
            let mut last = Ok(SlotNumber(0));
            for offset in 0..500 {
                last = handle.append(batch(0, offset, 700));
                if last.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            last
        });
        tokio::time::sleep(Duration::from_micros(dice.next_u64() % 8000)).await;
        running.run.abort();
        let _ = running.run.await;
        let _ = appender.await;
        let acknowledged = running.landings.offsets(0);
        drop((running.handle, wal));
        let wal = world.open();
        let found = recover(&wal, epoch, 0).await;
        let recovered = offsets(&found, 0);
        assert!(recovered.starts_with(&acknowledged), "{acknowledged:?} in {recovered:?}");
        let count = i64::try_from(recovered.len()).unwrap();
        assert_eq!(recovered, (0..count).collect::<Vec<_>>());
    }
}

async fn recovery_can_be_repeated(world: &dyn World) {
    let wal = world.open();
    put_slots(&wal, 30).await;
    drop(wal);
    let wal = world.open();
    let first = recover(&wal, 1, 0).await;
    assert_eq!(first.end, SlotNumber(30));
    assert_eq!(recover(&wal, 1, 0).await, first);
    let later = recover(&wal, 1, 13).await;
    assert_eq!((&later.slots[..], later.end), (&first.slots[13..], first.end));
    drop(wal);
    assert_eq!(recover(&world.open(), 1, 0).await, first);
}

/// A recovery that is left at any point, and begun again by another process.
async fn recovery_can_be_left_half_way(world: &dyn World) {
    let wal = world.open();
    put_slots(&wal, 12).await;
    drop(wal);
    for polls in 0..40 {
        let wal = world.open();
        let mut recovery = pin!(wal.recover(chain(1), SlotNumber(0), WINDOW, 77));
        for _ in 0..polls {
            let once =
                std::future::poll_fn(|cx| Poll::Ready(recovery.as_mut().poll(cx).is_ready()));
            if once.await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(recover(&world.open(), 1, 0).await.end, SlotNumber(12));
}

async fn a_chain_never_written_is_empty(world: &dyn World) {
    let wal = world.open();
    for _ in 0..2 {
        let found = recover(&wal, 1, 0).await;
        assert!(found.slots.is_empty());
        assert_eq!(found.end, SlotNumber(0));
    }
}

async fn deleted_slots_are_gone_and_others_stay(world: &dyn World) {
    let wal = world.open();
    put_slots(&wal, 40).await;
    let gone: Vec<_> = (0..25).map(at).collect();
    for _ in 0..2 {
        wal.delete(&gone).await.unwrap();
    }
    let found = recover(&wal, 1, 25).await;
    assert_eq!((found.slots.len(), found.end), (15, SlotNumber(40)));
    for range in found.slots.iter().flat_map(|slot| &slot.ranges) {
        read_block(&wal, &range.range).await;
    }
    for at in gone {
        assert!(matches!(wal.read(at, 0, 10).await, Err(SlotError::Gone)));
    }
    drop(wal);
    let wal = world.open();
    assert_eq!(recover(&wal, 1, 25).await, found);
    for range in found.slots.iter().flat_map(|slot| &slot.ranges) {
        read_block(&wal, &range.range).await;
    }
}

async fn a_former_epoch_is_read_while_the_next_writes(world: &dyn World) {
    let wal = world.open();
    put_slots(&wal, 10).await;
    drop(wal);
    let wal = world.open();
    let old = recover(&wal, 1, 0).await;
    let running = run(&wal, 2);
    for offset in 0..300 {
        running.handle.append(batch(0, offset, 700)).unwrap();
    }
    running.handle.confirm().await.unwrap();
    for range in old.slots.iter().flat_map(|slot| &slot.ranges) {
        read_block(&wal, &range.range).await;
    }
    let new: Vec<_> = running.landings.0.lock().iter().flat_map(|s| s.ranges.clone()).collect();
    for range in &new {
        read_block(&wal, &range.range).await;
    }
    assert_eq!(recover(&wal, 1, 0).await, old);
    assert_eq!(running.landings.offsets(0), (0..300).collect::<Vec<_>>());
}

async fn slots_may_be_empty_or_large(world: &dyn World) {
    let wal = world.open();
    for (number, bytes) in [(0, 0), (1, 3_000_000), (2, 1), (3, 200_000), (4, 0), (5, 70_000)] {
        wal.put(&slot(at(number), bytes)).await.unwrap();
    }
    drop(wal);
    let wal = world.open();
    let found = recover(&wal, 1, 0).await;
    let lengths: Vec<u64> =
        found.slots.iter().map(|s| s.ranges.iter().map(|r| r.range.length).sum()).collect();
    assert_eq!(lengths, [0, 3_000_061, 62, 200_061, 0, 70_061]);
    for range in found.slots.iter().flat_map(|slot| &slot.ranges) {
        read_block(&wal, &range.range).await;
    }
}

async fn an_idle_chain_confirms_itself(world: &dyn World) {
    let wal = world.open();
    let running = run(&wal, 1);
    for _ in 0..3 {
        running.handle.confirm().await.unwrap();
    }
    let landed = running.landings.0.lock().len();
    assert!((3..=4).contains(&landed), "{landed}");
}

/// Where there is a fence: after recovery nothing lands any more, and a chain learns of it.
async fn a_recovered_chain_is_fenced(world: &dyn World) {
    let wal = world.open();
    if wal.kind() == WalKind::Disk {
        return;
    }
    let running = run(&wal, 1);
    running.handle.append(batch(0, 0, 10)).unwrap();
    running.handle.confirm().await.unwrap();
    let acknowledged = running.landings.offsets(0);
    let other = world.open();
    let found = recover(&other, 1, 0).await;
    assert_eq!(offsets(&found, 0), acknowledged);
    assert!(matches!(running.handle.confirm().await, Err(ChainError::Fenced(_))));
    assert!(matches!(running.run.await.unwrap(), Err(ChainError::Fenced(_))));
    let error = wal.put(&slot(at(found.end.0), 10)).await.unwrap_err();
    assert!(matches!(error, PutError::Sealed { fence: 77, .. }), "{error}");
    assert_eq!(recover(&other, 1, 0).await, found);
}

async fn a_read_past_the_end_is_cut(world: &dyn World) {
    let wal = world.open();
    let slot = slot(at(0), 500);
    wal.put(&slot).await.unwrap();
    let bytes = wal.read(at(0), slot.length - 10, 100).await.unwrap();
    assert_eq!(bytes.len(), 10);
    assert!(matches!(wal.read(at(1), 0, 10).await, Err(SlotError::Gone)));
}

macro_rules! conformance {
    ($kind:ident, $world:expr, [$($test:ident),+ $(,)?]) => {
        mod $kind {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(&$world).await;
                }
            )+
        }
    };
    ($($test:ident),+ $(,)?) => {
        conformance!(object_kind, objects(), [$($test),+]);
        conformance!(object_kind_in_a_directory, file_objects(), [$($test),+]);
        conformance!(disk_kind, disk(), [$($test),+]);
    };
}

conformance!(
    recovery_finds_what_landed,
    a_crash_loses_nothing_acknowledged,
    recovery_can_be_repeated,
    recovery_can_be_left_half_way,
    a_chain_never_written_is_empty,
    deleted_slots_are_gone_and_others_stay,
    a_former_epoch_is_read_while_the_next_writes,
    slots_may_be_empty_or_large,
    an_idle_chain_confirms_itself,
    a_recovered_chain_is_fenced,
    a_read_past_the_end_is_cut,
);
