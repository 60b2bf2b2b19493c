//! The model of the chain breaks one law after the other and finds a lost record for each. Where the
//! state machine is what keeps the law, its counterexample is played here, under the variant's name.

use super::*;

fn not_owner<T>(owner: Incarnation) -> Result<T, PartitionRefusal> {
    Err(PartitionRefusal::NotOwner { owner })
}

/// `CancelKeepsLeaderEpoch`: cancelled, appended, then the handover is committed after all.
#[test]
fn cancel_keeps_leader_epoch() {
    let (mut world, one, two) = World::busy();
    let late = world.next_hand_over(two, 0, 5);
    let cancel = HandOver { to: one, ..late.clone() };
    assert_eq!(world.handed_over(cancel), Ok(LeaderEpoch(1)));
    world.flush("idx/1", 0, 3);
    let current = LeaderEpoch(1);
    assert_eq!(world.handed_over(late), Err(PartitionRefusal::LeaderEpoch { current }));
    assert_eq!((world.partition(0).owner, world.partition(0).flushed_end), (one, 8));
}

/// `CancelStatesNoEnd`: what was appended before the cancel would be in no accepted range, and not
/// of the range that it opens.
#[test]
fn cancel_states_no_end() {
    let (mut world, one, _) = World::busy();
    let cancel = world.next_hand_over(one, 0, 5);
    assert_eq!(world.handed_over(cancel), Ok(LeaderEpoch(1)));
    let state = world.partition(0).clone();
    assert_eq!(state.flushed_end, 5);
    assert_eq!(state.leader_epochs.last().unwrap().start_offset, 5);
    let object = world.image.index_object("handed").unwrap();
    assert!(object.accepted(state.group, partition(1, 0)));
    // Nor one that states an end and names nothing for it.
    let nameless = HandOver { index_object: None, ..world.next_hand_over(one, 0, 9) };
    assert_eq!(world.handed_over(nameless), Err(PartitionRefusal::NoIndexObject));
}

/// `EndFromMemory`: the new owner begins at an end that it was told before the freeze.
#[test]
fn end_from_memory() {
    let (mut world, _, two) = World::busy();
    let told = 5;
    let hand = world.next_hand_over(two, 0, told + 2);
    assert_eq!(world.handed_over(hand), Ok(LeaderEpoch(1)));
    assert_eq!(world.partition(0).leader_epochs.last().unwrap().start_offset, told + 2);
    let mut flush = world.next_flush("idx/1", 0, 4);
    flush.ranges[0].base_offset = told;
    let refused = Err(PartitionRefusal::FlushedEnd { flushed_end: told + 2 });
    assert_eq!(world.ok(Command::CommitFlush(flush)), Outcome::Flushed(vec![refused]));
}

/// `HandoverWithoutIndex`: the old epoch is recovered, its slots go, and the range that was accepted
/// cannot be read.
#[test]
fn handover_without_index() {
    let (mut world, _, two) = World::busy();
    let nameless = HandOver { index_object: None, ..world.next_hand_over(two, 0, 5) };
    assert_eq!(world.handed_over(nameless), Err(PartitionRefusal::NoIndexObject));
    let hand = world.next_hand_over(two, 0, 5);
    assert_eq!(world.handed_over(hand), Ok(LeaderEpoch(1)));
    assert_eq!(world.image.index_objects_with(partition(1, 0)).count(), 1);
}

/// `FencedMayOwn`: the epoch was recovered before it was named; its slots are collected.
#[test]
fn fenced_may_own() {
    let (mut world, one, two) = World::busy();
    let hand = world.next_hand_over(two, 0, 5);
    world.ok(Command::FenceBroker(two));
    assert_eq!(world.refused(Command::HandOver(hand.clone())), Refusal::Fenced(two));
    world.ok(Command::MarkRecovered(two));
    assert_eq!(world.refused(Command::HandOver(hand.clone())), Refusal::Fenced(two));
    world.register(2);
    assert_eq!(world.refused(Command::HandOver(hand)), Refusal::UnknownIncarnation(two));
    world.ok(Command::FenceBroker(one));
    let back = world.next_take_over(one, 0, 5);
    assert_eq!(world.refused(Command::TakeOver(back)), Refusal::Fenced(one));
}

/// `FencedMayCancel`: the cancel opens a leader epoch that the sealer does not know of.
#[test]
fn fenced_may_cancel() {
    let (mut world, one, two) = World::busy();
    let cancel = world.next_hand_over(one, 0, 5);
    world.ok(Command::FenceBroker(one));
    assert_eq!(world.refused(Command::HandOver(cancel.clone())), Refusal::Fenced(one));
    let take = world.next_take_over(two, 0, 6);
    assert_eq!(world.taken_over(take), Ok(LeaderEpoch(1)));
    assert_eq!(world.refused(Command::HandOver(cancel)), Refusal::Fenced(one));
}

/// `FencedMayCancelLeaderEpochChecked`: the second guard, should the first be missing. A takeover that
/// was planned before a cancel is refused by its leader epoch.
#[test]
fn takeover_checks_the_leader_epoch() {
    let (mut world, one, two) = World::busy();
    let take = world.next_take_over(two, 0, 5);
    let cancel = world.next_hand_over(one, 0, 6);
    world.handed_over(cancel).unwrap();
    world.ok(Command::FenceBroker(one));
    let current = LeaderEpoch(1);
    assert_eq!(world.taken_over(take), Err(PartitionRefusal::LeaderEpoch { current }));
}

/// `CommitWithoutOwnerCheck`: a second sealer's commit comes after the new owner has acknowledged.
#[test]
fn commit_without_owner_check() {
    let (mut world, one, two) = World::busy();
    let three = world.register(3);
    world.ok(Command::FenceBroker(one));
    let first = world.next_take_over(two, 0, 5);
    let mut second = TakeOver { to: three, ..first.clone() };
    second.index_object = Some("taken/2".to_owned());
    assert_eq!(world.taken_over(first), Ok(LeaderEpoch(1)));
    world.flush("idx/1", 0, 3);
    assert_eq!(world.taken_over(second), not_owner(two));
    assert_eq!(world.partition(0).flushed_end, 8);
}

/// `CommitChecksBrokerOnly`: the same, against the restarted broker's new epoch.
#[test]
fn commit_checks_broker_only() {
    let (mut world, one, two) = World::busy();
    let again = world.register(1);
    let late = world.next_take_over(two, 0, 5);
    let take = world.next_take_over(again, 0, 5);
    assert_eq!(world.taken_over(take), Ok(LeaderEpoch(1)));
    assert_eq!((late.from, again.broker), (one, one.broker));
    assert_eq!(world.taken_over(late), not_owner(again));
}

/// `RecoveredUnchecked`: the first partition is taken, the slots go, the second had a record in them.
#[test]
fn recovered_unchecked() {
    let (mut world, one, two) = World::busy();
    world.ok(Command::FenceBroker(one));
    let take = world.next_take_over(two, 0, 5);
    world.taken_over(take).unwrap();
    let left = Refusal::PartitionsLeft { of: one, count: 1 };
    assert_eq!(world.refused(Command::MarkRecovered(one)), left);
    assert!(!world.image.is_recovered(one));
    let mut take = world.next_take_over(two, 1, 5);
    take.index_object = Some("taken/2".to_owned());
    world.taken_over(take).unwrap();
    world.ok(Command::MarkRecovered(one));
    assert!(world.image.is_recovered(one));
}

/// `Steal`: a partition is taken from a live owner, without its consent or a seal.
#[test]
fn steal() {
    let (mut world, one, two) = World::busy();
    let take = world.next_take_over(two, 0, 5);
    assert_eq!(world.refused(Command::TakeOver(take)), Refusal::NotFenced(one));
    let hand = HandOver { by: two, ..world.next_hand_over(two, 0, 5) };
    assert_eq!(world.handed_over(hand), not_owner(one));
}

/// `HandoverAfterFence` is safe in the model; here the stricter reading holds.
#[test]
fn handover_after_fence() {
    let (mut world, one, two) = World::busy();
    let hand = world.next_hand_over(two, 0, 5);
    world.ok(Command::FenceBroker(one));
    assert_eq!(world.refused(Command::HandOver(hand)), Refusal::Fenced(one));
}
