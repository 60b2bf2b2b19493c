//! A live classic group: its members and where its rebalance stands.
//!
//! The files beside this one hold what is done with it: `join` (JoinGroup), `statics` (static
//! members that come back), `rebalance` (preparing and completing), `sync` (SyncGroup), `session`
//! (heartbeats, time-outs, leaving), `parked` (requests that wait, and their answers).

mod members;
#[cfg(test)]
mod soundness;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::context::{Context, delay_ms};
use super::member::{Member, Protocol};
use super::records::{GroupRecord, TooLong};
use super::state::GroupState;
use super::subscription;

/// How long the first rebalance of a group that was empty is still put off.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    /// The delay that is running, ms.
    pub(super) running_ms: u64,
    /// What may be added to it when more members come, ms.
    pub(super) left_ms: u64,
}

/// Bytes of memory that a group takes, by and large, its members aside.
const GROUP_BYTES: usize = 768;
/// Bytes of memory that an id takes that was given out.
const PENDING_BYTES: usize = 384;

/// See the module.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    state: GroupState,
    /// The state before this one: a rebalance of a group that was empty is put off.
    previous: GroupState,
    /// Since when it is in its state, ms since the Unix epoch; old records do not say.
    state_since_ms: Option<i64>,
    pub(super) protocol_type: Option<Arc<str>>,
    pub(super) protocol: Option<Arc<str>>,
    pub(super) generation: i32,
    pub(super) leader: Option<Arc<str>>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Static members: `group.instance.id` to member id.
    statics: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids given out to members that have not joined with them yet.
    pub(super) pending: BTreeSet<Arc<str>>,
    /// Members that have not sent their SyncGroup in this generation.
    pub(super) pending_sync: BTreeSet<Arc<str>>,
    /// By protocol name, how many members support it.
    support: HashMap<Arc<str>, usize>,
    /// How many members have a JoinGroup waiting.
    pub(super) awaiting_join: usize,
    /// The topics that the members subscribe to, where that is known.
    subscribed: Option<BTreeSet<Arc<str>>>,
    /// A member has come since the initial delay began to run.
    pub(super) new_member_added: bool,
    pub(super) initial: Option<InitialDelay>,
}

impl Group {
    /// A group that nobody has joined yet.
    pub(super) fn empty(id: Arc<str>, cx: &Context) -> Self {
        cx.gauges.group_entered(GroupState::Empty);
        cx.gauges.occupied(GROUP_BYTES);
        Self {
            id,
            state: GroupState::Empty,
            previous: GroupState::Empty,
            state_since_ms: Some(cx.now.wall_ms),
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            support: HashMap::new(),
            awaiting_join: 0,
            subscribed: None,
            new_member_added: false,
            initial: None,
        }
    }

    /// A group as it was kept: stable if it has members, whose sessions begin anew.
    pub(super) fn kept(id: Arc<str>, record: GroupRecord, cx: &mut Context) -> Self {
        let mut group = Self::empty(id, cx);
        let protocol = record.protocol.clone().unwrap_or_default();
        group.generation = record.generation;
        for member in record.members {
            if group.members.contains_key(&member.id) {
                tracing::warn!(group = %group.id, member = %member.id, "a member is kept twice");
                continue;
            }
            let member = Member::kept(member, &protocol);
            let (id, timeout_ms) = (Arc::clone(&member.id), delay_ms(member.session_timeout_ms));
            group.add(member, cx);
            cx.schedule_session(&group.id, &id, timeout_ms);
        }
        if !group.members.is_empty() {
            group.enter(GroupState::Stable, cx);
        }
        group.state_since_ms = record.state_since_ms;
        group.protocol_type = record.protocol_type;
        group.protocol = record.protocol;
        group.leader = record.leader.filter(|id| group.members.contains_key(id)).or(group.leader);
        group.subscribed = group.compute_subscribed();
        group
    }

    /// As it is to be kept, once it is stable or empty.
    pub(super) fn record(&self) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or("");
        GroupRecord {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since_ms: self.state_since_ms,
            members: self.members.values().map(|m| m.record(protocol)).collect(),
        }
    }

    /// Writes it down.
    pub(super) fn keep(&self, cx: &mut Context) -> Result<(), TooLong> {
        cx.write_group(&self.id, &self.record())
    }

    pub(super) fn state(&self) -> GroupState {
        self.state
    }

    pub(super) fn state_since_ms(&self) -> Option<i64> {
        self.state_since_ms
    }

    /// Whether the rebalance that is being prepared is the first of a group that was empty.
    pub(super) fn is_initial(&self) -> bool {
        self.state == GroupState::Preparing && self.previous == GroupState::Empty
    }

    pub(super) fn enter(&mut self, state: GroupState, cx: &Context) {
        cx.gauges.group_left(self.state);
        cx.gauges.group_entered(state);
        self.previous = self.state;
        self.state = state;
        self.state_since_ms = Some(cx.now.wall_ms);
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(super) fn have_all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending.is_empty()
    }

    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.statics.get(instance_id)
    }

    /// The longest that a member asks to be waited for in a rebalance, ms.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self.members.values().map(|m| m.rebalance_timeout_ms).max();
        delay_ms(longest.unwrap_or(0))
    }

    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    /// Whether a member subscribes to the topic; of consumers whose subscriptions cannot be read,
    /// it is assumed.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(super) fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            all.extend(subscription::topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    /// Whether a member that offers these can be in the group: all members must have a protocol in
    /// common.
    pub(super) fn supports<'a>(
        &self,
        protocol_type: &str,
        mut names: impl Iterator<Item = &'a str>,
    ) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && names.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && names.any(|name| self.is_supported_by_all(name))
    }

    fn is_supported_by_all(&self, protocol: &str) -> bool {
        self.support.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members like best among those that all support; of several with as
    /// many votes the first by name.
    pub(super) fn elect_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let supported = |p: &&Protocol| self.is_supported_by_all(&p.name);
            if let Some(protocol) = member.protocols.iter().find(supported) {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        votes.into_iter().rev().max_by_key(|(_, votes)| *votes).map(|(name, _)| Arc::clone(name))
    }

    fn count_support(&mut self, protocols: &[Protocol], more: bool) {
        for protocol in protocols {
            let count = self.support.entry(Arc::clone(&protocol.name)).or_default();
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.support.remove(&protocol.name);
            }
        }
    }

    /// The next generation: of the members there are, or empty.
    pub(super) fn begin_generation(&mut self, cx: &Context) {
        // After 2^31 generations it begins anew, rather than with a negative number, which would
        // stand for "no generation".
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        self.protocol = self.elect_protocol();
        self.subscribed = self.compute_subscribed();
        let next = match self.members.is_empty() {
            true => GroupState::Empty,
            false => GroupState::Completing,
        };
        self.enter(next, cx);
    }

    /// The group is deleted.
    pub(super) fn forget(&self, cx: &Context) {
        cx.gauges.group_left(self.state);
        cx.gauges.released(GROUP_BYTES);
    }
}
