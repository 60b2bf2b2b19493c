//! DescribeQuorum (API 55, KIP-595, KIP-836 and KIP-853). Any broker asks the quorum's leader.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_quorum_request;
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, DescribeQuorumRequest, DescribeQuorumResponse,
};
use odradek_metadata::{QuorumCallError, QuorumDescription, ReplicaState as Replica};
use uuid::Uuid;

use super::text;
use crate::core::Core;
use crate::topics::Failure;

/// The log of the metadata, as Kafka names it; it has one partition.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// From this version on an answer tells of data directories and addresses.
const DIRECTORIES_SINCE: i16 = 2;
/// What stands for a number that nobody knows.
const UNKNOWN: i64 = -1;

/// Serves DescribeQuorum.
pub(super) async fn describe_quorum(
    core: &Core,
    version: i16,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let answer = DescribeQuorumResponse::default().with_error_message(None);
    if !asks_for_metadata(&request) {
        return answer.with_topics(request.topics.into_iter().map(unknown).collect());
    }
    let quorum = match core.metadata.describe_quorum().await {
        Ok(quorum) => quorum,
        Err(error) => {
            let Failure { code, message } = failure(error);
            return answer.with_error_code(code.code()).with_error_message(Some(text(message)));
        }
    };
    let mut partition = partition(&quorum, core.clock.now_ms());
    let mut nodes = Vec::new();
    if version >= DIRECTORIES_SINCE {
        let listener = &core.settings().controller_listener_name;
        nodes.extend(quorum.voters.iter().map(|voter| node(voter, listener)));
    } else {
        let members = partition.current_voters.iter_mut().chain(&mut partition.observers);
        members.for_each(|member| member.replica_directory_id = Uuid::nil());
    }
    let topic = TopicData::default()
        .with_topic_name(request.topics.into_iter().next().unwrap_or_default().topic_name)
        .with_partitions(vec![partition]);
    answer.with_topics(vec![topic]).with_nodes(nodes)
}

/// Whether it is about the one partition that there is.
fn asks_for_metadata(request: &DescribeQuorumRequest) -> bool {
    match request.topics.as_slice() {
        [topic] => {
            let is_first = |one: &describe_quorum_request::PartitionData| one.partition_index == 0;
            topic.topic_name.as_str() == METADATA_TOPIC
                && matches!(topic.partitions.as_slice(), [one] if is_first(one))
        }
        _ => false,
    }
}

fn unknown(asked: describe_quorum_request::TopicData) -> TopicData {
    let partitions = asked.partitions.iter().map(|one| {
        PartitionData::default()
            .with_partition_index(one.partition_index)
            .with_error_code(ResponseError::UnknownTopicOrPartition.code())
            .with_error_message(None)
    });
    TopicData::default().with_topic_name(asked.topic_name).with_partitions(partitions.collect())
}

fn partition(quorum: &QuorumDescription, now_ms: i64) -> PartitionData {
    let replicas = |all: &[Replica]| all.iter().map(|one| replica(one, now_ms)).collect();
    PartitionData::default()
        .with_error_message(None)
        .with_leader_id(WireBrokerId(quorum.leader.node.0))
        .with_leader_epoch(i32::try_from(quorum.leader_epoch).unwrap_or(i32::MAX))
        .with_high_watermark(end(Some(quorum.high_watermark)))
        .with_current_voters(replicas(&quorum.voters))
        .with_observers(replicas(&quorum.observers))
}

fn replica(one: &Replica, now_ms: i64) -> ReplicaState {
    let at = |ago: Option<Duration>| {
        let ago = ago.and_then(|ago| i64::try_from(ago.as_millis()).ok());
        ago.map_or(UNKNOWN, |ago| now_ms.saturating_sub(ago))
    };
    ReplicaState::default()
        .with_replica_id(WireBrokerId(one.key.node.0))
        .with_replica_directory_id(one.key.directory.0)
        .with_log_end_offset(end(one.last_index))
        .with_last_fetch_timestamp(at(one.heard))
        .with_last_caught_up_timestamp(at(one.caught_up))
}

/// The offset after an index.
fn end(index: Option<u64>) -> i64 {
    index
        .and_then(|index| i64::try_from(index).ok())
        .map_or(UNKNOWN, |index| index.saturating_add(1))
}

fn node(voter: &Replica, listener: &str) -> Node {
    let listeners = voter.endpoint.iter().map(|endpoint| {
        Listener::default()
            .with_name(text(listener))
            .with_host(text(endpoint.host.clone()))
            .with_port(endpoint.port)
    });
    Node::default().with_node_id(WireBrokerId(voter.key.node.0)).with_listeners(listeners.collect())
}

/// What a call on the quorum that failed is to clients.
pub(super) fn failure(error: QuorumCallError) -> Failure {
    let code = match &error {
        QuorumCallError::NoLeader => ResponseError::NotLeaderOrFollower,
        QuorumCallError::Refused(_) => ResponseError::InvalidRequest,
        QuorumCallError::NotYet(_) | QuorumCallError::Unknown(_) => ResponseError::RequestTimedOut,
    };
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::BrokerId;
    use odradek_metadata::{DirectoryId, Endpoint, ReplicaKey};

    use super::*;

    fn key(node: i32) -> ReplicaKey {
        let directory = DirectoryId(Uuid::from_u128(node.unsigned_abs().into()));
        ReplicaKey { node: BrokerId(node), directory }
    }

    fn quorum() -> QuorumDescription {
        let leader = Replica {
            key: key(1),
            endpoint: Some(Endpoint { host: "one".to_owned(), port: 9093 }),
            last_index: Some(9),
            heard: Some(Duration::ZERO),
            caught_up: Some(Duration::ZERO),
        };
        let silent = Replica {
            key: key(2),
            endpoint: None,
            last_index: None,
            heard: Some(Duration::from_secs(2)),
            caught_up: None,
        };
        QuorumDescription {
            leader: key(1),
            leader_epoch: 3,
            high_watermark: 8,
            voters: vec![leader],
            observers: vec![silent],
        }
    }

    #[test]
    fn offsets_are_those_after_an_index_and_what_is_not_known_is_told_so() {
        let told = partition(&quorum(), 10_000);
        assert_eq!((told.leader_id.0, told.leader_epoch, told.high_watermark), (1, 3, 9));
        let times = |one: &ReplicaState| (one.last_fetch_timestamp, one.last_caught_up_timestamp);
        let leader = &told.current_voters[0];
        assert_eq!((leader.log_end_offset, times(leader)), (10, (10_000, 10_000)));
        let silent = &told.observers[0];
        assert_eq!((silent.log_end_offset, times(silent)), (-1, (8_000, -1)));
        assert_eq!(silent.replica_directory_id, Uuid::from_u128(2));
    }

    #[test]
    fn nodes_are_told_with_the_addresses_that_are_known() {
        let quorum = quorum();
        let known = node(&quorum.voters[0], "CONTROLLER");
        let listener = &known.listeners[0];
        assert_eq!((listener.name.as_str(), listener.host.as_str()), ("CONTROLLER", "one"));
        assert_eq!(listener.port, 9093);
        assert!(node(&quorum.observers[0], "CONTROLLER").listeners.is_empty());
    }

    #[test]
    fn there_is_one_partition_to_ask_about() {
        use describe_quorum_request::{PartitionData, TopicData};
        let of = |name: &'static str, partitions: &[i32]| {
            let index = |index: &i32| PartitionData::default().with_partition_index(*index);
            TopicData::default()
                .with_topic_name(text(name).into())
                .with_partitions(partitions.iter().map(index).collect())
        };
        let asks = |topics: Vec<TopicData>| {
            asks_for_metadata(&DescribeQuorumRequest::default().with_topics(topics))
        };
        assert!(asks(vec![of(METADATA_TOPIC, &[0])]));
        assert!(!asks(vec![]) && !asks(vec![of(METADATA_TOPIC, &[])]));
        assert!(!asks(vec![of(METADATA_TOPIC, &[1])]) && !asks(vec![of("t", &[0])]));
        assert!(!asks(vec![of(METADATA_TOPIC, &[0]), of("t", &[0])]));
        let told = unknown(of("t", &[4]));
        assert_eq!((told.partitions[0].partition_index, told.partitions[0].error_code), (4, 3));
    }
}
