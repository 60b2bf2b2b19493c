//! Takeover.

use super::*;

/// Partition 0 has 10 flushed records of broker 1, which is fenced.
fn fenced() -> (World, Incarnation, Incarnation) {
    let (mut world, one, two) = World::busy();
    world.flush("idx/1", 0, 10);
    world.ok(Command::FenceBroker(one));
    (world, one, two)
}

#[test]
fn a_takeover_moves_owner_leader_epoch_and_end() {
    let (mut world, one, two) = fenced();
    let take = world.next_take_over(two, 0, 15);
    assert_eq!(world.taken_over(take), Ok(LeaderEpoch(1)));
    let state = world.partition(0).clone();
    assert_eq!((state.owner, state.leader_epoch, state.flushed_end), (two, LeaderEpoch(1), 15));
    let starts: Vec<_> =
        state.leader_epochs.iter().map(|start| (start.epoch.0, start.start_offset)).collect();
    assert_eq!(starts, [(0, 0), (1, 15)]);
    assert!(world.image.index_object("taken").unwrap().accepted(state.group, partition(1, 0)));
    assert_eq!(world.image.owned_by(one).count(), 1);
    assert_eq!(world.image.owned_by(two).count(), 1);
    world.flush("idx/2", 0, 1);
}

#[test]
fn only_what_is_fenced_is_taken_from() {
    let (mut world, one, two) = World::busy();
    let take = world.next_take_over(two, 0, 0);
    assert_eq!(world.refused(Command::TakeOver(take)), Refusal::NotFenced(one));
    let mut take = world.next_take_over(two, 0, 0);
    let never = Incarnation { epoch: BrokerEpoch(1 << 40), ..one };
    take.from = never;
    assert_eq!(world.refused(Command::TakeOver(take)), Refusal::UnknownIncarnation(never));
}

#[test]
fn nothing_goes_to_a_fenced_broker() {
    let (mut world, one, two) = fenced();
    let take = world.next_take_over(one, 0, 10);
    assert_eq!(world.refused(Command::TakeOver(take)), Refusal::Fenced(one), "nor back to it");
    let take = world.next_take_over(two, 0, 10);
    world.ok(Command::FenceBroker(two));
    assert_eq!(world.refused(Command::TakeOver(take)), Refusal::Fenced(two));
}

#[test]
fn owner_leader_epoch_and_flushed_end_are_conditions() {
    let (mut world, one, two) = fenced();
    let good = world.next_take_over(two, 0, 12);
    let mut old = good.clone();
    old.items[0].flushed_end = 9;
    let moved = Err(PartitionRefusal::FlushedEnd { flushed_end: 10 });
    assert_eq!(world.taken_over(old), moved);
    let mut short = good.clone();
    short.items[0].end = 9;
    assert_eq!(world.taken_over(short), moved);
    let mut epoch = good.clone();
    epoch.items[0].leader_epoch = LeaderEpoch(1);
    let current = LeaderEpoch(0);
    assert_eq!(world.taken_over(epoch), Err(PartitionRefusal::LeaderEpoch { current }));
    assert_eq!(world.taken_over(good.clone()), Ok(LeaderEpoch(1)));
    // Committed a second time, or planned by another survivor.
    assert_eq!(world.taken_over(good), Err(PartitionRefusal::NotOwner { owner: two }));
    let mut unknown = world.next_take_over(two, 1, 12);
    unknown.from = one;
    unknown.index_object = Some("other".to_owned());
    unknown.items[0].partition = partition(9, 0);
    assert_eq!(world.taken_over(unknown), Err(PartitionRefusal::Unknown));
}

#[test]
fn records_past_the_flushed_end_need_an_index_object() {
    let (mut world, _, two) = fenced();
    let mut take = world.next_take_over(two, 0, 12);
    take.index_object = None;
    assert_eq!(world.taken_over(take), Err(PartitionRefusal::NoIndexObject));
    let mut take = world.next_take_over(two, 0, 10);
    take.index_object = None;
    assert_eq!(world.taken_over(take), Ok(LeaderEpoch(1)));
}

#[test]
fn a_takeover_with_nothing_new_makes_no_index_object_live() {
    let (mut world, _, two) = fenced();
    let take = world.next_take_over(two, 0, 10);
    assert_eq!(world.taken_over(take), Ok(LeaderEpoch(1)));
    assert!(world.image.index_object("taken").is_none());
}

#[test]
fn marks_and_names_are_checked() {
    let (mut world, _, two) = fenced();
    let take = world.next_take_over(two, 0, 12);
    let mark = take.mark;
    world.pass();
    world.ok(Command::SetHorizon(mark + 1));
    let refusal = world.refused(Command::TakeOver(take.clone()));
    assert_eq!(refusal, Refusal::BelowHorizon { mark, horizon: mark + 1 });
    let mut used = TakeOver { mark: world.index, ..take.clone() };
    used.index_object = Some("idx/1".to_owned());
    let refusal = world.refused(Command::TakeOver(used));
    assert_eq!(refusal, Refusal::IndexObjectTaken("idx/1".to_owned()));
    let ahead = TakeOver { mark: world.index + 1, ..take };
    assert!(matches!(world.refused(Command::TakeOver(ahead)), Refusal::AheadOfLog { .. }));
}

#[test]
fn a_log_does_not_end_before_it_starts() {
    let (mut world, one, two) = World::busy();
    let item = LogStart { partition: partition(1, 0), leader_epoch: LeaderEpoch(0), log_start: 20 };
    world.ok(Command::SetLogStart(SetLogStart { by: one, items: vec![item] }));
    world.ok(Command::FenceBroker(one));
    let take = world.next_take_over(two, 0, 19);
    let refusal = Err(PartitionRefusal::EndBelowLogStart { log_start: 20 });
    assert_eq!(world.taken_over(take), refusal);
    let take = world.next_take_over(two, 0, 20);
    assert_eq!(world.taken_over(take), Ok(LeaderEpoch(1)));
}

/// Its new owner has to consent to the deletion; of its records nothing is wanted any more, not even
/// that they end where the log starts.
#[test]
fn of_a_topic_that_is_being_deleted_only_the_owner_changes() {
    let (mut world, one, two) = World::busy();
    let item = LogStart { partition: partition(1, 0), leader_epoch: LeaderEpoch(0), log_start: 20 };
    world.ok(Command::SetLogStart(SetLogStart { by: one, items: vec![item] }));
    world.ok(Command::FenceBroker(one));
    world.ok(Command::DeleteTopic(topic(1)));
    let flushed_end = world.partition(0).flushed_end;
    let take = world.next_take_over(two, 0, 12);
    assert_eq!(world.taken_over(take.clone()), Ok(LeaderEpoch(1)));
    let partition = world.partition(0);
    assert_eq!((partition.owner, partition.flushed_end), (two, flushed_end));
    assert!(world.image.index_object("taken").is_none());
    let again = world.taken_over(take);
    assert_eq!(again, Err(PartitionRefusal::NotOwner { owner: two }));
}

#[test]
fn leader_epochs_do_not_wrap() {
    let (mut world, _, two) = fenced();
    let mut state = world.partition(0).clone();
    state.begin_leader_epoch(LeaderEpoch(i32::MAX), 10);
    world.image.put_partition(partition(1, 0), state);
    let take = world.next_take_over(two, 0, 12);
    assert_eq!(world.taken_over(take), Err(PartitionRefusal::LeaderEpochsExhausted));
    assert!(world.image.index_object("taken").is_none());
}

#[test]
fn epochs_without_records_and_below_the_log_start_are_dropped() {
    let (mut world, ..) = World::busy();
    let starts = |world: &World| {
        let state = world.partition(0);
        state.leader_epochs.iter().map(|s| (s.epoch.0, s.start_offset)).collect::<Vec<_>>()
    };
    let mut brokers = [1, 2].into_iter().cycle();
    for end in [0, 10, 10, 20] {
        let owner = world.partition(0).owner;
        world.ok(Command::FenceBroker(owner));
        let next = world.register(brokers.next().unwrap());
        let mut take = world.next_take_over(next, 0, end);
        take.index_object = Some(format!("taken/{}", take.mark));
        world.taken_over(take).unwrap();
    }
    assert_eq!(starts(&world), [(1, 0), (3, 10), (4, 20)]);
    for (log_start, left) in [(9, 3), (10, 2), (25, 1)] {
        let state = world.partition(0);
        let (by, leader_epoch) = (state.owner, state.leader_epoch);
        let item = LogStart { partition: partition(1, 0), leader_epoch, log_start };
        world.ok(Command::SetLogStart(SetLogStart { by, items: vec![item] }));
        assert_eq!(starts(&world).len(), left, "{log_start}");
    }
    assert_eq!(starts(&world), [(4, 20)]);
}

#[test]
fn the_history_of_leader_epochs_is_bounded() {
    let (mut world, ..) = World::busy();
    let mut state = world.partition(0).clone();
    for epoch in 1..1500 {
        state.begin_leader_epoch(LeaderEpoch(epoch), i64::from(epoch));
    }
    assert_eq!(state.leader_epochs.len(), 1000);
    assert_eq!(state.leader_epochs.last().unwrap().epoch, LeaderEpoch(1499));
    world.image.put_partition(partition(1, 0), state);
}
