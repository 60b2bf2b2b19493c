//! How long a request waits for partitions that come or go.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use odradek_broker::core::Core;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::TopicPartition;
use tokio::time::Instant;

use super::life::{Life, settings};
use super::store_faults::client;
use super::wire::{Wire, batch, produce_request};
use super::workload::delete_topic;

/// How long a batch waits for its partition, as the broker has it.
const PARKED_MAX: Duration = Duration::from_secs(5);
/// Far more than any of these takes.
const LONG: Duration = Duration::from_secs(60);

fn partition(core: &Core, partition: i32) -> TopicPartition {
    TopicPartition { topic: core.topic_id("t").unwrap(), partition }
}

#[test]
fn the_batches_of_a_request_wait_for_their_partitions_together() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 3).await.unwrap();
        let core = life.core();
        for index in 0..2 {
            assert!(core.logs.get(&partition(core, index)).unwrap().freeze());
        }
        let records = batch(5, 0, &[vec![1]]);
        let mut request = produce_request("t", 0, records.clone(), 60_000);
        let data = |index| {
            PartitionProduceData::default().with_index(index).with_records(Some(records.clone()))
        };
        request.topic_data[0].partition_data = (0..3).map(data).collect();
        let begun = Instant::now();
        wire.send(&request, 11).await.unwrap();
        let answer = wire.receive::<ProduceRequest>(11).await.unwrap();
        let took = begun.elapsed();
        let codes = answer.responses[0].partition_responses.iter().map(|p| p.error_code);
        // What is here is served, whatever the others took.
        assert_eq!(codes.collect::<Vec<_>>(), [6, 6, 0]);
        assert!((PARKED_MAX..PARKED_MAX * 2).contains(&took), "{took:?}");
    });
    life.crash();
}

/// Nothing tells of it but the metadata: there was no log yet that could go.
#[test]
fn who_waits_for_a_partition_hears_that_it_goes_on() {
    // Nothing changes the metadata but what is done here.
    let flags = ["wal.kind=disk", "collect.interval.ms=3600000"];
    let life = Life::start(settings(&flags), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        let core: Arc<Core> = life.core().clone();
        let at = partition(&core, 0);
        core.logs.remove(&at).unwrap();
        let begun = Instant::now();
        let waits = core.owned_log_by(at, begun + LONG);
        let (found, deleted) = tokio::join!(waits, delete_topic(&mut wire, "t", 10_000));
        deleted.unwrap();
        assert_eq!(found.unwrap_err(), ResponseError::UnknownTopicOrPartition);
        assert!(begun.elapsed() < LONG);
    });
    life.crash();
}
