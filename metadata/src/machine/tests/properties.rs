//! Random commands, most of them nearly right: what must hold after each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use odradek_common::ids::{ChainId, SlotNumber};
use proptest::prelude::*;

use super::*;
use crate::image::{Group, IndexObject, Registration, Set, TopicState};
use crate::wire::{decode_entry, decode_snapshot, encode_command, encode_entry, encode_snapshot};

/// Numbers from which a command is made that fits the present image, or nearly.
type Dice = (u8, u8, u8, u8, u8);

/// What was accepted of each partition: ranges in order, with the index object, until merged; and
/// the leader epochs that are over.
#[derive(Default)]
struct Ledger {
    ranges: BTreeMap<TopicPartition, Vec<(i64, i64, Option<String>)>>,
    over: BTreeSet<(TopicPartition, LeaderEpoch)>,
}

fn pick<T: Copy>(all: &[T], dice: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(dice) % all.len()])
}

fn nudge(dice: u8) -> i64 {
    match dice % 16 {
        0 => 1,
        1 => -1,
        _ => 0,
    }
}

fn command(world: &World, (kind, a, b, c, d): Dice) -> Option<Command> {
    let image = &world.image;
    let incarnations: Vec<_> = image.registrations().map(|one| one.incarnation).collect();
    let partitions: Vec<_> = image.partitions().map(|(at, _)| at).collect();
    let incarnation = pick(&incarnations, b);
    let mark = world.index.saturating_sub(u64::from(d % 8));
    Some(match kind % 27 {
        0 if c < 96 => {
            let broker = broker_of(i32::from(a % 3));
            let replacing = if d % 8 == 0 { broker } else { world.replacing(broker) };
            Command::RegisterBroker(replacing)
        }
        1 if c < 96 => Command::FenceBroker(incarnation?),
        2 => Command::Trim(Trim {
            by: incarnation?,
            chain: ChainId(u32::from(a % 3)),
            slot: SlotNumber(u64::from(c)),
        }),
        0 | 3 => Command::MarkRecovered(incarnation?),
        4 | 5 => {
            let name = ["a.b", "a_b", "c", "d", "e"][usize::from(a % 5)];
            let brokers = [i32::from(b % 3), i32::from(c % 3)];
            // Ids are random: one of a topic that is gone does not come again.
            let there = partitions.first().map_or(0, |at| at.topic.0.as_u128());
            let id = if d % 6 == 0 { there } else { u128::from(world.index) };
            create_topic(name, id, &vec![&brokers[..]; usize::from(a % 4)])
        }
        6 => {
            let topic = pick(&partitions, a)?.topic;
            let from_count = image.topic(topic).map_or(0, |topic| topic.partition_count);
            let partitions = replicas(&[&[i32::from(b % 3)]]);
            Command::CreatePartitions(CreatePartitions { topic, from_count, partitions })
        }
        7 if c < 96 => Command::DeleteTopic(pick(&partitions, a)?.topic),
        7 | 8 => {
            let by = incarnation?;
            let owned = image.owned_by(by).map(|(at, state)| (at, state.leader_epoch));
            Command::ReleasePartitions(ReleasePartitions { by, partitions: owned.collect() })
        }
        9 => {
            Command::AllocateProducerIds(AllocateProducerIds { by: incarnation?, count: c.into() })
        }
        10..=13 => Command::CommitFlush(flush(image, &partitions, mark, (a, b, c, d))?),
        14 | 15 => Command::TakeOver(take_over(image, incarnation?, mark, (a, b, c, d))?),
        16 | 17 => Command::Merge(merge(image, mark, (a, b, c, d))?),
        18 => {
            let at = pick(&partitions, a)?;
            let state = image.partition(at)?;
            let log_start = state.log_start + i64::from(c % 8);
            let item = LogStart { partition: at, leader_epoch: state.leader_epoch, log_start };
            Command::SetLogStart(SetLogStart { by: state.owner, items: vec![item] })
        }
        19 => Command::SetHorizon(mark.saturating_sub(u64::from(a % 32))),
        20..=22 => Command::HandOver(hand_over(image, &partitions, mark, (a, b, c, d))?),
        23 => {
            let target = (a % 4 != 0).then(|| BrokerId(i32::from(b % 4)));
            let item = |at| Some((at, image.partition(at)?.leader_epoch, target));
            let items = [c, d].into_iter().filter_map(|dice| item(pick(&partitions, dice)?));
            Command::SetTargets(SetTargets { items: items.collect() })
        }
        24 => {
            let brokers = [BrokerId(i32::from(b % 3)), BrokerId(i32::from(c % 4))];
            let replicas = (a % 4 != 0).then(|| brokers[..1 + usize::from(a % 2)].to_vec());
            let item = (pick(&partitions, d)?, replicas);
            Command::AlterReplicas(AlterReplicas { items: vec![item] })
        }
        25 => {
            let draining = SetDraining { broker: incarnation?, draining: a % 2 == 0 };
            Command::SetDraining(draining)
        }
        _ => {
            let gone = image.registrations().filter(|one| one.recovered || c % 8 == 0);
            let gone: Vec<_> = gone.map(|one| one.incarnation.broker).collect();
            Command::UnregisterBroker(pick(&gone, a)?)
        }
    })
}

/// One of the commands so far that could be committed late, or twice.
fn late(entries: &[(u64, Vec<Command>)], dice: u16) -> Option<Command> {
    let (_, commands) = entries.get(usize::from(dice) % entries.len())?;
    commands.first().cloned().filter(|command| {
        matches!(
            command,
            Command::CommitFlush(_)
                | Command::TakeOver(_)
                | Command::HandOver(_)
                | Command::Merge(_)
                | Command::SetTargets(_)
                | Command::AlterReplicas(_)
                | Command::FenceBroker(_)
                | Command::RegisterBroker(_)
        )
    })
}

fn flush(
    image: &Image,
    partitions: &[TopicPartition],
    mark: u64,
    (a, b, c, d): (u8, u8, u8, u8),
) -> Option<CommitFlush> {
    let by = image.partition(pick(partitions, a)?)?.owner;
    let range = |dice: u8| {
        let at = pick(partitions, dice)?;
        let state = image.partition(at)?;
        let base_offset = state.flushed_end + nudge(dice.wrapping_add(d));
        let leader_epoch = LeaderEpoch(state.leader_epoch.0 + i32::from(dice % 32 == 31));
        let next_offset = base_offset + i64::from(dice % 5);
        Some(FlushedRange { partition: at, leader_epoch, base_offset, next_offset })
    };
    let ranges = [a, b, c].into_iter().filter_map(range).collect();
    Some(CommitFlush { mark, by, index_object: format!("idx/{mark}/{}", b % 2), ranges })
}

fn take_over(
    image: &Image,
    to: Incarnation,
    mark: u64,
    (a, b, c, d): (u8, u8, u8, u8),
) -> Option<TakeOver> {
    let incarnations = |wanted: &dyn Fn(&Registration) -> bool| {
        let these = image.registrations().filter(|one| wanted(one));
        these.map(|one| one.incarnation).collect::<Vec<_>>()
    };
    let from = pick(&incarnations(&|one| !one.is_live() && owns(image, one)), a)?;
    let to = if a < 32 { to } else { pick(&incarnations(&Registration::is_live), b)? };
    let items = image.owned_by(from).map(|owned| handed(owned, c, d)).collect();
    let index_object = (b % 8 != 0).then(|| format!("idx/{mark}/{}", b % 2));
    Some(TakeOver { mark, from, to, index_object, items })
}

/// A handover of what an owner has, one in three a cancel.
fn hand_over(
    image: &Image,
    partitions: &[TopicPartition],
    mark: u64,
    (a, b, c, d): (u8, u8, u8, u8),
) -> Option<HandOver> {
    let by = image.partition(pick(partitions, a)?)?.owner;
    let others = image.registrations().filter(|one| one.is_live() || c % 8 == 0);
    let others: Vec<_> = others.map(|one| one.incarnation).collect();
    let to = if b % 3 == 0 { by } else { pick(&others, b)? };
    let items = image.owned_by(by).skip(usize::from(a % 2)).map(|owned| handed(owned, c, d));
    let index_object = (b % 8 != 0).then(|| format!("idx/{mark}/{}", b % 2));
    Some(HandOver { mark, by, to, index_object, items: items.collect() })
}

fn handed((at, state): (TopicPartition, &Partition), c: u8, d: u8) -> HandedPartition {
    HandedPartition {
        partition: at,
        leader_epoch: state.leader_epoch,
        flushed_end: state.flushed_end + nudge(c),
        end: state.flushed_end.max(state.log_start) + i64::from(d % 3),
    }
}

fn owns(image: &Image, of: &Registration) -> bool {
    image.owned_by(of.incarnation).next().is_some()
}

fn merge(image: &Image, mark: u64, (a, b, c, d): (u8, u8, u8, u8)) -> Option<Merge> {
    let groups: Vec<_> = image.groups().map(|(id, _)| id).collect();
    let group = pick(&groups, a)?;
    let objects = image.index_objects_of(group).filter(|_| b % 4 != 0);
    let accepted = |(name, set): (&Arc<str>, &Set<TopicPartition>)| {
        (name.to_string(), set.iter().copied().skip(usize::from(c % 2)).collect())
    };
    let expected_version = image.group(group)?.version + u64::from(d % 16 == 0);
    let manifest = (b % 16 != 1).then(|| format!("man/{mark}/{c}"));
    Some(Merge { mark, group, expected_version, manifest, taken: objects.map(accepted).collect() })
}

impl Ledger {
    /// Takes down what was accepted. `before` is the image that the command met.
    fn note(&mut self, before: &Image, command: &Command, outcome: &Outcome) {
        match (command, outcome) {
            (Command::CommitFlush(flush), Outcome::Flushed(results)) => {
                for (range, _) in accepted(&flush.ranges, results) {
                    let name = Some(flush.index_object.clone());
                    self.add(range.partition, range.base_offset, range.next_offset, name);
                }
            }
            (Command::TakeOver(take), Outcome::TakenOver(results)) => {
                self.pass(before, &take.items, results, take.index_object.as_ref());
            }
            (Command::HandOver(hand), Outcome::HandedOver(results)) => {
                self.pass(before, &hand.items, results, hand.index_object.as_ref());
            }
            (Command::Merge(merge), Outcome::Merged { .. }) => {
                for (name, partitions) in &merge.taken {
                    for at in partitions {
                        for range in self.ranges.entry(*at).or_default() {
                            range.2.take_if(|object| object == name);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Each leader epoch ends once, however late a command comes.
    fn pass(
        &mut self,
        before: &Image,
        items: &[HandedPartition],
        results: &[Result<LeaderEpoch, PartitionRefusal>],
        name: Option<&String>,
    ) {
        for (item, next) in accepted(items, results) {
            let at = item.partition;
            assert_eq!(*next, item.leader_epoch.next());
            assert!(self.over.insert((at, item.leader_epoch)), "{at} was passed on twice");
            if item.end > item.flushed_end && !before.is_being_deleted(at.topic) {
                self.add(at, item.flushed_end, item.end, name.cloned());
            }
        }
    }

    fn add(&mut self, at: TopicPartition, base: i64, next: i64, name: Option<String>) {
        assert!(name.is_some(), "a range that nothing names was accepted");
        self.ranges.entry(at).or_default().push((base, next, name));
    }

    /// Law 3.1 and 4.6: the accepted ranges cover the log without gap or overlap, and what was
    /// not merged is in the accepted sets.
    fn check(&self, image: &Image) {
        for (at, state) in image.partitions() {
            let ranges = self.ranges.get(&at).map_or(&[][..], Vec::as_slice);
            let mut end = 0;
            for (base, next, _) in ranges {
                assert_eq!(*base, end, "gap or overlap in {at}");
                end = *next;
            }
            assert_eq!(state.flushed_end, end, "{at}");
            let unmerged: BTreeSet<_> = ranges.iter().filter_map(|range| range.2.clone()).collect();
            let live: BTreeSet<_> =
                image.index_objects_with(at).map(|(name, _)| name.to_string()).collect();
            assert_eq!(live, unmerged, "{at}");
        }
    }
}

fn accepted<'a, T, R, E>(
    items: &'a [T],
    results: &'a [Result<R, E>],
) -> impl Iterator<Item = (&'a T, &'a R)> {
    assert_eq!(items.len(), results.len());
    items.iter().zip(results).filter_map(|(item, result)| Some((item, result.as_ref().ok()?)))
}

/// What holds of any image.
fn check_image(image: &Image) {
    let mut owned: BTreeMap<Incarnation, BTreeSet<TopicPartition>> = BTreeMap::new();
    let mut groups: BTreeMap<GroupId, u32> = BTreeMap::new();
    for (at, state) in image.partitions() {
        owned.entry(state.owner).or_default().insert(at);
        *groups.entry(state.group).or_default() += 1;
        assert!(!image.is_recovered(state.owner), "{at} is on a recovered incarnation");
        let owner = image.registration(state.owner).expect("owners are registered");
        assert!(owner.trim_point(state.chain).is_some(), "{at} is on a chain that is not there");
        let starts = &state.leader_epochs;
        assert_eq!(starts.last().unwrap().epoch, state.leader_epoch);
        let rises = |two: &[crate::image::EpochStart]| {
            two[0].epoch < two[1].epoch && two[0].start_offset < two[1].start_offset
        };
        assert!(starts.windows(2).all(rises), "{starts:?}");
        assert!(starts[0].start_offset <= state.log_start, "the log start's epoch is known");
        assert!(state.target != Some(state.owner.broker), "{at} is where it should go");
        let is_complete = state.replicas.contains(&state.owner.broker);
        assert!(state.former_replicas.is_none() || !is_complete, "{at} is reassigned already");
    }
    let listed: BTreeMap<_, BTreeSet<_>> =
        image.owned.iter().map(|(of, set)| (*of, set.iter().copied().collect())).collect();
    assert_eq!(listed, owned);
    for (id, group) in image.groups() {
        assert_eq!(group.partition_count, groups.remove(&id).unwrap_or(0));
        let is_needed = *group != Group { version: group.version, ..Group::default() };
        assert!(is_needed || image.index_objects_of(id).next().is_some(), "{id:?} is of no use");
    }
    assert!(groups.is_empty(), "groups that are not there: {groups:?}");
    for (name, object) in image.index_objects() {
        let IndexObject { accepted, .. } = object;
        assert!(!accepted.is_empty() && accepted.values().all(|set| !set.is_empty()), "{name}");
        assert!(accepted.keys().all(|group| image.group(*group).is_some()), "{name}");
    }
    check_topics(image);
}

fn check_topics(image: &Image) {
    assert_eq!(image.names.size(), image.topics().count());
    for topic in image.topics() {
        assert_eq!(image.topic_by_name(&topic.name).unwrap().id, topic.id);
        let there = image.partitions_of(topic.id).count();
        let given = usize::try_from(topic.partition_count).unwrap();
        assert!(there == given || (topic.state == TopicState::Deleting && 0 < there), "{topic:?}");
    }
}

/// What must not go back from one image to the next.
fn check_step(before: &Image, after: &Image, outcome: &Outcome) {
    assert!(after.horizon() >= before.horizon());
    assert!(after.next_producer_id >= before.next_producer_id);
    for (at, new) in after.partitions() {
        let Some(old) = before.partition(at) else {
            assert!(after.is_live(new.owner), "{at} was given to a fenced broker");
            continue;
        };
        assert!(new.log_start >= old.log_start && new.flushed_end >= old.flushed_end, "{at}");
        assert!(new.leader_epoch >= old.leader_epoch, "{at}");
        if new.leader_epoch == old.leader_epoch {
            assert_eq!(new.owner, old.owner, "{at}");
            continue;
        }
        match outcome {
            Outcome::TakenOver(_) => assert!(!before.is_live(old.owner), "{at} was stolen"),
            Outcome::HandedOver(_) => assert!(before.is_live(old.owner), "{at} is a sealer's"),
            _ => panic!("{at} got a leader epoch by {outcome:?}"),
        }
        assert!(after.is_live(new.owner), "{at} was given to a fenced broker");
        assert_eq!(new.leader_epoch, old.leader_epoch.next(), "{at}");
        assert_eq!(new.leader_epochs.last().unwrap().start_offset, new.flushed_end, "{at}");
    }
    for old in before.registrations() {
        let Some(new) = after.registration(old.incarnation) else {
            assert!(old.recovered || *outcome == Outcome::Recovered, "{}", old.incarnation);
            assert!(after.is_recovered(old.incarnation));
            continue;
        };
        assert!(old.fenced_at.is_none() || old.fenced_at == new.fenced_at);
        assert!(old.is_live() || old.trim_points == new.trim_points, "the fence freezes them");
        assert!(old.trim_points.iter().zip(&new.trim_points).all(|(old, new)| old <= new));
    }
    let live: Vec<_> = after.live_brokers().map(|one| one.incarnation.broker).collect();
    assert!(live.windows(2).all(|two| two[0] < two[1]), "two live incarnations of one broker");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn invariants_hold_after_every_command(dice in prop::collection::vec(any::<Dice>(), 1..250)) {
        let mut world = World::formed();
        let mut ledger = Ledger::default();
        let mut entries = vec![(1, vec![Command::Form(form("cluster", 1))])];
        for broker in 0..3 {
            world.register(broker);
            entries.push((world.index, vec![Command::RegisterBroker(broker_of(broker))]));
        }
        for dice in dice {
            let again = if dice.0 >= 232 { late(&entries, u16::from_be_bytes([dice.1, dice.2])) } else { None };
            let Some(command) = again.or_else(|| command(&world, dice)) else { continue };
            let before = world.image.clone();
            // `apply` checks that a refused command leaves no trace.
            if let Ok(outcome) = world.apply(command.clone()) {
                ledger.note(&before, &command, &outcome);
                check_step(&before, &world.image, &outcome);
            }
            entries.push((world.index, vec![command]));
            check_image(&world.image);
            ledger.check(&world.image);
        }
        let snapshot = encode_snapshot(&world.image);
        prop_assert_eq!(&decode_snapshot(&snapshot).unwrap(), &world.image);
        // Another node reads the commands from its log and begins at a snapshot on the way.
        let mut other = Image::default();
        let half = entries.len() / 2;
        for (i, (index, commands)) in entries.iter().enumerate() {
            let encoded: Vec<_> = commands.iter().map(encode_command).collect();
            let decoded = decode_entry(&encode_entry(&encoded)).unwrap().commands;
            prop_assert_eq!(&decoded, commands);
            other.apply_entry(*index, &decoded);
            if i == half {
                other = decode_snapshot(&encode_snapshot(&other)).unwrap();
            }
        }
        prop_assert_eq!(encode_snapshot(&other), snapshot);
    }

    #[test]
    fn bytes_from_anywhere_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_entry(&bytes);
        let _ = decode_snapshot(&bytes);
    }

    #[test]
    fn a_damaged_snapshot_is_not_read_past_its_end(cut in 0usize..400) {
        let (mut world, ..) = World::busy();
        world.flush("idx/1", 0, 5);
        let snapshot = encode_snapshot(&world.image);
        if cut < snapshot.len() {
            prop_assert!(decode_snapshot(&snapshot[..cut]).is_err());
        }
    }
}

fn kind_of(outcome: &Outcome) -> String {
    let shown = format!("{outcome:?}");
    shown.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
}

/// The random commands must reach what they are to test.
#[test]
fn random_commands_are_often_accepted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut accepted: BTreeMap<String, u32> = BTreeMap::new();
    let (mut taken, mut handed, mut cancelled) = (0, 0, 0);
    for _ in 0..100 {
        let dice = prop::collection::vec(any::<Dice>(), 250);
        let dice = dice.new_tree(&mut runner).unwrap().current();
        let mut world = World::formed();
        for broker in 0..3 {
            world.register(broker);
        }
        for dice in dice {
            let Some(command) = command(&world, dice) else { continue };
            let Ok(outcome) = world.apply(command.clone()) else { continue };
            let counts = match &outcome {
                Outcome::Flushed(results)
                | Outcome::Released(results)
                | Outcome::TargetsSet(results)
                | Outcome::ReplicasAltered(results) => results.iter().any(Result::is_ok),
                Outcome::TakenOver(results) | Outcome::HandedOver(results) => {
                    let count = results.iter().filter(|result| result.is_ok()).count();
                    match &command {
                        Command::HandOver(hand) if hand.by == hand.to => cancelled += count,
                        Command::HandOver(_) => handed += count,
                        _ => taken += count,
                    }
                    count > 0
                }
                _ => true,
            };
            if counts {
                *accepted.entry(kind_of(&outcome)).or_default() += 1;
            }
        }
    }
    assert!(accepted.len() >= 19, "{accepted:?}");
    assert!(accepted.values().all(|count| *count >= 20), "{accepted:?}");
    let moved = [taken, handed, cancelled];
    assert!(moved.iter().all(|count| *count > 100), "taken, handed over, cancelled: {moved:?}");
}
