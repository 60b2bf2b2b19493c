//! The state machine of the groups of one partition of `__consumer_offsets`.
//!
//! Two things stand side by side. The *kept* state ([`Store`]) is what the records say: it is what
//! a replay gives, always. The *live* groups add what is never written, as in Kafka: members that
//! join, rebalances that go on, sessions. A live group that is stable or empty says the same as
//! its record; while it is being rebalanced its record says how it was before, and that is what a
//! new coordinator takes up: its members are unknown or in an old generation there, and join again.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{GroupId, HeartbeatRequest, LeaveGroupResponse, SyncGroupRequest};

use super::calls::{Answer, JoinCall, Request};
use super::classic::Group;
use super::context::{Context, TimerKey};
use super::gauges::ShardGauges;
use super::join::Join;
use super::records::GroupRecord;
use super::session::{heartbeat_answer, left};
use super::settings::GroupSettings;
use super::store::{Cursor, Store};
use crate::coordinator::{
    CoordinatorRecord, Effects, Now, ReplayError, StateMachine, StoredRecord, Token,
};

/// See the module.
#[derive(Debug)]
pub struct GroupMachine {
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) cx: Context,
    /// The Raft index at which topics were last gone whose offsets are removed here: a commit that
    /// was checked on older metadata may be of one of them.
    pub(super) topics_deleted_at: u64,
}

impl GroupMachine {
    /// An empty state, which counts in `gauges`; topics were gone at the Raft index
    /// `topics_deleted_at` whose offsets are not in the log that will be loaded.
    #[must_use]
    pub fn new(
        settings: Arc<GroupSettings>,
        gauges: Arc<ShardGauges>,
        topics_deleted_at: u64,
    ) -> Self {
        gauges.reset();
        let cx = Context::new(settings, gauges);
        Self { groups: BTreeMap::new(), cx, topics_deleted_at }
    }

    /// The kept state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.cx.store
    }

    fn join(&mut self, token: Token, call: &JoinCall) {
        let join = Join { token, call };
        let name = call.request.group_id.as_str();
        let is_new = !self.groups.contains_key(name);
        if is_new && (!join.member_id().is_empty() || self.cx.is_full()) {
            let error = match join.member_id() {
                "" => ResponseError::CoordinatorNotAvailable,
                _ => ResponseError::UnknownMemberId,
            };
            return self.cx.answer_join_error(token, join.member_id(), error);
        }
        let id: Arc<str> = name.into();
        let cx = &mut self.cx;
        let group = self.groups.entry(Arc::clone(&id)).or_insert_with(|| Group::empty(id, cx));
        group.join(&join, cx);
        if !is_new {
            return;
        }
        // A new group is written at once, so that it is there for whoever asks; unless the request
        // was refused.
        let stays = !group.members.is_empty() || !group.pending.is_empty();
        let kept = if stays { cx.write_group(&group.id, &new_record(group)) } else { Ok(()) };
        if let Err(error) = kept {
            tracing::error!(group = name, %error, "a new group cannot be written");
        }
        if !stays && let Some(group) = self.groups.remove(name) {
            group.forget(cx);
        }
    }

    fn sync(&mut self, token: Token, request: &SyncGroupRequest) {
        match self.groups.get_mut(request.group_id.as_str()) {
            Some(group) => group.sync(token, request, &mut self.cx),
            None => self.cx.answer(token, Answer::sync_error(ResponseError::UnknownMemberId)),
        }
    }

    fn heartbeat(&mut self, token: Token, request: &HeartbeatRequest) {
        match self.groups.get_mut(request.group_id.as_str()) {
            Some(group) => group.heartbeat(token, request, &mut self.cx),
            None => {
                let answer = heartbeat_answer(Some(ResponseError::UnknownMemberId));
                self.cx.answer_now(token, answer);
            }
        }
    }

    fn leave(&mut self, token: Token, group: &GroupId, members: &[MemberIdentity]) {
        if let Some(group) = self.groups.get_mut(group.as_str()) {
            return group.leave(token, members, &mut self.cx);
        }
        let unknown = Some(ResponseError::UnknownMemberId);
        let members = members.iter().map(|member| left(member, unknown)).collect();
        let answer = LeaveGroupResponse::default().with_members(members);
        self.cx.answer(token, Answer::Leave(answer));
    }

    /// A group that has offsets but never had members.
    pub(super) fn make_simple_group(&mut self, id: &Arc<str>) {
        let has_offsets = self.cx.store.offsets(id).next().is_some();
        if has_offsets && !self.groups.contains_key(id) {
            let group = Group::empty(Arc::clone(id), &self.cx);
            self.groups.insert(Arc::clone(id), group);
        }
    }

    /// Deletes a group and its offsets. The group's own record goes last: a group whose deletion
    /// was cut off is still there to be deleted again.
    pub(super) fn end_group(&mut self, id: &Arc<str>) {
        let offsets = self.cx.store.offsets(id);
        let offsets: Vec<_> = offsets.map(|(topic, p, _)| (Arc::clone(topic), p)).collect();
        for (topic, partition) in offsets {
            if let Err(error) = self.cx.delete_offset(id, &topic, partition) {
                tracing::error!(group = %id, %error, "an offset cannot be deleted");
            }
        }
        if let Err(error) = self.cx.delete_group(id) {
            tracing::error!(group = %id, %error, "a group cannot be deleted");
        }
        if let Some(mut group) = self.groups.remove(id) {
            let pending: Vec<_> = group.pending.iter().cloned().collect();
            pending.iter().for_each(|member| group.remove_pending(member, &mut self.cx));
            group.forget(&self.cx);
        }
    }

    fn due(&mut self, timer: TimerKey) {
        let cx = &mut self.cx;
        match timer {
            TimerKey::Expiry => self.expire(),
            TimerKey::Session(group, member) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.session_timer(&member, cx);
                }
            }
            TimerKey::Join(group) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.join_timer(cx);
                }
            }
            TimerKey::Sync(group) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.sync_timer(cx);
                }
            }
        }
    }
}

/// The record of a group whose first member is still joining: without members or protocol.
fn new_record(group: &Group) -> GroupRecord {
    GroupRecord {
        protocol_type: None,
        generation: 0,
        protocol: None,
        leader: None,
        state_since_ms: group.state_since_ms(),
        members: Vec::new(),
    }
}

impl StateMachine for GroupMachine {
    type Request = Request;
    type Answer = Answer;
    type Cursor = Cursor;

    fn replay(&mut self, record: StoredRecord) -> Result<(), ReplayError> {
        let replayed = self.cx.store.replay(&record.key, record.value.as_ref());
        replayed.map_err(|error| ReplayError(format!("offset {}: {error}", record.offset)))
    }

    fn loaded(&mut self, now: Now) -> Effects<Answer> {
        self.cx.now = now;
        let kept = self.cx.store.groups().filter_map(|(id, value)| {
            // Every value was decoded once, when it was replayed.
            GroupRecord::decode(value).ok().map(|record| (Arc::clone(id), record))
        });
        let kept: Vec<_> = kept.collect();
        for (id, record) in kept {
            let group = Group::kept(Arc::clone(&id), record, &mut self.cx);
            self.groups.insert(id, group);
        }
        let simple: Vec<_> = self.cx.store.groups_with_offsets().cloned().collect();
        simple.iter().for_each(|id| self.make_simple_group(id));
        let max = self.cx.settings.group_members_max;
        for group in self.groups.values_mut().filter(|group| group.members.len() > max) {
            group.prepare_rebalance("the group is larger than it may be now", &mut self.cx);
        }
        self.schedule_expiry();
        self.cx.take_effects()
    }

    fn handle(&mut self, now: Now, token: Token, request: Request) -> Effects<Answer> {
        self.cx.now = now;
        match request {
            Request::Join(call) => self.join(token, &call),
            Request::Sync(request) => self.sync(token, &request),
            Request::Heartbeat(request) => self.heartbeat(token, &request),
            Request::Leave(group, members) => self.leave(token, &group, &members),
            Request::Commit(call) => self.commit(token, &call),
            Request::Fetch(fetch) => self.fetch(token, &fetch),
            Request::DeleteOffsets(request) => self.delete_offsets(token, &request),
            Request::List(states, types) => self.list(token, &states, &types),
            Request::Describe(version, groups) => self.describe(token, version, &groups),
            Request::DeleteGroups(groups) => self.delete_groups(token, &groups),
            Request::TopicsDeleted(topics, at) => self.topics_deleted(token, &topics, at),
            Request::Committed(most) => self.committed(token, most),
        }
        self.cx.take_effects()
    }

    fn may_write(request: &Request) -> bool {
        match request {
            Request::Join(_)
            | Request::Sync(_)
            | Request::Leave(..)
            | Request::Commit(_)
            | Request::DeleteOffsets(_)
            | Request::DeleteGroups(_)
            | Request::TopicsDeleted(..) => true,
            Request::Heartbeat(_)
            | Request::Fetch(_)
            | Request::List(..)
            | Request::Describe(..)
            | Request::Committed(_) => false,
        }
    }

    fn tick(&mut self, now: Now) -> Effects<Answer> {
        self.cx.now = now;
        for timer in self.cx.timers.take_due(now.mono_ms) {
            self.due(timer);
        }
        self.cx.take_effects()
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.cx.timers.next_ms()
    }

    fn live_bytes(&self) -> u64 {
        self.cx.store.live_bytes() as u64
    }

    fn rewrite(
        &self,
        after: Option<Cursor>,
        bytes_max: usize,
    ) -> (Vec<CoordinatorRecord>, Option<Cursor>) {
        self.cx.store.rewrite(after, bytes_max)
    }

    fn answer_bytes(answer: &Answer) -> usize {
        answer.size_bytes()
    }
}
