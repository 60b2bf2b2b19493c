//! Brokers that are to get no partitions.

use super::*;

#[test]
fn a_draining_broker_is_an_owner_only_where_no_other_is_live() {
    let (mut world, one, two) = World::busy();
    world.drain(one);
    assert!(world.image.is_live(one), "it keeps what it has");
    assert!(!world.image.registration(one).unwrap().takes_partitions());
    world.ok(create_topic("a", 2, &[&[1, 2], &[1]]));
    let owner = |world: &World, number| world.image.partition(partition(2, number)).unwrap().owner;
    assert_eq!((owner(&world, 0), owner(&world, 1)), (two, one));
    world.drain(two);
    world.ok(create_topic("b", 3, &[&[2, 1]]));
    assert_eq!(world.image.partition(partition(3, 0)).unwrap().owner, two, "the preferred one");
}

#[test]
fn draining_is_of_a_live_process_and_ends_with_it() {
    let (mut world, one, _) = World::busy();
    let set = |broker, draining| Command::SetDraining(SetDraining { broker, draining });
    let draining = |world: &World| world.image.broker(BrokerId(1)).unwrap().draining;
    world.ok(set(one, true));
    world.ok(set(one, true));
    assert!(draining(&world));
    world.ok(set(one, false));
    assert!(!draining(&world));
    world.ok(set(one, true));
    let next = world.register(1);
    assert!(!draining(&world));
    assert_eq!(world.refused(set(one, false)), Refusal::Fenced(one), "a late one");
    world.ok(set(next, true));
    world.ok(Command::FenceBroker(next));
    assert_eq!(world.refused(set(next, false)), Refusal::Fenced(next));
}
