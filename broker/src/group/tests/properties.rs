//! Any sequence of requests and time, and a crash after any of its records.

use std::collections::BTreeMap;

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{HeartbeatRequest, OffsetDeleteRequest, TopicName};
use proptest::prelude::*;
use uuid::Uuid;

use super::harness::*;
use crate::coordinator::{StateMachine, Token};
use crate::group::calls::{Answer, FetchCall, JoinCall, Request};
use crate::group::classic::Group;
use crate::group::member::Member;
use crate::group::settings::GroupSettings;
use crate::group::state::GroupState;

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
const TOPICS: [&str; 2] = ["t", "u"];
const PROTOCOLS: [&str; 3] = ["range", "sticky", "other"];

/// A step; members are chosen among those that ever got an id, generations near the true one.
#[derive(Clone, Debug)]
enum Step {
    Join {
        group: usize,
        member: usize,
        instance: Option<u8>,
        version: i16,
        offers: u8,
        topic: usize,
    },
    Sync {
        group: usize,
        member: usize,
        behind: i32,
        instance: Option<u8>,
    },
    Heartbeat {
        group: usize,
        member: usize,
        behind: i32,
    },
    Leave {
        group: usize,
        member: usize,
        instance: Option<u8>,
    },
    Commit {
        group: usize,
        member: usize,
        behind: i32,
        topic: usize,
        offset: i64,
        keep_ms: i64,
    },
    Simple {
        group: usize,
        topic: usize,
        offset: i64,
    },
    Fetch {
        group: usize,
    },
    DeleteOffsets {
        group: usize,
        topic: usize,
    },
    DeleteGroup {
        group: usize,
    },
    TopicDeleted {
        topic: usize,
    },
    Pass {
        ms: u64,
    },
    /// The members do what clients do until the group is stable.
    Settle {
        group: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let group = 0..GROUPS.len();
    let member = 0..6usize;
    let topic = 0..TOPICS.len();
    let behind = prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(-1)];
    let instance = prop::option::weighted(0.3, 0..2u8);
    let joins = (group.clone(), member.clone(), instance.clone(), 2..10i16, 1..8u8, topic.clone())
        .prop_map(|(group, member, instance, version, offers, topic)| Step::Join {
            group,
            member,
            instance,
            version,
            offers,
            topic,
        });
    prop_oneof![
        8 => joins,
        8 => (group.clone(), member.clone(), behind.clone(), instance.clone())
            .prop_map(|(group, member, behind, instance)| Step::Sync { group, member, behind, instance }),
        3 => (group.clone(), member.clone(), behind.clone())
            .prop_map(|(group, member, behind)| Step::Heartbeat { group, member, behind }),
        2 => (group.clone(), member.clone(), instance)
            .prop_map(|(group, member, instance)| Step::Leave { group, member, instance }),
        4 => (group.clone(), member, behind, topic.clone(), 0..100i64, prop_oneof![3 => Just(-1), 1 => 0..100_000i64])
            .prop_map(|(group, member, behind, topic, offset, keep_ms)| {
                Step::Commit { group, member, behind, topic, offset, keep_ms }
            }),
        2 => (group.clone(), topic.clone(), 0..100i64)
            .prop_map(|(group, topic, offset)| Step::Simple { group, topic, offset }),
        1 => group.clone().prop_map(|group| Step::Fetch { group }),
        4 => group.clone().prop_map(|group| Step::Settle { group }),
        1 => (group.clone(), topic.clone()).prop_map(|(group, topic)| Step::DeleteOffsets { group, topic }),
        1 => group.prop_map(|group| Step::DeleteGroup { group }),
        1 => topic.prop_map(|topic| Step::TopicDeleted { topic }),
        6 => prop_oneof![0..20u64, 0..4_000u64, 0..30_000u64, 0..200_000u64].prop_map(|ms| Step::Pass { ms }),
    ]
}

/// An offset committed with success, and the log's length then.
type Commits = Vec<((&'static str, &'static str), i64, usize)>;

struct World {
    h: Harness,
    /// Ids ever given, the empty one first.
    ids: Vec<String>,
    commits: Commits,
    unique: u128,
}

impl World {
    fn new() -> Self {
        let settings = GroupSettings {
            group_members_max: 4,
            offsets_retention: std::time::Duration::from_secs(100),
            offsets_retention_check: std::time::Duration::from_secs(20),
            ..GroupSettings::default()
        };
        let h = Harness::new(settings);
        Self { h, ids: vec![String::new()], commits: Vec::new(), unique: 0 }
    }

    fn generation(&self, group: usize, behind: i32) -> i32 {
        self.h.machine.groups.get(GROUPS[group]).map_or(0, |g| g.generation) - behind
    }

    fn id(&self, member: usize) -> &str {
        // Rather one of the last.
        let last = self.ids.len() - 1;
        &self.ids[last - member.min(last)]
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Pass { ms } => self.h.pass(*ms),
            Step::Settle { group } => self.settle(GROUPS[*group]),
            Step::Commit { group, topic, offset, .. } | Step::Simple { group, topic, offset } => {
                let token = self.ask(step);
                let Answer::Commit(answer) = self.h.answer(token) else { panic!() };
                if answer.topics[0].partitions[0].error_code == 0 {
                    let key = (GROUPS[*group], TOPICS[*topic]);
                    self.commits.push((key, *offset, self.h.given[&token].position));
                }
            }
            _ => {
                let token = self.ask(step);
                if let Some(Answer::Join(join)) = self.h.given.get(&token).map(|g| &g.answer)
                    && !join.member_id.is_empty()
                {
                    self.ids.push(join.member_id.to_string());
                }
            }
        }
        let parked = self.h.machine.groups.values().flat_map(|g| g.members.keys());
        let new: Vec<_> =
            parked.filter(|id| !self.ids.iter().any(|i| **i == ***id)).cloned().collect();
        self.ids.extend(new.iter().map(ToString::to_string));
    }

    fn settle(&mut self, name: &str) {
        let members = |h: &Harness| -> Vec<Member> {
            h.machine
                .groups
                .get(name)
                .map_or_else(Vec::new, |g| g.members.values().cloned().collect())
        };
        while self.h.machine.groups.get(name).is_some_and(Group::is_initial) {
            self.h.pass(DELAY_MS);
        }
        for member in members(&self.h) {
            let group = &self.h.machine.groups[name];
            if group.state() == GroupState::Preparing && member.join.is_none() {
                let offers = member.protocols.iter().map(|p| protocol(&p.name, p.metadata.clone()));
                let request = joining(&member.id)
                    .with_group_id(super::harness::group(name))
                    .with_group_instance_id(member.instance_id.as_deref().map(text))
                    .with_protocols(offers.collect());
                self.h.join(9, request);
            }
        }
        for member in members(&self.h) {
            let group = &self.h.machine.groups[name];
            let request = syncing(&member.id, group.generation, &[(&member.id, b"a")])
                .with_protocol_name(None)
                .with_group_id(super::harness::group(name))
                .with_group_instance_id(member.instance_id.as_deref().map(text));
            self.h.ask(Request::Sync(request));
        }
    }

    fn ask(&mut self, step: &Step) -> Token {
        let request = self.request(step);
        self.h.ask(request)
    }

    fn request(&mut self, step: &Step) -> Request {
        let instance = |i: &Option<u8>| i.map(|i| text(&format!("i{i}")));
        match step {
            Step::Join { group: g, member, instance: i, version, offers, topic } => {
                self.unique += 1;
                let offered = PROTOCOLS.iter().enumerate().filter(|(at, _)| offers >> at & 1 == 1);
                let offered =
                    offered.map(|(_, name)| protocol(name, subscription(&[TOPICS[*topic]])));
                let request = joining(self.id(*member))
                    .with_group_id(group(GROUPS[*g]))
                    .with_group_instance_id(instance(i))
                    .with_protocols(offered.collect());
                let (client_id, client_host) = ("c".into(), "/h".into());
                let unique = Uuid::from_u128(self.unique);
                let version = *version;
                Request::Join(Box::new(JoinCall {
                    version,
                    client_id,
                    client_host,
                    unique,
                    request,
                }))
            }
            Step::Sync { group: g, member, behind, instance: i } => {
                let id = self.id(*member);
                let request = syncing(id, self.generation(*g, *behind), &[(id, b"a")]);
                let request = request.with_protocol_name(None).with_group_id(group(GROUPS[*g]));
                Request::Sync(request.with_group_instance_id(instance(i)))
            }
            Step::Heartbeat { group: g, member, behind } => Request::Heartbeat(
                HeartbeatRequest::default()
                    .with_group_id(group(GROUPS[*g]))
                    .with_member_id(text(self.id(*member)))
                    .with_generation_id(self.generation(*g, *behind)),
            ),
            Step::Leave { group: g, member, instance: i } => {
                let member = MemberIdentity::default()
                    .with_member_id(text(self.id(*member)))
                    .with_group_instance_id(instance(i));
                Request::Leave(group(GROUPS[*g]), vec![member])
            }
            Step::Commit { group: g, member, behind, topic, offset, keep_ms } => {
                let id = self.id(*member);
                let mut request = committing(id, self.generation(*g, *behind), *offset);
                request.group_id = group(GROUPS[*g]);
                request.topics[0].name = TopicName(text(TOPICS[*topic]));
                commit_call(9, request.with_retention_time_ms(*keep_ms))
            }
            Step::Simple { group: g, topic, offset } => {
                let mut request = committing("", -1, *offset);
                request.group_id = group(GROUPS[*g]);
                request.topics[0].name = TopicName(text(TOPICS[*topic]));
                commit_call(9, request)
            }
            Step::Fetch { group: g } => {
                Request::Fetch(FetchCall { group: group(GROUPS[*g]), topics: None })
            }
            Step::DeleteOffsets { group: g, topic } => {
                let partition = OffsetDeleteRequestPartition::default();
                let topic = OffsetDeleteRequestTopic::default()
                    .with_name(TopicName(text(TOPICS[*topic])))
                    .with_partitions(vec![partition]);
                let request = OffsetDeleteRequest::default().with_group_id(group(GROUPS[*g]));
                Request::DeleteOffsets(request.with_topics(vec![topic]))
            }
            Step::DeleteGroup { group: g } => Request::DeleteGroups(vec![group(GROUPS[*g])]),
            Step::TopicDeleted { topic } => {
                Request::TopicsDeleted(vec![TOPICS[*topic].to_owned()].into(), 0)
            }
            Step::Pass { .. } | Step::Settle { .. } => unreachable!("not one request"),
        }
    }
}

/// The offsets that a log of this length holds, by what was committed and what was removed.
fn offsets_at(h: &Harness, records: usize) -> BTreeMap<(String, String), i64> {
    let mut crashed = h.crash(records);
    let token = crashed.ask(Request::Committed(usize::MAX));
    let Answer::Committed(all) = crashed.answer(token) else { panic!() };
    all.iter().map(|o| ((o.group.to_string(), o.topic.to_string()), o.offset)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// The harness checks after each step that the live state is the replayed state, that every
    /// token is answered once and that nothing waits without a timer. Here: that an answered
    /// commit survives a crash at any later record, and that nothing waits for ever.
    #[test]
    fn any_sequence_keeps_its_promises(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        for records in 0..=world.h.log.len() {
            let found = offsets_at(&world.h, records);
            // What was answered is there, unless a later record of the same key took its place:
            // a newer commit, or a deletion.
            let key = |(g, t): (&str, &str)| (g.to_owned(), t.to_owned());
            for (at, offset, position) in &world.commits {
                let overwritten = world.h.log[*position..records.max(*position)]
                    .iter()
                    .any(|r| r.key == crate::group::records::RecordKey::encode_offset(at.0, at.1, 0).unwrap());
                if *position <= records && !overwritten {
                    prop_assert_eq!(found.get(&key(*at)), Some(offset));
                }
            }
        }
        world.h.pass(1_000_000);
        prop_assert!(world.h.open.is_empty(), "{:?} wait for ever", world.h.open);
        for group in world.h.machine.groups.values() {
            prop_assert_eq!(group.state(), GroupState::Empty);
        }
    }

    /// A coordinator that takes up at any record goes on like any other.
    #[test]
    fn any_prefix_is_a_state_to_go_on_from(
        before in prop::collection::vec(step(), 1..60),
        at in any::<prop::sample::Index>(),
        after in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        before.iter().for_each(|step| world.run(step));
        let records = at.index(world.h.log.len() + 1);
        world.h = world.h.crash(records);
        world.commits.clear();
        after.iter().for_each(|step| world.run(step));
        let machine = &world.h.machine;
        let (rewritten, more) = machine.rewrite(None, usize::MAX);
        prop_assert!(more.is_none());
        let again = Harness::load(world.h.settings.clone(), rewritten, world.h.now);
        prop_assert_eq!(again.machine.store(), machine.store());
    }
}
