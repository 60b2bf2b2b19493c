//! Two brokers of one cluster, and what Kafka's tools ask of it over the wire: reassignments, preferred
//! elections, the quorum, a broker that is forgotten.

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::describe_quorum_request;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, DescribeQuorumRequest,
    ElectLeadersRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, UnregisterBrokerRequest,
};
use kafka_protocol::protocol::StrBytes;
use object_store::memory::InMemory;
use odradek_common::files::sim::SimFiles;

use super::life::{Life, settings};
use super::store_faults::client;
use super::waiting::until;
use super::wire::{Wire, batch, name, produce_request};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const REQUEST_TIMED_OUT: i16 = 7;
const NOT_COORDINATOR: i16 = 16;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_REQUEST: i16 = 42;
const PREFERRED_LEADER_NOT_AVAILABLE: i16 = 80;
const ELECTION_NOT_NEEDED: i16 = 84;
const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;
const BROKER_ID_NOT_REGISTERED: i16 = 102;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
const WAIT_MS: i32 = 10_000;

/// A port on which nobody listens now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Broker 1, which is the quorum, and broker 2, which follows it.
fn two_brokers() -> (Life, Life) {
    let store = Arc::new(InMemory::new());
    let port = free_port();
    let voters = format!("controller.quorum.voters=1@127.0.0.1:{port}");
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}");
    let start = |own: &[&str], seed| {
        let common = [
            voters.as_str(),
            "controller.listener.names=CONTROLLER",
            "auto.leader.rebalance.enable=false",
            "offsets.topic.num.partitions=1",
            "storage.url=s3://bucket",
        ];
        let flags: Vec<_> = common.iter().chain(own).copied().collect();
        Life::start(settings(&flags), &SimFiles::new(), Some(store.clone()), seed).unwrap()
    };
    let first = start(&["node.id=1", &listeners], 1);
    (first, start(&["node.id=2", "process.roles=broker"], 2))
}

async fn create(wire: &mut Wire, replicas: &[i32]) {
    let assignment = CreatableReplicaAssignment::default().with_broker_ids(ids(replicas));
    let topic = CreatableTopic::default()
        .with_name(name("t"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(WAIT_MS);
    assert_eq!(wire.call(&request, 7).await.unwrap().topics[0].error_code, 0);
}

fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().copied().map(BrokerId).collect()
}

async fn produce(wire: &mut Wire, value: u8) {
    let request = produce_request("t", 0, batch(-1, -1, &[vec![value]]), WAIT_MS);
    let answer = wire.call(&request, 11).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// Asks for a reassignment of one partition, which may not change how many replicas it has; the code.
async fn reassign(wire: &mut Wire, topic: &str, index: i32, replicas: Option<&[i32]>) -> i16 {
    reassign_to(wire, topic, index, replicas, false).await
}

async fn reassign_to(
    wire: &mut Wire,
    topic: &str,
    index: i32,
    replicas: Option<&[i32]>,
    may_change: bool,
) -> i16 {
    let partition = ReassignablePartition::default()
        .with_partition_index(index)
        .with_replicas(replicas.map(ids));
    let topic =
        ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default()
        .with_allow_replication_factor_change(may_change)
        .with_topics(vec![topic]);
    let answer = wire.call(&request, 1).await.unwrap();
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    answer.responses[0].partitions[0].error_code
}

async fn under_way(wire: &mut Wire) -> usize {
    let request = ListPartitionReassignmentsRequest::default().with_topics(None);
    wire.call(&request, 0).await.unwrap().topics.len()
}

/// Who leads the partition, as this broker knows.
async fn leader(wire: &mut Wire) -> i32 {
    let answer = wire.call(&MetadataRequest::default().with_topics(None), 12).await.unwrap();
    answer.topics[0].partitions[0].leader_id.0
}

async fn elect(wire: &mut Wire, election: i8, index: i32) -> i16 {
    let topic = TopicPartitions::default().with_topic(name("t")).with_partitions(vec![index]);
    let request = ElectLeadersRequest::default()
        .with_election_type(election)
        .with_topic_partitions(Some(vec![topic]))
        .with_timeout_ms(WAIT_MS);
    let answer = wire.call(&request, 2).await.unwrap();
    assert_eq!(answer.error_code, 0);
    answer.replica_election_results[0].partition_result[0].error_code
}

async fn unregister(wire: &mut Wire, broker: i32) -> i16 {
    let request = UnregisterBrokerRequest::default().with_broker_id(broker.into());
    wire.call(&request, 0).await.unwrap().error_code
}

#[test]
fn partitions_move_between_brokers_as_kafkas_tools_ask() {
    let (first, second) = two_brokers();
    client().block_on(async {
        let mut one = Wire::open(first.port).await.unwrap();
        let mut two = Wire::open(second.port).await.unwrap();
        create(&mut one, &[1]).await;
        produce(&mut one, 7).await;
        assert_eq!(reassign(&mut one, "other", 0, Some(&[2])).await, UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(reassign(&mut one, "t", 1, Some(&[2])).await, UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(reassign(&mut one, "t", 0, Some(&[3])).await, INVALID_REPLICA_ASSIGNMENT);
        assert_eq!(reassign(&mut one, "t", 0, Some(&[])).await, INVALID_REPLICA_ASSIGNMENT);
        assert_eq!(reassign(&mut one, "t", 0, Some(&[1, 2])).await, INVALID_REPLICATION_FACTOR);
        assert_eq!(reassign(&mut one, "t", 0, None).await, NO_REASSIGNMENT_IN_PROGRESS);
        until("the topic is known", async || second.core().topic_id("t").is_some()).await;
        assert_eq!(reassign(&mut two, "t", 0, Some(&[2])).await, 0);
        until("it has moved", async || leader(&mut two).await == 2).await;
        until("it is complete", async || under_way(&mut one).await == 0).await;
        produce(&mut two, 8).await;
        let read = two.read("t", 0, 0, 0).await.unwrap();
        assert_eq!(read.values().map(|value| value[0]).collect::<Vec<_>>(), [7, 8]);

        // The owner is one of the new replicas, so that nothing moves before it is asked for.
        assert_eq!(reassign_to(&mut two, "t", 0, Some(&[1, 2]), true).await, 0);
        assert_eq!((under_way(&mut two).await, leader(&mut two).await), (0, 2));
        assert_eq!(elect(&mut two, PREFERRED, 0).await, 0);
        assert_eq!(leader(&mut two).await, 1, "the broker that answered knows it");
        assert_eq!(elect(&mut two, PREFERRED, 0).await, ELECTION_NOT_NEEDED);
        assert_eq!(elect(&mut two, UNCLEAN, 0).await, ELECTION_NOT_NEEDED);
        assert_eq!(elect(&mut two, PREFERRED, 1).await, UNKNOWN_TOPIC_OR_PARTITION);
        until("it is taken up", async || one.read("t", 0, 0, 0).await.is_ok_and(|r| r.len() == 2))
            .await;
    });
    second.crash();
    first.crash();
}

#[test]
fn a_broker_that_is_gone_is_forgotten_and_no_preferred_leader() {
    let (first, second) = two_brokers();
    client().block_on(async {
        let mut one = Wire::open(first.port).await.unwrap();
        create(&mut one, &[1, 2]).await;
        assert_eq!(reassign(&mut one, "t", 0, Some(&[2, 1])).await, 0);
        assert_eq!(unregister(&mut one, 2).await, INVALID_REQUEST);
    });
    second.crash();
    client().block_on(async {
        let mut one = Wire::open(first.port).await.unwrap();
        until("it is forgotten", async || match unregister(&mut one, 2).await {
            0 => true,
            // It lives as far as anybody knows, or is being taken over.
            INVALID_REQUEST | REQUEST_TIMED_OUT => false,
            other => panic!("{other}"),
        })
        .await;
        assert_eq!(unregister(&mut one, 2).await, BROKER_ID_NOT_REGISTERED);
        assert_eq!(elect(&mut one, PREFERRED, 0).await, PREFERRED_LEADER_NOT_AVAILABLE);
    });
    first.crash();
}

#[test]
fn the_quorum_is_described_by_any_broker() {
    let (first, second) = two_brokers();
    client().block_on(async {
        let mut two = Wire::open(second.port).await.unwrap();
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(name("__cluster_metadata"))
            .with_partitions(vec![describe_quorum_request::PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let answer = two.call(&request, 2).await.unwrap();
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.leader_id, 1);
        assert!(partition.leader_epoch > 0 && partition.high_watermark > 0);
        let voters: Vec<i32> = partition.current_voters.iter().map(|v| v.replica_id.0).collect();
        let observers: Vec<i32> = partition.observers.iter().map(|o| o.replica_id.0).collect();
        assert_eq!((voters, observers), (vec![1], vec![2]));
        let observer = &partition.observers[0];
        assert!(observer.log_end_offset > 0 && observer.last_fetch_timestamp > 0);
        let listener = &answer.nodes[0].listeners[0];
        assert_eq!((listener.name.as_str(), listener.host.as_str()), ("CONTROLLER", "127.0.0.1"));
    });
    second.crash();
    first.crash();
}

/// The code and the broker by which the group's coordinator is answered for.
async fn coordinator(wire: &mut Wire) -> (i16, i32) {
    let keys = vec![StrBytes::from_static_str("g")];
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
    let answer = wire.call(&request, 6).await.unwrap();
    (answer.coordinators[0].error_code, answer.coordinators[0].node_id.0)
}

#[test]
fn a_broker_without_a_partition_of_the_groups_knows_their_coordinator() {
    let (first, second) = two_brokers();
    client().block_on(async {
        let (mut one, mut two) =
            (Wire::open(first.port).await.unwrap(), Wire::open(second.port).await.unwrap());
        until("there is a coordinator", async || coordinator(&mut one).await.0 == 0).await;
        let found = coordinator(&mut one).await;
        until("both know it", async || coordinator(&mut two).await == found).await;
        let mut other = if found.1 == 1 { two } else { one };
        let request =
            HeartbeatRequest::default().with_group_id(GroupId(StrBytes::from_static_str("g")));
        assert_eq!(other.call(&request, 4).await.unwrap().error_code, NOT_COORDINATOR);
    });
    second.crash();
    first.crash();
}
