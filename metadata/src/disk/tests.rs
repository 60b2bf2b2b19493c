//! The log and the snapshots on a disk that loses what was not synced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use odradek_common::files::sim::{Op, SimFiles};
use odradek_common::files::{OpenMode, SharedFiles};
use odradek_common::ids::BrokerId;
use odradek_common::random::SeededRandom;

use super::log::{Identity, Log};
use super::{DiskError, Snapshots, StoredSnapshot};
use crate::ids::DirectoryId;
use crate::wire::DecodeError;

const DIRECTORY: &str = "/data/raft";

fn identity() -> Identity {
    Identity { node: BrokerId(1), directory: DirectoryId(uuid::Uuid::from_u128(5)) }
}

fn open(files: &SimFiles) -> Result<Log, DiskError> {
    let files: SharedFiles = Arc::new(files.clone());
    Log::open(&files, Path::new(DIRECTORY), identity(), false)
}

fn entry(index: u64) -> (u64, Vec<u8>) {
    (index, index.to_be_bytes().repeat(usize::try_from(index % 50 + 1).unwrap()))
}

type Step = Box<dyn Fn(&Log) -> Result<(), DiskError>>;

/// Appends, truncates, purges and votes.
fn steps() -> Vec<Step> {
    vec![
        Box::new(|log| log.append(&[entry(1), entry(2)])),
        Box::new(|log| log.save_vote(b"first")),
        Box::new(|log| log.append(&(3..40).map(entry).collect::<Vec<_>>())),
        Box::new(|log| log.truncate(30)),
        Box::new(|log| log.append(&[entry(30)])),
        Box::new(|log| log.purge(20, b"twenty")),
        Box::new(|log| log.save_vote(b"second")),
    ]
}

#[derive(Debug, PartialEq)]
struct Seen {
    entries: Vec<(u64, Bytes)>,
    vote: Option<Vec<u8>>,
    purged: Option<Vec<u8>>,
}

fn seen(log: &Log) -> Seen {
    let entries = log.read(..).unwrap();
    assert_eq!(log.last().unwrap(), entries.last().cloned());
    Seen { entries, vote: log.vote().unwrap(), purged: log.purged().unwrap() }
}

#[test]
fn each_change_is_durable_when_it_returns() {
    let files = SimFiles::new();
    let log = open(&files).unwrap();
    for (seed, step) in (0..).zip(steps()) {
        step(&log).unwrap();
        for cut in 0..5 {
            let after = files.power_cut(&SeededRandom::from_seed(seed * 5 + cut));
            assert_eq!(seen(&open(&after).unwrap()), seen(&log));
        }
    }
    assert_eq!(seen(&log).entries.len(), 10);
}

/// The power goes at every single step of the disk, the making of the log included; what was
/// acknowledged is there, and what was under way is there wholly or not at all.
#[test]
fn a_power_cut_anywhere_leaves_the_state_before_or_after() {
    let all = {
        let files = SimFiles::new();
        let log = open(&files).unwrap();
        steps().iter().for_each(|step| step(&log).unwrap());
        files.steps()
    };
    assert!(all > 20, "the test must cut at many places, not {all}");
    for halt in 0..all {
        let files = SimFiles::new();
        files.halt_after(halt);
        let mut allowed = Vec::new();
        if let Ok(log) = open(&files) {
            allowed.push(seen(&log));
            let reference = open(&SimFiles::new()).unwrap();
            for step in steps() {
                let done = step(&log).is_ok();
                step(&reference).unwrap();
                if done {
                    allowed.clear();
                }
                allowed.push(seen(&reference));
                if !done {
                    break;
                }
            }
        }
        let after = files.power_cut(&SeededRandom::from_seed(halt));
        let found = seen(&open(&after).unwrap());
        let empty = Seen { entries: Vec::new(), vote: None, purged: None };
        let fits = if allowed.is_empty() { found == empty } else { allowed.contains(&found) };
        assert!(fits, "after step {halt}: {found:?}");
    }
}

/// Whatever a process left when it died, what the next one finds is there for good: somebody may
/// have built upon it.
fn check_found_for_good(files: &SimFiles, told: &str) {
    files.heal();
    let log = open(files).unwrap_or_else(|e| panic!("{told}: {e}"));
    let next = log.last().unwrap().map_or(1, |(index, _)| index + 1);
    let found = seen(&log);
    for seed in 0..8 {
        let after = files.power_cut(&SeededRandom::from_seed(seed));
        let after = open(&after).unwrap_or_else(|e| panic!("{told}, seed {seed}: {e}"));
        assert_eq!(seen(&after), found, "{told}, seed {seed}");
    }
    log.append(&[entry(next)]).unwrap();
    for seed in 0..8 {
        let after = files.power_cut(&SeededRandom::from_seed(seed));
        let after = open(&after).unwrap_or_else(|e| panic!("{told}, seed {seed}: {e}"));
        assert_eq!(seen(&after), seen(&log), "{told}, seed {seed}, gone on");
    }
}

fn live_and_die(files: &SimFiles) {
    if let Ok(log) = open(files) {
        let _ = steps().iter().try_for_each(|step| step(&log));
    }
}

#[test]
fn what_a_dead_process_left_unsynced_is_made_durable() {
    let whole = SimFiles::new();
    live_and_die(&whole);
    for halt in 0..whole.steps() {
        let files = SimFiles::new();
        files.halt_after(halt);
        live_and_die(&files);
        check_found_for_good(&files, &format!("killed after step {halt}"));
    }
}

/// Linux takes pages that it failed to write for written: the next process reads them, and its own
/// sync does not write them.
#[test]
fn what_a_failed_sync_left_is_written_again() {
    let whole = SimFiles::new();
    live_and_die(&whole);
    for nth in 1..=whole.count(Op::Sync) {
        let files = SimFiles::new();
        files.fail_nth(Op::Sync, nth, std::io::ErrorKind::Other);
        live_and_die(&files);
        check_found_for_good(&files, &format!("sync {nth} failed"));
    }
}

/// A sync that lies must be found out by some power cut, or it could be left out.
#[test]
fn every_sync_of_an_append_is_needed() {
    let lost = (0..200).any(|seed| {
        let files = SimFiles::new();
        let log = open(&files).unwrap();
        log.append(&[entry(1)]).unwrap();
        files.lie_at_sync(1);
        log.append(&[entry(2)]).unwrap();
        let after = files.power_cut(&SeededRandom::from_seed(seed));
        open(&after).map_or(true, |log| seen(&log).entries.len() < 2)
    });
    assert!(lost, "an append whose sync lied was never lost");
}

#[test]
fn an_append_takes_one_sync() {
    let files = SimFiles::new();
    let log = open(&files).unwrap();
    log.append(&[entry(1)]).unwrap();
    let before = files.syncs();
    for index in 2..12 {
        log.append(&[entry(index)]).unwrap();
    }
    assert_eq!(files.syncs() - before, 10);
}

#[test]
fn a_failed_sync_is_not_forgotten() {
    let files = SimFiles::new();
    let log = open(&files).unwrap();
    files.fail_nth(Op::Sync, 1, std::io::ErrorKind::Other);
    assert!(log.append(&[entry(1)]).is_err());
    files.heal();
    assert!(log.append(&[entry(2)]).is_err(), "the log must not go on after a failed sync");
}

#[test]
fn the_log_of_another_node_or_disk_is_refused() {
    let files: SharedFiles = Arc::new(SimFiles::new());
    let directory = Path::new(DIRECTORY);
    drop(Log::open(&files, directory, identity(), false).unwrap());
    let others = [
        Identity { node: BrokerId(2), ..identity() },
        Identity { directory: DirectoryId(uuid::Uuid::from_u128(6)), ..identity() },
    ];
    for other in others {
        let refused = Log::open(&files, directory, other, false).unwrap_err();
        assert!(matches!(refused, DiskError::OtherNode { node: 1, .. }), "{refused}");
    }
    Log::open(&files, directory, identity(), false).unwrap();
}

#[test]
fn the_log_is_open_once() {
    let files = SimFiles::new();
    let log = open(&files).unwrap();
    assert!(matches!(open(&files), Err(DiskError::InUse { .. })));
    drop(log);
    open(&files).unwrap();
}

fn snapshot(number: u64) -> StoredSnapshot {
    let image = number.to_be_bytes().repeat(1000);
    StoredSnapshot { description: vec![u8::try_from(number).unwrap(); 3], image }
}

fn snapshots(files: &SimFiles) -> Snapshots {
    let files: SharedFiles = Arc::new(files.clone());
    files.create_dir_all(Path::new(DIRECTORY)).unwrap();
    Snapshots::open(files, PathBuf::from(DIRECTORY))
}

#[test]
fn the_newest_snapshot_survives_a_power_cut_at_any_step() {
    let all = {
        let files = SimFiles::new();
        let store = snapshots(&files);
        let before = files.steps();
        (1..4).for_each(|number| store.write(number, &snapshot(number)).unwrap());
        files.steps() - before
    };
    for halt in 0..=all {
        let files = SimFiles::new();
        let store = snapshots(&files);
        files.halt_after(halt);
        let written = (1..4).take_while(|number| store.write(*number, &snapshot(*number)).is_ok());
        let written = u64::try_from(written.count()).unwrap();
        let after = files.power_cut(&SeededRandom::from_seed(halt));
        let newest = snapshots(&after).newest().unwrap();
        let old = (written > 0).then(|| snapshot(written));
        let new = Some(snapshot(written + 1)).filter(|_| written < 3);
        assert!(newest == old || newest == new, "after step {halt}, {written} written");
    }
}

/// The log before a snapshot goes once there is one: its name must be there for good.
#[test]
fn a_snapshot_that_a_dead_process_left_is_there_for_good() {
    let write_all = |files: &SimFiles| {
        drop(open(files));
        let store = snapshots(files);
        let _ = (1..4).try_for_each(|number| store.write(number, &snapshot(number)));
    };
    let (whole, made) = (SimFiles::new(), SimFiles::new());
    write_all(&whole);
    drop(open(&made));
    drop(snapshots(&made));
    for halt in made.steps()..whole.steps() {
        let files = SimFiles::new();
        files.halt_after(halt);
        write_all(&files);
        files.heal();
        drop(open(&files).unwrap());
        let found = snapshots(&files).newest().unwrap();
        for seed in 0..8 {
            let after = files.power_cut(&SeededRandom::from_seed(seed));
            let newest = snapshots(&after).newest().unwrap();
            assert_eq!(newest, found, "killed after step {halt}, seed {seed}");
        }
    }
}

#[test]
fn each_sync_of_a_snapshot_is_needed() {
    for sync in 1..=2 {
        let lost = (0..100).any(|seed| {
            let files = SimFiles::new();
            let store = snapshots(&files);
            files.lie_at_sync(sync);
            store.write(1, &snapshot(1)).unwrap();
            let after = files.power_cut(&SeededRandom::from_seed(seed));
            !matches!(snapshots(&after).newest(), Ok(Some(found)) if found == snapshot(1))
        });
        assert!(lost, "sync {sync} could be left out");
    }
}

#[test]
fn only_the_newest_snapshot_is_kept() {
    let files = SimFiles::new();
    let store = snapshots(&files);
    (1..4).for_each(|number| store.write(number, &snapshot(number)).unwrap());
    let shared: SharedFiles = Arc::new(files);
    assert_eq!(shared.list(Path::new(DIRECTORY)).unwrap().len(), 1);
}

/// One that was being built ends after a newer one came from the leader, before which the log is purged.
#[test]
fn a_snapshot_that_comes_late_takes_nothing_away() {
    let files = SimFiles::new();
    let store = snapshots(&files);
    store.write(7, &snapshot(7)).unwrap();
    store.write(3, &snapshot(3)).unwrap();
    assert_eq!(store.newest().unwrap(), Some(snapshot(7)));
    assert_eq!(store.newest_index().unwrap(), Some(7));
    let shared: SharedFiles = Arc::new(files);
    assert_eq!(shared.list(Path::new(DIRECTORY)).unwrap().len(), 1);
}

/// Readers find a whole snapshot while others replace it.
#[test]
fn a_snapshot_is_read_while_newer_ones_are_written() {
    let files = SimFiles::new();
    let store = snapshots(&files);
    store.write(1, &snapshot(1)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (2..200).for_each(|n| store.write(n, &snapshot(n)).unwrap()));
        while !writer.is_finished() {
            assert!(store.newest().unwrap().is_some());
            assert!(store.piece(None, 10).unwrap().is_some());
        }
    });
}

#[test]
fn a_damaged_or_newer_snapshot_is_refused() {
    let files = SimFiles::new();
    let store = snapshots(&files);
    store.write(1, &snapshot(1)).unwrap();
    let shared: SharedFiles = Arc::new(files);
    let path = shared.list(Path::new(DIRECTORY)).unwrap()[0].path.clone();
    let file = shared.open(&path, OpenMode::ReadWrite).unwrap();
    let len = file.len().unwrap();
    for at in (0..len).step_by(7).chain([len - 1]) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        assert!(store.newest().is_err(), "byte {at} is not checked");
        file.write_all_at(&byte, at).unwrap();
    }
    store.newest().unwrap();
    file.write_all_at(&2u32.to_be_bytes(), 8).unwrap();
    let newer = store.newest().unwrap_err();
    assert!(
        matches!(&newer, DiskError::Unreadable { source: DecodeError::Newer { .. }, .. }),
        "{newer}"
    );
    for len in 0..len {
        file.set_len(len).unwrap();
        assert!(store.newest().is_err());
        if len > 100 {
            break;
        }
    }
}
