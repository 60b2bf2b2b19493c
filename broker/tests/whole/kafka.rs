//! What clients rely on beyond the protocol's letter.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, FetchRequest, FindCoordinatorRequest, GroupId, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::batch::{NO_TIMESTAMP, batches};
use odradek_common::files::sim::SimFiles;

use super::life::{Life, settings};
use super::list_offsets::listed;
use super::store_faults::client;
use super::waiting::answered;
use super::wire::{Wire, batch, fetch_request, name, produce_request};
use super::workload::{commit_offset, delete_topic};

/// Runs `then` on a broker.
pub fn on_a_broker(then: impl AsyncFnOnce(&mut Wire)) {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async { then(&mut Wire::open(life.port).await.unwrap()).await });
    life.crash();
}

pub async fn produce(wire: &mut Wire, records: Bytes) {
    let answer = wire.call(&produce_request("t", 0, records, 10_000), 11).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// Deletes the records below `offset`.
pub async fn delete_records(wire: &mut Wire, offset: i64) {
    let at = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![at]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let answer = wire.call(&request, 2).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].low_watermark, offset);
}

/// The offset of the first record at or after `timestamp`.
async fn at_or_after(wire: &mut Wire, timestamp: i64) -> i64 {
    let (code, offset, _) = listed(wire, 7, timestamp).await;
    assert_eq!(code, 0);
    offset
}

/// Sarama before 2025 states no largest timestamp.
#[test]
fn records_of_a_batch_that_states_no_timestamp_are_found_by_theirs() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        let stated = batches(batch(-1, -1, &[vec![1], vec![2]])).next().unwrap().unwrap();
        let (mut header, records) = (stated.header, stated.records());
        header.set_max_timestamp(NO_TIMESTAMP, &records);
        produce(wire, [&header.encode()[..], &records[..]].concat().into()).await;
        assert_eq!(at_or_after(wire, 1_000).await, 0);
        assert_eq!(at_or_after(wire, 1_001).await, -1);
    });
}

/// KIP-110: who asks in an old version could not read zstd either.
#[test]
fn zstd_is_refused_in_versions_that_do_not_know_it() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        let plain = batches(batch(-1, -1, &[vec![1]])).next().unwrap().unwrap();
        let (mut header, records) = (plain.header, plain.records());
        header.attributes |= 4;
        header.set_crc(&records);
        let zstd = Bytes::from([&header.encode()[..], &records[..]].concat());
        for (version, expected) in [(3, 76), (6, 76), (7, 0)] {
            let request = produce_request("t", 0, zstd.clone(), 10_000);
            let answer = wire.call(&request, version).await.unwrap();
            let answer = &answer.responses[0].partition_responses[0];
            assert_eq!(answer.error_code, expected, "version {version}");
        }
    });
}

#[test]
fn a_search_by_append_time_begins_at_the_log_start_within_a_batch() {
    on_a_broker(async |wire| {
        let config = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("message.timestamp.type"))
            .with_value(Some(StrBytes::from_static_str("LogAppendTime")));
        let topic = CreatableTopic::default()
            .with_name(name("t"))
            .with_num_partitions(1)
            .with_replication_factor(-1)
            .with_configs(vec![config]);
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        assert_eq!(wire.call(&request, 7).await.unwrap().topics[0].error_code, 0);
        produce(wire, batch(-1, -1, &[vec![1], vec![2], vec![3]])).await;
        delete_records(wire, 1).await;
        assert_eq!(at_or_after(wire, 0).await, 1);
    });
}

/// Errors and offsets of the partitions that an answer holds.
async fn fetched(wire: &mut Wire, request: &FetchRequest) -> (i32, Vec<(i16, i64)>) {
    let answer = wire.call(request, 12).await.unwrap();
    assert_eq!(answer.error_code, 0);
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    (answer.session_id, partitions.map(|p| (p.error_code, p.high_watermark)).collect())
}

/// A client that names topics goes on with the new one, and can let go of it.
#[test]
fn a_fetch_session_lives_through_a_topic_that_is_made_again() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        produce(wire, batch(-1, -1, &[vec![1]])).await;
        let open = fetch_request("t", 0, 0, 0).with_session_epoch(0);
        let (session_id, answer) = fetched(wire, &open).await;
        assert_eq!(answer, [(0, 1)]);
        delete_topic(wire, "t", 10_000).await.unwrap();
        wire.create("t", 1).await.unwrap();
        produce(wire, batch(-1, -1, &[vec![1], vec![2]])).await;
        let next = |epoch| {
            let changed = fetch_request("t", 0, 0, 0).with_topics(Vec::new());
            changed.with_session_id(session_id).with_session_epoch(epoch)
        };
        assert_eq!(fetched(wire, &next(1)).await, (session_id, vec![(0, 2)]));
        let forgotten = ForgottenTopic::default().with_topic(name("t")).with_partitions(vec![0]);
        let forget = next(2).with_forgotten_topics_data(vec![forgotten]);
        assert_eq!(fetched(wire, &forget).await, (session_id, vec![]));
    });
}

/// KIP-430: without an authorizer a client may do everything.
#[test]
fn operations_are_told_where_they_are_asked_for() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        for (asked, topic, cluster) in [(true, 3_576, 8_096), (false, i32::MIN, i32::MIN)] {
            let request = MetadataRequest::default()
                .with_topics(None)
                .with_include_cluster_authorized_operations(asked)
                .with_include_topic_authorized_operations(asked);
            let answer = wire.call(&request, 8).await.unwrap();
            assert_eq!(answer.cluster_authorized_operations, cluster);
            assert_eq!(answer.topics[0].topic_authorized_operations, topic);
            let request =
                DescribeClusterRequest::default().with_include_cluster_authorized_operations(asked);
            let answer = wire.call(&request, 0).await.unwrap();
            assert_eq!(answer.cluster_authorized_operations, cluster);
        }
        answered(async || commit_offset(wire, "t", 0).await).await;
        for (asked, operations) in [(true, 3_400), (false, i32::MIN)] {
            let request = DescribeGroupsRequest::default()
                .with_groups(vec![GroupId(StrBytes::from_static_str("group"))])
                .with_include_authorized_operations(asked);
            let answer = wire.call(&request, 5).await.unwrap();
            assert_eq!(answer.groups[0].authorized_operations, operations);
        }
    });
}

#[test]
fn an_empty_list_of_keys_asks_for_all_settings() {
    on_a_broker(async |wire| {
        wire.create("t", 1).await.unwrap();
        let of = |keys: Option<Vec<StrBytes>>| {
            let topic = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(StrBytes::from_static_str("t"))
                .with_configuration_keys(keys);
            DescribeConfigsRequest::default().with_resources(vec![topic])
        };
        let all = wire.call(&of(None), 4).await.unwrap().results[0].configs.len();
        let none = wire.call(&of(Some(Vec::new())), 4).await.unwrap().results[0].configs.len();
        let one = of(Some(vec![StrBytes::from_static_str("retention.ms")]));
        let one = wire.call(&one, 4).await.unwrap().results[0].configs.len();
        assert!(all > 1 && none == all && one == 1, "{all} {none} {one}");
    });
}

/// librdkafka asks again for ever after any code but this.
#[test]
fn who_looks_for_a_transaction_coordinator_is_refused_for_good() {
    on_a_broker(async |wire| {
        let request = FindCoordinatorRequest::default()
            .with_key_type(1)
            .with_coordinator_keys(vec![StrBytes::from_static_str("x")]);
        let answer = wire.call(&request, 4).await.unwrap();
        assert_eq!(answer.coordinators[0].error_code, 53);
    });
}
