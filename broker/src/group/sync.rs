//! SyncGroup.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::SyncGroupRequest;

use super::calls::Answer;
use super::classic::Group;
use super::context::{Context, TimerKey};
use super::state::GroupState;
use crate::coordinator::Token;

impl Group {
    /// Handles a SyncGroup: the leader's brings the assignment, all fetch it.
    pub(super) fn sync(&mut self, token: Token, request: &SyncGroupRequest, cx: &mut Context) {
        if let Err(error) = self.check_sync(request) {
            return cx.answer(token, Answer::sync_error(error));
        }
        let member: &str = &request.member_id;
        match self.state() {
            GroupState::Empty => {
                cx.answer(token, Answer::sync_error(ResponseError::UnknownMemberId));
            }
            GroupState::Preparing => {
                cx.answer(token, Answer::sync_error(ResponseError::RebalanceInProgress));
            }
            GroupState::Completing => {
                self.park_sync(member, token, cx);
                self.has_synced(member, cx);
                if self.is_leader(member) {
                    self.assign(request, cx);
                }
            }
            GroupState::Stable => {
                self.has_synced(member, cx);
                if let Some(member) = self.members.get(member) {
                    cx.answer(token, Answer::Sync(self.sync_response(member)));
                }
            }
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |said: Option<&str>, is: Option<&str>| matches!((said, is), (Some(said), Some(is)) if said != is);
        if differs(request.protocol_type.as_deref(), self.protocol_type.as_deref())
            || differs(request.protocol_name.as_deref(), self.protocol.as_deref())
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn has_synced(&mut self, member: &str, cx: &mut Context) {
        self.pending_sync.remove(member);
        if self.pending_sync.is_empty() {
            cx.timers.cancel(&TimerKey::Sync(Arc::clone(&self.id)));
        }
    }

    /// Takes the leader's assignment. The group is stable at once; the answers that say so leave
    /// when its record is durable.
    fn assign(&mut self, request: &SyncGroupRequest, cx: &mut Context) {
        let assignments = request.assignments.iter().map(|a| (a.member_id.as_str(), &a.assignment));
        let assignments: HashMap<_, _> = assignments.collect();
        for member in self.members.values_mut() {
            let assignment = assignments.get(&*member.id).copied();
            // A slice of the request would pin its frame.
            member.assignment = assignment.map(|a| Bytes::copy_from_slice(a)).unwrap_or_default();
        }
        let mut record = self.record();
        record.state_since_ms = Some(cx.now.wall_ms);
        if let Err(error) = cx.write_group(&self.id, &record) {
            tracing::warn!(group = %self.id, %error, "the assignment cannot be kept");
            self.members.values_mut().for_each(|member| member.assignment = Bytes::new());
            self.answer_syncs(Some(ResponseError::UnknownServerError), cx);
            return self.prepare_rebalance("the assignment cannot be kept", cx);
        }
        self.enter(GroupState::Stable, cx);
        cx.gauges.rebalanced();
        tracing::info!(group = %self.id, generation = self.generation, members = self.members.len(), "the group is stable");
        self.answer_syncs(None, cx);
    }
}
