//! Topics of the broker's own: a record that its coordinator cannot read would keep a partition from
//! loading, so clients neither write to them nor cut them; and as their partitions say who coordinates
//! what, clients do not add any.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{CreatePartitionsRequest, DeleteRecordsRequest};
use odradek_common::files::sim::SimFiles;

use super::life::{Life, settings};
use super::wire::{Wire, batch, name, produce_request};
use super::workload::find_coordinator;

const OFFSETS: &str = "__consumer_offsets";
const INVALID_TOPIC_EXCEPTION: i16 = 17;

#[test]
fn clients_neither_write_to_nor_cut_nor_grow_internal_topics() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    let port = life.port;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(async {
        let mut wire = Wire::open(port).await.unwrap();
        find_coordinator(&mut wire).await.unwrap();
        let produce = produce_request(OFFSETS, 0, batch(-1, -1, &[vec![7]]), 5_000);
        let answer = wire.call(&produce, 11).await.unwrap();
        let produced = &answer.responses[0].partition_responses[0];
        assert_eq!(produced.error_code, INVALID_TOPIC_EXCEPTION);
        let cut = DeleteRecordsPartition::default().with_partition_index(0).with_offset(-1);
        let topic =
            DeleteRecordsTopic::default().with_name(name(OFFSETS)).with_partitions(vec![cut]);
        let delete =
            DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let answer = wire.call(&delete, 2).await.unwrap();
        assert_eq!(answer.topics[0].partitions[0].error_code, INVALID_TOPIC_EXCEPTION);
        let more = CreatePartitionsTopic::default()
            .with_name(name(OFFSETS))
            .with_count(100)
            .with_assignments(None);
        let grow =
            CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(5_000);
        let answer = wire.call(&grow, 3).await.unwrap();
        assert_eq!(answer.results[0].error_code, INVALID_TOPIC_EXCEPTION);
    });
    life.crash();
}
