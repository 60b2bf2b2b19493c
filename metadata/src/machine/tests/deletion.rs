//! Deleting topics.

use super::*;

fn release(by: Incarnation, numbers: &[i32]) -> Command {
    let partitions = numbers.iter().map(|n| (partition(1, *n), LeaderEpoch(0))).collect();
    Command::ReleasePartitions(ReleasePartitions { by, partitions })
}

#[test]
fn a_topic_goes_when_its_owners_let_go() {
    let (mut world, one, _) = World::busy();
    world.ok(Command::DeleteTopic(topic(1)));
    let again = world.refused(Command::DeleteTopic(topic(1)));
    assert_eq!(again, Refusal::TopicBeingDeleted(topic(1)));
    assert_eq!(world.ok(release(one, &[0])), Outcome::Released(vec![Ok(())]));
    assert!(world.image.topic_by_name("t").is_some(), "law 3.2: one owner has not let go");
    assert!(world.apply(create_topic("t", 2, &[&[1]])).is_err());
    let gone = Err(PartitionRefusal::Unknown);
    assert_eq!(world.ok(release(one, &[0, 1])), Outcome::Released(vec![gone, Ok(())]));
    assert!(world.image.topic(topic(1)).is_none() && world.image.topic_by_name("t").is_none());
    assert_eq!(world.image.owned_by(one).count(), 0);
    assert_eq!(world.image.groups().count(), 0);
    world.ok(create_topic("t", 2, &[&[1]]));
    assert_eq!(world.refused(Command::DeleteTopic(topic(1))), Refusal::UnknownTopic(topic(1)));
}

#[test]
fn only_the_owner_of_a_topic_under_deletion_lets_go() {
    let (mut world, one, two) = World::busy();
    let results = |refusal| Outcome::Released(vec![Err(refusal)]);
    assert_eq!(world.ok(release(one, &[0])), results(PartitionRefusal::NotBeingDeleted));
    world.ok(Command::DeleteTopic(topic(1)));
    let not_owner = results(PartitionRefusal::NotOwner { owner: one });
    assert_eq!(world.ok(release(two, &[0])), not_owner);
    let partitions = vec![(partition(1, 0), LeaderEpoch(1))];
    let other_epoch = Command::ReleasePartitions(ReleasePartitions { by: one, partitions });
    let current = LeaderEpoch(0);
    let refused = results(PartitionRefusal::LeaderEpoch { current });
    assert_eq!(world.ok(other_epoch), refused);
    world.ok(Command::FenceBroker(one));
    assert_eq!(world.refused(release(one, &[0])), Refusal::Fenced(one));
}

#[test]
fn who_takes_over_from_a_fenced_owner_lets_go_in_its_place() {
    let (mut world, one, two) = World::busy();
    world.ok(Command::FenceBroker(one));
    world.ok(Command::DeleteTopic(topic(1)));
    let left = Refusal::PartitionsLeft { of: one, count: 2 };
    assert_eq!(world.refused(Command::MarkRecovered(one)), left);
    for number in [0, 1] {
        let mut take = world.next_take_over(two, number, 0);
        take.index_object = None;
        world.ok(Command::TakeOver(take));
    }
    world.ok(Command::MarkRecovered(one));
    assert!(world.image.topic(topic(1)).is_some(), "its name is not free before its owner lets go");
    let partitions = [0, 1].map(|n| (partition(1, n), LeaderEpoch(1))).to_vec();
    world.ok(Command::ReleasePartitions(ReleasePartitions { by: two, partitions }));
    assert!(world.image.topic(topic(1)).is_none());
    assert_eq!(world.image.partition_count(), 0);
}

#[test]
fn nothing_is_flushed_to_a_topic_under_deletion() {
    let (mut world, one, _) = World::busy();
    let flush = world.next_flush("idx/1", 0, 5);
    world.ok(Command::DeleteTopic(topic(1)));
    let refused = Outcome::Flushed(vec![Err(PartitionRefusal::BeingDeleted)]);
    assert_eq!(world.ok(Command::CommitFlush(flush.clone())), refused);
    let item = LogStart { partition: partition(1, 0), leader_epoch: LeaderEpoch(0), log_start: 1 };
    let raise = Command::SetLogStart(SetLogStart { by: one, items: vec![item] });
    let refused = Outcome::LogStartSet(vec![Err(PartitionRefusal::BeingDeleted)]);
    assert_eq!(world.ok(raise), refused);
    world.ok(release(one, &[0, 1]));
    let refused = Outcome::Flushed(vec![Err(PartitionRefusal::Unknown)]);
    assert_eq!(world.ok(Command::CommitFlush(flush)), refused);
}

/// What index objects and manifest hold of a deleted topic is only let go by a merge, so that the
/// objects keep their reference until then.
#[test]
fn a_group_without_partitions_goes_with_its_last_merge() {
    let (mut world, one, _) = World::busy();
    let group = world.partition(0).group;
    world.flush("idx/1", 0, 5);
    world.ok(Command::DeleteTopic(topic(1)));
    world.ok(release(one, &[0, 1]));
    assert!(world.image.index_object("idx/1").unwrap().accepted(group, partition(1, 0)));
    let plan = |world: &World, version, manifest, taken| Merge {
        mark: world.index,
        group,
        expected_version: version,
        manifest,
        taken,
    };
    let taken = vec![("idx/1".to_owned(), vec![partition(1, 0)])];
    let first = plan(&world, 0, Some("man/1".to_owned()), taken);
    world.ok(Command::Merge(first));
    assert!(world.image.group(group).is_some());
    let last = plan(&world, 1, None, Vec::new());
    world.ok(Command::Merge(last));
    assert!(world.image.group(group).is_none());
    // A later topic gets another group, so that a late merge finds nothing.
    world.ok(create_topic("t", 2, &[&[1]]));
    assert_ne!(world.image.partition(partition(2, 0)).unwrap().group, group);
}
