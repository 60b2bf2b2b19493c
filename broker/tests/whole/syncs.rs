//! The proof that power cuts find a sync that is missing: each class of syncs is taken away in turn.
//!
//! The vote lies in the same database as the Raft log and is synced by the same call, so the two
//! are one class. Not taken away, as no client can notice: the sync of a directory after an object
//! was deleted (one that comes back is deleted again by the next listing; the store's own tests
//! hold it to its word), and the syncs by which a start makes durable what a killed process left
//! unsynced, which the tests of the parts take away one by one.

use std::path::Path;
use std::time::Duration;

use odradek_common::files::sim::Op;

use super::power_cut::{Lie, START_STEPS, cycles, first_starts};

const DISK: &str = "wal.kind=disk";
const OBJECT: &str = "wal.kind=object";

/// Each class, by name, the kind of WAL that needs it, and what it is.
const SYNCS: [(&str, &str, Lie); 16] = [
    ("slots of the disk WAL", DISK, |op, path| op == Op::Sync && is(path, "/data/wal/wal-")),
    ("names of its files", DISK, |op, path| op == Op::SyncDir && path == Path::new("/data/wal")),
    ("identity of its directory", DISK, |op, path| {
        op == Op::Sync && is(path, "/data/wal/directory.json")
    }),
    ("Raft log and vote", DISK, |op, path| op == Op::Sync && is(path, "/data/raft/log.redb")),
    ("snapshots", DISK, |op, path| op == Op::Sync && is(path, "/data/raft/snapshot")),
    ("names in the Raft directory", DISK, |op, path| {
        op == Op::SyncDir && path == Path::new("/data/raft")
    }),
    ("identity of the data directory", DISK, |op, path| {
        op == Op::Sync && is(path, "/data/directory.json")
    }),
    ("names in the data directory", DISK, |op, path| {
        op == Op::SyncDir && path == Path::new("/data")
    }),
    ("formation marker", DISK, |op, path| op == Op::Sync && is_object(path, None)),
    ("slots in the store", OBJECT, |op, path| op == Op::Sync && is_object(path, Some("wal"))),
    ("segments", DISK, |op, path| op == Op::Sync && is_object(path, Some("seg"))),
    ("index objects", DISK, |op, path| op == Op::Sync && is_object(path, Some("idx"))),
    ("manifests", DISK, |op, path| op == Op::Sync && is_object(path, Some("man"))),
    ("names of slots in the store", OBJECT, |op, path| op == Op::SyncDir && depth(path) == 5),
    ("names of segments and the like", DISK, |op, path| op == Op::SyncDir && depth(path) == 3),
    ("folders of objects", OBJECT, |op, path| {
        op == Op::SyncDir && matches!(depth(path), 0 | 1 | 2 | 4)
    }),
];

/// Those that matter until the next sync only, which covers what they cover: in a short while of a
/// start.
const SYNCS_OF_A_START: [(&str, &str, Lie); 2] = [
    ("headers of the files of the disk WAL", DISK, |op, path| {
        op == Op::Sync && is(path, "/data/wal/new-")
    }),
    ("Raft log as it is made", DISK, |op, path| {
        op == Op::Sync && path == Path::new("/data/raft/log.redb.new")
    }),
];

fn is(path: &Path, start: &str) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(start))
}

/// True for the file of an object of this folder of the cluster, or of none, on its way.
fn is_object(path: &Path, folder: Option<&str>) -> bool {
    let name = path.strip_prefix("/data/objects/.tmp").ok().and_then(Path::to_str);
    let place = name.and_then(|name| name.split_once('-')).map(|(_, place)| place);
    place.is_some_and(|place| match folder {
        Some(folder) => place.contains(&format!("%2F{folder}%2F")),
        None => place.is_empty(),
    })
}

/// How deep a folder lies in the store: slots lie in five, segments, index objects and manifests
/// in three.
fn depth(path: &Path) -> usize {
    path.strip_prefix("/data/objects").map_or(usize::MAX, |below| below.components().count())
}

#[test]
fn a_missing_sync_is_noticed() {
    for (what, wal, lie) in SYNCS {
        let patience = Duration::from_secs(3);
        let noticed = (1..=12).any(|seed| cycles(seed, wal, lie, patience).is_err());
        assert!(noticed, "nobody notices that this is not synced: {what}");
    }
    for (what, wal, lie) in SYNCS_OF_A_START {
        let noticed = first_starts(START_STEPS, wal, lie).is_err();
        assert!(noticed, "nobody notices that this is not synced: {what}");
    }
}
