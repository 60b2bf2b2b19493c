//! What clients are told about leaders and their epochs: whether the one they know is in force
//! (KIP-320), where the log parted from theirs (KIP-595), who leads what is not led here (KIP-951).

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{EpochEndOffset, PartitionData};
use kafka_protocol::messages::{CreateTopicsRequest, FetchRequest, FetchResponse, MetadataRequest};
use odradek_broker::settings::Settings;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::{TopicId, TopicPartition};
use uuid::Uuid;

use super::life::{Life, settings};
use super::wire::{Wire, batch, name, produce_request};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_LEADER_EPOCH: i16 = 75;

/// The metadata stands still, so that a log that is taken away stays away.
fn quiet() -> Settings {
    let minute = 60_000;
    let slow = ["flush.interval.ms", "merge.interval.ms", "collect.interval.ms"];
    let slow: Vec<_> = slow.iter().map(|key| format!("{key}={minute}")).collect();
    let slow = slow.iter().map(String::as_str).chain(["wal.kind=disk", "broker.rack=r1"]);
    settings(&slow.collect::<Vec<_>>())
}

async fn create(wire: &mut Wire) -> Uuid {
    let topic = CreatableTopic::default()
        .with_name(name("t"))
        .with_num_partitions(1)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    wire.call(&request, 7).await.unwrap().topics[0].topic_id
}

async fn produce(wire: &mut Wire, records: u8) {
    let values: Vec<_> = (0..records).map(|n| vec![n]).collect();
    let request = produce_request("t", 0, batch(-1, -1, &values), 5_000);
    let answer = wire.call(&request, 11).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

async fn epoch(wire: &mut Wire) -> i32 {
    let answer = wire.call(&MetadataRequest::default().with_topics(None), 12).await.unwrap();
    answer.topics[0].partitions[0].leader_epoch
}

/// What the client says of itself in a fetch: offset, the leader epoch it knows, that of its last
/// record.
type Says = (i64, i32, i32);

async fn fetch(wire: &mut Wire, topic: Uuid, says: Says, version: i16) -> FetchResponse {
    let (offset, current, last) = says;
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_current_leader_epoch(current)
        .with_last_fetched_epoch(last)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(1 << 20);
    let asked = FetchTopic::default().with_partitions(vec![partition]);
    let asked = if version < 13 { asked.with_topic(name("t")) } else { asked.with_topic_id(topic) };
    let request = FetchRequest::default()
        // It is answered at once although there is nothing to read.
        .with_max_wait_ms(if last >= 0 { 30_000 } else { 0 })
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![asked]);
    wire.call(&request, version).await.unwrap()
}

fn only(answer: &FetchResponse) -> &PartitionData {
    &answer.responses[0].partitions[0]
}

fn client() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn clients_learn_of_leader_epochs_and_where_the_log_parted_from_theirs() {
    let files = SimFiles::new();
    let life = Life::start(quiet(), &files, None, 1).unwrap();
    let port = life.port;
    let (topic, first) = client().block_on(async {
        let mut wire = Wire::open(port).await.unwrap();
        let topic = create(&mut wire).await;
        produce(&mut wire, 10).await;
        (topic, epoch(&mut wire).await)
    });
    life.crash();
    let life = Life::start(quiet(), &files, None, 2).unwrap();
    let port = life.port;
    client().block_on(async {
        let mut wire = Wire::open(port).await.unwrap();
        produce(&mut wire, 5).await;
        let now = epoch(&mut wire).await;
        assert!(now > first);
        for version in [12, 15, 17] {
            let fenced = fetch(&mut wire, topic, (15, first, -1), version).await;
            assert_eq!(only(&fenced).error_code, FENCED_LEADER_EPOCH);
            let leader = &only(&fenced).current_leader;
            if version < 16 {
                assert_eq!((*leader.leader_id, fenced.node_endpoints.len()), (-1, 0));
            } else {
                assert_eq!((*leader.leader_id, leader.leader_epoch), (1, now));
                let node = &fenced.node_endpoints[0];
                assert_eq!((*node.node_id, &*node.host), (1, "127.0.0.1"));
                assert_eq!((node.port, node.rack.as_deref()), (i32::from(port), Some("r1")));
            }
            let unknown = fetch(&mut wire, topic, (15, now + 1, -1), version).await;
            assert_eq!(only(&unknown).error_code, UNKNOWN_LEADER_EPOCH);
            assert_eq!(unknown.node_endpoints.len(), 0);

            // Eleven records of the first epoch, which ended with ten; sixteen of fifteen.
            for (offset, last, end) in [(11, first, 10), (16, now, 15)] {
                let parted = fetch(&mut wire, topic, (offset, now, last), version).await;
                let parted = only(&parted);
                let expected = EpochEndOffset::default().with_epoch(last).with_end_offset(end);
                assert_eq!((parted.error_code, &parted.diverging_epoch), (0, &expected));
                assert_eq!(parted.high_watermark, 15);
                assert!(parted.records.as_ref().is_none_or(bytes::Bytes::is_empty));
            }
            for (offset, last) in [(10, first), (12, now), (3, first)] {
                let fine = fetch(&mut wire, topic, (offset, now, last), version).await;
                assert_eq!((only(&fine).error_code, only(&fine).diverging_epoch.epoch), (0, -1));
                assert!(only(&fine).records.as_ref().is_some_and(|records| !records.is_empty()));
            }
            let newer = fetch(&mut wire, topic, (15, now, now + 1), version).await;
            assert_eq!(only(&newer).error_code, OFFSET_OUT_OF_RANGE);
        }
    });
    life.crash();
}

#[test]
fn who_leads_is_told_with_the_error() {
    let life = Life::start(quiet(), &SimFiles::new(), None, 1).unwrap();
    let (core, port) = (life.core().clone(), life.port);
    client().block_on(async {
        let mut wire = Wire::open(port).await.unwrap();
        let topic = create(&mut wire).await;
        let now = epoch(&mut wire).await;
        core.logs.remove(&TopicPartition { topic: TopicId(topic), partition: 0 });
        for version in [9, 10, 12] {
            let request = produce_request("t", 0, batch(-1, -1, &[vec![7]]), 5_000);
            let answer = wire.call(&request, version).await.unwrap();
            let produced = &answer.responses[0].partition_responses[0];
            assert_eq!(produced.error_code, NOT_LEADER_OR_FOLLOWER);
            let leader = &produced.current_leader;
            let told = (*leader.leader_id, leader.leader_epoch, answer.node_endpoints.len());
            assert_eq!(told, if version < 10 { (-1, -1, 0) } else { (1, now, 1) });
        }
        let answer = fetch(&mut wire, topic, (0, now, -1), 16).await;
        assert_eq!(only(&answer).error_code, NOT_LEADER_OR_FOLLOWER);
        let leader = &only(&answer).current_leader;
        assert_eq!((*leader.leader_id, leader.leader_epoch), (1, now));
        assert_eq!(answer.node_endpoints[0].port, i32::from(port));
    });
    drop(core);
    life.crash();
}
