//! Who is in a group: members that come, go, change or give their place to a next incarnation.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::{Group, PENDING_BYTES};
use crate::group::context::Context;
use crate::group::member::Member;
use crate::group::parked::dismiss;

impl Group {
    /// Adds a member; the first one leads.
    pub(in crate::group) fn add(&mut self, member: Member, cx: &Context) {
        debug_assert!(!self.members.contains_key(&member.id), "members have ids of their own");
        if let Some(instance_id) = &member.instance_id {
            self.statics.insert(Arc::clone(instance_id), Arc::clone(&member.id));
        }
        if self.pending.remove(&member.id) {
            cx.gauges.released(PENDING_BYTES);
        }
        cx.gauges.occupied(member.memory_bytes());
        self.leader.get_or_insert_with(|| Arc::clone(&member.id));
        self.count_support(&member.protocols, true);
        self.awaiting_join += usize::from(member.join.is_some());
        self.members.insert(Arc::clone(&member.id), member);
        cx.gauges.member_entered();
    }

    /// Takes a member out without a word to it; another one leads if it did.
    fn take(&mut self, id: &str, cx: &Context) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.count_support(&member.protocols, false);
        self.awaiting_join -= usize::from(member.join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.statics.remove(instance_id);
        }
        self.pending_sync.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        cx.gauges.member_left();
        cx.gauges.released(member.memory_bytes());
        Some(member)
    }

    /// Removes a member. What it waits for is answered UNKNOWN_MEMBER_ID, so that it joins anew if
    /// it is still there.
    pub(in crate::group) fn remove(&mut self, id: &Arc<str>, cx: &mut Context) {
        cx.cancel_session(&self.id, id);
        if let Some(member) = self.take(id, cx) {
            dismiss(&member, "", ResponseError::UnknownMemberId, cx);
        }
    }

    /// Removes an id that was given out and not used.
    pub(in crate::group) fn remove_pending(&mut self, id: &Arc<str>, cx: &mut Context) {
        cx.cancel_session(&self.id, id);
        if self.pending.remove(id) {
            cx.gauges.released(PENDING_BYTES);
        }
    }

    /// Remembers an id that is given out.
    pub(in crate::group) fn add_pending(&mut self, id: Arc<str>, cx: &Context) {
        if self.pending.insert(id) {
            cx.gauges.occupied(PENDING_BYTES);
        }
    }

    /// Gives the place of a static member to its next incarnation, under a new id: with its
    /// assignment, its lead and its session. The old incarnation is fenced.
    pub(in crate::group) fn replace_static(
        &mut self,
        old: &Arc<str>,
        new: &Arc<str>,
        cx: &mut Context,
    ) {
        let leads = self.is_leader(old);
        cx.cancel_session(&self.id, old);
        let Some(mut member) = self.take(old, cx) else { return };
        dismiss(&member, old, ResponseError::FencedInstanceId, cx);
        (member.join, member.sync, member.is_new) = (None, None, false);
        member.id = Arc::clone(new);
        self.add(member, cx);
        if leads {
            self.leader = Some(Arc::clone(new));
        }
    }

    /// Makes a member that waits to be answered lead, if the leader does not. Says whether any
    /// member waits.
    pub(in crate::group) fn elect_joined_leader(&mut self) -> bool {
        let waits = |member: &Member| member.join.is_some();
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(waits) {
            return true;
        }
        let Some(joined) = self.members.values().find(|m| waits(m)) else { return false };
        tracing::info!(group = %self.id, old = %leader, new = %joined.id, "the leader did not join again");
        self.leader = Some(Arc::clone(&joined.id));
        true
    }

    /// Takes over what a member's JoinGroup says.
    pub(in crate::group) fn update(
        &mut self,
        id: &str,
        update: impl FnOnce(&mut Member),
        cx: &Context,
    ) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count_support(&member.protocols, false);
        cx.gauges.released(member.memory_bytes());
        update(&mut member);
        cx.gauges.occupied(member.memory_bytes());
        self.count_support(&member.protocols, true);
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Checks that a request comes from a member, and from the living incarnation of a static one.
    pub(in crate::group) fn check_member(
        &self,
        member: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(living) if **living != *member => {
                    tracing::info!(group = %self.id, instance_id, member, %living, "a former incarnation of a static member is fenced");
                    return Err(ResponseError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        match self.members.contains_key(member) {
            true => Ok(()),
            false => Err(ResponseError::UnknownMemberId),
        }
    }
}
