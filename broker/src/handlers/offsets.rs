//! OffsetCommit (API 8) and OffsetDelete (API 47): what they say of partitions that do not exist is
//! answered here, the rest by the coordinator.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
};
use odradek_common::limits::OFFSETS_OF_A_REQUEST;
use odradek_metadata::Image;

use super::{Answer, Body};
use crate::core::Core;
use crate::topics::LiveTopics;

const UNKNOWN: ResponseError = ResponseError::UnknownTopicOrPartition;

/// Offsets of partitions that do not exist are not committed: nothing would ever remove them.
pub(super) async fn commit(core: &Core, version: i16, mut request: OffsetCommitRequest) -> Answer {
    let image = core.image();
    let mut unknown = Vec::new();
    for topic in looked_for(&mut request.topics, |t| t.partitions.len()) {
        let partitions = &mut topic.partitions;
        let missing = take_missing(&image, &topic.name, partitions, |p| p.partition_index);
        let refused = missing.into_iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(UNKNOWN.code())
        });
        let answer = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
        unknown.push(answer.with_partitions(refused.collect()));
    }
    unknown.retain(|t| !t.partitions.is_empty());
    request.topics.retain(|t| !t.partitions.is_empty());
    if request.topics.is_empty() && !unknown.is_empty() {
        return Answer::Ready(Body::of(OffsetCommitResponse::default().with_topics(unknown)));
    }
    let committed = core.groups.commit(version, request, image.applied_index()).await;
    Answer::Later(Box::pin(async move {
        let mut response = committed.await;
        join(&mut response.topics, unknown, |t| &t.name, |t| &mut t.partitions);
        Body::of(response)
    }))
}

/// As in Kafka the group is asked also if nothing is left, and its error as a whole stands alone.
pub(super) async fn delete(core: &Core, mut request: OffsetDeleteRequest) -> Answer {
    let image = core.image();
    let mut unknown = Vec::new();
    for topic in looked_for(&mut request.topics, |t| t.partitions.len()) {
        let partitions = &mut topic.partitions;
        let missing = take_missing(&image, &topic.name, partitions, |p| p.partition_index);
        let refused = missing.into_iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(UNKNOWN.code())
        });
        let answer = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
        unknown.push(answer.with_partitions(refused.collect()));
    }
    unknown.retain(|t| !t.partitions.is_empty());
    request.topics.retain(|t| !t.partitions.is_empty());
    let deleted = core.groups.delete_offsets(request).await;
    Answer::Later(Box::pin(async move {
        let mut response: OffsetDeleteResponse = deleted.await;
        if response.error_code != 0 {
            return Body::of(response);
        }
        join(&mut response.topics, unknown, |t| &t.name, |t| &mut t.partitions);
        Body::of(response)
    }))
}

/// The topics of which it is looked for what does not exist: none, if they have too many partitions, as the coordinator
/// refuses all of them then.
fn looked_for<T>(topics: &mut [T], partitions: impl Fn(&T) -> usize) -> &mut [T] {
    let asked: usize = topics.iter().map(partitions).sum();
    if asked > OFFSETS_OF_A_REQUEST { &mut [] } else { topics }
}

/// Takes out the partitions of a topic that do not exist; their numbers.
fn take_missing<P>(
    image: &Arc<Image>,
    topic: &TopicName,
    partitions: &mut Vec<P>,
    number: impl Fn(&P) -> i32,
) -> Vec<i32> {
    let count = image.live_topic_named(topic).map_or(0, |t| t.partition_count);
    let there = |partition: &P| (0..count).contains(&number(partition));
    let missing = partitions.iter().filter(|p| !there(p)).map(&number).collect();
    partitions.retain(there);
    missing
}

/// Adds what is said of partitions that do not exist to what is said of the others of their topics. A request may
/// name a topic many times.
fn join<T, P>(
    topics: &mut Vec<T>,
    unknown: Vec<T>,
    name: impl Fn(&T) -> &TopicName,
    partitions: impl Fn(&mut T) -> &mut Vec<P>,
) {
    let mut places = HashMap::with_capacity(topics.len());
    for (place, topic) in topics.iter().enumerate() {
        places.entry(name(topic).clone()).or_insert(place);
    }
    for mut topic in unknown {
        match places.entry(name(&topic).clone()) {
            Entry::Occupied(known) => {
                let more = std::mem::take(partitions(&mut topic));
                partitions(&mut topics[*known.get()]).extend(more);
            }
            Entry::Vacant(place) => {
                place.insert(topics.len());
                topics.push(topic);
            }
        }
    }
}
