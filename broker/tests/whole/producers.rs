//! What a broker remembers of many idempotent producers: it has a limit, which clients that take a new producer
//! id for each batch cannot pass, and below that all of it outlives the broker.

use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, ProduceRequest};
use odradek_broker::background::flush;
use odradek_broker::core::Core;
use odradek_broker::partition::PartitionLog;
use odradek_common::batch::Batch;
use odradek_common::files::sim::SimFiles;
use odradek_common::limits::PRODUCER_BATCH_BYTES;
use odradek_protocol::records::BatchBuilder;

use super::life::{Life, settings};
use super::store_faults::client;
use super::waiting::until;
use super::wire::{Wire, batch, name, produce_request};

const PARTITIONS: i32 = 40;
/// The smallest that the setting may be.
const LIMIT_BYTES: usize = 1 << 20;
const WAIT_MS: i32 = 10_000;
const TIMESTAMP_MS: i64 = 1_700_000_000_000;

async fn create(wire: &mut Wire, partitions: i32) {
    let topic = CreatableTopic::default()
        .with_name(name("t"))
        .with_num_partitions(partitions)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(WAIT_MS);
    assert_eq!(wire.call(&request, 7).await.unwrap().topics[0].error_code, 0);
}

/// The batch of that sequence of this producer, to the first `partitions` partitions.
fn to_each(partitions: i32, producer: i64, sequence: i32) -> ProduceRequest {
    let batch_of = |partition| {
        let records = batch(producer, sequence, &[vec![7]]);
        produce_request("t", partition, records, WAIT_MS)
            .topic_data
            .remove(0)
            .partition_data
            .remove(0)
    };
    let mut request = produce_request("t", 0, Default::default(), WAIT_MS);
    request.topic_data[0].partition_data = (0..partitions).map(batch_of).collect();
    request
}

async fn produce(wire: &mut Wire, request: &ProduceRequest) {
    let answer = wire.call(request, 11).await.unwrap();
    let partitions = &answer.responses[0].partition_responses;
    assert!(partitions.iter().all(|p| p.error_code == 0), "{partitions:?}");
}

/// Batches that partition 0 remembers, and all others.
fn remembered(core: &Core) -> (usize, usize) {
    let mut found = (0, 0);
    for log in core.logs.all() {
        match log.id.partition {
            0 => found.0 += log.producer_batches(),
            _ => found.1 += log.producer_batches(),
        }
    }
    found
}

#[test]
fn who_takes_a_new_producer_for_each_batch_passes_no_limit() {
    let limit = format!("producer.state.max.bytes={LIMIT_BYTES}");
    let flags = ["node.id=1", "flush.interval.ms=10", &limit];
    let broker = Life::start(settings(&flags), &SimFiles::new(), None, 1).unwrap();
    let most = LIMIT_BYTES / PRODUCER_BATCH_BYTES;
    client().block_on(async {
        let mut wire = Wire::open(broker.port).await.unwrap();
        create(&mut wire, PARTITIONS).await;
        // Partition 0 has one producer of whose window nothing is to be lost.
        for sequence in 0..5 {
            produce(&mut wire, &to_each(1, 1, sequence)).await;
        }
        let mut producer = 2;
        until("more was remembered than there may be", async || {
            for _ in 0..10 {
                let mut request = to_each(PARTITIONS, producer, 0);
                request.topic_data[0].partition_data.remove(0);
                produce(&mut wire, &request).await;
                producer += 1;
            }
            let (_, others) = remembered(broker.core());
            others > most
        })
        .await;
        until("what is too much is forgotten", async || remembered(broker.core()).1 < most).await;
        assert_eq!(remembered(broker.core()).0 % 5, 0);
        assert!(remembered(broker.core()).1 > most / 2, "no more than that");
        // A duplicate is still known as one, and who was busy last goes on.
        produce(&mut wire, &to_each(1, 1, 0)).await;
        assert_eq!(wire.read("t", 0, 0, 0).await.unwrap().len(), 5);
        let mut next = to_each(PARTITIONS, producer - 1, 1);
        next.topic_data[0].partition_data.remove(0);
        produce(&mut wire, &next).await;
    });
    broker.crash();
}

/// So many producers of a partition, as encoded for all partitions, are more than one index object may hold.
const PRODUCERS: i32 = 16_000;
const CROWDED: i32 = 26;

/// One record of a producer whose numbers take as much room as they can.
fn crowded(producer: i32, sequence: i32) -> Batch {
    let mut builder = BatchBuilder::new(1024).producer(i64::MAX - i64::from(producer), 0, sequence);
    builder.push(TIMESTAMP_MS, None, Some(b"v"), &[]).unwrap();
    builder.build().unwrap()
}

#[test]
fn producers_of_more_than_one_index_object_outlive_the_broker() {
    let files = SimFiles::new();
    let idle = ["flush.interval.ms=86400000", "merge.interval.ms=86400000"];
    let start = || Life::start(settings(&idle), &files, None, 1).unwrap();
    let broker = start();
    client().block_on(async {
        create(&mut Wire::open(broker.port).await.unwrap(), CROWDED).await;
        let core = broker.core();
        until("all are taken up", async || core.logs.all().len() == CROWDED as usize).await;
        for log in core.logs.all() {
            for producer in 0..PRODUCERS {
                log.append_internal(&crowded(producer, i32::MAX)).unwrap();
            }
        }
        let is_durable =
            |log: &Arc<PartitionLog>| log.offsets().high_watermark == i64::from(PRODUCERS);
        until("all is durable", async || core.logs.all().iter().all(is_durable)).await;
        assert!(flush::now(core).await.unwrap().is_empty());
        assert!(core.image().index_objects().count() > 1, "one index object holds it all");
    });
    broker.crash();
    let broker = start();
    client().block_on(async {
        let logs = broker.core().logs.all();
        assert_eq!(logs.len(), CROWDED as usize);
        for log in logs {
            assert_eq!(log.producer_count(), PRODUCERS as usize);
            let again = log.append_internal(&crowded(PRODUCERS - 1, i32::MAX)).unwrap();
            assert_eq!(again.base_offset, i64::from(PRODUCERS) - 1);
            assert!(log.append_internal(&crowded(0, 1)).is_err());
            assert_eq!(
                log.append_internal(&crowded(0, 0)).unwrap().base_offset,
                i64::from(PRODUCERS)
            );
        }
    });
    broker.crash();
}
