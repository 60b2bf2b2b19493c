//! The disk kind on a disk that loses what was not synced, is full, or rots.

mod power;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::files::sim::{Op, SimFiles};
use odradek_common::files::{Files, OpenMode};
use odradek_common::ids::SlotNumber;
use odradek_common::random::Random;

use super::layout::{PAGE_BYTES, Role};
use super::*;
use crate::wal::testing::{at, chain, cluster, random, slot};

const DIR: &str = "/data/wal";

fn options() -> DiskOptions {
    DiskOptions { file_bytes: 32 << 10, ..DiskOptions::new(DIR.into(), cluster()) }
}

fn try_open(files: &SimFiles, seed: u64) -> Result<DiskWal, DiskError> {
    DiskWal::open(options(), Arc::new(files.clone()), random(seed))
}

fn open(files: &SimFiles) -> DiskWal {
    try_open(files, 1).unwrap()
}

async fn put(wal: &DiskWal, number: u64) -> Result<(), PutError> {
    wal.put(&slot(at(number), bytes_of(number))).await
}

/// Slots of all sizes, one of which needs a file of its own.
fn bytes_of(number: u64) -> usize {
    usize::try_from(number * 7919 % 9000).unwrap() + if number == 11 { 50_000 } else { 0 }
}

async fn recover(wal: &DiskWal, from: u64) -> Result<Recovered, RecoverError> {
    wal.recover(chain(1), SlotNumber(from), 2, 0).await
}

fn names_in(files: &SimFiles, role: fn(Role) -> bool) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> =
        files.list(Path::new(DIR)).unwrap().into_iter().map(|e| e.path).collect();
    names.retain(|path| role(Role::of(path)));
    names.sort();
    names
}

fn live(files: &SimFiles) -> Vec<std::path::PathBuf> {
    names_in(files, |role| matches!(role, Role::Live(_)))
}

fn spares(files: &SimFiles) -> usize {
    names_in(files, |role| matches!(role, Role::Spare(_))).len()
}

/// Flips a bit in the byte at `offset`.
fn rot(files: &SimFiles, path: &Path, offset: u64) {
    let file = files.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[tokio::test]
async fn a_failed_write_or_sync_is_final() {
    for op in [Op::Write, Op::Sync] {
        let files = SimFiles::new();
        let wal = open(&files);
        put(&wal, 0).await.unwrap();
        files.fail_nth(op, 1, ErrorKind::Other);
        assert!(matches!(put(&wal, 1).await, Err(PutError::Disk(_))));
        // The disk works again, but nobody vouches for what it was to write.
        assert!(matches!(put(&wal, 1).await, Err(PutError::Disk(_))));
        assert!(matches!(put(&wal, 2).await, Err(PutError::Disk(_))));
        assert!(wal.delete(&[at(0)]).await.is_err());
    }
}

#[tokio::test]
async fn a_full_disk_holds_producers_back_until_there_is_room() {
    let files = SimFiles::new();
    let wal = Arc::new(open(&files));
    put(&wal, 0).await.unwrap();
    files.fail_always(Op::Allocate, ErrorKind::StorageFull);
    let waiting = tokio::spawn({
        let wal = Arc::clone(&wal);
        async move {
            for number in 1..20 {
                put(&wal, number).await?;
            }
            Ok::<_, PutError>(())
        }
    });
    let trouble = wait_for(|| wal.trouble()).await;
    assert!(trouble.contains("disk is full"), "{trouble}");
    assert!(!waiting.is_finished());
    assert!(names_in(&files, |role| matches!(role, Role::New(_))).is_empty());
    files.heal();
    waiting.await.unwrap().unwrap();
    assert_eq!(wal.trouble(), None);
    assert_eq!(recover(&wal, 0).await.unwrap().end, SlotNumber(20));
    // At the start it is an error that says so.
    files.fail_always(Op::Allocate, ErrorKind::StorageFull);
    drop(wal);
    let error = try_open(&files, 1).unwrap_err();
    assert!(matches!(error, DiskError::Full { bytes: 32768, .. }), "{error:?}");
}

async fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..10_000 {
        if let Some(value) = condition() {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came");
}

#[tokio::test]
async fn files_are_used_again() {
    let files = SimFiles::new();
    let wal = open(&files);
    let mut created = 0;
    for number in 0..400 {
        wal.put(&slot(at(number), 5000)).await.unwrap();
        if number % 4 == 3 {
            let slots: Vec<_> = (0..number).map(at).collect();
            wal.delete(&slots).await.unwrap();
        }
        if number == 100 {
            created = files.count(Op::Create);
        }
    }
    assert_eq!(files.count(Op::Create), created, "from some point on no file is made");
    assert!(live(&files).len() <= 2 && spares(&files) <= 4);
    drop(wal);
    let wal = open(&files);
    assert_eq!(recover(&wal, 399).await.unwrap().slots.len(), 1);
    assert_eq!(wal.slots().len(), 1);
}

#[tokio::test]
async fn idle_starts_leave_no_files_behind() {
    let files = SimFiles::new();
    for _ in 0..10 {
        drop(open(&files));
    }
    assert_eq!((live(&files).len(), spares(&files)), (1, 0));
}

#[tokio::test]
async fn a_slot_that_comes_early_waits_for_its_turn() {
    let wal = Arc::new(open(&SimFiles::new()));
    let early = tokio::spawn({
        let wal = Arc::clone(&wal);
        async move { put(&wal, 1).await }
    });
    tokio::task::yield_now().await;
    assert!(recover(&wal, 0).await.unwrap().slots.is_empty());
    assert!(!early.is_finished());
    put(&wal, 0).await.unwrap();
    early.await.unwrap().unwrap();
    assert!(matches!(put(&wal, 0).await, Err(PutError::Foreign { .. })));
    assert_eq!(recover(&wal, 0).await.unwrap().end, SlotNumber(2));
}

/// Damage of what was acknowledged is refused, with file and offset; never taken for the end.
#[tokio::test]
async fn rot_in_acknowledged_slots_is_refused() {
    let whole = SimFiles::new();
    let wal = open(&whole);
    for number in 0..4 {
        wal.put(&slot(at(number), 100)).await.unwrap();
    }
    drop(wal);
    let path = live(&whole)[0].clone();
    // The second frame's own envelope.
    let files = whole.power_cut(&*random(1));
    rot(&files, &path, 2 * PAGE_BYTES + 20);
    let error = try_open(&files, 1).unwrap_err();
    assert!(matches!(error, DiskError::Damaged { offset: 8192, .. }), "{error}");
    assert!(
        error.to_string().contains("wal-0") && error.to_string().contains("byte 8192"),
        "{error}"
    );
    // Its slot's footer.
    let files = whole.power_cut(&*random(1));
    let length = slot(at(1), 100).length;
    rot(&files, &path, 2 * PAGE_BYTES + 70 + length - 40);
    let error = recover(&open(&files), 0).await.unwrap_err();
    assert!(matches!(error, RecoverError::Disk(DiskError::Damaged { .. })), "{error}");
    // The file's header.
    let files = whole.power_cut(&*random(1));
    rot(&files, &path, 12);
    assert!(matches!(try_open(&files, 1), Err(DiskError::Damaged { offset: 0, .. })));
    // The last slot, however, may have been torn by a crash.
    let files = whole.power_cut(&*random(1));
    rot(&files, &path, 4 * PAGE_BYTES + 70 + 300);
    assert_eq!(recover(&open(&files), 0).await.unwrap().end, SlotNumber(3));
}

#[tokio::test]
async fn a_lost_file_is_refused() {
    let files = SimFiles::new();
    let wal = open(&files);
    for number in 0..30 {
        wal.put(&slot(at(number), 5000)).await.unwrap();
    }
    drop(wal);
    let live = live(&files);
    assert!(live.len() > 3);
    files.remove_file(&live[1]).unwrap();
    let error = recover(&open(&files), 0).await.unwrap_err();
    assert!(matches!(error, RecoverError::Disk(DiskError::Missing { .. })), "{error}");
    let message = error.to_string();
    assert!(message.contains("a file was lost"), "{message}");
}

#[tokio::test]
async fn files_of_another_cluster_are_refused() {
    let files = SimFiles::new();
    drop(open(&files));
    let other = DiskOptions { cluster: "other".parse().unwrap(), ..options() };
    let error = DiskWal::open(other, Arc::new(files), random(1)).unwrap_err();
    assert!(matches!(error, DiskError::OtherCluster { .. }), "{error}");
}

/// What a former use left in a file is never taken for slots of this one.
#[tokio::test]
async fn stale_slots_do_not_come_back() {
    let files = SimFiles::new();
    let wal = open(&files);
    for number in 0..6 {
        wal.put(&slot(at(number), 3000)).await.unwrap();
    }
    let all: Vec<_> = (0..6).map(at).collect();
    // The next one needs another file, so that the first is given back and then used again.
    wal.put(&slot(at(6), 30_000)).await.unwrap();
    wal.delete(&all).await.unwrap();
    assert_eq!(spares(&files), 1);
    wal.put(&slot(at(7), 10)).await.unwrap();
    wal.put(&slot(at(8), 10)).await.unwrap();
    drop(wal);
    let wal = open(&files);
    let mut slots: Vec<_> = wal.slots().into_iter().map(|at| at.slot.0).collect();
    slots.sort_unstable();
    assert_eq!(slots, [6, 7, 8]);
}

/// Random bytes in a file never panic, and never pass for slots.
#[tokio::test]
async fn noise_in_files_is_no_slot() {
    for seed in 0..50 {
        let files = SimFiles::new();
        let wal = open(&files);
        for number in 0..5 {
            wal.put(&slot(at(number), 100)).await.unwrap();
        }
        drop(wal);
        let dice = random(seed);
        let file = files.open(&live(&files)[0], OpenMode::ReadWrite).unwrap();
        let length = file.len().unwrap();
        for _ in 0..dice.next_u64() % 4 + 1 {
            let mut noise = vec![0; usize::try_from(dice.next_u64() % 5000).unwrap() + 1];
            dice.fill(&mut noise);
            let position = dice.next_u64() % length;
            let room = usize::try_from(length - position).unwrap();
            noise.truncate(room);
            file.write_all_at(&noise, position).unwrap();
        }
        let Ok(wal) = try_open(&files, 1) else { continue };
        let Ok(found) = recover(&wal, 0).await else { continue };
        assert!(found.end.0 <= 5);
    }
}
