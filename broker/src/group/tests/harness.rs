//! A machine under test: every step is checked against what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, SyncGroupResponse,
    TopicName,
};
use uuid::Uuid;

pub use super::messages::*;
use crate::coordinator::{
    CoordinatorRecord, Effects, Now, StateMachine, StoredRecord, Token, When,
};
use crate::group::calls::{Answer, FetchCall, JoinCall, Request};
use crate::group::context::TimerKey;
use crate::group::gauges::{GroupCounts, ShardGauges};
use crate::group::machine::GroupMachine;
use crate::group::records::GroupRecord;
use crate::group::settings::GroupSettings;
use crate::group::state::GroupState;
use crate::group::store::Store;

pub const GROUP: &str = "g";
pub const SESSION_MS: u64 = 10_000;
pub const REBALANCE_MS: u64 = 60_000;
pub const DELAY_MS: u64 = 3_000;

/// An answer that was given, and how much of the log it depends on.
#[derive(Clone, Debug)]
pub struct Given {
    pub answer: Answer,
    pub when: When,
    pub position: usize,
}

pub struct Harness {
    pub machine: GroupMachine,
    pub gauges: Arc<ShardGauges>,
    pub settings: GroupSettings,
    pub now: Now,
    pub log: Vec<CoordinatorRecord>,
    pub given: BTreeMap<Token, Given>,
    pub open: BTreeSet<Token>,
    /// The log, replayed record by record.
    replayed: Store,
    next: u64,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new(GroupSettings::default())
    }
}

impl Harness {
    pub fn new(settings: GroupSettings) -> Self {
        Self::load(settings, Vec::new(), Now { mono_ms: 0, wall_ms: 1_700_000_000_000 })
    }

    /// A machine that has loaded `log`.
    pub fn load(settings: GroupSettings, log: Vec<CoordinatorRecord>, now: Now) -> Self {
        let gauges = Arc::new(ShardGauges::default());
        let mut machine = GroupMachine::new(Arc::new(settings.clone()), Arc::clone(&gauges), 0);
        let mut replayed = Store::default();
        for (offset, record) in (0..).zip(log.iter().cloned()) {
            let CoordinatorRecord { key, value } = record;
            replayed.replay(&key, value.as_ref()).unwrap();
            machine.replay(StoredRecord { offset, timestamp_ms: 0, key, value }).unwrap();
        }
        let effects = machine.loaded(now);
        let mut harness = Self {
            machine,
            gauges,
            settings,
            now,
            log,
            given: BTreeMap::new(),
            open: BTreeSet::new(),
            replayed,
            next: 0,
        };
        harness.take(effects);
        harness
    }

    /// What a new owner makes of the first `records` of the log.
    pub fn crash(&self, records: usize) -> Self {
        let now = Now { mono_ms: 0, wall_ms: self.now.wall_ms };
        Self::load(self.settings.clone(), self.log[..records].to_vec(), now)
    }

    pub fn ask(&mut self, request: Request) -> Token {
        let token = Token(self.next);
        self.next += 1;
        self.open.insert(token);
        let effects = self.machine.handle(self.now, token, request);
        self.take(effects);
        token
    }

    /// Lets time pass, with every deadline on the way.
    pub fn pass(&mut self, ms: u64) {
        let end_ms = self.now.mono_ms + ms;
        let mut ticks = 0;
        while let Some(due_ms) = self.machine.next_deadline_ms().filter(|due| *due <= end_ms) {
            self.set_mono(due_ms.max(self.now.mono_ms));
            let effects = self.machine.tick(self.now);
            self.take(effects);
            ticks += 1;
            assert!(ticks < 100_000, "time stands still");
        }
        self.set_mono(end_ms);
    }

    fn set_mono(&mut self, mono_ms: u64) {
        self.now.wall_ms += i64::try_from(mono_ms - self.now.mono_ms).unwrap();
        self.now.mono_ms = mono_ms;
    }

    fn take(&mut self, effects: Effects<Answer>) {
        for record in &effects.records {
            self.replayed.replay(&record.key, record.value.as_ref()).unwrap();
        }
        self.log.extend(effects.records);
        let position = self.log.len();
        for (token, answer, when) in effects.answers {
            assert!(self.open.remove(&token), "{token:?} is answered once: {answer:?}");
            check_when(&answer, when);
            self.given.insert(token, Given { answer, when, position });
        }
        self.check();
    }

    /// What holds after every step.
    fn check(&self) {
        assert_eq!(&self.replayed, self.machine.store(), "live state is replayed state");
        let mut counts = GroupCounts::default();
        for (id, group) in &self.machine.groups {
            group.check();
            counts.groups[group.state().index()] += 1;
            counts.members += group.members.len() as u64;
            counts.memory_bytes += group.memory_bytes() as u64;
            self.check_kept(id);
            self.check_timers(id);
        }
        let store = self.machine.store();
        let kept: BTreeSet<_> =
            store.groups().map(|(id, _)| id).chain(store.groups_with_offsets()).collect();
        assert_eq!(kept, self.machine.groups.keys().collect(), "the groups are those kept");
        let mut counted = GroupCounts::default();
        self.gauges.add_to(&mut counted);
        counts.live_bytes = store.memory_bytes() as u64;
        counts.rebalances = counted.rebalances;
        assert_eq!(counted, counts);
    }

    fn check_kept(&self, id: &Arc<str>) {
        let group = &self.machine.groups[id];
        let found = self.machine.store().groups().find(|(kept, _)| *kept == id);
        let kept = found.map(|(_, value)| GroupRecord::decode(value).unwrap());
        match (group.state(), kept) {
            (GroupState::Stable, kept) => assert_eq!(kept, Some(group.record())),
            (GroupState::Empty, Some(kept)) => assert_eq!(kept, group.record()),
            (GroupState::Empty, None) => assert_eq!(group.generation, 0, "only commits"),
            (_, kept) => assert!(kept.is_none_or(|kept| kept.generation <= group.generation)),
        }
    }

    /// Nothing waits for what never comes.
    fn check_timers(&self, id: &Arc<str>) {
        let group = &self.machine.groups[id];
        let has = |key| self.machine.cx.timers.has(&key);
        match group.state() {
            GroupState::Preparing => assert!(has(TimerKey::Join(Arc::clone(id)))),
            GroupState::Completing => assert!(has(TimerKey::Sync(Arc::clone(id)))),
            GroupState::Empty | GroupState::Stable => {}
        }
        let session =
            |member: &Arc<str>| has(TimerKey::Session(Arc::clone(id), Arc::clone(member)));
        assert!(group.pending.iter().all(session));
        assert!(group.members.values().all(|m| m.is_excused() || session(&m.id)));
        let parked = group.members.values().flat_map(|m| [m.join, m.sync]).flatten();
        assert!(parked.into_iter().all(|token| self.open.contains(&token)));
    }

    pub fn state(&self, group: &str) -> GroupState {
        self.machine.groups[group].state()
    }

    pub fn is_open(&self, token: Token) -> bool {
        self.open.contains(&token)
    }

    pub fn answer(&self, token: Token) -> Answer {
        let given = self.given.get(&token);
        given.unwrap_or_else(|| panic!("{token:?} is not answered")).answer.clone()
    }

    pub fn when(&self, token: Token) -> When {
        self.given[&token].when
    }

    pub fn joined(&self, token: Token) -> JoinGroupResponse {
        match self.answer(token) {
            Answer::Join(join) => *join,
            other => panic!("{other:?}"),
        }
    }

    pub fn join_error(&self, token: Token) -> i16 {
        self.joined(token).error_code
    }

    pub fn synced(&self, token: Token) -> SyncGroupResponse {
        match self.answer(token) {
            Answer::Sync(sync) => sync,
            other => panic!("{other:?}"),
        }
    }

    pub fn join(&mut self, version: i16, request: JoinGroupRequest) -> Token {
        let call = self.join_call(version, request, self.next.into());
        self.ask(Request::Join(Box::new(call)))
    }

    pub fn join_call(&self, version: i16, request: JoinGroupRequest, unique: u128) -> JoinCall {
        let (client_id, client_host) = ("client".into(), "/127.0.0.1".into());
        JoinCall { version, client_id, client_host, unique: Uuid::from_u128(unique), request }
    }

    /// A new member joins as clients do, with the id that it is given.
    pub fn join_new(&mut self) -> (Token, String) {
        let token = self.join(9, joining(""));
        let given = self.joined(token);
        assert_eq!(given.error_code, ResponseError::MemberIdRequired.code());
        let id = given.member_id.to_string();
        (self.join(9, joining(&id)), id)
    }

    pub fn sync(&mut self, member: &str, generation: i32, to: &[(&str, &'static [u8])]) -> Token {
        self.ask(Request::Sync(syncing(member, generation, to)))
    }

    pub fn heartbeat(&mut self, member: &str, generation: i32) -> i16 {
        self.heartbeat_as(member, None, generation)
    }

    pub fn heartbeat_as(&mut self, member: &str, instance: Option<&str>, generation: i32) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group(GROUP))
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text))
            .with_generation_id(generation);
        let token = self.ask(Request::Heartbeat(request));
        match self.answer(token) {
            Answer::Heartbeat(answer) => answer.error_code,
            other => panic!("{other:?}"),
        }
    }

    /// Leaves, and returns the error of each member.
    pub fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<i16> {
        let members = members.iter().map(|(id, instance)| {
            MemberIdentity::default()
                .with_member_id(text(id))
                .with_group_instance_id(instance.map(text))
        });
        let token = self.ask(Request::Leave(group(GROUP), members.collect()));
        match self.answer(token) {
            Answer::Leave(leave) => leave.members.iter().map(|m| m.error_code).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub fn commit(&mut self, request: OffsetCommitRequest) -> i16 {
        let token = self.ask(commit_call(9, request));
        match self.answer(token) {
            Answer::Commit(commit) => commit.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    /// The offset of a partition of topic `t`, -1 for none.
    pub fn fetch(&mut self, topic: &str, partition: i32) -> i64 {
        let topics = Some(vec![(TopicName(text(topic)), vec![partition])]);
        let token = self.ask(Request::Fetch(FetchCall { group: group(GROUP), topics }));
        match self.answer(token) {
            Answer::Fetch(fetch) => fetch.topics[0].partitions[0].committed_offset,
            other => panic!("{other:?}"),
        }
    }

    /// A stable group of `count` dynamic members, the leader first, in generation 1.
    pub fn stable(&mut self, count: usize) -> Vec<String> {
        let members: Vec<_> = (0..count).map(|_| self.join_new()).collect();
        self.pass(DELAY_MS * 2);
        let leader = self.joined(members[0].0).leader.to_string();
        let mut ids: Vec<_> = members.into_iter().map(|(_, id)| id).collect();
        ids.sort_by_key(|id| *id != leader);
        self.sync_all(&ids, 1);
        ids
    }

    /// All members sync, the first leading; each is assigned the first letter of its id.
    pub fn sync_all(&mut self, ids: &[String], generation: i32) {
        let assigned: Vec<(&str, &'static [u8])> =
            ids.iter().map(|id| (id.as_str(), b"assigned".as_slice())).collect();
        let tokens: Vec<_> =
            ids.iter().rev().map(|id| (self.sync(id, generation, &assigned), id)).collect();
        for (token, id) in tokens {
            assert_eq!(self.synced(token).error_code, 0, "{id}");
        }
        assert_eq!(self.state(GROUP), GroupState::Stable);
    }
}

/// Only what promises nothing leaves at once; reads wait for a confirmation.
fn check_when(answer: &Answer, when: When) {
    let id_given =
        |join: &JoinGroupResponse| join.error_code == ResponseError::MemberIdRequired.code();
    let expected = match answer {
        Answer::Heartbeat(beat) if beat.error_code == ResponseError::FencedInstanceId.code() => {
            When::Durable
        }
        Answer::Heartbeat(_) | Answer::Committed(_) => When::Now,
        Answer::Join(join) if id_given(join) => When::Now,
        Answer::Fetch(_) | Answer::List(_) | Answer::Describe(_) => When::Confirmed,
        _ => When::Durable,
    };
    assert_eq!(when, expected, "{answer:?}");
}
