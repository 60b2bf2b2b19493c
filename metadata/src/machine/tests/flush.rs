//! Flushes and log starts.

use super::*;

fn judged(world: &mut World, flush: CommitFlush) -> Result<(), PartitionRefusal> {
    match world.ok(Command::CommitFlush(flush)) {
        Outcome::Flushed(results) => results[0],
        other => panic!("{other:?}"),
    }
}

fn set_log_start(world: &mut World, to: i64) -> Result<(), PartitionRefusal> {
    let state = world.partition(0);
    let (by, leader_epoch) = (state.owner, state.leader_epoch);
    let items = vec![LogStart { partition: partition(1, 0), leader_epoch, log_start: to }];
    match world.ok(Command::SetLogStart(SetLogStart { by, items })) {
        Outcome::LogStartSet(results) => results[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flush_extends_the_log_and_makes_its_index_object_live() {
    let (mut world, ..) = World::busy();
    let mark = world.index;
    world.flush("idx/1", 0, 10);
    assert_eq!(world.partition(0).flushed_end, 10);
    let object = world.image.index_object("idx/1").unwrap();
    assert_eq!(object.mark, mark);
    let group = world.partition(0).group;
    assert!(object.accepted(group, partition(1, 0)) && !object.accepted(group, partition(1, 1)));
    let of_group: Vec<_> = world.image.index_objects_of(group).map(|(name, _)| &**name).collect();
    assert_eq!(of_group, ["idx/1"]);
    assert_eq!(world.image.index_objects_with(partition(1, 0)).count(), 1);
    assert_eq!(world.image.index_objects_with(partition(1, 1)).count(), 0);
}

#[test]
fn a_gap_and_an_overlap_are_refused() {
    let (mut world, ..) = World::busy();
    world.flush("idx/1", 0, 10);
    for base in [0, 9, 11, -1] {
        let mut flush = world.next_flush("idx/2", 0, 5);
        flush.ranges[0].base_offset = base;
        assert_eq!(
            judged(&mut world, flush),
            Err(PartitionRefusal::FlushedEnd { flushed_end: 10 })
        );
    }
    assert!(world.image.index_object("idx/2").is_none(), "nothing of it was accepted");
}

#[test]
fn a_range_has_records() {
    let (mut world, ..) = World::busy();
    for count in [0, -1] {
        let flush = world.next_flush("idx/1", 0, count);
        assert_eq!(judged(&mut world, flush), Err(PartitionRefusal::EmptyRange));
    }
}

#[test]
fn only_the_owner_in_its_leader_epoch_may_flush() {
    let (mut world, one, two) = World::busy();
    let mut flush = world.next_flush("idx/1", 0, 5);
    flush.by = two;
    assert_eq!(judged(&mut world, flush), Err(PartitionRefusal::NotOwner { owner: one }));
    for epoch in [-1, 1] {
        let mut flush = world.next_flush("idx/1", 0, 5);
        flush.ranges[0].leader_epoch = LeaderEpoch(epoch);
        let current = LeaderEpoch(0);
        assert_eq!(judged(&mut world, flush), Err(PartitionRefusal::LeaderEpoch { current }));
    }
    let mut flush = world.next_flush("idx/1", 0, 5);
    flush.ranges[0].partition = partition(1, 2);
    assert_eq!(judged(&mut world, flush), Err(PartitionRefusal::Unknown));
    let mut flush = world.next_flush("idx/1", 0, 5);
    let never = Incarnation { epoch: BrokerEpoch(1 << 40), ..one };
    flush.by = never;
    let refusal = world.refused(Command::CommitFlush(flush));
    assert_eq!(refusal, Refusal::UnknownIncarnation(never));
}

#[test]
fn a_fenced_owner_flushes_nothing() {
    let (mut world, one, _) = World::busy();
    let flush = world.next_flush("idx/1", 0, 5);
    world.ok(Command::FenceBroker(one));
    assert_eq!(world.refused(Command::CommitFlush(flush)), Refusal::Fenced(one));
}

#[test]
fn partitions_are_judged_one_by_one() {
    let (mut world, ..) = World::busy();
    let mut flush = world.next_flush("idx/1", 0, 5);
    let mut wrong = flush.ranges[0];
    wrong.partition = partition(1, 1);
    wrong.base_offset = 3;
    flush.ranges.insert(0, wrong);
    let outcome = world.ok(Command::CommitFlush(flush));
    let gap = Err(PartitionRefusal::FlushedEnd { flushed_end: 0 });
    assert_eq!(outcome, Outcome::Flushed(vec![gap, Ok(())]));
    assert_eq!(world.image.index_objects_with(partition(1, 0)).count(), 1);
    assert_eq!(
        world.image.index_objects_with(partition(1, 1)).count(),
        0,
        "refused: does not count"
    );
}

#[test]
fn a_late_flush_that_was_committed_before_is_refused() {
    let (mut world, ..) = World::busy();
    let flush = world.next_flush("idx/1", 0, 5);
    assert_eq!(judged(&mut world, flush.clone()), Ok(()));
    assert_eq!(judged(&mut world, flush), Err(PartitionRefusal::FlushedEnd { flushed_end: 5 }));
}

#[test]
fn nothing_born_below_the_horizon_is_committed() {
    let (mut world, ..) = World::busy();
    world.flush("idx/1", 0, 5);
    let second_of_the_round = world.next_flush("idx/1", 1, 5);
    let mark = second_of_the_round.mark;
    world.ok(Command::SetHorizon(mark));
    world.ok(Command::CommitFlush(second_of_the_round));
    let third = world.next_flush("idx/1", 0, 5);
    world.ok(Command::SetHorizon(mark + 1));
    let refusal = Refusal::BelowHorizon { mark, horizon: mark + 1 };
    assert_eq!(world.refused(Command::CommitFlush(third)), refusal, "live index object or not");
}

#[test]
fn a_mark_is_an_index_that_was_applied() {
    let (mut world, ..) = World::busy();
    let mut flush = world.next_flush("idx/1", 0, 5);
    flush.mark = world.index + 1;
    let refusal = world.refused(Command::CommitFlush(flush));
    assert!(matches!(refusal, Refusal::AheadOfLog { .. }), "{refusal}");
}

#[test]
fn a_name_is_of_one_attempt() {
    let (mut world, ..) = World::busy();
    world.flush("idx/1", 0, 5);
    let mut flush = world.next_flush("idx/1", 1, 5);
    flush.mark += 1;
    let refusal = world.refused(Command::CommitFlush(flush));
    assert_eq!(refusal, Refusal::IndexObjectTaken("idx/1".to_owned()));
    let unnamed = world.next_flush("", 0, 5);
    assert!(matches!(world.refused(Command::CommitFlush(unnamed)), Refusal::Empty(_)));
    let long = world.next_flush(&"x".repeat(257), 0, 5);
    assert!(matches!(world.refused(Command::CommitFlush(long)), Refusal::TooMuch { .. }));
}

#[test]
fn flushes_wait_when_too_much_waits_to_be_merged() {
    let (mut world, ..) = World::busy();
    let (group, at) = (world.partition(0).group, partition(1, 0));
    for number in 0..10_000 {
        world.image.accept(&format!("idx/{number}").into(), 0, group, at);
    }
    let flush = world.next_flush("idx/new", 0, 5);
    assert!(matches!(world.refused(Command::CommitFlush(flush)), Refusal::TooMuch { .. }));
    let mut flush = world.next_flush("idx/7", 0, 5);
    flush.mark = 0;
    assert_eq!(judged(&mut world, flush), Ok(()), "no new one");
}

#[test]
fn a_command_is_bounded() {
    let (mut world, ..) = World::busy();
    let mut flush = world.next_flush("idx/1", 0, 5);
    flush.ranges = vec![flush.ranges[0]; 10_001];
    assert!(matches!(world.refused(Command::CommitFlush(flush)), Refusal::TooMuch { .. }));
}

#[test]
fn a_log_start_only_rises() {
    let (mut world, ..) = World::busy();
    world.flush("idx/1", 0, 10);
    assert_eq!(set_log_start(&mut world, 4), Ok(()));
    for to in [4, 3, 0, -1] {
        let refusal = Err(PartitionRefusal::LogStartNotRaised { log_start: 4 });
        assert_eq!(set_log_start(&mut world, to), refusal);
    }
    assert_eq!(world.partition(0).log_start, 4);
}

#[test]
fn a_log_start_past_the_flushed_end_leaves_no_gap() {
    let (mut world, ..) = World::busy();
    world.flush("idx/1", 0, 10);
    assert_eq!(set_log_start(&mut world, 25), Ok(()));
    let state = world.partition(0);
    assert_eq!((state.log_start, state.flushed_end), (25, 10));
    let mut flush = world.next_flush("idx/2", 0, 20);
    flush.ranges[0].base_offset = 25;
    assert_eq!(judged(&mut world, flush), Err(PartitionRefusal::FlushedEnd { flushed_end: 10 }));
    world.flush("idx/2", 0, 20);
}

#[test]
fn only_the_owner_raises_the_log_start() {
    let (mut world, one, two) = World::busy();
    let item = LogStart { partition: partition(1, 0), leader_epoch: LeaderEpoch(0), log_start: 1 };
    let ask = |by, item| Command::SetLogStart(SetLogStart { by, items: vec![item] });
    let refused = |refusal| Outcome::LogStartSet(vec![Err(refusal)]);
    let not_owner = refused(PartitionRefusal::NotOwner { owner: one });
    assert_eq!(world.ok(ask(two, item)), not_owner);
    let later = LogStart { leader_epoch: LeaderEpoch(1), ..item };
    let old = refused(PartitionRefusal::LeaderEpoch { current: LeaderEpoch(0) });
    assert_eq!(world.ok(ask(one, later)), old);
    world.ok(Command::FenceBroker(one));
    assert_eq!(world.refused(ask(one, item)), Refusal::Fenced(one));
}
