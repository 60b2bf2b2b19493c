//! Requests of members that wait for the others, and what members are told.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::calls::{Answer, str_bytes};
use super::classic::Group;
use super::context::{Context, delay_ms};
use super::member::Member;
use crate::coordinator::Token;

impl Group {
    /// Lets a member's JoinGroup wait. One that waited before is told to try again: its connection
    /// would otherwise wait for an answer that nobody owes it any more.
    pub(super) fn park_join(&mut self, id: &str, token: Token, cx: &mut Context) {
        let Some(member) = self.members.get_mut(id) else { return };
        match member.join.replace(token) {
            Some(old) => cx.answer_join_error(old, id, ResponseError::RebalanceInProgress),
            None => self.awaiting_join += 1,
        }
    }

    /// Answers a member's JoinGroup that waits.
    pub(super) fn answer_join(&mut self, id: &str, response: JoinGroupResponse, cx: &mut Context) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(token) = member.join.take() {
            self.awaiting_join -= 1;
            cx.answer(token, Answer::Join(Box::new(response)));
        }
    }

    /// Lets a member's SyncGroup wait; as with [`Group::park_join`], the one before does not.
    pub(super) fn park_sync(&mut self, id: &str, token: Token, cx: &mut Context) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(old) = member.sync.replace(token) {
            cx.answer(old, Answer::sync_error(ResponseError::RebalanceInProgress));
        }
    }

    /// Answers all SyncGroups that wait, with the assignment or an error; the members' sessions
    /// begin anew, since they were excused from heartbeats while they waited.
    pub(super) fn answer_syncs(&mut self, error: Option<ResponseError>, cx: &mut Context) {
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        for member in self.members.values_mut() {
            let Some(token) = member.sync.take() else { continue };
            let answer = match error {
                Some(error) => Answer::sync_error(error),
                None => Answer::Sync(sync_response(&protocol_type, &protocol, member)),
            };
            cx.answer(token, answer);
            cx.schedule_session(&self.id, &member.id, delay_ms(member.session_timeout_ms));
        }
    }

    /// What a member is told of its assignment.
    pub(super) fn sync_response(&self, member: &Member) -> SyncGroupResponse {
        sync_response(&self.protocol_type, &self.protocol, member)
    }

    /// What a member is told of this generation: the leader, who is in it.
    pub(super) fn join_response(&self, member: &str) -> JoinGroupResponse {
        let members = match self.is_leader(member) {
            true => self.joined_members(),
            false => Vec::new(),
        };
        JoinGroupResponse::default()
            .with_member_id(str_bytes(member))
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.as_deref().map(str_bytes))
            .with_protocol_name(self.protocol.as_deref().map(str_bytes))
            .with_leader(str_bytes(self.leader.as_deref().unwrap_or("")))
            .with_members(members)
    }

    fn joined_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or("");
        let member = |member: &Member| {
            JoinGroupResponseMember::default()
                .with_member_id(str_bytes(&member.id))
                .with_group_instance_id(member.instance_id.as_deref().map(str_bytes))
                .with_metadata(member.metadata(protocol))
        };
        self.members.values().map(member).collect()
    }
}

fn sync_response(
    protocol_type: &Option<Arc<str>>,
    protocol: &Option<Arc<str>>,
    member: &Member,
) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_protocol_type(protocol_type.as_deref().map(str_bytes))
        .with_protocol_name(protocol.as_deref().map(str_bytes))
        .with_assignment(member.assignment.clone())
}

/// Tells a member that is taken out, under the id `called`, why its requests come to nothing.
pub(super) fn dismiss(member: &Member, called: &str, error: ResponseError, cx: &mut Context) {
    if let Some(token) = member.join {
        cx.answer_join_error(token, called, error);
    }
    if let Some(token) = member.sync {
        cx.answer(token, Answer::sync_error(error));
    }
}
