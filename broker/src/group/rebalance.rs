//! A rebalance: preparing it, waiting for the members, completing the join.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::classic::{Group, InitialDelay};
use super::context::{Context, TimerKey, delay_ms};
use super::state::GroupState;

/// A group whose static members all stay away is asked again after their rebalance time-out, but
/// not more often than this, ms.
const RETRY_MS: u64 = 1_000;

impl Group {
    /// Something changed that the members must be told of. `reason` is for the log.
    pub(super) fn rebalance_or_complete(&mut self, reason: &str, cx: &mut Context) {
        match self.state() {
            GroupState::Preparing => self.complete_join_if_all(cx),
            _ => self.prepare_rebalance(reason, cx),
        }
    }

    /// Asks the members to join again, by the answers to their SyncGroups and heartbeats.
    pub(super) fn prepare_rebalance(&mut self, reason: &str, cx: &mut Context) {
        if self.state() == GroupState::Completing {
            self.members.values_mut().for_each(|member| member.assignment = Bytes::new());
            self.answer_syncs(Some(ResponseError::RebalanceInProgress), cx);
        }
        self.pending_sync.clear();
        cx.timers.cancel(&TimerKey::Sync(Arc::clone(&self.id)));
        let initial = self.state() == GroupState::Empty;
        tracing::info!(group = %self.id, generation = self.generation, state = self.state().name(), reason, "rebalance begins");
        self.enter(GroupState::Preparing, cx);
        if initial {
            self.put_off(cx);
        } else if self.have_all_joined() {
            self.complete_join(cx);
        } else {
            cx.schedule_after(TimerKey::Join(Arc::clone(&self.id)), self.rebalance_timeout_ms());
        }
    }

    /// A group that was empty: more members may come soon, and each would cost a rebalance.
    fn put_off(&mut self, cx: &mut Context) {
        let running_ms = initial_delay_ms(cx);
        let left_ms = self.rebalance_timeout_ms().saturating_sub(running_ms);
        self.new_member_added = false;
        self.initial = Some(InitialDelay { running_ms, left_ms });
        cx.schedule_after(TimerKey::Join(Arc::clone(&self.id)), running_ms);
    }

    /// The time to join is up, or the initial delay is over.
    pub(super) fn join_timer(&mut self, cx: &mut Context) {
        if self.state() != GroupState::Preparing {
            return;
        }
        let Some(InitialDelay { running_ms, left_ms }) = self.initial else {
            return self.complete_join(cx);
        };
        if !self.new_member_added || left_ms == 0 {
            return self.complete_join(cx);
        }
        self.new_member_added = false;
        let next_ms = initial_delay_ms(cx).min(left_ms);
        let left_ms = left_ms.saturating_sub(running_ms);
        self.initial = Some(InitialDelay { running_ms: next_ms, left_ms });
        cx.schedule_after(TimerKey::Join(Arc::clone(&self.id)), next_ms);
    }

    /// Completes the join if all members have joined again. An initial delay runs its time.
    pub(super) fn complete_join_if_all(&mut self, cx: &mut Context) {
        if self.state() == GroupState::Preparing && !self.is_initial() && self.have_all_joined() {
            self.complete_join(cx);
        }
    }

    /// Begins the next generation with the members that have joined again, and the static ones,
    /// which may be restarting.
    fn complete_join(&mut self, cx: &mut Context) {
        cx.timers.cancel(&TimerKey::Join(Arc::clone(&self.id)));
        self.remove_absent(cx);
        if !self.members.is_empty() && !self.elect_joined_leader() {
            tracing::warn!(group = %self.id, "no member has joined again; the rebalance waits on");
            let wait_ms = self.rebalance_timeout_ms().max(RETRY_MS);
            return cx.schedule_after(TimerKey::Join(Arc::clone(&self.id)), wait_ms);
        }
        self.initial = None;
        self.begin_generation(cx);
        if self.members.is_empty() {
            tracing::info!(group = %self.id, generation = self.generation, "the group is empty");
            if let Err(error) = self.keep(cx) {
                // Without members the record is small but for names that were checked before.
                tracing::error!(group = %self.id, %error, "the empty group cannot be written");
            }
            return;
        }
        tracing::info!(group = %self.id, generation = self.generation, members = self.members.len(), "the members have joined");
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            self.answer_join(&id, self.join_response(&id), cx);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                cx.schedule_session(&self.id, &id, delay_ms(member.session_timeout_ms));
            }
            self.pending_sync.insert(id);
        }
        cx.schedule_after(TimerKey::Sync(Arc::clone(&self.id)), self.rebalance_timeout_ms());
    }

    fn remove_absent(&mut self, cx: &mut Context) {
        let absent = self.members.values().filter(|m| m.join.is_none() && m.instance_id.is_none());
        let absent: Vec<_> = absent.map(|m| Arc::clone(&m.id)).collect();
        for id in absent {
            tracing::info!(group = %self.id, member = %id, "the member did not join again in time");
            self.remove(&id, cx);
        }
    }

    /// The time to fetch the assignments is up: who did not is out.
    pub(super) fn sync_timer(&mut self, cx: &mut Context) {
        if !matches!(self.state(), GroupState::Completing | GroupState::Stable) {
            return;
        }
        let absent: Vec<_> = std::mem::take(&mut self.pending_sync).into_iter().collect();
        if absent.is_empty() {
            return;
        }
        for id in &absent {
            tracing::info!(group = %self.id, member = %id, "the member did not sync in time");
            self.remove(id, cx);
        }
        self.prepare_rebalance("members did not sync in time", cx);
    }
}

fn initial_delay_ms(cx: &Context) -> u64 {
    u64::try_from(cx.settings.initial_rebalance_delay.as_millis()).unwrap_or(u64::MAX)
}
