//! A live classic group: its members and where its rebalance stands.
//!
//! The files beside this one hold what is done with it: `join` (JoinGroup), `statics` (static
//! members that come back), `rebalance` (preparing and completing), `sync` (SyncGroup), `session`
//! (heartbeats, time-outs, leaving), `parked` (requests that wait, and their answers).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::context::{Context, delay_ms};
use super::member::{Member, Protocol};
use super::parked::dismiss;
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

    /// Adds a member; the first one leads.
    pub(super) fn add(&mut self, member: Member, cx: &Context) {
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
    pub(super) fn remove(&mut self, id: &Arc<str>, cx: &mut Context) {
        cx.cancel_session(&self.id, id);
        if let Some(member) = self.take(id, cx) {
            dismiss(&member, "", ResponseError::UnknownMemberId, cx);
        }
    }

    /// Removes an id that was given out and not used.
    pub(super) fn remove_pending(&mut self, id: &Arc<str>, cx: &mut Context) {
        cx.cancel_session(&self.id, id);
        if self.pending.remove(id) {
            cx.gauges.released(PENDING_BYTES);
        }
    }

    /// Remembers an id that is given out.
    pub(super) fn add_pending(&mut self, id: Arc<str>, cx: &Context) {
        if self.pending.insert(id) {
            cx.gauges.occupied(PENDING_BYTES);
        }
    }

    /// Gives the place of a static member to its next incarnation, under a new id: with its
    /// assignment, its lead and its session. The old incarnation is fenced.
    pub(super) fn replace_static(&mut self, old: &Arc<str>, new: &Arc<str>, cx: &mut Context) {
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
    pub(super) fn elect_joined_leader(&mut self) -> bool {
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
    pub(super) fn update(&mut self, id: &str, update: impl FnOnce(&mut Member), cx: &Context) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count_support(&member.protocols, false);
        cx.gauges.released(member.memory_bytes());
        update(&mut member);
        cx.gauges.occupied(member.memory_bytes());
        self.count_support(&member.protocols, true);
        self.members.insert(Arc::clone(&member.id), member);
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

    /// Checks that a request comes from a member, and from the living incarnation of a static one.
    pub(super) fn check_member(
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

    /// The group is deleted.
    pub(super) fn forget(&self, cx: &Context) {
        cx.gauges.group_left(self.state);
        cx.gauges.released(GROUP_BYTES);
    }
}

#[cfg(test)]
impl Group {
    /// What the gauges count for it.
    pub(super) fn memory_bytes(&self) -> usize {
        let members: usize = self.members.values().map(Member::memory_bytes).sum();
        GROUP_BYTES + PENDING_BYTES * self.pending.len() + members
    }

    /// What holds of a group's members at any time.
    pub(super) fn check(&self) {
        let awaiting = self.members.values().filter(|m| m.join.is_some()).count();
        assert_eq!(self.awaiting_join, awaiting);
        let mut support = HashMap::new();
        for name in self.members.values().flat_map(|m| &m.protocols).map(|p| &p.name) {
            *support.entry(Arc::clone(name)).or_default() += 1;
        }
        assert_eq!(self.support, support);
        assert!(self.members.is_empty() || self.elect_protocol().is_some());
        assert_eq!(self.leader.is_some(), !self.members.is_empty());
        assert!(self.leader.iter().all(|id| self.members.contains_key(id)));
        let statics = self.members.values().filter_map(|m| {
            m.instance_id.as_ref().map(|instance| (Arc::clone(instance), Arc::clone(&m.id)))
        });
        assert_eq!(self.statics, statics.collect());
        assert!(self.pending.iter().all(|id| !self.members.contains_key(id)));
        assert!(self.pending_sync.iter().all(|id| self.members.contains_key(id)));
        match self.state {
            GroupState::Empty => assert!(self.members.is_empty()),
            GroupState::Preparing => assert!(self.pending_sync.is_empty()),
            GroupState::Completing => {
                assert!(self.pending_sync.contains(self.leader.as_ref().unwrap()));
                assert_eq!(self.awaiting_join, 0);
            }
            GroupState::Stable => {
                assert!(!self.members.is_empty());
                assert_eq!(self.awaiting_join, 0);
                assert!(self.members.values().all(|m| m.sync.is_none()));
            }
        }
        assert_eq!(self.initial.is_some(), self.is_initial());
    }
}
