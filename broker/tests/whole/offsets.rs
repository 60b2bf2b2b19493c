//! Offsets of partitions that do not exist are neither committed nor deleted.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetDeleteRequest};
use kafka_protocol::protocol::StrBytes;
use odradek_common::files::sim::SimFiles;

use super::life::{Life, settings};
use super::wire::{Wire, name};
use super::workload::find_coordinator;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const GROUP_ID_NOT_FOUND: i16 = 69;

/// Topic `t` has one partition; `u` is not there.
const ASKED: [(&str, i32, i16); 3] =
    [("t", 0, 0), ("t", 1, UNKNOWN_TOPIC_OR_PARTITION), ("u", 0, UNKNOWN_TOPIC_OR_PARTITION)];

fn group(id: &'static str) -> GroupId {
    GroupId(StrBytes::from_static_str(id))
}

fn commit() -> OffsetCommitRequest {
    let topics = ASKED.iter().map(|(topic, partition, _)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(5)
            .with_committed_metadata(Some(StrBytes::from_static_str("")));
        OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(group("g"))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}

fn delete(id: &'static str, asked: &[(&str, i32, i16)]) -> OffsetDeleteRequest {
    let topics = asked.iter().map(|(topic, partition, _)| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*partition);
        OffsetDeleteRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition])
    });
    OffsetDeleteRequest::default().with_group_id(group(id)).with_topics(topics.collect())
}

#[test]
fn what_is_not_there_is_told_by_partition() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    let port = life.port;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(async {
        let mut wire = Wire::open(port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        find_coordinator(&mut wire).await.unwrap();
        let mut expected: Vec<(String, i32, i16)> =
            ASKED.iter().map(|(t, p, code)| ((*t).to_owned(), *p, *code)).collect();
        expected.sort();

        let committed = wire.call(&commit(), 8).await.unwrap();
        let told = committed.topics.iter().flat_map(|t| {
            t.partitions.iter().map(|p| (t.name.to_string(), p.partition_index, p.error_code))
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        assert_eq!(told, expected);

        let deleted = wire.call(&delete("g", &ASKED), 0).await.unwrap();
        let told = deleted.topics.iter().flat_map(|t| {
            t.partitions.iter().map(|p| (t.name.to_string(), p.partition_index, p.error_code))
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        assert_eq!((deleted.error_code, told), (0, expected));

        // A group that is not there is told first, as in Kafka.
        for asked in [&ASKED[..], &ASKED[2..]] {
            let refused = wire.call(&delete("none", asked), 0).await.unwrap();
            assert_eq!((refused.error_code, refused.topics.len()), (GROUP_ID_NOT_FOUND, 0));
        }
    });
    life.crash();
}
