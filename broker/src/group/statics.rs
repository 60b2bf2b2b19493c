//! Static members (KIP-345): one that comes back without a member id takes the place of its former
//! incarnation, and as long as that changes nothing, without a rebalance.

use std::sync::Arc;

use super::calls::{Answer, str_bytes};
use super::classic::Group;
use super::context::{Context, delay_ms};
use super::join::Join;
use super::state::GroupState;

/// From this version on a leader can be told not to assign anew (KIP-814).
const KNOWS_SKIP_ASSIGNMENT: i16 = 9;

impl Group {
    /// A static member joins in the place of its former incarnation `old`, as `new`.
    pub(super) fn join_replacing(
        &mut self,
        join: &Join<'_>,
        old: &Arc<str>,
        new: &Arc<str>,
        cx: &mut Context,
    ) {
        tracing::info!(group = %self.id, %old, %new, "a static member has come back");
        let old_leader = self.leader.clone();
        self.replace_static(old, new, cx);
        self.update(new, |member| member.update(&join.call.request), cx);
        let timeout_ms = join.call.request.session_timeout_ms;
        cx.schedule_session(&self.id, new, delay_ms(timeout_ms));
        match self.state() {
            GroupState::Stable
                if self.protocol.is_some() && self.elect_protocol() == self.protocol =>
            {
                self.join_without_rebalance(join, new, old_leader, cx);
            }
            // In the midst of the assignment: the leader knows the former id only, and would leave
            // the new one without an assignment.
            GroupState::Stable | GroupState::Completing => {
                self.park_join(new, join.token, cx);
                self.prepare_rebalance(&join.reason("a static member changed"), cx);
            }
            GroupState::Preparing | GroupState::Empty => {
                self.park_join(new, join.token, cx);
                self.complete_join_if_all(cx);
            }
        }
    }

    fn join_without_rebalance(
        &mut self,
        join: &Join<'_>,
        id: &Arc<str>,
        old_leader: Option<Arc<str>>,
        cx: &mut Context,
    ) {
        if let Err(error) = self.keep(cx) {
            tracing::warn!(group = %self.id, %error, "the group cannot be written as it is");
            self.park_join(id, join.token, cx);
            return self.prepare_rebalance(&join.reason("a static member grew too large"), cx);
        }
        let mut response = self.join_response(id);
        if join.call.version >= KNOWS_SKIP_ASSIGNMENT {
            response.skip_assignment = self.is_leader(id);
        } else {
            // An old client that learnt that it leads would assign anew, and nobody would fetch
            // that assignment: it is told of its former id as the leader.
            response.members = Vec::new();
            response.leader = str_bytes(old_leader.as_deref().unwrap_or(""));
        }
        cx.answer(join.token, Answer::Join(Box::new(response)));
    }
}
