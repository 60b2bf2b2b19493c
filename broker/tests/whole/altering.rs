//! Settings of brokers that are altered while they run.

use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::files::sim::SimFiles;

use super::life::{Life, settings};
use super::store_faults::client;
use super::waiting::until;
use super::wire::{Failed, Wire, batch, name, produce_request};

const BROKER: i8 = 4;
const MESSAGE_TOO_LARGE: i16 = 10;

/// Sets `key` for all brokers.
async fn alter(wire: &mut Wire, key: &'static str, value: &str) {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(key))
        .with_value(Some(StrBytes::from_string(value.to_owned())));
    let all = AlterConfigsResource::default().with_resource_type(BROKER).with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![all]);
    let answer = wire.call(&request, 1).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0].error_message);
}

/// The code of a produce of 1,000 bytes.
async fn produce(wire: &mut Wire) -> i16 {
    let request = produce_request("t", 0, batch(-1, -1, &[vec![7; 1_000]]), 10_000);
    let answer = wire.call(&request, 11).await.unwrap();
    answer.responses[0].partition_responses[0].error_code
}

/// Nothing but what clients do changes the metadata.
const AT_REST: [&str; 3] =
    ["flush.interval.ms=3600000", "merge.interval.ms=3600000", "collect.interval.ms=3600000"];

#[test]
fn defaults_of_topics_reach_the_logs_that_are_there() {
    let files = SimFiles::new();
    let start = |seed| Life::start(settings(&AT_REST), &files, None, seed).unwrap();
    let life = start(1);
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        for round in 0..20 {
            alter(&mut wire, "message.max.bytes", "100").await;
            until(&format!("{round}: it is too large"), async || {
                produce(&mut wire).await == MESSAGE_TOO_LARGE
            })
            .await;
            alter(&mut wire, "message.max.bytes", "100000").await;
            until(&format!("{round}: it is not"), async || produce(&mut wire).await == 0).await;
        }
        alter(&mut wire, "message.max.bytes", "100").await;
    });
    life.crash();
    for seed in 2..12 {
        let life = start(seed);
        client().block_on(async {
            let mut wire = Wire::open(life.port).await.unwrap();
            // In force before the first request is taken.
            assert_eq!(produce(&mut wire).await, MESSAGE_TOO_LARGE);
        });
        life.crash();
    }
}

/// True if a new connection is served.
async fn is_served(port: u16) -> bool {
    let served = async {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        Wire::open(port).await?.call(&request, 12).await.map(drop)
    };
    !matches!(served.await, Err(Failed::Lost))
}

#[test]
fn limits_of_connections_hold_from_the_next_one_on() {
    let life = Life::start(settings(&[]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        for key in ["max.connections", "max.connections.per.ip"] {
            alter(&mut wire, key, "1").await;
            until(&format!("{key} refuses"), async || !is_served(life.port).await).await;
            alter(&mut wire, key, "1000").await;
            until(&format!("{key} allows"), async || is_served(life.port).await).await;
        }
    });
    life.crash();
}

#[test]
fn a_page_of_partitions_is_as_long_as_the_setting_says() {
    let flags = ["max.request.partition.size.limit=3"];
    let life = Life::start(settings(&flags), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 5).await.unwrap();
        let topic = TopicRequest::default().with_name(name("t"));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(vec![topic])
            .with_response_partition_limit(4);
        let answer = wire.call(&request, 0).await.unwrap();
        assert_eq!(answer.topics[0].partitions.len(), 3);
        assert_eq!(answer.next_cursor.unwrap().partition_index, 3);
    });
    life.crash();
}
