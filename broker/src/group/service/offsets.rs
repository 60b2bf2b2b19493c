//! OffsetCommit, OffsetFetch, OffsetDelete.
//!
//! Whether a topic exists and who may see it is for the caller to check, as in Kafka: the
//! coordinator takes and gives offsets by name.

use std::collections::HashSet;

use futures::FutureExt;
use futures::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use odradek_common::limits;

use super::{Deferred, GroupService, answered, fit};
use crate::group::calls::{Answer, CommitCall, FetchCall, Request};

/// From this version of OffsetFetch on a request is of many groups (KIP-709).
const MANY_GROUPS: i16 = 8;

impl GroupService {
    /// OffsetCommit, versions 2 to 9, whose topics are there in the metadata at the Raft index
    /// `checked_at`.
    pub async fn commit(
        &self,
        version: i16,
        request: OffsetCommitRequest,
        checked_at: u64,
    ) -> Deferred<OffsetCommitResponse> {
        let asked: Vec<(TopicName, Vec<i32>)> = request
            .topics
            .iter()
            .map(|t| (t.name.clone(), t.partitions.iter().map(|p| p.partition_index).collect()))
            .collect();
        let refused = move |error: ResponseError| {
            let topics = asked.into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|partition| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition)
                        .with_error_code(error.code())
                });
                let topic = OffsetCommitResponseTopic::default().with_name(name);
                topic.with_partitions(partitions.collect())
            });
            OffsetCommitResponse::default().with_topics(topics.collect())
        };
        let names = request.topics.iter().map(|topic| &**topic.name);
        let partitions: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        if partitions > limits::OFFSETS_OF_A_REQUEST || !fit(names.chain([&**request.group_id])) {
            return std::future::ready(refused(ResponseError::InvalidRequest)).boxed();
        }
        let group = request.group_id.clone();
        let call = CommitCall { version, checked_at, request };
        let pending = self.call(&group, Request::Commit(call)).await;
        let outcome = self.in_time(pending);
        let answer = async move {
            let pick =
                |answer| if let Answer::Commit(commit) = answer { Some(commit) } else { None };
            answered(outcome.await, pick).unwrap_or_else(refused)
        };
        answer.boxed()
    }

    /// OffsetFetch, versions 1 to 9.
    pub async fn fetch(
        &self,
        version: i16,
        request: OffsetFetchRequest,
    ) -> Deferred<OffsetFetchResponse> {
        let calls = fetch_calls(version, request);
        let asked = calls.iter().flat_map(|call| call.topics.iter().flatten());
        let partitions: usize = asked.map(|(_, partitions)| partitions.len()).sum();
        if calls.len() > limits::GROUPS_OF_A_REQUEST || partitions > limits::OFFSETS_OF_A_REQUEST {
            let mut refused = OffsetFetchResponse::default();
            if (2..MANY_GROUPS).contains(&version) {
                refused.error_code = ResponseError::InvalidRequest.code();
            }
            return std::future::ready(refused).boxed();
        }
        let mut seen = HashSet::new();
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            let (group, topics) = (call.group.clone(), call.topics.clone());
            // A group that is named twice is answered once: a short request may not multiply all
            // the offsets of a large group.
            if !seen.insert(group.clone()) {
                continue;
            }
            let pending = self.call(&group, Request::Fetch(call)).await;
            let outcome = self.in_time(pending);
            answers.push(async move {
                let pick =
                    |answer| if let Answer::Fetch(fetch) = answer { Some(fetch) } else { None };
                let refused = |error: ResponseError| {
                    // Clients know only these two of the errors that ask for another try.
                    let error = match error {
                        ResponseError::CoordinatorNotAvailable => ResponseError::NotCoordinator,
                        other => other,
                    };
                    let answer = OffsetFetchResponseGroup::default().with_group_id(group);
                    (answer.with_error_code(error.code()), topics)
                };
                answered(outcome.await, pick).map_or_else(refused, |answer| (answer, None))
            });
        }
        async move { fetched(version, join_all(answers).await) }.boxed()
    }

    /// OffsetDelete, version 0.
    pub async fn delete_offsets(
        &self,
        request: OffsetDeleteRequest,
    ) -> Deferred<OffsetDeleteResponse> {
        let refused =
            |error: ResponseError| OffsetDeleteResponse::default().with_error_code(error.code());
        if request.group_id.is_empty() {
            return std::future::ready(refused(ResponseError::InvalidGroupId)).boxed();
        }
        let partitions: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        if partitions > limits::OFFSETS_OF_A_REQUEST {
            return std::future::ready(refused(ResponseError::InvalidRequest)).boxed();
        }
        let group = request.group_id.clone();
        let pending = self.call(&group, Request::DeleteOffsets(request)).await;
        let outcome = self.in_time(pending);
        let answer = async move {
            let pick = |answer| {
                if let Answer::DeleteOffsets(delete) = answer { Some(delete) } else { None }
            };
            answered(outcome.await, pick).unwrap_or_else(refused)
        };
        answer.boxed()
    }
}

/// One call a group that is asked for.
fn fetch_calls(version: i16, request: OffsetFetchRequest) -> Vec<FetchCall> {
    if version < MANY_GROUPS {
        let topics = request.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
        });
        return vec![FetchCall { group: request.group_id, topics }];
    }
    let call = |group: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup| {
        let topics = group.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
        });
        FetchCall { group: group.group_id, topics }
    };
    request.groups.into_iter().map(call).collect()
}

type Fetched = (OffsetFetchResponseGroup, Option<Vec<(TopicName, Vec<i32>)>>);

/// The answer in the form of `version`; of a group with an error, what was asked of it goes along.
fn fetched(version: i16, mut groups: Vec<Fetched>) -> OffsetFetchResponse {
    if version >= MANY_GROUPS {
        let groups = groups.into_iter().map(|(group, _)| group).collect();
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let Some((group, asked)) = groups.pop() else { return OffsetFetchResponse::default() };
    let response = OffsetFetchResponse::default();
    if version < 2 && group.error_code != 0 {
        // There is no place for an error but in the partitions.
        let topics = asked.unwrap_or_default().into_iter().map(|(name, partitions)| {
            let failed = |partition| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(-1)
                    .with_metadata(Some(kafka_protocol::protocol::StrBytes::default()))
                    .with_error_code(group.error_code)
            };
            let partitions = partitions.into_iter().map(failed).collect();
            OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
        });
        return response.with_topics(topics.collect());
    }
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let epoch = if version >= 5 { partition.committed_leader_epoch } else { -1 };
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(partition.metadata)
                .with_error_code(partition.error_code)
        });
        let answer = OffsetFetchResponseTopic::default().with_name(topic.name);
        answer.with_partitions(partitions.collect())
    });
    response.with_topics(topics.collect()).with_error_code(group.error_code)
}
