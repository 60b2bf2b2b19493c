//! Kafka's messages, as short as tests want them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, JoinGroupRequest, OffsetCommitRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::harness::{GROUP, REBALANCE_MS, SESSION_MS};
use crate::group::calls::{CommitCall, Request};

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

pub fn protocol(name: &str, metadata: Bytes) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata)
}

/// A consumer's subscription, version 1.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        bytes.put_i16(i16::try_from(topic.len()).unwrap());
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.put_i32(0);
    bytes.freeze()
}

/// A JoinGroup of a consumer of topic `t`.
pub fn joining(member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(text(member))
        .with_session_timeout_ms(i32::try_from(SESSION_MS).unwrap())
        .with_rebalance_timeout_ms(i32::try_from(REBALANCE_MS).unwrap())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol("range", subscription(&["t"]))])
}

/// A JoinGroup of a static member.
pub fn joining_as(instance: &str, member: &str) -> JoinGroupRequest {
    joining(member).with_group_instance_id(Some(text(instance)))
}

pub fn syncing(member: &str, generation: i32, to: &[(&str, &'static [u8])]) -> SyncGroupRequest {
    let assignments = to.iter().map(|(member, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::from_static(assignment))
    });
    SyncGroupRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(text(member))
        .with_generation_id(generation)
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(assignments.collect())
}

/// A commit that was checked on the newest metadata.
pub fn commit_call(version: i16, request: OffsetCommitRequest) -> Request {
    Request::Commit(CommitCall { version, checked_at: u64::MAX, request })
}

/// A commit to partition 0 of topic `t`.
pub fn committing(member: &str, generation: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic])
}
