//! Reassignment of replicas (KIP-455).

use super::*;
use crate::outcome::AssignmentFault;

fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().map(|broker| BrokerId(*broker)).collect()
}

/// Replicas, former replicas and target of partition 0, which broker 1 owned with replicas 1 and 2.
#[track_caller]
fn assert_is(world: &World, replicas: &[i32], former: Option<&[i32]>, target: Option<i32>) {
    let state = world.partition(0);
    assert_eq!(state.replicas.to_vec(), ids(replicas));
    assert_eq!(state.former_replicas.as_deref().map(<[_]>::to_vec), former.map(ids));
    assert_eq!(state.target, target.map(BrokerId));
}

fn four_brokers() -> (World, Incarnation, Incarnation) {
    let (mut world, one, two) = World::busy();
    world.register(3);
    world.register(4);
    (world, one, two)
}

#[test]
fn replicas_with_the_owner_in_them_are_complete_at_once() {
    let (mut world, ..) = four_brokers();
    world.set_target(0, Some(4)).unwrap();
    assert_eq!(world.reassign(0, Some(&[3, 1])), Ok(()));
    assert_is(&world, &[3, 1], None, None);
    assert_eq!(world.reassign(0, None), Err(PartitionRefusal::NoReassignment));
}

#[test]
fn a_reassignment_is_under_way_until_a_new_replica_owns() {
    let (mut world, one, _) = four_brokers();
    let three = world.image.broker(BrokerId(3)).unwrap().incarnation;
    assert_eq!(world.reassign(0, Some(&[3, 4])), Ok(()));
    assert_is(&world, &[3, 4], Some(&[1, 2]), Some(3));
    // The owner took its word back: it goes on.
    let cancel = world.next_hand_over(one, 0, 0);
    world.handed_over(cancel).unwrap();
    assert_is(&world, &[3, 4], Some(&[1, 2]), Some(3));
    let hand = world.next_hand_over(three, 0, 0);
    world.handed_over(hand).unwrap();
    assert_is(&world, &[3, 4], None, None);
}

#[test]
fn a_takeover_completes_it_or_turns_to_who_lives() {
    let (mut world, one, two) = four_brokers();
    let three = world.image.broker(BrokerId(3)).unwrap().incarnation;
    let four = world.image.broker(BrokerId(4)).unwrap().incarnation;
    world.reassign(0, Some(&[3, 4])).unwrap();
    world.ok(Command::FenceBroker(one));
    world.ok(Command::FenceBroker(three));
    let take = world.next_take_over(two, 0, 0);
    world.taken_over(take).unwrap();
    assert_is(&world, &[3, 4], Some(&[1, 2]), Some(4));
    world.ok(Command::FenceBroker(two));
    let take = world.next_take_over(four, 0, 0);
    world.taken_over(take).unwrap();
    assert_is(&world, &[3, 4], None, None);
}

#[test]
fn the_target_is_the_first_that_takes_partitions() {
    let (mut world, ..) = four_brokers();
    let three = world.image.broker(BrokerId(3)).unwrap().incarnation;
    world.drain(three);
    world.reassign(0, Some(&[3, 4])).unwrap();
    assert_is(&world, &[3, 4], Some(&[1, 2]), Some(4));
    world.reassign(0, Some(&[3])).unwrap();
    assert_is(&world, &[3], Some(&[1, 2]), Some(3));
}

#[test]
fn it_is_taken_back_to_what_was_before_the_first() {
    let (mut world, ..) = four_brokers();
    world.reassign(0, Some(&[3])).unwrap();
    world.reassign(0, Some(&[4, 3])).unwrap();
    assert_is(&world, &[4, 3], Some(&[1, 2]), Some(4));
    assert_eq!(world.reassign(0, None), Ok(()));
    assert_is(&world, &[1, 2], None, None);
    assert_eq!(world.reassign(0, None), Err(PartitionRefusal::NoReassignment));
    // Or replaced by one that is complete.
    world.reassign(0, Some(&[3])).unwrap();
    world.reassign(0, Some(&[4, 1])).unwrap();
    assert_is(&world, &[4, 1], None, None);
}

#[test]
fn what_cannot_be_is_refused() {
    let (mut world, ..) = four_brokers();
    let four = world.image.broker(BrokerId(4)).unwrap().incarnation;
    world.ok(Command::FenceBroker(four));
    let long: Vec<_> = (0..33).collect();
    let cases: [(&[i32], AssignmentFault); 5] = [
        (&[], AssignmentFault::Count),
        (&long, AssignmentFault::Count),
        (&[1, 3, 1], AssignmentFault::Twice(BrokerId(1))),
        (&[1, 9], AssignmentFault::UnknownBroker(BrokerId(9))),
        (&[4], AssignmentFault::NoneLive),
    ];
    for (to, fault) in cases {
        assert_eq!(world.reassign(0, Some(to)), Err(PartitionRefusal::Assignment(fault)));
    }
    assert_is(&world, &[1, 2], None, None);
    assert_eq!(world.reassign(0, None), Err(PartitionRefusal::NoReassignment));
    let items = vec![(partition(1, 7), None), (partition(1, 1), Some(ids(&[3])))];
    let results = vec![Err(PartitionRefusal::Unknown), Ok(())];
    let outcome = world.ok(Command::AlterReplicas(AlterReplicas { items }));
    assert_eq!(outcome, Outcome::ReplicasAltered(results), "one by one");
    world.ok(Command::DeleteTopic(topic(1)));
    for to in [None, Some(&[3][..])] {
        assert_eq!(world.reassign(1, to), Err(PartitionRefusal::BeingDeleted));
    }
    let many = AlterReplicas { items: vec![(partition(1, 0), None); 10_001] };
    assert!(matches!(world.refused(Command::AlterReplicas(many)), Refusal::TooMuch { .. }));
}
