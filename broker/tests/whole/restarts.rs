//! Restarts after something was damaged.

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use odradek_common::files::sim::SimFiles;
use odradek_storage::store::faulty::Faulty;

use super::life::Life;
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
