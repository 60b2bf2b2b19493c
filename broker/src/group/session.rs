//! Members that are alive, silent, or leave.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse, LeaveGroupResponse};

use super::calls::{Answer, str_bytes};
use super::classic::Group;
use super::context::{Context, delay_ms};
use super::state::GroupState;
use crate::coordinator::Token;

impl Group {
    /// Handles a heartbeat.
    pub(super) fn heartbeat(&mut self, token: Token, request: &HeartbeatRequest, cx: &mut Context) {
        let outcome = self.check_heartbeat(request);
        if outcome.is_ok() {
            self.keep_alive(&request.member_id, cx);
        }
        let error = match outcome {
            Err(error) => Some(error),
            Ok(()) if self.state() == GroupState::Preparing => {
                Some(ResponseError::RebalanceInProgress)
            }
            Ok(()) => None,
        };
        let answer = heartbeat_answer(error);
        if error == Some(ResponseError::FencedInstanceId) {
            // A client that is fenced gives up for good: only what is durable may say so.
            cx.answer(token, answer);
        } else {
            // That a member is in a generation says nothing of its assignment, so this need not
            // wait: members stay alive through an outage of the store, and read on.
            cx.answer_now(token, answer);
        }
    }

    fn check_heartbeat(&self, request: &HeartbeatRequest) -> Result<(), ResponseError> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        match request.generation_id == self.generation {
            true => Ok(()),
            false => Err(ResponseError::IllegalGeneration),
        }
    }

    /// The member's session begins anew.
    pub(super) fn keep_alive(&mut self, member: &str, cx: &mut Context) {
        if let Some(member) = self.members.get(member) {
            cx.schedule_session(&self.id, &member.id, delay_ms(member.session_timeout_ms));
        }
    }

    /// A member, or an id given out, was silent for too long.
    pub(super) fn session_timer(&mut self, id: &Arc<str>, cx: &mut Context) {
        if self.pending.contains(id) {
            tracing::info!(group = %self.id, member = %id, "the new member did not come back");
            self.remove_pending(id, cx);
            return self.complete_join_if_all(cx);
        }
        let Some(member) = self.members.get(id) else { return };
        if member.is_excused() {
            return;
        }
        tracing::info!(group = %self.id, member = %id, "the member was silent for too long");
        self.remove(id, cx);
        self.has_lost_members("a member was silent for too long", cx);
    }

    fn has_lost_members(&mut self, reason: &str, cx: &mut Context) {
        if self.state() != GroupState::Empty {
            self.rebalance_or_complete(reason, cx);
        }
    }

    /// Handles a LeaveGroup; members leave by themselves, or are taken out by an administrator.
    pub(super) fn leave(&mut self, token: Token, leaving: &[MemberIdentity], cx: &mut Context) {
        let before = self.members.len();
        let members = leaving.iter().map(|member| left(member, self.leave_one(member, cx).err()));
        let members = members.collect();
        if self.members.len() < before {
            self.has_lost_members("members left", cx);
        } else {
            self.complete_join_if_all(cx);
        }
        cx.answer(token, Answer::Leave(LeaveGroupResponse::default().with_members(members)));
    }

    fn leave_one(
        &mut self,
        member: &MemberIdentity,
        cx: &mut Context,
    ) -> Result<(), ResponseError> {
        let reason = member.reason.as_deref().unwrap_or("not provided");
        let reason: String = reason.chars().take(255).collect();
        let instance_id = member.group_instance_id.as_deref();
        if let Some(id) = self.pending.get(member.member_id.as_str()).cloned() {
            self.remove_pending(&id, cx);
            return Ok(());
        }
        let id = if member.member_id.is_empty() {
            // An administrator knows static members by their instance id only.
            let id = instance_id.and_then(|instance_id| self.static_member(instance_id));
            id.cloned().ok_or(ResponseError::UnknownMemberId)?
        } else {
            self.check_member(&member.member_id, instance_id)?;
            let found = self.members.get_key_value(member.member_id.as_str());
            found.map(|(id, _)| Arc::clone(id)).ok_or(ResponseError::UnknownMemberId)?
        };
        tracing::info!(group = %self.id, member = %id, reason, "the member leaves");
        self.remove(&id, cx);
        Ok(())
    }
}

/// The answer to a heartbeat.
pub(super) fn heartbeat_answer(error: Option<ResponseError>) -> Answer {
    let code = error.map_or(0, |error| error.code());
    Answer::Heartbeat(HeartbeatResponse::default().with_error_code(code))
}

/// What became of a member that was to leave.
pub(super) fn left(member: &MemberIdentity, error: Option<ResponseError>) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(str_bytes(&member.member_id))
        .with_group_instance_id(member.group_instance_id.as_deref().map(str_bytes))
        .with_error_code(error.map_or(0, |error| error.code()))
}
