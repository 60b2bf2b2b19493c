//! JoinGroup.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;
use odradek_common::limits;

use super::calls::{Answer, JoinCall, str_bytes};
use super::classic::Group;
use super::context::{Context, delay_ms};
use super::member::Member;
use super::state::GroupState;
use crate::coordinator::Token;

/// From this version on a client must come back with the id it is given (KIP-394).
const NEEDS_MEMBER_ID: i16 = 4;
/// How long a member that never got an answer may wait for one, ms: its client cannot send
/// heartbeats and may have gone, to come back as yet another new member.
const NEW_MEMBER_TIMEOUT_MS: u64 = 5 * 60 * 1_000;
/// Characters of a client's reason that the log shows.
const REASON_CHARS: usize = 255;

/// A JoinGroup under way.
pub(super) struct Join<'a> {
    pub(super) token: Token,
    pub(super) call: &'a JoinCall,
}

impl Join<'_> {
    pub(super) fn instance_id(&self) -> Option<&str> {
        self.call.request.group_instance_id.as_deref()
    }

    pub(super) fn member_id(&self) -> &str {
        &self.call.request.member_id
    }

    pub(super) fn reason(&self, what: &str) -> String {
        let reason = self.call.request.reason.as_deref().unwrap_or("not provided");
        let reason: String = reason.chars().take(REASON_CHARS).collect();
        format!("{what}; the client's reason: {reason}")
    }

    /// A new member id: what the client is called, made unique.
    fn new_member_id(&self) -> Arc<str> {
        let name = self.instance_id().unwrap_or(&self.call.client_id);
        format!("{name}-{}", self.call.unique).into()
    }
}

impl Group {
    /// Handles a JoinGroup.
    pub(super) fn join(&mut self, join: &Join<'_>, cx: &mut Context) {
        let request = &join.call.request;
        let is_new = request.member_id.is_empty();
        if cx.is_out_of_memory() && !self.members.contains_key(join.member_id()) {
            let error = ResponseError::CoordinatorNotAvailable;
            return cx.answer_join_error(join.token, join.member_id(), error);
        }
        if !self.has_room_for(&request.member_id, cx) {
            return self.turn_away(join, cx);
        }
        let offered = request.protocols.iter().map(|p| p.name.as_str());
        if !self.supports(&request.protocol_type, offered) {
            let error = ResponseError::InconsistentGroupProtocol;
            return cx.answer_join_error(join.token, join.member_id(), error);
        }
        match (is_new, join.instance_id()) {
            (true, Some(instance_id)) => match self.static_member(instance_id).cloned() {
                Some(old) => self.join_replacing(join, &old, &join.new_member_id(), cx),
                None => self.join_adding(join, join.new_member_id(), cx),
            },
            (true, None) if join.call.version >= NEEDS_MEMBER_ID => self.give_member_id(join, cx),
            (true, None) => self.join_adding(join, join.new_member_id(), cx),
            (false, _) => self.join_again(join, cx),
        }
    }

    /// Whether the group takes (back) a member. While it is being rebalanced those count who have
    /// joined: of a group that is too large, the last to join again are out.
    fn has_room_for(&self, member: &str, cx: &Context) -> bool {
        let max = cx.settings.group_members_max;
        match self.state() {
            GroupState::Empty => true,
            GroupState::Preparing => {
                self.members.get(member).is_some_and(|m| m.join.is_some())
                    || self.awaiting_join < max
            }
            GroupState::Completing | GroupState::Stable => {
                self.members.contains_key(member) || self.members.len() < max
            }
        }
    }

    /// The group is full. A member that comes too late is out.
    fn turn_away(&mut self, join: &Join<'_>, cx: &mut Context) {
        let id: Arc<str> = join.member_id().into();
        self.remove_pending(&id, cx);
        self.remove(&id, cx);
        self.complete_join_if_all(cx);
        cx.answer_join_error(join.token, "", ResponseError::GroupMaxSizeReached);
    }

    /// Gives a new dynamic member an id, with which it is to come back before its session is over.
    fn give_member_id(&mut self, join: &Join<'_>, cx: &mut Context) {
        if self.pending.len() >= limits::GROUP_PENDING_MEMBERS {
            let error = ResponseError::CoordinatorNotAvailable;
            return cx.answer_join_error(join.token, "", error);
        }
        let id = join.new_member_id();
        tracing::debug!(group = %self.id, member = %id, "a new member is given its id");
        cx.schedule_session(&self.id, &id, delay_ms(join.call.request.session_timeout_ms));
        let answer = Answer::join_error(&id, ResponseError::MemberIdRequired);
        self.add_pending(id, cx);
        // It promises nothing: after a crash the id is unknown, and the client starts over.
        cx.answer_now(join.token, answer);
    }

    /// Adds a member under `id`.
    fn join_adding(&mut self, join: &Join<'_>, id: Arc<str>, cx: &mut Context) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.call.request.protocol_type.as_str().into());
        }
        if self.is_initial() {
            self.new_member_added = true;
        }
        self.add(Member::joining(Arc::clone(&id), join.call), cx);
        self.park_join(&id, join.token, cx);
        cx.schedule_session(&self.id, &id, NEW_MEMBER_TIMEOUT_MS);
        self.rebalance_or_complete(&join.reason("a new member"), cx);
    }

    /// A client comes with a member id.
    fn join_again(&mut self, join: &Join<'_>, cx: &mut Context) {
        if let Some(id) = self.pending.get(join.member_id()).cloned() {
            if join.instance_id().is_some() {
                // Static members are never told to come back with an id.
                let error = ResponseError::UnknownServerError;
                return cx.answer_join_error(join.token, &id, error);
            }
            return self.join_adding(join, id, cx);
        }
        if let Err(error) = self.check_member(join.member_id(), join.instance_id()) {
            return cx.answer_join_error(join.token, join.member_id(), error);
        }
        let Some(member) = self.members.get(join.member_id()) else { return };
        let says_nothing_new = member.matches(&join.call.request.protocols);
        let reason = match self.state() {
            GroupState::Preparing => "a member joins again",
            // It may not have got the answer to its JoinGroup.
            GroupState::Completing if says_nothing_new => return self.join_is_repeated(join, cx),
            GroupState::Completing => "a member changed",
            // The leader does so to have the assignment made anew, as when a topic grew.
            GroupState::Stable if self.is_leader(join.member_id()) => "the leader joins again",
            GroupState::Stable if says_nothing_new => return self.join_is_repeated(join, cx),
            GroupState::Stable => "a member changed",
            GroupState::Empty => {
                let error = ResponseError::UnknownMemberId;
                return cx.answer_join_error(join.token, join.member_id(), error);
            }
        };
        self.update(join.member_id(), |member| member.update(&join.call.request), cx);
        self.park_join(join.member_id(), join.token, cx);
        self.rebalance_or_complete(&join.reason(reason), cx);
    }

    /// Answers with the generation there is; the member goes on to its SyncGroup.
    fn join_is_repeated(&mut self, join: &Join<'_>, cx: &mut Context) {
        let mut response = self.join_response(join.member_id());
        if self.state() == GroupState::Stable {
            response.members = Vec::new();
        }
        cx.answer(join.token, Answer::Join(Box::new(response)));
    }
}

/// The answer to a JoinGroup in a form that `version` can carry.
pub(super) fn for_version(mut response: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    if version < 7 {
        response.protocol_type = None;
        response.protocol_name.get_or_insert_with(|| str_bytes(""));
    }
    if version < 5 {
        response.members.iter_mut().for_each(|member| member.group_instance_id = None);
    }
    response
}
