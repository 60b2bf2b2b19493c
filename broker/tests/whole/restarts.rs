//! Restarts after something was damaged or lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use odradek_broker::directory::DataDirectory;
use odradek_common::files::sim::SimFiles;
use odradek_common::files::{Files, SharedFiles};
use odradek_common::ids::BrokerId;
use odradek_common::net::RealNetwork;
use odradek_common::phases::Phases;
use odradek_common::random::SeededRandom;
use odradek_metadata::{Metadata, Options};
use odradek_storage::store::Operation;
use odradek_storage::store::faulty::{Fault, Faulty, On};

use super::life::{Life, settings};
use super::store_faults::{client, object, store};
use super::wire::{Wire, batch, produce_request};

/// A slot that cannot be read takes down its partitions, at every start after it, and no others.
#[test]
fn a_damaged_slot_takes_down_its_own_partitions_only() {
    let (store, _) = store(1);
    let files = SimFiles::new();
    let never = ["flush.interval.ms=3600000", "merge.interval.ms=3600000"];
    let start = |seed| Life::start(object(&never), &files, Some(store.clone()), seed).unwrap();
    let life = start(1);
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("whole", 1).await.unwrap();
        produce(&mut wire, "whole").await;
        wire.create("damaged", 1).await.unwrap();
        produce(&mut wire, "damaged").await;
        let slot = newest_slot(&store).await;
        // The slot after it says which partitions were in it.
        produce(&mut wire, "whole").await;
        store
            .put(&slot.location, vec![7; usize::try_from(slot.size).unwrap()].into())
            .await
            .unwrap();
    });
    life.crash();
    for seed in 2..4 {
        let life = start(seed);
        client().block_on(async {
            let mut wire = Wire::open(life.port).await.unwrap();
            let read = wire.read("whole", 0, 0, 0).await.unwrap();
            assert_eq!(read.len(), 2, "start {seed}");
            assert!(wire.read("damaged", 0, 0, 0).await.is_err(), "start {seed}");
        });
        life.crash();
    }
}

/// Its Raft log tells of nothing that came after, which the collector would then delete.
#[test]
fn an_older_copy_of_the_data_directory_is_refused() {
    let (store, _) = store(1);
    let files = SimFiles::new();
    let start = |files, seed| Life::start(object(&[]), files, Some(store.clone()), seed);
    let life = start(&files, 1).unwrap();
    client().block_on(async {
        Wire::open(life.port).await.unwrap().create("t", 1).await.unwrap();
    });
    life.crash();
    // All that counts is synced, so that this is a copy.
    let copy = files.power_cut(&SeededRandom::from_seed(1));
    for seed in 2..4 {
        let life = start(&files, seed).unwrap();
        client().block_on(async {
            produce(&mut Wire::open(life.port).await.unwrap(), "t").await;
        });
        life.crash();
    }
    // However often it is tried: what a start writes does not make the copy younger.
    for seed in 10..30 {
        let refused = start(&copy, seed).err().expect("it is refused");
        assert!(refused.contains("written after the state that this data"), "{refused}");
    }
    let life = start(&files, 5).unwrap();
    assert_eq!(read(&life, "t"), 2);
    life.crash();
}

/// Law 2.7: the marker in the store names our directory whatever became of our metadata.
#[test]
fn a_lost_raft_log_is_not_taken_for_a_first_start() {
    let files = SimFiles::new();
    let start = |files: &SimFiles, seed| Life::start(settings(&[]), files, None, seed);
    let life = start(&files, 1).unwrap();
    produce_kept(life);
    let whole = files.power_cut(&SeededRandom::from_seed(1));
    let raft = Path::new("/data/raft");
    for entry in files.list(raft).unwrap() {
        files.remove_file(&entry.path).unwrap();
    }
    for seed in 2..4 {
        let refused = start(&files, seed).map(|_| ()).unwrap_err();
        assert!(refused.contains("/data/raft/log.redb is missing"), "{refused}");
        files.remove_dir(raft).unwrap_or_default();
    }
    // A log that is there and holds nothing is no better.
    make_empty_log(&files, raft);
    let refused = start(&files, 4).map(|_| ()).unwrap_err();
    assert!(refused.contains("the Raft log in it is not"), "{refused}");
    // What is brought back is as it was.
    let life = start(&whole, 5).unwrap();
    assert_eq!(read(&life, "kept"), 1);
    life.crash();
}

const WAL: &str = "/data/wal";

/// A life whose records stay in the write-ahead log: no segment can be written.
fn kept_in_wal(
    files: &SimFiles,
    store: &Arc<Faulty>,
    wal: &str,
    seed: u64,
) -> Result<Life, String> {
    store.faults().always(On::key(Operation::Put, "/seg/"), Fault::Denied);
    let settings = settings(&["storage.url=memory://whole", "flush.interval.ms=3600000", wal]);
    Life::start(settings, files, Some(store.clone()), seed)
}

/// A record in a topic of its own, acknowledged; then the broker dies.
fn produce_kept(life: Life) {
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("kept", 1).await.unwrap();
        produce(&mut wire, "kept").await;
    });
    life.crash();
}

/// How many records the topic has.
fn read(life: &Life, topic: &str) -> usize {
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.read(topic, 0, 0, 0).await.unwrap().len()
    })
}

fn empty_wal(files: &SimFiles) {
    for entry in files.list(Path::new(WAL)).unwrap() {
        files.remove_file(&entry.path).unwrap();
    }
}

/// Nothing but the write-ahead log holds what is acknowledged and not flushed.
#[test]
fn a_lost_wal_is_not_taken_for_an_empty_one() {
    let ((store, _), files) = (store(1), SimFiles::new());
    let life = kept_in_wal(&files, &store, "wal.kind=disk", 1).unwrap();
    produce_kept(life);
    let whole = files.power_cut(&SeededRandom::from_seed(1));
    for removed in [false, true] {
        empty_wal(&files);
        if removed {
            files.remove_dir(Path::new(WAL)).unwrap();
        }
        for (wal, seed) in [("wal.kind=disk", 2), ("wal.kind=object", 3)] {
            let refused = kept_in_wal(&files, &store, wal, seed).map(|_| ()).unwrap_err();
            assert!(refused.contains("/data/wal is not the write-ahead log"), "{refused}");
            assert!(!removed || files.stat(Path::new(WAL)).is_err(), "{wal} made another");
        }
    }
    // What is brought back is as it was. Once it is taken over, index objects refer to it.
    for (wal, seed) in [("wal.kind=object", 4), ("wal.kind=disk", 5), ("wal.kind=object", 6)] {
        let life = kept_in_wal(&whole, &store, wal, seed).unwrap();
        assert_eq!(read(&life, "kept"), 1, "{wal}");
        life.crash();
    }
    empty_wal(&whole);
    let refused = kept_in_wal(&whole, &store, "wal.kind=object", 7).map(|_| ()).unwrap_err();
    assert!(refused.contains("/data/wal is not the write-ahead log"), "{refused}");
}

#[test]
fn a_wal_that_was_taken_over_and_holds_nothing_may_go() {
    let ((store, _), files) = (store(1), SimFiles::new());
    for (wal, seed) in [("wal.kind=disk", 1), ("wal.kind=object", 2), ("wal.kind=object", 3)] {
        kept_in_wal(&files, &store, wal, seed).unwrap().crash();
        if seed > 1 && files.stat(Path::new(WAL)).is_ok() {
            empty_wal(&files);
            files.remove_dir(Path::new(WAL)).unwrap();
        }
    }
    assert!(files.stat(Path::new(WAL)).is_err());
    kept_in_wal(&files, &store, "wal.kind=disk", 4).unwrap().crash();
    empty_wal(&files);
    assert!(kept_in_wal(&files, &store, "wal.kind=disk", 5).is_err());
}

fn make_empty_log(files: &SimFiles, directory: &Path) {
    let files: SharedFiles = Arc::new(files.clone());
    let node = settings(&[]).node.id;
    let random = SeededRandom::from_seed(1);
    let data = DataDirectory::open(&files, Path::new("/data"), node, &random).unwrap();
    let options = Options {
        node: BrokerId(node),
        directory_id: data.id,
        directory: directory.into(),
        cluster: None,
        files,
        network: Arc::new(RealNetwork),
        random: Arc::new(random),
        voters: BTreeMap::new(),
        listen: None,
        secret: None,
        snapshot_entries: 100,
        phases: Phases::none(),
    };
    client().block_on(async { Metadata::start(options).await.map(drop).unwrap() });
}

async fn produce(wire: &mut Wire, topic: &str) {
    let request = produce_request(topic, 0, batch(-1, -1, &[vec![7]]), 10_000);
    let answer = wire.call(&request, 11).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// The last slot.
async fn newest_slot(store: &Faulty) -> ObjectMeta {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    let slots = all.into_iter().filter(|object| object.location.as_ref().contains("/wal/"));
    slots.max_by_key(|object| object.location.to_string()).unwrap()
}
