//! Merging.

use super::*;

/// Index objects 1 (both partitions) and 2 (partition 0).
fn flushed() -> (World, GroupId) {
    let (mut world, ..) = World::busy();
    world.flush("idx/1", 0, 10);
    world.flush("idx/1", 1, 10);
    world.flush("idx/2", 0, 10);
    let group = world.partition(0).group;
    (world, group)
}

fn merge(world: &World, version: u64, name: &str, taken: &[(&str, &[i32])]) -> Merge {
    let taken = taken.iter().map(|(object, numbers)| {
        (object.to_string(), numbers.iter().map(|number| partition(1, *number)).collect())
    });
    Merge {
        mark: world.index,
        group: world.partition(0).group,
        expected_version: version,
        manifest: Some(name.to_owned()),
        taken: taken.collect(),
    }
}

#[test]
fn a_merge_takes_exactly_what_it_lists() {
    let (mut world, group) = flushed();
    let first = merge(&world, 0, "man/1", &[("idx/1", &[0])]);
    assert_eq!(world.ok(Command::Merge(first)), Outcome::Merged { version: 1 });
    let state = world.image.group(group).unwrap();
    assert_eq!((state.manifest.as_deref(), state.version), (Some("man/1"), 1));
    let object = world.image.index_object("idx/1").unwrap();
    assert!(!object.accepted(group, partition(1, 0)) && object.accepted(group, partition(1, 1)));
    let rest = merge(&world, 1, "man/2", &[("idx/1", &[1]), ("idx/2", &[0])]);
    assert_eq!(world.ok(Command::Merge(rest)), Outcome::Merged { version: 2 });
    assert_eq!(world.image.index_objects().count(), 0, "an empty one is live no more");
}

#[test]
fn what_is_accepted_after_the_plan_stays() {
    let (mut world, group) = flushed();
    let plan = merge(&world, 0, "man/1", &[("idx/2", &[0])]);
    world.flush("idx/2", 1, 10);
    world.ok(Command::Merge(plan));
    assert!(world.image.index_object("idx/2").unwrap().accepted(group, partition(1, 1)));
}

#[test]
fn the_second_of_two_merges_is_refused() {
    let (mut world, _) = flushed();
    let one = merge(&world, 0, "man/1", &[("idx/1", &[0, 1])]);
    let other = merge(&world, 0, "man/2", &[("idx/2", &[0])]);
    world.ok(Command::Merge(one));
    let refusal = world.refused(Command::Merge(other));
    assert_eq!(refusal, Refusal::ManifestVersion { version: 1 });
}

#[test]
fn what_was_not_accepted_is_not_taken() {
    let (mut world, _) = flushed();
    for (object, number) in [("idx/2", 1), ("idx/3", 0)] {
        let wrong = merge(&world, 0, "man/1", &[("idx/1", &[0]), (object, &[number])]);
        let index_object = object.to_owned();
        let refusal = Refusal::NotAccepted { index_object, partition: partition(1, number) };
        assert_eq!(world.refused(Command::Merge(wrong)), refusal);
    }
    let twice = merge(&world, 0, "man/1", &[("idx/1", &[0, 0])]);
    assert!(matches!(world.refused(Command::Merge(twice)), Refusal::NotAccepted { .. }));
    // A partition of another group.
    world.ok(create_topic("wide", 2, &vec![&[1][..]; 300]));
    let mut other = merge(&world, 0, "man/1", &[("idx/1", &[0])]);
    other.group = GroupId(1);
    assert!(matches!(world.refused(Command::Merge(other)), Refusal::NotAccepted { .. }));
}

#[test]
fn a_merge_has_a_young_mark_and_a_new_name() {
    let (mut world, _) = flushed();
    let plan = merge(&world, 0, "man/1", &[("idx/1", &[0])]);
    world.ok(Command::SetHorizon(plan.mark));
    world.ok(Command::Merge(plan));
    let same_name = merge(&world, 1, "man/1", &[("idx/1", &[1])]);
    let refusal = world.refused(Command::Merge(same_name));
    assert_eq!(refusal, Refusal::ManifestNameTaken("man/1".to_owned()));
    let plan = merge(&world, 1, "man/2", &[("idx/1", &[1])]);
    let mark = plan.mark;
    world.pass();
    world.ok(Command::SetHorizon(mark + 1));
    let refusal = world.refused(Command::Merge(plan));
    assert_eq!(refusal, Refusal::BelowHorizon { mark, horizon: mark + 1 });
    let unnamed = merge(&world, 1, "", &[("idx/1", &[1])]);
    assert!(matches!(world.refused(Command::Merge(unnamed)), Refusal::Empty(_)));
    let mut ahead = merge(&world, 1, "man/3", &[("idx/1", &[1])]);
    ahead.mark += 1;
    assert!(matches!(world.refused(Command::Merge(ahead)), Refusal::AheadOfLog { .. }));
}

#[test]
fn a_merge_may_take_nothing_and_leave_no_manifest() {
    let (mut world, group) = flushed();
    let plan = merge(&world, 0, "man/1", &[]);
    world.ok(Command::Merge(plan));
    let mut none = merge(&world, 1, "", &[]);
    none.manifest = None;
    assert_eq!(world.ok(Command::Merge(none)), Outcome::Merged { version: 2 });
    assert!(world.image.group(group).unwrap().manifest.is_none());
    let mut unknown = merge(&world, 0, "man/2", &[]);
    unknown.group = GroupId(9);
    assert_eq!(world.refused(Command::Merge(unknown)), Refusal::UnknownGroup(GroupId(9)));
}
