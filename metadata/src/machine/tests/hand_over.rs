//! Handover and its cancel. What the model of the chain breaks is in `chain_model`.

use super::*;

#[test]
fn a_handover_moves_owner_leader_epoch_and_end() {
    let (mut world, one, two) = World::busy();
    world.flush("idx/1", 0, 10);
    let hand = world.next_hand_over(two, 0, 15);
    assert_eq!(world.handed_over(hand), Ok(LeaderEpoch(1)));
    let state = world.partition(0).clone();
    assert_eq!((state.owner, state.leader_epoch, state.flushed_end), (two, LeaderEpoch(1), 15));
    let starts: Vec<_> = state.leader_epochs.iter().map(|s| (s.epoch.0, s.start_offset)).collect();
    assert_eq!(starts, [(0, 0), (1, 15)]);
    assert_eq!(state.chain, world.image.chain_for(partition(1, 0), two));
    assert!(world.image.index_object("handed").unwrap().accepted(state.group, partition(1, 0)));
    assert_eq!(world.image.owned_by(one).count(), 1);
    assert_eq!(world.image.owned_by(two).count(), 1);
    world.flush("idx/2", 0, 1);
}

#[test]
fn a_cancel_keeps_the_owner_and_closes_the_range() {
    let (mut world, one, two) = World::busy();
    let late = world.next_hand_over(two, 0, 5);
    let cancel = HandOver { to: one, ..late.clone() };
    assert_eq!(world.handed_over(cancel.clone()), Ok(LeaderEpoch(1)));
    let state = world.partition(0).clone();
    assert_eq!((state.owner, state.leader_epoch, state.flushed_end), (one, LeaderEpoch(1), 5));
    assert!(world.image.index_object("handed").unwrap().accepted(state.group, partition(1, 0)));
    let refused = Err(PartitionRefusal::LeaderEpoch { current: LeaderEpoch(1) });
    assert_eq!(world.handed_over(late), refused);
    assert_eq!(world.handed_over(cancel), refused, "nor does it hold twice");
}

#[test]
fn a_cancel_after_the_handover_is_refused() {
    let (mut world, one, two) = World::busy();
    let hand = world.next_hand_over(two, 0, 5);
    let cancel = HandOver { to: one, ..hand.clone() };
    assert_eq!(world.handed_over(hand), Ok(LeaderEpoch(1)));
    assert_eq!(world.handed_over(cancel), Err(PartitionRefusal::NotOwner { owner: two }));
}

#[test]
fn partitions_are_judged_one_by_one() {
    let (mut world, _, two) = World::busy();
    world.flush("idx/1", 0, 10);
    let mut hand = world.next_hand_over(two, 0, 15);
    hand.items.push(world.handed(1, 3));
    hand.items.push(world.handed(1, 3));
    hand.items[0].flushed_end = 9;
    let unknown = HandedPartition { partition: partition(9, 0), ..hand.items[0] };
    hand.items.push(unknown);
    let results = vec![
        Err(PartitionRefusal::FlushedEnd { flushed_end: 10 }),
        Ok(LeaderEpoch(1)),
        Err(PartitionRefusal::NotOwner { owner: two }),
        Err(PartitionRefusal::Unknown),
    ];
    assert_eq!(world.ok(Command::HandOver(hand)), Outcome::HandedOver(results));
    assert_eq!(world.image.index_objects_with(partition(1, 0)).count(), 1, "idx/1 alone");
    assert_eq!(world.image.index_objects_with(partition(1, 1)).count(), 1);
}

#[test]
fn owner_leader_epoch_and_flushed_end_are_conditions() {
    let (mut world, one, two) = World::busy();
    world.flush("idx/1", 0, 10);
    let good = world.next_hand_over(two, 0, 12);
    let by_another = HandOver { by: two, to: one, ..good.clone() };
    assert_eq!(world.handed_over(by_another), Err(PartitionRefusal::NotOwner { owner: one }));
    let mut epoch = good.clone();
    epoch.items[0].leader_epoch = LeaderEpoch(1);
    let current = LeaderEpoch(0);
    assert_eq!(world.handed_over(epoch), Err(PartitionRefusal::LeaderEpoch { current }));
    // A flush that was on its way is committed first: the handover is planned again.
    world.flush("idx/2", 0, 1);
    let moved = Err(PartitionRefusal::FlushedEnd { flushed_end: 11 });
    assert_eq!(world.handed_over(good.clone()), moved);
    assert!(world.image.index_object("handed").is_none(), "nothing of it was accepted");
    let mut short = world.next_hand_over(two, 0, 10);
    assert_eq!(world.handed_over(short.clone()), moved);
    short.items[0].end = 12;
    short.index_object = Some("handed/2".to_owned());
    assert_eq!(world.handed_over(short), Ok(LeaderEpoch(1)));
    assert_eq!(world.handed_over(good), Err(PartitionRefusal::NotOwner { owner: two }));
}

#[test]
fn a_log_does_not_end_before_it_starts() {
    let (mut world, one, two) = World::busy();
    let item = LogStart { partition: partition(1, 0), leader_epoch: LeaderEpoch(0), log_start: 20 };
    world.ok(Command::SetLogStart(SetLogStart { by: one, items: vec![item] }));
    for to in [one, two] {
        let hand = world.next_hand_over(to, 0, 19);
        let refused = Err(PartitionRefusal::EndBelowLogStart { log_start: 20 });
        assert_eq!(world.handed_over(hand), refused);
    }
    let hand = world.next_hand_over(two, 0, 20);
    assert_eq!(world.handed_over(hand), Ok(LeaderEpoch(1)));
}

#[test]
fn nothing_to_flush_needs_no_index_object() {
    let (mut world, one, two) = World::busy();
    world.flush("idx/1", 0, 10);
    for to in [one, two] {
        let hand = HandOver { index_object: None, ..world.next_hand_over(to, 0, 10) };
        world.handed_over(hand).unwrap();
    }
    assert_eq!(world.partition(0).flushed_end, 10);
    // One that is named for others makes nothing live of a partition that has nothing in it.
    let hand = world.next_hand_over(one, 0, 10);
    world.handed_over(hand).unwrap();
    assert!(world.image.index_object("handed").is_none());
}

#[test]
fn marks_and_names_are_checked() {
    let (mut world, _, two) = World::busy();
    world.flush("idx/1", 0, 10);
    let hand = world.next_hand_over(two, 0, 12);
    let mark = hand.mark;
    world.pass();
    world.ok(Command::SetHorizon(mark + 1));
    let refusal = world.refused(Command::HandOver(hand.clone()));
    assert_eq!(refusal, Refusal::BelowHorizon { mark, horizon: mark + 1 });
    let mut used = HandOver { mark: world.index, ..hand.clone() };
    used.index_object = Some("idx/1".to_owned());
    let refusal = world.refused(Command::HandOver(used));
    assert_eq!(refusal, Refusal::IndexObjectTaken("idx/1".to_owned()));
    let ahead = HandOver { mark: world.index + 1, ..hand.clone() };
    assert!(matches!(world.refused(Command::HandOver(ahead)), Refusal::AheadOfLog { .. }));
    let items = vec![hand.items[0]; 10_001];
    let many = HandOver { mark: world.index, items, ..hand };
    assert!(matches!(world.refused(Command::HandOver(many)), Refusal::TooMuch { .. }));
}

#[test]
fn of_a_topic_that_is_being_deleted_only_the_owner_changes() {
    let (mut world, _, two) = World::busy();
    world.flush("idx/1", 0, 10);
    world.ok(Command::DeleteTopic(topic(1)));
    let hand = world.next_hand_over(two, 0, 12);
    assert_eq!(world.handed_over(hand), Ok(LeaderEpoch(1)));
    let state = world.partition(0);
    assert_eq!((state.owner, state.flushed_end), (two, 10));
    assert!(world.image.index_object("handed").is_none());
    let partitions = vec![(partition(1, 0), LeaderEpoch(1))];
    let release = ReleasePartitions { by: two, partitions };
    let released = world.ok(Command::ReleasePartitions(release));
    assert_eq!(released, Outcome::Released(vec![Ok(())]));
}

/// Two brokers with a disk cannot be; should an image hold them all the same, nothing moves.
#[test]
fn a_disk_wal_hands_over_to_itself_only() {
    let (mut world, one, two) = World::busy();
    let mut on_disk = world.image.registration(two).unwrap().clone();
    on_disk.wal = WalKind::Disk;
    world.image.registrations.insert_mut(two, std::sync::Arc::new(on_disk));
    let hand = world.next_hand_over(two, 0, 5);
    let refused = Refusal::DiskWalIsForOne { other: BrokerId(2) };
    assert_eq!(world.refused(Command::HandOver(hand.clone())), refused);
    let back = HandOver { by: two, to: one, ..hand };
    let refused = Refusal::DiskWalIsForOne { other: BrokerId(1) };
    assert_eq!(world.refused(Command::HandOver(back.clone())), refused);
    let mut state = world.partition(0).clone();
    state.owner = two;
    world.image.put_partition(partition(1, 0), state);
    assert_eq!(world.handed_over(HandOver { to: two, ..back }), Ok(LeaderEpoch(1)));
}

#[test]
fn leader_epochs_do_not_wrap() {
    let (mut world, one, _) = World::busy();
    let mut state = world.partition(0).clone();
    state.begin_leader_epoch(LeaderEpoch(i32::MAX), 10);
    world.image.put_partition(partition(1, 0), state);
    let cancel = world.next_hand_over(one, 0, 12);
    assert_eq!(world.handed_over(cancel), Err(PartitionRefusal::LeaderEpochsExhausted));
}
