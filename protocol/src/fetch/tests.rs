use super::*;
use bytes::BytesMut;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction as CrateAborted, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint as CrateEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchResponse, ProducerId, TopicName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-zäß.]{1,12}".prop_map(StrBytes::from_string)
}

prop_compose! {
    fn partition()(
        partition: i32, error_code: i16,
        (high_watermark, last_stable_offset, log_start_offset) in any::<(i64, i64, i64)>(),
        end in option::of((0..i32::MAX, 0..i64::MAX)),
        leader in option::of((0..i32::MAX, 0..i32::MAX)),
        aborted in option::of(vec((any::<i64>(), any::<i64>()), 0..3)),
        preferred_read_replica: i32,
        records in vec(vec(any::<u8>(), 0..200).prop_map(Bytes::from), 0..4),
    ) -> PartitionAnswer {
        PartitionAnswer {
            partition, error_code, high_watermark, last_stable_offset, log_start_offset,
            diverging_epoch: end.map(|(epoch, end_offset)| EpochEnd { epoch, end_offset }),
            current_leader: leader
                .map(|(leader_id, leader_epoch)| CurrentLeader { leader_id, leader_epoch }),
            aborted_transactions: aborted.map(|list| list.into_iter()
                .map(|(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset })
                .collect()),
            preferred_read_replica, records,
        }
    }
}

prop_compose! {
    fn topic()(
        name in text(), id: [u8; 16], partitions in vec(partition(), 0..4),
    ) -> TopicAnswer {
        TopicAnswer { name, id: TopicId::from_slice(&id), partitions }
    }
}

prop_compose! {
    fn endpoint()(node_id: i32, host in text(), port: i32, rack in option::of(text()))
        -> NodeEndpoint { NodeEndpoint { node_id, host, port, rack } }
}

prop_compose! {
    fn answer()(
        throttle_time_ms: i32, error_code: i16, session_id: i32,
        topics in vec(topic(), 0..4), node_endpoints in vec(endpoint(), 0..3),
    ) -> FetchAnswer {
        FetchAnswer { throttle_time_ms, error_code, session_id, topics, node_endpoints }
    }
}

/// The same answer as the crate's message, without what the version does not have.
fn as_message(answer: &FetchAnswer, version: i16) -> FetchResponse {
    let endpoints = answer.node_endpoints.iter().filter(|_| version >= 16).map(|endpoint| {
        CrateEndpoint::default()
            .with_node_id(BrokerId(endpoint.node_id))
            .with_host(endpoint.host.clone())
            .with_port(endpoint.port)
            .with_rack(endpoint.rack.clone())
    });
    FetchResponse::default()
        .with_throttle_time_ms(answer.throttle_time_ms)
        .with_error_code(answer.error_code)
        .with_session_id(if version >= 7 { answer.session_id } else { 0 })
        .with_responses(answer.topics.iter().map(|topic| as_topic(topic, version)).collect())
        .with_node_endpoints(endpoints.collect())
}

fn as_topic(topic: &TopicAnswer, version: i16) -> FetchableTopicResponse {
    let partitions = topic.partitions.iter().map(|partition| as_partition(partition, version));
    let message = FetchableTopicResponse::default().with_partitions(partitions.collect());
    if version >= 13 {
        message.with_topic_id(topic.id.map_or_else(Default::default, |id| id.0))
    } else {
        message.with_topic(TopicName(topic.name.clone()))
    }
}

fn as_partition(partition: &PartitionAnswer, version: i16) -> PartitionData {
    let aborted = partition.aborted_transactions.as_ref().map(|list| {
        let as_message = |transaction: &AbortedTransaction| {
            CrateAborted::default()
                .with_producer_id(ProducerId(transaction.producer_id))
                .with_first_offset(transaction.first_offset)
        };
        list.iter().map(as_message).collect()
    });
    let mut message = PartitionData::default()
        .with_partition_index(partition.partition)
        .with_error_code(partition.error_code)
        .with_high_watermark(partition.high_watermark)
        .with_last_stable_offset(partition.last_stable_offset)
        .with_log_start_offset(if version >= 5 { partition.log_start_offset } else { -1 })
        .with_aborted_transactions(aborted)
        .with_records(Some(partition.records.concat().into()));
    if version >= 11 {
        message = message.with_preferred_read_replica(BrokerId(partition.preferred_read_replica));
    }
    if let Some(end) = partition.diverging_epoch.filter(|_| version >= 12) {
        let end = EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.end_offset);
        message = message.with_diverging_epoch(end);
    }
    if let Some(leader) = partition.current_leader.filter(|_| version >= 12) {
        let leader = LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(leader.leader_id))
            .with_leader_epoch(leader.leader_epoch);
        message = message.with_current_leader(leader);
    }
    message
}

proptest! {
    #[test]
    fn equals_the_crates_encoder_at_every_version(answer in answer(), correlation_id: i32) {
        let served = versions::find(ApiKey::Fetch).unwrap();
        for version in served.min..=served.max {
            let ours = encode(version, correlation_id, &answer).unwrap();
            let message = as_message(&answer, version).into();
            let theirs =
                crate::response::encode(ApiKey::Fetch, version, correlation_id, &message).unwrap();
            let mut joined = BytesMut::new();
            ours.chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
            prop_assert_eq!(&joined, &theirs, "version {}", version);
            prop_assert_eq!(ours.size_bytes, theirs.len());
            prop_assert!(ours.chunks.iter().all(|chunk| !chunk.is_empty()));
        }
    }
}

#[test]
fn records_are_the_bytes_that_were_passed_in() {
    let records = vec![Bytes::from(vec![1; 5000]), Bytes::from(vec![2; 7000])];
    let partition = PartitionAnswer { records: records.clone(), ..PartitionAnswer::default() };
    let topic = TopicAnswer { partitions: vec![partition], ..TopicAnswer::default() };
    let answer = FetchAnswer { topics: vec![topic], ..FetchAnswer::default() };
    let frame = encode(12, 1, &answer).unwrap();
    let places: Vec<_> = frame.chunks.iter().map(|chunk| chunk.as_ptr()).collect();
    assert!(records.iter().all(|chunk| places.contains(&chunk.as_ptr())), "records were copied");
    assert_eq!(frame.chunks.len(), 4, "what is not records is in one chunk before and one behind");
}

#[test]
fn a_version_that_is_not_served_is_refused() {
    let answer = FetchAnswer::default();
    assert!(matches!(encode(19, 1, &answer), Err(EncodeError::NotServed { version: 19, .. })));
}
