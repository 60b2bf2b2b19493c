//! What clients do, and what the store does to the broker, until every metric has a reason to move.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    CreateTopicsRequest, FindCoordinatorRequest, GroupId, JoinGroupRequest, OffsetCommitRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use odradek_broker::metric_names::FLUSH_FAILED;
use odradek_storage::metric_names as names;
use odradek_storage::store::Operation;
use odradek_storage::store::faulty::{Fault, Faults, Gate, On};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::PATIENCE;
use super::life::Life;
use super::scrape::Scrape;
use super::wire::{Wire, batch, fetch_request, name, produce_request};

const TOPIC: &str = "t";
const BATCHES: usize = 40;
const VALUE_BYTES: usize = 100_000;
/// Records produced, without those of the group and of what comes after.
pub const RECORDS: f64 = BATCHES as f64 + 1.0;
/// Bytes of them.
pub const BYTES: f64 = (BATCHES * VALUE_BYTES) as f64;
const COMMITTED: i64 = 10;
/// How far the group is behind.
pub const LAG: f64 = RECORDS - COMMITTED as f64;

/// Produces more than the log cache holds, with one batch that is not acknowledged, and reads it
/// twice once it is in segments; a fetch session stays open.
pub async fn records(life: &Life) {
    let mut wire = Wire::open(life.port).await.unwrap();
    wire.create(TOPIC, 1).await.unwrap();
    let unanswered = produce_request(TOPIC, 0, batch(-1, -1, &[vec![7]]), 5_000).with_acks(0);
    wire.send(&unanswered, 11).await.unwrap();
    let values = [vec![7; VALUE_BYTES]];
    for _ in 0..BATCHES {
        produce(&mut wire, TOPIC, &values).await;
    }
    settled(life).await;
    for _ in 0..2 {
        let read = wire.read(TOPIC, 0, 0, 0).await.unwrap();
        assert_eq!(read.len(), BATCHES + 1);
    }
    let session = fetch_request(TOPIC, 0, 0, 0).with_session_epoch(0);
    assert!(wire.call(&session, 12).await.unwrap().session_id != 0);
}

/// A topic that is not there, and a frame that is none.
pub async fn errors(port: u16) {
    let mut wire = Wire::open(port).await.unwrap();
    let request = produce_request("none", 0, batch(-1, -1, &[vec![7]]), 5_000);
    assert!(
        wire.call(&request, 11).await.unwrap().responses[0].partition_responses[0].error_code > 0
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&[0x7f, 0xff, 0xff, 0xff]).await.unwrap();
}

/// Connections until one is refused, all gone again.
pub async fn crowd(life: &Life) {
    let mut open = Vec::new();
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", life.port)).await.unwrap();
        let refused = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
        if refused.is_ok() {
            break;
        }
        open.push(stream);
        assert!(open.len() < 100, "none is refused");
    }
    drop(open);
    eventually(|| life.core().connections.open() == 0).await;
}

/// A topic of which almost nothing is kept.
pub async fn retention(life: &Life) {
    let mut wire = Wire::open(life.port).await.unwrap();
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("retention.bytes"))
        .with_value(Some(StrBytes::from_static_str("1")));
    let topic = CreatableTopic::default()
        .with_name(name("short"))
        .with_num_partitions(1)
        .with_replication_factor(-1)
        .with_configs(vec![config]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    assert_eq!(wire.call(&request, 7).await.unwrap().topics[0].error_code, 0);
    for _ in 0..3 {
        produce(&mut wire, "short", &[vec![7]]).await;
        settled(life).await;
    }
}

/// A group with one member, which stays as long as what is returned, and an offset.
pub async fn group(port: u16) -> Wire {
    let mut wire = Wire::open(port).await.unwrap();
    let group = GroupId(StrBytes::from_static_str("g"));
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.0.clone()]);
    assert_eq!(wire.call(&find, 4).await.unwrap().coordinators[0].error_code, 0);
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(Bytes::from_static(b"x"));
    let join = JoinGroupRequest::default()
        .with_group_id(group.clone())
        .with_session_timeout_ms(300_000)
        .with_rebalance_timeout_ms(300_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    let member = wire.call(&join, 9).await.unwrap().member_id;
    let joined = wire.call(&join.with_member_id(member.clone()), 9).await.unwrap();
    assert_eq!(joined.error_code, 0);
    let assignment = SyncGroupRequestAssignment::default().with_member_id(member.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(group.clone())
        .with_generation_id(joined.generation_id)
        .with_member_id(member.clone())
        .with_assignments(vec![assignment]);
    assert_eq!(wire.call(&sync, 3).await.unwrap().error_code, 0);
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(COMMITTED)
        .with_committed_metadata(Some(StrBytes::from_static_str("")));
    let topic =
        OffsetCommitRequestTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(group)
        .with_generation_id_or_member_epoch(joined.generation_id)
        .with_member_id(member)
        .with_topics(vec![topic]);
    let committed = wire.call(&commit, 8).await.unwrap();
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    wire
}

/// The store fails a request of each kind, and is slow at one, until each is counted.
pub async fn faults(life: &Life, faults: &Faults) {
    let slots = On::key(Operation::Put, "/wal/");
    let segments = On::key(Operation::Put, "/seg/");
    counted(life, faults, names::WAL_RETRIES, &slots, Fault::Unavailable).await;
    counted(life, faults, names::STORE_RETRIES, &segments, Fault::Unavailable).await;
    counted(life, faults, FLUSH_FAILED, &segments, Fault::Denied).await;
    // What gathers behind a slow flush and leaves the cache is read from its slots, which at first
    // come back damaged, whoever reads them.
    let mut wire = Wire::open(life.port).await.unwrap();
    let held = Gate::new();
    faults.next(segments.clone(), Fault::HeldBefore(held.clone()));
    produce(&mut wire, "short", &[vec![7]]).await;
    held.arrived(1).await;
    produce(&mut wire, "short", &[vec![7]]).await;
    for log in life.process.core.logs.all() {
        log.evict_below(i64::MAX);
    }
    faults.times(20, On::key(Operation::Get, "/wal/"), Fault::Corrupted(7));
    held.open();
    settled(life).await;
    faults.clear();
    // What the chain cannot delete the collector does; what the collector cannot, it tries again.
    let deletes = |key| On::key(Operation::Delete, key);
    counted(life, faults, names::COLLECTOR_SLOTS_DELETED, &deletes("/wal/"), Fault::Denied).await;
    counted(life, faults, names::COLLECTOR_FAILED, &deletes("/idx/"), Fault::Denied).await;
    // Its second put lands.
    let held = Gate::new();
    counted(life, faults, names::WAL_HEDGES, &slots, Fault::HeldBefore(held.clone())).await;
    held.open();
}

/// Produces with the fault ahead until the metric has moved.
async fn counted(life: &Life, faults: &Faults, metric: &str, on: &On, fault: Fault) {
    let mut wire = Wire::open(life.port).await.unwrap();
    let limit = Instant::now() + PATIENCE;
    while Scrape::of(life.process.admin.unwrap()).await.sum(metric).is_none_or(|sum| sum == 0.0) {
        assert!(Instant::now() < limit, "{metric} does not move");
        faults.next(on.clone(), fault.clone());
        produce(&mut wire, "short", &[vec![7]]).await;
        settled(life).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    faults.clear();
}

/// No slot lands any more until the gate opens; one is under way.
pub async fn outage(port: u16, faults: &Faults) -> Gate {
    let gate = Gate::new();
    faults.always(On::key(Operation::Put, "/wal/"), Fault::HeldBefore(gate.clone()));
    let mut wire = Wire::open(port).await.unwrap();
    let request = produce_request("short", 0, batch(-1, -1, &[vec![7]]), 60_000);
    wire.send(&request, 11).await.unwrap();
    gate.arrived(1).await;
    tokio::spawn(async move { wire.receive::<kafka_protocol::messages::ProduceRequest>(11).await });
    gate
}

async fn produce(wire: &mut Wire, topic: &str, values: &[Vec<u8>]) {
    let request = produce_request(topic, 0, batch(-1, -1, values), 10_000);
    let answer = wire.call(&request, 11).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// Waits until everything is in segments.
async fn settled(life: &Life) {
    let flushed = || life.core().logs.all().iter().all(|log| log.gathered().log_bytes == 0);
    eventually(flushed).await;
}

async fn eventually(done: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < limit, "it does not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
