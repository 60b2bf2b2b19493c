//! Metadata (API 3) and DescribeTopicPartitions (API 75): topics, partitions and who owns them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use odradek_common::ids::{BrokerId, TopicId};
use odradek_metadata::Image;
use odradek_metadata::image::{Partition, Topic};

use super::{Context, operations, text, topics};
use crate::core::Core;
use crate::endpoints;
use crate::topics::{LiveTopics, is_internal};

/// Serves Metadata; topics asked for by name are made where that is allowed.
pub(super) async fn metadata(
    core: &Core,
    context: &Context,
    request: MetadataRequest,
) -> MetadataResponse {
    let operations = operations::of_topic(request.include_topic_authorized_operations);
    let described = |image: &Image, topic: &Topic| {
        described(image, topic).with_topic_authorized_operations(operations)
    };
    let create = request.allow_auto_topic_creation && core.settings().topics.auto_create;
    let topics = match &request.topics {
        // Version 0 says "all" with an empty list, later ones with null.
        Some(asked) if !(asked.is_empty() && context.version == 0) => {
            let asked = each_once(asked);
            let mut failed = BTreeMap::new();
            if create {
                let image = core.image();
                for name in asked.iter().filter_map(|t| t.name.as_ref()) {
                    if image.live_topic_named(name).is_none()
                        && let Err(error) = topics::auto_create(core, name).await
                    {
                        failed.insert(name.to_string(), error);
                    }
                }
            }
            let image = core.image();
            asked
                .iter()
                .map(|t| match &t.name {
                    // One that is there though making it failed is not in the bucket's copy yet.
                    Some(name) => match (failed.get(name.as_str()), image.live_topic_named(name)) {
                        (None, Some(topic)) => described(&image, topic),
                        (code, _) => missing_name(name, code.copied()),
                    },
                    None => match image.live_topic(TopicId(t.topic_id)) {
                        Some(topic) => described(&image, topic),
                        None => missing_id(t.topic_id),
                    },
                })
                .collect()
        }
        _ => {
            let image = core.image();
            image.live_topics().map(|t| described(&image, t)).collect()
        }
    };
    let image = core.image();
    MetadataResponse::default()
        .with_brokers(brokers(&image, &context.listener))
        .with_cluster_id(Some(text(core.cluster.as_str())))
        .with_controller_id(WireBrokerId(core.controller().0))
        .with_cluster_authorized_operations(operations::of_cluster(
            request.include_cluster_authorized_operations,
        ))
        .with_topics(topics)
}

/// As Kafka, which takes what is asked for as a set.
fn each_once(asked: &[MetadataRequestTopic]) -> Vec<&MetadataRequestTopic> {
    let mut seen = BTreeSet::new();
    let key = |t: &&MetadataRequestTopic| match &t.name {
        Some(name) => (name.to_string(), uuid::Uuid::nil()),
        None => (String::new(), t.topic_id),
    };
    asked.iter().filter(|t| seen.insert(key(t))).collect()
}

fn brokers(image: &Image, listener: &str) -> Vec<MetadataResponseBroker> {
    endpoints::live(image, listener)
        .map(|(registration, listener)| {
            MetadataResponseBroker::default()
                .with_node_id(WireBrokerId(registration.incarnation.broker.0))
                .with_host(text(listener.host.clone()))
                .with_port(listener.port.into())
                .with_rack(registration.rack.clone().map(text))
        })
        .collect()
}

fn described(image: &Image, topic: &Topic) -> MetadataResponseTopic {
    let partitions = image.partitions_of(topic.id).map(|(at, p)| {
        let who = Replicas::of(image, p);
        MetadataResponsePartition::default()
            .with_error_code(who.error())
            .with_partition_index(at.partition)
            .with_leader_id(who.leader)
            .with_leader_epoch(p.leader_epoch.0)
            .with_replica_nodes(who.replicas)
            .with_isr_nodes(who.live)
            .with_offline_replicas(who.offline)
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&*topic.name))))
        .with_topic_id(topic.id.0)
        .with_is_internal(is_internal(&topic.name))
        .with_partitions(partitions.collect())
}

fn missing_name(name: &TopicName, code: Option<ResponseError>) -> MetadataResponseTopic {
    let code = match code {
        Some(code) => code,
        None if topics::is_name(name) => ResponseError::UnknownTopicOrPartition,
        None => ResponseError::InvalidTopicException,
    };
    MetadataResponseTopic::default().with_error_code(code.code()).with_name(Some(name.clone()))
}

fn missing_id(id: uuid::Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(ResponseError::UnknownTopicId.code())
        .with_name(None)
        .with_topic_id(id)
}

/// A partition's brokers as Kafka's tools know them: the replicas are where it may go, the first
/// one preferred; those that live are in sync, as durability is the store's.
struct Replicas {
    leader: WireBrokerId,
    replicas: Vec<WireBrokerId>,
    live: Vec<WireBrokerId>,
    offline: Vec<WireBrokerId>,
}

impl Replicas {
    fn of(image: &Image, partition: &Partition) -> Self {
        let lives = |b: &BrokerId| image.broker(*b).is_some_and(|r| r.is_live());
        let wire = |b: &BrokerId| WireBrokerId(b.0);
        let owned = image.is_live(partition.owner);
        let (live, offline): (Vec<_>, Vec<_>) = partition.replicas.iter().partition(|b| lives(b));
        Self {
            leader: WireBrokerId(if owned { partition.owner.broker.0 } else { -1 }),
            replicas: partition.replicas.iter().map(wire).collect(),
            live: live.into_iter().map(wire).collect(),
            offline: offline.into_iter().map(wire).collect(),
        }
    }

    fn error(&self) -> i16 {
        if self.leader.0 < 0 { ResponseError::LeaderNotAvailable.code() } else { 0 }
    }
}

/// Serves DescribeTopicPartitions (KIP-966): in the order of names, a page at a time.
pub(super) fn describe_topic_partitions(
    core: &Core,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = core.image();
    let mut names: Vec<String> = if request.topics.is_empty() {
        image.live_topics().map(|t| t.name.to_string()).collect()
    } else {
        request.topics.iter().map(|t| t.name.to_string()).collect()
    };
    names.sort_unstable();
    names.dedup();
    let from = request.cursor.map(|c| (c.topic_name.to_string(), c.partition_index));
    let asked = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = asked.clamp(1, core.settings().topics.describe_partitions_max);
    let mut topics = Vec::new();
    for name in names {
        let first = match &from {
            Some((start, _)) if name < *start => continue,
            Some((start, partition)) if name == *start => *partition,
            _ => 0,
        };
        if left == 0 {
            return page(topics, Some(cursor(&name, first)));
        }
        let (topic, next) = described_page(&image, &name, first, left);
        left -= topic.partitions.len().min(left);
        topics.push(topic);
        if let Some(next) = next {
            return page(topics, Some(cursor(&name, next)));
        }
    }
    page(topics, None)
}

fn page(
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
) -> DescribeTopicPartitionsResponse {
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next)
}

fn cursor(name: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(name))).with_partition_index(partition)
}

/// Up to `most` partitions of a topic from `first` on, and the one to go on with.
fn described_page(
    image: &Arc<Image>,
    name: &str,
    first: i32,
    most: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let answer = DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_is_internal(is_internal(name))
        .with_topic_authorized_operations(operations::of_topic(true));
    let Some(topic) = image.live_topic_named(name) else {
        let code = ResponseError::UnknownTopicOrPartition.code();
        return (answer.with_error_code(code), None);
    };
    let mut rest = image.partitions_of(topic.id).filter(|(at, _)| at.partition >= first);
    let partitions = rest.by_ref().take(most).map(|(at, p)| {
        let who = Replicas::of(image, p);
        DescribeTopicPartitionsResponsePartition::default()
            .with_error_code(who.error())
            .with_partition_index(at.partition)
            .with_leader_id(who.leader)
            .with_leader_epoch(p.leader_epoch.0)
            .with_replica_nodes(who.replicas)
            .with_isr_nodes(who.live)
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
            .with_offline_replicas(who.offline)
    });
    let partitions = partitions.collect();
    let next = rest.next().map(|(at, _)| at.partition);
    (answer.with_topic_id(topic.id.0).with_partitions(partitions), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_twice_is_told_once() {
        let named =
            |name: &str| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let of_id = |id: u128| {
            let id = uuid::Uuid::from_u128(id);
            MetadataRequestTopic::default().with_name(None).with_topic_id(id)
        };
        let asked = [named("a"), of_id(1), named("b"), named("a"), of_id(1), of_id(2)];
        let told = each_once(&asked);
        assert_eq!(told, [&asked[0], &asked[1], &asked[2], &asked[5]]);
    }
}
