//! Small requests for large answers.

use std::time::Duration;

use anyhow::{Result, ensure};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    GroupId, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
};
use tokio::time::Instant;

use super::groups::find_coordinator;
use crate::target::Target;
use crate::wire::{Peer, name, text};

const INVALID_REQUEST: i16 = 42;
const POLICY_VIOLATION: i16 = 44;
/// A topic of many partitions, for large answers.
pub const WIDE_TOPIC: &str = "wide";
/// How many.
pub const WIDE_PARTITIONS: i32 = 500;

/// Makes the topic of many partitions, unless it is there.
pub async fn wide(target: &Target) -> Result<()> {
    let topic = MetadataRequestTopic::default().with_name(Some(name(WIDE_TOPIC)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    let known = Peer::open(target.kafka).await?.call(&request, 12).await?;
    if known.topics[0].error_code == 0 {
        return Ok(());
    }
    target.create(WIDE_TOPIC, WIDE_PARTITIONS, &[]).await
}

/// One topic named 20,000 times: Kafka describes it once.
pub async fn one_topic_many_times(target: &Target) -> Result<String> {
    const TIMES: usize = 20_000;
    wide(target).await?;
    let mut peer = Peer::open(target.kafka).await?;
    let by_name = MetadataRequestTopic::default().with_name(Some(name(WIDE_TOPIC)));
    let request = MetadataRequest::default().with_topics(Some(vec![by_name; TIMES]));
    let answer = peer.call(&request, 12).await?;
    ensure!(answer.topics.len() == 1, "{} topics", answer.topics.len());
    ensure!(answer.topics[0].partitions.len() == 500, "partitions");
    let by_id =
        MetadataRequestTopic::default().with_name(None).with_topic_id(answer.topics[0].topic_id);
    let request = MetadataRequest::default().with_topics(Some(vec![by_id; TIMES]));
    let answer = peer.call(&request, 12).await?;
    ensure!(answer.topics.len() == 1, "{} topics by id", answer.topics.len());
    Ok("answered once".into())
}

/// One broker's settings, with all there is to say of them, 5,000 times.
pub async fn one_config_many_times(target: &Target) -> Result<String> {
    let mut peer = Peer::open(target.kafka).await?;
    let broker =
        DescribeConfigsResource::default().with_resource_type(4).with_resource_name(text("1"));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![broker; 5_000])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let answer = peer.call(&request, 4).await?;
    ensure!(answer.results.len() == 1, "{} results", answer.results.len());
    Ok("answered once".into())
}

/// One partition's offset, committed with metadata of 4 KB, asked for 50,000 times.
pub async fn one_offset_many_times(target: &Target) -> Result<String> {
    wide(target).await?;
    let mut peer = Peer::open(target.kafka).await?;
    find_coordinator(&mut peer, "repeats").await?;
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(text(&"m".repeat(4096))));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name(WIDE_TOPIC))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("repeats")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let answer = peer.call(&request, 7).await?;
    let code = answer.topics[0].partitions[0].error_code;
    ensure!(code == 0, "OffsetCommit: {code}");
    let topic = OffsetFetchRequestTopic::default()
        .with_name(name(WIDE_TOPIC))
        .with_partition_indexes(vec![0; 50_000]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text("repeats")))
        .with_topics(Some(vec![topic]));
    let answer = peer.call(&request, 7).await?;
    let partitions: usize = answer.topics.iter().map(|t| t.partitions.len()).sum();
    ensure!(partitions == 1, "{partitions} offsets");
    Ok("answered once".into())
}

/// Each partition's size, 50,000 times, and its offset at a time as often.
pub async fn one_partition_many_times(target: &Target) -> Result<String> {
    wide(target).await?;
    let mut peer = Peer::open(target.kafka).await?;
    let topic = DescribableLogDirTopic::default()
        .with_topic(name(WIDE_TOPIC))
        .with_partitions(vec![0; 50_000]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![topic]));
    let answer = peer.call(&request, 4).await?;
    let described: usize = answer.results[0].topics.iter().map(|t| t.partitions.len()).sum();
    ensure!(described == 1, "{described} partitions described");
    let partition =
        ListOffsetsPartition::default().with_current_leader_epoch(-1).with_timestamp(-3);
    let topic = ListOffsetsTopic::default()
        .with_name(name(WIDE_TOPIC))
        .with_partitions(vec![partition; 50_000]);
    let request =
        ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer = peer.call(&request, 7).await?;
    let refused = answer.topics.iter().flat_map(|t| &t.partitions);
    let refused = refused.filter(|p| p.error_code == INVALID_REQUEST).count();
    ensure!(refused > 0, "ListOffsets takes a partition twice");
    Ok("once; 42".into())
}

/// 70,000 partitions of one topic whose name is as long as it may be: a name is no more memory for being that of many.
pub async fn one_long_name_many_times(target: &Target) -> Result<String> {
    const INDEXES: i32 = 70_000;
    let mut peer = Peer::open(target.kafka).await?;
    find_coordinator(&mut peer, "long").await?;
    let long = || name(&"l".repeat(32_767));
    let indexes = || (0..INDEXES).collect::<Vec<_>>();
    let topic =
        OffsetFetchRequestTopic::default().with_name(long()).with_partition_indexes(indexes());
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text("long")))
        .with_topics(Some(vec![topic]));
    peer.call(&request, 1).await?;
    let topic = TopicRequest::default().with_name(long()).with_partition_indexes(indexes());
    peer.call(&DescribeProducersRequest::default().with_topics(vec![topic]), 0).await?;
    let partition = |index| {
        ListOffsetsPartition::default().with_partition_index(index).with_current_leader_epoch(-1)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(long())
        .with_partitions((0..INDEXES).map(partition).collect());
    let request =
        ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    peer.call(&request, 7).await?;
    let topic = DescribableLogDirTopic::default().with_topic(long()).with_partitions(indexes());
    peer.call(&DescribeLogDirsRequest::default().with_topics(Some(vec![topic])), 4).await?;
    Ok("answered".into())
}

/// One topic that is there and one that is not, 40,000 times each.
pub async fn unknown_topics_many_times(target: &Target) -> Result<String> {
    const TIMES: usize = 40_000;
    wide(target).await?;
    let mut peer = Peer::open(target.kafka).await?;
    find_coordinator(&mut peer, "unknown").await?;
    let partition = OffsetCommitRequestPartition::default().with_committed_leader_epoch(-1);
    let topic = |known: &str| {
        let topic = OffsetCommitRequestTopic::default().with_name(name(known));
        topic.with_partitions(vec![partition.clone()])
    };
    let (known, unknown) = (topic(WIDE_TOPIC), topic("unknown"));
    let topics = [vec![known; TIMES], vec![unknown; TIMES]].concat();
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("unknown")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics);
    let begun = Instant::now();
    let answer = peer.call(&request, 2).await?;
    let partitions: usize = answer.topics.iter().map(|t| t.partitions.len()).sum();
    ensure!(partitions == 2 * TIMES, "{partitions} of {} answered", 2 * TIMES);
    ensure!(begun.elapsed() < Duration::from_secs(5), "answered after {:?}", begun.elapsed());
    Ok(format!("answered after {} ms", begun.elapsed().as_millis()))
}

/// 20,000 topics in one request, that are to be tried only: Kafka makes 10,000 partitions at most.
pub async fn many_topics_at_once(target: &Target) -> Result<String> {
    let mut peer = Peer::open(target.kafka).await?;
    let topics = (0..20_000).map(|index| {
        CreatableTopic::default()
            .with_name(name(&format!("many-{index}")))
            .with_num_partitions(1)
            .with_replication_factor(1)
    });
    let request = CreateTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(5_000)
        .with_validate_only(true);
    let answer = peer.call(&request, 7).await?;
    ensure!(answer.topics.len() == 20_000, "{} topics", answer.topics.len());
    let wrong = answer.topics.iter().find(|topic| topic.error_code != POLICY_VIOLATION);
    ensure!(wrong.is_none(), "a topic is answered {:?}", wrong.map(|topic| topic.error_code));
    Ok("44".into())
}
