//! Forming, registering, fencing, trimming, producer ids, the horizon.

use odradek_common::ids::{ChainId, SlotNumber};

use super::*;

fn trim(by: Incarnation, chain: u32, slot: u64) -> Command {
    Command::Trim(Trim { by, chain: ChainId(chain), slot: SlotNumber(slot) })
}

fn trim_point(world: &World, of: Incarnation, chain: u32) -> SlotNumber {
    world.image.registration(of).unwrap().trim_point(ChainId(chain)).unwrap()
}

#[test]
fn nothing_happens_before_the_cluster_is_formed() {
    let mut world = World::default();
    let commands = [
        Command::RegisterBroker(broker_of(1)),
        create_topic("t", 1, &[&[1]]),
        Command::SetHorizon(0),
    ];
    for command in commands {
        assert_eq!(world.refused(command), Refusal::NotFormed);
    }
}

#[test]
fn a_cluster_is_formed_once() {
    let mut world = World::formed();
    assert_eq!(world.ok(Command::Form(form("cluster", 1))), Outcome::Formed);
    let formed = Refusal::FormedOtherwise { cluster: "cluster".to_owned() };
    assert_eq!(world.refused(Command::Form(form("other", 1))), formed);
    assert_eq!(world.refused(Command::Form(form("cluster", 2))), formed);
    let nobody = Form { directories: Vec::new(), ..form("cluster", 1) };
    assert!(matches!(World::default().refused(Command::Form(nobody)), Refusal::Empty(_)));
}

#[test]
fn an_epoch_is_the_index_of_its_entry_and_ends_the_one_before() {
    let mut world = World::formed();
    let first = world.register(1);
    assert_eq!(first.epoch, BrokerEpoch(world.index));
    world.ok(trim(first, 1, 7));
    let second = world.register(1);
    assert!(second.epoch > first.epoch);
    let fenced = world.image.registration(first).unwrap();
    assert_eq!(fenced.fenced_at, Some(world.index));
    assert_eq!(world.image.broker(BrokerId(1)).unwrap().incarnation, second);
    // Law 2.6: the fence freezes the trim point.
    assert_eq!(world.refused(trim(first, 1, 8)), Refusal::Fenced(first));
    assert_eq!(trim_point(&world, first, 1), SlotNumber(7));
}

#[test]
fn an_entry_gives_a_broker_one_epoch() {
    let mut world = World::formed();
    world.index += 1;
    let twice = [Command::RegisterBroker(broker_of(1)), Command::RegisterBroker(broker_of(1))];
    let judged = world.image.apply_entry(world.index, &twice);
    assert!(judged[0].is_ok());
    assert_eq!(judged[1], Err(Refusal::EpochTaken(BrokerId(1))));
}

#[test]
fn a_registration_names_chains_and_a_window() {
    let mut world = World::formed();
    let wrong = [
        RegisterBroker { chains: 0, ..broker_of(1) },
        RegisterBroker { window: 0, ..broker_of(1) },
        RegisterBroker { chains: 65, ..broker_of(1) },
        RegisterBroker { rack: Some("x".repeat(2000)), ..broker_of(1) },
        RegisterBroker { listeners: vec![broker_of(1).listeners[0].clone(); 17], ..broker_of(1) },
    ];
    for broker in wrong {
        let refusal = world.refused(Command::RegisterBroker(broker));
        assert!(matches!(refusal, Refusal::Empty(_) | Refusal::TooMuch { .. }), "{refusal}");
    }
}

#[test]
fn a_disk_wal_serves_a_single_broker() {
    let disk = |world: &World, broker| {
        let broker = RegisterBroker { wal: WalKind::Disk, ..broker_of(broker) };
        Command::RegisterBroker(world.replacing(broker))
    };
    let mut world = World::formed();
    world.ok(disk(&world, 1));
    world.ok(disk(&world, 1));
    let other = Refusal::DiskWalIsForOne { other: BrokerId(1) };
    assert_eq!(world.refused(disk(&world, 2)), other);
    assert_eq!(world.refused(Command::RegisterBroker(broker_of(2))), other);
    // The same broker may change over, and others may come once nothing on a disk is left.
    world.register(1);
    let former: Vec<_> = world.image.registrations().map(|one| one.incarnation).collect();
    for incarnation in &former[..2] {
        world.ok(Command::MarkRecovered(*incarnation));
    }
    world.register(2);
    assert!(matches!(world.refused(disk(&world, 1)), Refusal::DiskWalIsForOne { .. }));
}

#[test]
fn a_fence_names_one_incarnation() {
    let (mut world, one, two) = World::busy();
    let never = Incarnation { epoch: BrokerEpoch(999), ..one };
    assert_eq!(world.refused(Command::FenceBroker(never)), Refusal::UnknownIncarnation(never));
    assert_eq!(world.ok(Command::FenceBroker(one)), Outcome::Fenced);
    assert_eq!(world.image.registration(one).unwrap().fenced_at, Some(world.index));
    assert_eq!(world.refused(Command::FenceBroker(one)), Refusal::Fenced(one));
    assert!(world.image.is_live(two) && !world.image.is_live(one));
    // A late fence of the former epoch does not hit the next one.
    let next = world.register(1);
    assert_eq!(world.refused(Command::FenceBroker(one)), Refusal::Fenced(one));
    assert!(world.image.is_live(next));
}

#[test]
fn a_trim_point_only_rises() {
    let (mut world, one, _) = World::busy();
    world.ok(trim(one, 0, 5));
    for slot in [5, 4, 0] {
        let refusal = Refusal::TrimNotRaised { trim_point: SlotNumber(5) };
        assert_eq!(world.refused(trim(one, 0, slot)), refusal);
    }
    assert_eq!(trim_point(&world, one, 1), SlotNumber(0), "chains have their own");
    assert_eq!(world.refused(trim(one, 2, 1)), Refusal::UnknownChain { of: one, chains: 2 });
}

#[test]
fn an_incarnation_is_recovered_when_it_is_fenced_and_owns_nothing() {
    let (mut world, one, two) = World::busy();
    let recovered = Command::MarkRecovered(one);
    assert_eq!(world.refused(recovered.clone()), Refusal::NotFenced(one));
    world.ok(Command::FenceBroker(one));
    let left = Refusal::PartitionsLeft { of: one, count: 2 };
    assert_eq!(world.refused(recovered.clone()), left);
    for number in [0, 1] {
        let take = world.next_take_over(two, number, 0);
        world.ok(Command::TakeOver(take));
    }
    assert_eq!(world.ok(recovered.clone()), Outcome::Recovered);
    assert!(world.image.is_recovered(one) && !world.image.is_recovered(two));
    assert_eq!(world.refused(recovered), Refusal::AlreadyRecovered(one));
}

#[test]
fn an_older_incarnation_is_forgotten_once_it_is_recovered() {
    let mut world = World::formed();
    let first = world.register(1);
    let second = world.register(1);
    world.ok(Command::MarkRecovered(first));
    assert!(world.image.registration(first).is_none());
    assert!(world.image.is_recovered(first));
    // The newest one stays until the next comes, so that its epoch is not taken for unknown.
    world.ok(Command::FenceBroker(second));
    world.ok(Command::MarkRecovered(second));
    assert!(world.image.registration(second).is_some());
    let third = world.register(1);
    assert!(world.image.registration(second).is_none());
    assert!(world.image.is_recovered(second) && !world.image.is_recovered(third));
    let to_come = Incarnation { epoch: BrokerEpoch(third.epoch.0 + 1), ..third };
    assert!(!world.image.is_recovered(to_come), "what was never seen is not recovered");
}

#[test]
fn a_live_epoch_is_replaced_only_by_who_names_it() {
    let mut world = World::formed();
    let first = world.register(1);
    let live = Refusal::BrokerIsLive { broker: BrokerId(1), epoch: first.epoch };
    let naming = |replaces| Command::RegisterBroker(RegisterBroker { replaces, ..broker_of(1) });
    for other in [None, Some(BrokerEpoch(1)), Some(BrokerEpoch(99))] {
        assert_eq!(world.refused(naming(other)), live);
    }
    assert!(world.image.is_live(first));
    let replacing = naming(Some(first.epoch));
    world.ok(replacing.clone());
    assert!(!world.image.is_live(first));
    // A late copy of the command does not end what it began.
    let second = world.image.broker(BrokerId(1)).unwrap().incarnation;
    let live = Refusal::BrokerIsLive { broker: BrokerId(1), epoch: second.epoch };
    assert_eq!(world.refused(replacing.clone()), live);
    // One that is fenced is in nobody's way, whatever the newcomer thought.
    world.ok(Command::FenceBroker(second));
    world.ok(replacing);
    world.ok(Command::FenceBroker(world.image.broker(BrokerId(1)).unwrap().incarnation));
    world.ok(naming(None));
}

#[test]
fn a_broker_is_unregistered_once_nothing_is_left_of_it() {
    let (mut world, one, two) = World::busy();
    let unregister = Command::UnregisterBroker(BrokerId(1));
    assert_eq!(world.refused(unregister.clone()), Refusal::NotFenced(one));
    let next = world.register(1);
    world.ok(Command::FenceBroker(next));
    // Neither while partitions are left, nor before it is said that none is.
    assert_eq!(world.refused(unregister.clone()), Refusal::NotRecovered(one));
    world.ok(Command::MarkRecovered(next));
    assert_eq!(world.refused(unregister.clone()), Refusal::NotRecovered(one));
    for number in [0, 1] {
        let take = world.next_take_over(two, number, 0);
        world.ok(Command::TakeOver(take));
    }
    assert_eq!(world.refused(unregister.clone()), Refusal::NotRecovered(one));
    world.ok(Command::MarkRecovered(one));
    let edit = ConfigEdit::Set { key: "a".to_owned(), value: "1".to_owned() };
    let (broker, change) = (Some(BrokerId(1)), ConfigChange::Edit(vec![edit]));
    world.ok(Command::AlterBrokerConfig(AlterBrokerConfig { broker, change }));
    assert_eq!(world.ok(unregister.clone()), Outcome::Unregistered);
    assert!(world.image.broker(BrokerId(1)).is_none());
    assert!(world.image.broker_configs(Some(BrokerId(1))).is_none());
    assert_eq!(world.refused(unregister), Refusal::UnknownBroker(BrokerId(1)));
    // It is a new broker if it comes again; what it was stays recovered.
    let third = world.register(1);
    assert!(world.image.is_recovered(one) && world.image.is_recovered(next));
    assert!(world.image.is_live(third) && !world.image.is_recovered(third));
}

/// Collectors find slots of brokers that the metadata does not know any more, or not yet.
#[test]
fn of_what_is_not_known_only_what_is_past_is_recovered() {
    let mut world = World::formed();
    let of = |broker, epoch| Incarnation { broker: BrokerId(broker), epoch: BrokerEpoch(epoch) };
    let one = world.register(1);
    world.ok(Command::FenceBroker(one));
    let older = world.image.clone();
    world.ok(Command::MarkRecovered(one));
    let at = world.index;
    world.ok(Command::UnregisterBroker(BrokerId(1)));
    let (now, two) = (world.index, world.register(2));
    assert!(world.image.is_recovered(one), "unregistered");
    assert!(!older.is_recovered(one), "an older copy still waits for it");
    for broker in [1, 7] {
        assert!(world.image.is_recovered(of(broker, at)), "nobody has this epoch or ever will");
        assert!(!world.image.is_recovered(of(broker, world.index + 1)), "it may be yet to come");
        assert!(!older.is_recovered(of(broker, now)), "this copy cannot know");
    }
    assert!(!older.is_recovered(two) && !world.image.is_recovered(two));
    // Two brokers registered by one entry have one epoch.
    world.index += 1;
    let both = [3, 4].map(|broker| Command::RegisterBroker(broker_of(broker)));
    assert!(world.image.apply_entry(world.index, &both).iter().all(Result::is_ok));
    assert!(!world.image.is_recovered(of(3, world.index)));
    assert!(!world.image.is_recovered(of(4, world.index)));
}

#[test]
fn producer_ids_are_given_once_and_to_the_living() {
    let (mut world, one, two) = World::busy();
    let ask = |by, count| Command::AllocateProducerIds(AllocateProducerIds { by, count });
    assert_eq!(world.ok(ask(one, 1000)), Outcome::ProducerIds { first: 0, count: 1000 });
    assert_eq!(world.ok(ask(two, 10)), Outcome::ProducerIds { first: 1000, count: 10 });
    assert_eq!(world.ok(ask(one, 1)), Outcome::ProducerIds { first: 1010, count: 1 });
    assert!(matches!(world.refused(ask(one, 0)), Refusal::Empty(_)));
    assert!(matches!(world.refused(ask(one, 1001)), Refusal::TooMuch { .. }));
    world.ok(Command::FenceBroker(one));
    assert_eq!(world.refused(ask(one, 1)), Refusal::Fenced(one));
    world.image.next_producer_id = i64::MAX;
    assert_eq!(world.refused(ask(two, 1)), Refusal::ProducerIdsExhausted);
}

#[test]
fn the_horizon_only_rises_and_not_past_what_was_applied() {
    let (mut world, ..) = World::busy();
    let applied = world.index;
    assert_eq!(
        world.refused(Command::SetHorizon(applied + 1)),
        Refusal::AheadOfLog { index: applied + 1, at: applied + 1 }
    );
    world.ok(Command::SetHorizon(applied));
    for lower in [applied, applied - 1, 0] {
        let refusal = Refusal::HorizonNotRaised { horizon: applied };
        assert_eq!(world.refused(Command::SetHorizon(lower)), refusal);
    }
}
