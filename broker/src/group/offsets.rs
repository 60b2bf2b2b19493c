//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete, deleted topics, expiry.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
};

use super::calls::{Answer, CommitCall, CommittedOffset, FetchCall, str_bytes};
use super::classic::Group;
use super::context::{Context, TimerKey};
use super::machine::GroupMachine;
use super::records::OffsetRecord;
use super::state::GroupState;
use crate::coordinator::Token;

/// From this version of OffsetCommit on a group that is not there is called that.
const KNOWS_GROUP_NOT_FOUND: i16 = 9;
/// No retention time in an OffsetCommit.
const NO_RETENTION: i64 = -1;
/// The offset, and the leader epoch, that stand for none.
const NONE: i32 = -1;

impl Group {
    /// Whether a commit may be made: by a member of this generation, or by one who is no member
    /// while the group has none.
    fn check_commit(&self, request: &OffsetCommitRequest) -> Result<(), ResponseError> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        if generation < 0 && self.state() == GroupState::Empty {
            return Ok(());
        }
        if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(&request.member_id, instance_id)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        // It knows the generation, so it has joined; it commits after the assignment.
        match self.state() {
            GroupState::Completing => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn check_offset_delete(&self) -> Result<(), ResponseError> {
        match self.state() {
            GroupState::Empty => Ok(()),
            _ if self.uses_consumer_protocol() => Ok(()),
            _ => Err(ResponseError::NonEmptyGroup),
        }
    }

    /// Since when the retention of an offset counts; `None` if it does not expire now.
    fn retention_begins_ms(&self, offset: &OffsetRecord) -> Option<i64> {
        if self.protocol_type.is_none() {
            // Nobody ever joined: whoever uses the group only commits.
            return Some(offset.commit_ms);
        }
        match self.state() {
            GroupState::Empty => Some(self.state_since_ms().unwrap_or(offset.commit_ms)),
            GroupState::Stable if self.uses_consumer_protocol() && self.knows_subscriptions() => {
                Some(offset.commit_ms)
            }
            _ => None,
        }
    }

    fn is_expired(&self, topic: &str, offset: &OffsetRecord, cx: &Context) -> bool {
        if self.is_subscribed_to(topic) {
            return false;
        }
        let Some(begins_ms) = self.retention_begins_ms(offset) else { return false };
        let retention = cx.settings.offsets_retention.as_millis();
        let retention_ms = i64::try_from(retention).unwrap_or(i64::MAX);
        let default_ms = begins_ms.saturating_add(retention_ms);
        offset.expire_ms.unwrap_or(default_ms) <= cx.now.wall_ms
    }
}

impl GroupMachine {
    pub(super) fn commit(&mut self, token: Token, call: &CommitCall) {
        let CommitCall { version, checked_at, request } = call;
        let checked = if *checked_at < self.topics_deleted_at {
            // Its topics may be gone, and nothing would remove their offsets: it is to come again.
            Err(ResponseError::CoordinatorLoadInProgress)
        } else {
            self.check_commit(*version, request)
        };
        let answer = match checked {
            Ok(()) => self.write_offsets(request),
            Err(error) => commit_error(request, error),
        };
        self.cx.answer(token, Answer::Commit(answer));
    }

    fn check_commit(
        &mut self,
        version: i16,
        commit: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let Some(group) = self.groups.get_mut(commit.group_id.as_str()) else {
            return match commit.generation_id_or_member_epoch {
                // A client that only commits, or an administrator: the group is made.
                ..0 => Ok(()),
                _ if version >= KNOWS_GROUP_NOT_FOUND => Err(ResponseError::GroupIdNotFound),
                _ => Err(ResponseError::IllegalGeneration),
            };
        };
        group.check_commit(commit)?;
        // A commit is a sign of life.
        group.keep_alive(&commit.member_id, &mut self.cx);
        Ok(())
    }

    fn write_offsets(&mut self, commit: &OffsetCommitRequest) -> OffsetCommitResponse {
        let now_ms = self.cx.now.wall_ms;
        let expire_ms = match commit.retention_time_ms {
            NO_RETENTION => None,
            retention_ms => Some(now_ms.saturating_add(retention_ms)),
        };
        let group: Arc<str> = commit.group_id.as_str().into();
        let mut topics = Vec::with_capacity(commit.topics.len());
        for topic in &commit.topics {
            let name: Arc<str> = topic.name.as_str().into();
            let partitions = topic.partitions.iter().map(|partition| {
                let outcome = self.write_one(&group, &name, partition, expire_ms);
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(outcome.err().map_or(0, |error| error.code()))
            });
            let partitions = partitions.collect();
            let answer = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
            topics.push(answer.with_partitions(partitions));
        }
        self.make_simple_group(&group);
        OffsetCommitResponse::default().with_topics(topics)
    }

    fn write_one(
        &mut self,
        group: &Arc<str>,
        topic: &Arc<str>,
        partition: &OffsetCommitRequestPartition,
        expire_ms: Option<i64>,
    ) -> Result<(), ResponseError> {
        let metadata = partition.committed_metadata.as_deref().unwrap_or("");
        if metadata.encode_utf16().count() > self.cx.settings.offset_metadata_max {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        let known = self.cx.store.offset(group, topic, partition.partition_index).is_some();
        if !known && self.cx.is_full() {
            tracing::warn!(%group, "this partition of __consumer_offsets, or all here, hold as much as they may");
            return Err(ResponseError::InvalidCommitOffsetSize);
        }
        let offset = OffsetRecord {
            offset: partition.committed_offset,
            leader_epoch: Some(partition.committed_leader_epoch).filter(|epoch| *epoch != NONE),
            metadata: metadata.into(),
            commit_ms: self.cx.now.wall_ms,
            expire_ms,
            topic_id: None,
        };
        let written = self.cx.write_offset(group, topic, partition.partition_index, offset);
        written.map_err(|_| ResponseError::InvalidCommitOffsetSize)
    }

    /// Answers one group's part of an OffsetFetch. Offsets of open transactions, once there are
    /// any, make a partition UNSTABLE_OFFSET_COMMIT here for those that ask for stable ones.
    pub(super) fn fetch(&mut self, token: Token, fetch: &FetchCall) {
        let group = &fetch.group;
        let mut topics = Vec::new();
        match &fetch.topics {
            Some(asked) => {
                for (topic, partitions) in asked {
                    let partitions = partitions.iter().map(|partition| {
                        let offset = self.cx.store.offset(group, topic, *partition);
                        fetched(*partition, offset)
                    });
                    topics.push(fetched_topic(topic.clone(), partitions.collect()));
                }
            }
            None => {
                for (topic, partition, offset) in self.cx.store.offsets(group) {
                    let same = |t: &OffsetFetchResponseTopics| t.name.as_str() == &**topic;
                    if !topics.last().is_some_and(same) {
                        topics.push(fetched_topic(TopicName(str_bytes(topic)), Vec::new()));
                    }
                    if let Some(last) = topics.last_mut() {
                        last.partitions.push(fetched(partition, Some(offset)));
                    }
                }
            }
        }
        let answer =
            OffsetFetchResponseGroup::default().with_group_id(group.clone()).with_topics(topics);
        self.cx.answer_confirmed(token, Answer::Fetch(answer));
    }

    pub(super) fn delete_offsets(&mut self, token: Token, request: &OffsetDeleteRequest) {
        let group = self.groups.get(request.group_id.as_str());
        let checked = group
            .ok_or(ResponseError::GroupIdNotFound)
            .and_then(|group| group.check_offset_delete().map(|()| Arc::clone(&group.id)));
        let answer = match checked {
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
            Ok(id) => self.delete_topics_offsets(&id, request),
        };
        self.cx.answer(token, Answer::DeleteOffsets(answer));
    }

    fn delete_topics_offsets(
        &mut self,
        id: &Arc<str>,
        request: &OffsetDeleteRequest,
    ) -> OffsetDeleteResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        let mut gone = Vec::new();
        for topic in &request.topics {
            let subscribed = self.groups.get(id).is_some_and(|g| g.is_subscribed_to(&topic.name));
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                if !subscribed && self.cx.store.offset(id, &topic.name, index).is_some() {
                    gone.push((Arc::clone(id), Arc::from(topic.name.as_str()), index));
                }
                let error = ResponseError::GroupSubscribedToTopic.code();
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(if subscribed { error } else { 0 })
            });
            let partitions = partitions.collect();
            let answer = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
            topics.push(answer.with_partitions(partitions));
        }
        self.write_deleted(&gone);
        OffsetDeleteResponse::default().with_topics(topics)
    }

    /// The topics are gone: their offsets go with them, of all groups.
    pub(super) fn topics_deleted(&mut self, token: Token, topics: &[String], at: u64) {
        self.topics_deleted_at = self.topics_deleted_at.max(at);
        let store = &self.cx.store;
        let gone: Vec<_> = store
            .groups_with_offsets()
            .flat_map(|group| store.offsets(group).map(move |(topic, p, _)| (group, topic, p)))
            .filter(|(_, topic, _)| topics.iter().any(|deleted| **deleted == ***topic))
            .map(|(group, topic, partition)| (Arc::clone(group), Arc::clone(topic), partition))
            .collect();
        if !gone.is_empty() {
            tracing::info!(offsets = gone.len(), ?topics, "the offsets of deleted topics go");
        }
        self.write_deleted(&gone);
        self.cx.answer(token, Answer::TopicsDeleted);
    }

    /// Writes that offsets are gone. A group ends by being deleted or by expiry, not by losing its
    /// last offset: one that has no record of its own gets one, so that it is still there after
    /// the next load.
    fn write_deleted(&mut self, gone: &[(Arc<str>, Arc<str>, i32)]) {
        for (id, topic, partition) in gone {
            if let Err(error) = self.cx.delete_offset(id, topic, *partition) {
                tracing::error!(group = %id, %error, "an offset cannot be deleted");
            }
            let has_record = self.cx.store.group(id).is_some();
            if has_record || self.cx.store.offsets(id).next().is_some() {
                continue;
            }
            if let Some(Err(error)) = self.groups.get(id).map(|group| group.keep(&mut self.cx)) {
                tracing::error!(group = %id, %error, "an empty group cannot be written");
            }
        }
    }

    /// For whoever watches: what is not durable yet counts too, so that it never waits for the store.
    pub(super) fn committed(&mut self, token: Token, most: usize) {
        let store = &self.cx.store;
        let committed = store.groups_with_offsets().flat_map(|group| {
            store.offsets(group).map(|(topic, partition, offset)| CommittedOffset {
                group: Arc::clone(group),
                topic: Arc::clone(topic),
                partition,
                offset: offset.offset,
            })
        });
        let committed = committed.take(most).collect();
        self.cx.answer_now(token, Answer::Committed(committed));
    }

    /// The next look for expired offsets. It is not at load: after a long stop the consumers of an
    /// empty group shall have the time to come back.
    pub(super) fn schedule_expiry(&mut self) {
        let interval = self.cx.settings.offsets_retention_check.as_millis();
        self.cx
            .schedule_after(TimerKey::Expiry, u64::try_from(interval).unwrap_or(u64::MAX).max(1));
    }

    /// Removes offsets that have expired, and empty groups that have none left.
    pub(super) fn expire(&mut self) {
        self.schedule_expiry();
        let mut gone = Vec::new();
        let mut ended = Vec::new();
        for (id, group) in &self.groups {
            let mut all_expired = true;
            for (topic, partition, offset) in self.cx.store.offsets(id) {
                match group.is_expired(topic, offset, &self.cx) {
                    true => gone.push((Arc::clone(id), Arc::clone(topic), partition)),
                    false => all_expired = false,
                }
            }
            if all_expired && group.state() == GroupState::Empty && group.pending.is_empty() {
                ended.push(Arc::clone(id));
            }
        }
        if !gone.is_empty() || !ended.is_empty() {
            tracing::info!(offsets = gone.len(), groups = ended.len(), "expired");
        }
        // Groups that end take their offsets along, and need no record in their stead.
        gone.retain(|(id, _, _)| ended.binary_search(id).is_err());
        self.write_deleted(&gone);
        for id in &ended {
            self.end_group(id);
        }
    }
}

fn commit_error(commit: &OffsetCommitRequest, error: ResponseError) -> OffsetCommitResponse {
    let topics = commit.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        let answer = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
        answer.with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn fetched_topic(
    name: TopicName,
    partitions: Vec<OffsetFetchResponsePartitions>,
) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions)
}

fn fetched(partition: i32, offset: Option<&OffsetRecord>) -> OffsetFetchResponsePartitions {
    let answer = OffsetFetchResponsePartitions::default().with_partition_index(partition);
    match offset {
        Some(offset) => answer
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch.unwrap_or(NONE))
            .with_metadata(Some(str_bytes(&offset.metadata))),
        None => answer
            .with_committed_offset(NONE.into())
            .with_committed_leader_epoch(NONE)
            .with_metadata(Some(str_bytes(""))),
    }
}
