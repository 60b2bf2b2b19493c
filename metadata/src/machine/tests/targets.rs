//! Targets of owners.

use super::*;

#[test]
fn a_target_is_set_changed_and_cleared_and_moves_nothing() {
    let (mut world, one, _) = World::busy();
    world.register(3);
    for target in [Some(2), Some(3), None, Some(2)] {
        assert_eq!(world.set_target(0, target), Ok(()));
        assert_eq!(world.partition(0).target, target.map(BrokerId));
    }
    assert_eq!(world.set_target(0, Some(1)), Ok(()), "where it is");
    assert_eq!(world.partition(0).target, None);
    assert_eq!((world.partition(0).owner, world.partition(0).leader_epoch), (one, LeaderEpoch(0)));
}

#[test]
fn a_target_takes_partitions() {
    let (mut world, one, two) = World::busy();
    let no_target = |broker| Err(PartitionRefusal::NoTarget(BrokerId(broker)));
    assert_eq!(world.set_target(0, Some(9)), no_target(9), "not known");
    world.drain(two);
    assert_eq!(world.set_target(0, Some(2)), no_target(2), "draining");
    let again = world.register(2);
    assert_eq!(world.set_target(0, Some(2)), Ok(()), "a new process is not draining");
    assert_eq!(world.set_target(0, None), Ok(()));
    world.ok(Command::FenceBroker(again));
    assert_eq!(world.set_target(0, Some(2)), no_target(2), "fenced");
    world.drain(one);
    assert_eq!(world.set_target(0, Some(1)), Ok(()), "it may stay where it is");
}

#[test]
fn targets_are_judged_one_by_one() {
    let (mut world, ..) = World::busy();
    let item = |number, epoch| (partition(1, number), LeaderEpoch(epoch), Some(BrokerId(2)));
    let items = vec![item(0, 1), item(1, 0), item(2, 0)];
    let current = LeaderEpoch(0);
    let results = vec![
        Err(PartitionRefusal::LeaderEpoch { current }),
        Ok(()),
        Err(PartitionRefusal::Unknown),
    ];
    let outcome = world.ok(Command::SetTargets(SetTargets { items }));
    assert_eq!(outcome, Outcome::TargetsSet(results));
    assert_eq!(world.partition(0).target, None);
    assert_eq!(world.partition(1).target, Some(BrokerId(2)));
    world.ok(Command::DeleteTopic(topic(1)));
    assert_eq!(world.set_target(1, None), Err(PartitionRefusal::BeingDeleted));
    let many = SetTargets { items: vec![item(0, 0); 10_001] };
    assert!(matches!(world.refused(Command::SetTargets(many)), Refusal::TooMuch { .. }));
}

#[test]
fn a_new_leader_epoch_ends_a_target() {
    let (mut world, one, two) = World::busy();
    let three = world.register(3);
    for to in [one, two] {
        world.set_target(0, Some(3)).unwrap();
        let hand = world.next_hand_over(to, 0, 0);
        world.handed_over(hand).unwrap();
        assert_eq!(world.partition(0).target, None);
    }
    world.set_target(0, Some(1)).unwrap();
    world.ok(Command::FenceBroker(two));
    let take = world.next_take_over(three, 0, 0);
    world.taken_over(take).unwrap();
    assert_eq!(world.partition(0).target, None);
}
