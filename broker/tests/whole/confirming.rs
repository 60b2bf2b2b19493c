//! What only a confirmed owner may answer costs no put, and is answered while the store is away.

use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use odradek_common::files::sim::SimFiles;
use odradek_storage::store::Operation;
use odradek_storage::store::faulty::Outage;

use super::life::Life;
use super::store_faults::{client, object, store};
use super::waiting::answered;
use super::wire::{Wire, batch, name, produce_request};
use super::workload::{commit_offset, fetch_offset};

const PARTITIONS: i32 = 100;
const LATEST: i64 = -1;

/// The ends of all partitions, as ListOffsets tells them.
async fn ends(wire: &mut Wire) -> Vec<(i16, i64)> {
    let partition =
        |i| ListOffsetsPartition::default().with_partition_index(i).with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default()
        .with_name(name("t"))
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let request =
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer = wire.call(&request, 7).await.unwrap();
    answer.topics[0].partitions.iter().map(|p| (p.error_code, p.offset)).collect()
}

#[test]
fn ends_and_offsets_are_told_without_the_store() {
    let (store, faults) = store(1);
    // Nothing but the test makes slots.
    let settings = object(&["flush.interval.ms=3600000"]);
    let life = Life::start(settings, &SimFiles::new(), Some(store), 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", PARTITIONS).await.unwrap();
        let request = produce_request("t", 7, batch(-1, -1, &[vec![1]]), 30_000);
        let answer = wire.call(&request, 11).await.unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        let mut expected = vec![(0, 0); 100];
        expected[7].1 = 1;
        let puts = faults.requests(Operation::Put);
        assert_eq!(ends(&mut wire).await, expected);
        assert_eq!(faults.requests(Operation::Put), puts);

        answered(async || commit_offset(&mut wire, "t", 5).await).await;
        faults.outage(Outage::Refused);
        let told = async {
            assert_eq!(ends(&mut wire).await, expected);
            assert_eq!(fetch_offset(&mut wire, "t").await.unwrap(), 5);
        };
        tokio::time::timeout(Duration::from_secs(10), told).await.expect("it is answered");
    });
    life.crash();
}
