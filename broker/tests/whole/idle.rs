//! What is deleted goes from the store, also where nobody produces any more.

use std::sync::Arc;

use futures::TryStreamExt;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use object_store::ObjectStore;
use odradek_broker::core::Core;
use odradek_common::files::sim::SimFiles;
use odradek_storage::store::faulty::Faulty;

use super::life::Life;
use super::store_faults::{client, object, store};
use super::waiting::until;
use super::wire::{Wire, batch, name, produce_request};
use super::workload::delete_topic;

async fn segments(store: &Arc<Faulty>) -> usize {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    all.iter().filter(|object| object.location.as_ref().contains("/seg/")).count()
}

/// Produces a record to topic `t` and waits until it is in a segment.
async fn produce(wire: &mut Wire, core: &Core, store: &Arc<Faulty>) {
    wire.create("t", 1).await.unwrap();
    let request = produce_request("t", 0, batch(-1, -1, &[vec![1]]), 30_000);
    let answer = wire.call(&request, 11).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    until("a flush", async || core.image().index_objects().count() > 0).await;
    assert!(segments(store).await > 0);
}

/// Runs `then` on a broker with one record, which is in a segment.
fn with_a_record(then: impl AsyncFnOnce(&mut Wire, &Core, &Arc<Faulty>)) {
    let (store, _faults) = store(1);
    let life = Life::start(object(&[]), &SimFiles::new(), Some(store.clone()), 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        produce(&mut wire, life.core(), &store).await;
        then(&mut wire, life.core(), &store).await;
    });
    life.crash();
}

#[test]
fn the_records_of_a_deleted_topic_go() {
    with_a_record(async |wire, core, store| {
        delete_topic(wire, "t", 10_000).await.unwrap();
        until("the segment goes", async || segments(store).await == 0).await;
        assert_eq!(core.image().groups().count(), 0);
    });
}

#[test]
fn records_below_the_log_start_go() {
    with_a_record(async |wire, _core, store| {
        let end = DeleteRecordsPartition::default().with_partition_index(0).with_offset(-1);
        let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![end]);
        let request =
            DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = wire.call(&request, 2).await.unwrap();
        assert_eq!(answer.topics[0].partitions[0].low_watermark, 1);
        until("the segment goes", async || segments(store).await == 0).await;
    });
}
