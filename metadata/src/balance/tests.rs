//! The planner: where it moves things, and that it comes to an end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::command::*;
use crate::ids::Incarnation;
use crate::machine::tests::{World, broker_of, create_topic, partition};
use crate::outcome::Outcome;

const EXACT: BalanceOptions =
    BalanceOptions { begin_percent: 20, settle_percent: 0, moves_max: 50 };

fn equal(_: TopicPartition) -> Load {
    Load { bytes_per_s: 1000, requests_per_s: 10 }
}

/// No partition is settling.
const NONE: &dyn Fn(TopicPartition) -> bool = &|_| false;

fn idle(_: TopicPartition) -> Load {
    Load::default()
}

/// Brokers from 0 on, each in its rack, and one topic with these replicas.
fn world(racks: &[&str], assignments: &[&[i32]]) -> World {
    let mut world = World::formed();
    for (broker, rack) in (0..).zip(racks) {
        let rack = Some((*rack).to_owned());
        world.ok(Command::RegisterBroker(RegisterBroker { rack, ..broker_of(broker) }));
    }
    world.ok(create_topic("t", 1, assignments));
    world
}

fn newest(world: &World, broker: i32) -> Incarnation {
    world.image.broker(BrokerId(broker)).unwrap().incarnation
}

fn drain(world: &mut World, broker: i32) {
    let broker = newest(world, broker);
    world.ok(Command::SetDraining(SetDraining { broker, draining: true }));
}

fn counts(world: &World) -> BTreeMap<i32, usize> {
    let live = world.image.live_brokers();
    live.map(|one| (one.incarnation.broker.0, world.image.owned_by(one.incarnation).count()))
        .collect()
}

/// Gives the partitions of `moves` their replicas and targets.
fn aim(world: &mut World, moves: &[Move]) {
    let replicas = moves.iter().filter(|one| one.replicas.is_some());
    let items = replicas.map(|one| (one.partition, one.replicas.clone())).collect();
    let Outcome::ReplicasAltered(results) =
        world.ok(Command::AlterReplicas(AlterReplicas { items }))
    else {
        panic!()
    };
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let items = moves.iter().map(|one| (one.partition, one.leader_epoch, Some(one.to))).collect();
    let Outcome::TargetsSet(results) = world.ok(Command::SetTargets(SetTargets { items })) else {
        panic!()
    };
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

/// Each owner hands over what has a target.
fn arrive(world: &mut World) {
    let image = world.image.clone();
    for (at, state) in image.partitions() {
        let Some(target) = state.target else { continue };
        let (flushed_end, leader_epoch) = (state.flushed_end, state.leader_epoch);
        let hand = HandOver {
            mark: world.index,
            by: state.owner,
            to: image.broker(target).unwrap().incarnation,
            index_object: None,
            items: vec![HandedPartition {
                partition: at,
                leader_epoch,
                flushed_end,
                end: flushed_end,
            }],
        };
        let Outcome::HandedOver(results) = world.ok(Command::HandOver(hand)) else { panic!() };
        assert!(results[0].is_ok(), "{results:?}");
    }
}

/// Rounds until there is nothing to do; how many moves they were.
fn settle(
    world: &mut World,
    options: BalanceOptions,
    load: &dyn Fn(TopicPartition) -> Load,
) -> usize {
    let mut balancer = Balancer::new(options);
    let mut count = 0;
    for _ in 0..200 {
        let moves = balancer.plan(&world.image, load, NONE);
        if moves.is_empty() {
            return count;
        }
        assert!(moves.len() <= options.moves_max);
        for one in &moves {
            assert!(world.image.broker(one.to).unwrap().takes_partitions(), "{one:?}");
        }
        count += moves.len();
        aim(world, &moves);
        arrive(world);
    }
    panic!("it does not settle")
}

#[test]
fn a_thousand_equal_partitions_are_spread_within_one() {
    for load in [equal, idle] {
        for brokers in [1, 2, 3, 7, 10] {
            let mut world = world(&vec!["r"; brokers], &vec![&[0][..]; 1000]);
            let moves = settle(&mut world, EXACT, &load);
            let counts: Vec<_> = counts(&world).into_values().collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
            assert_eq!(moves, 1000 - counts[0], "none moved twice");
        }
    }
}

#[test]
fn nothing_moves_below_the_threshold_and_it_settles_well_below() {
    let replicas = |on_first: usize| -> Vec<&[i32]> {
        (0..200).map(|n| if n < on_first { &[0][..] } else { &[1][..] }).collect()
    };
    let options = BalanceOptions { begin_percent: 20, settle_percent: 4, moves_max: 3 };
    let mut even = world(&["r", "r"], &replicas(110));
    assert_eq!(settle(&mut even, options, &equal), 0, "20 of 100 is not more than 20 percent");
    let mut uneven = world(&["r", "r"], &replicas(112));
    // Over several rounds, though after the first it is below the threshold.
    assert_eq!(settle(&mut uneven, options, &equal), 10);
    assert_eq!(counts(&uneven), BTreeMap::from([(0, 102), (1, 98)]));
}

#[test]
fn a_hot_partition_is_given_room() {
    let assignments: Vec<&[i32]> = [&[0][..], &[1], &[2]].into_iter().cycle().take(30).collect();
    let mut world = world(&["r"; 3], &assignments);
    let hot = partition(1, 0);
    let load = |at| {
        let bytes_per_s = if at == hot { 20_000 } else { 1000 };
        Load { bytes_per_s, requests_per_s: 0 }
    };
    assert_eq!(settle(&mut world, EXACT, &load), 9);
    let owner = world.image.partition(hot).unwrap().owner;
    assert_eq!(owner.broker, BrokerId(0), "it would be as hot elsewhere");
    assert_eq!(counts(&world), BTreeMap::from([(0, 1), (1, 15), (2, 14)]));
}

#[test]
fn requests_weigh_as_bytes_do() {
    let mut world = world(&["r"; 2], &vec![&[0][..]; 20]);
    let load = |at: TopicPartition| match at.partition % 2 {
        0 => Load { bytes_per_s: 1000, requests_per_s: 0 },
        _ => Load { bytes_per_s: 0, requests_per_s: 7 },
    };
    settle(&mut world, EXACT, &load);
    assert_eq!(counts(&world), BTreeMap::from([(0, 10), (1, 10)]));
}

#[test]
fn a_draining_broker_is_emptied() {
    let mut world = world(&["r"; 4], &vec![&[0][..]; 120]);
    settle(&mut world, EXACT, &equal);
    drain(&mut world, 1);
    drain(&mut world, 3);
    let moves = settle(&mut world, BalanceOptions::default(), &equal);
    assert_eq!(moves, 60, "what is elsewhere stays");
    assert_eq!(counts(&world), BTreeMap::from([(0, 60), (1, 0), (2, 60), (3, 0)]));
    // With nobody to take them they stay.
    drain(&mut world, 0);
    drain(&mut world, 2);
    assert_eq!(settle(&mut world, BalanceOptions::default(), &equal), 0);
}

#[test]
fn what_is_under_way_counts_and_bounds_a_round() {
    let mut world = world(&["r"; 2], &vec![&[0][..]; 100]);
    let options = BalanceOptions { moves_max: 30, ..EXACT };
    let mut balancer = Balancer::new(options);
    let first = balancer.plan(&world.image, &equal, NONE);
    assert_eq!(first.len(), 30);
    aim(&mut world, &first[..20]);
    let second = balancer.plan(&world.image, &equal, NONE);
    assert_eq!(second.len(), 10);
    assert!(second.iter().all(|one| first[..20].iter().all(|f| f.partition != one.partition)));
    aim(&mut world, &second);
    assert_eq!(balancer.plan(&world.image, &equal, NONE), []);
    arrive(&mut world);
    assert_eq!(balancer.plan(&world.image, &equal, NONE).len(), 20, "to 50 each");
}

#[test]
fn replicas_stay_in_as_many_racks_and_begin_with_the_owner() {
    // Broker 3 is idle; it is in the rack of broker 2, which is a replica of all.
    let mut world = world(&["a", "a", "b", "b"], &vec![&[0, 2][..]; 40]);
    settle(&mut world, EXACT, &equal);
    let racks = |broker: &BrokerId| if broker.0 < 2 { "a" } else { "b" };
    for (at, state) in world.image.partitions() {
        assert_eq!(state.replicas[0], state.owner.broker, "{at}");
        assert_eq!(state.replicas.len(), 2);
        assert_ne!(racks(&state.replicas[0]), racks(&state.replicas[1]), "{at}");
        assert_eq!((state.target, &state.former_replicas), (None, &None));
    }
    let counts = counts(&world);
    assert!(counts.values().all(|count| (9..=11).contains(count)), "{counts:?}");
}

#[test]
fn a_drain_goes_on_where_racks_cannot_be_kept() {
    let mut world = world(&["a", "b", "b"], &[&[0, 1], &[0, 1]]);
    world.ok(Command::FenceBroker(newest(&world, 1)));
    assert_eq!(settle(&mut world, EXACT, &equal), 0, "they would be in one rack");
    drain(&mut world, 0);
    settle(&mut world, EXACT, &equal);
    assert_eq!(counts(&world), BTreeMap::from([(0, 0), (2, 2)]));
}

#[test]
fn a_reassignment_whose_target_is_gone_goes_to_another_replica() {
    let mut world = world(&["r"; 4], &[&[0], &[1], &[2], &[3]]);
    let items = vec![(partition(1, 0), Some(vec![BrokerId(1), BrokerId(2)]))];
    world.ok(Command::AlterReplicas(AlterReplicas { items }));
    assert_eq!(world.image.partition(partition(1, 0)).unwrap().target, Some(BrokerId(1)));
    let mut balancer = Balancer::new(EXACT);
    let moves = balancer.plan(&world.image, &equal, NONE);
    assert!(moves.iter().all(|one| one.partition != partition(1, 0)), "it is under way");
    world.ok(Command::FenceBroker(newest(&world, 1)));
    let moves = balancer.plan(&world.image, &equal, NONE);
    let (at, to, leader_epoch) = (partition(1, 0), BrokerId(2), LeaderEpoch(0));
    assert_eq!(moves[0], Move { partition: at, leader_epoch, to, replicas: None });
    drain(&mut world, 2);
    let moves = balancer.plan(&world.image, &equal, NONE);
    assert!(moves.iter().all(|one| one.partition != at), "it waits for its replicas: {moves:?}");
}

#[test]
fn topics_under_deletion_and_fenced_owners_are_left_alone() {
    let mut world = world(&["r"; 3], &vec![&[0][..]; 30]);
    world.ok(create_topic("u", 2, &vec![&[1][..]; 30]));
    world.ok(Command::DeleteTopic(partition(1, 0).topic));
    world.ok(Command::FenceBroker(newest(&world, 1)));
    assert_eq!(Balancer::new(EXACT).plan(&world.image, &equal, NONE), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the load, it ends, and what is left is a difference that no single move makes less, or
    /// less than what it settles at.
    #[test]
    fn it_settles(
        brokers in 1..6_i32,
        drained in prop::collection::btree_set(0..6_i32, 0..3),
        loads in prop::collection::vec((0..6_i32, 0..100_000_u64, 0..100_u64, 0..4_u8), 1..120),
    ) {
        let owners: Vec<[i32; 1]> = loads.iter().map(|load| [load.0 % brokers]).collect();
        let assignments: Vec<&[i32]> = owners.iter().map(|owner| &owner[..]).collect();
        let racks = vec!["r"; usize::try_from(brokers).unwrap()];
        let mut world = world(&racks, &assignments);
        for broker in drained.into_iter().filter(|broker| *broker < brokers) {
            drain(&mut world, broker);
        }
        let load = |at: TopicPartition| {
            let (_, bytes_per_s, requests_per_s, kind) = loads[usize::try_from(at.partition).unwrap()];
            let idle = kind == 0;
            Load {
                bytes_per_s: if idle { 0 } else { bytes_per_s },
                requests_per_s: if idle { 0 } else { requests_per_s },
            }
        };
        settle(&mut world, EXACT, &load);
        let takes = |of: &Incarnation| world.image.registration(*of).unwrap().takes_partitions();
        let takers = world.image.live_brokers().filter(|one| one.takes_partitions()).count();
        for (at, state) in world.image.partitions() {
            prop_assert!(takers == 0 || takes(&state.owner), "{} is on a draining broker", at);
            prop_assert_eq!(state.target, None);
        }
        prop_assert_eq!(Balancer::new(EXACT).plan(&world.image, &load, NONE), []);
    }
}

#[test]
fn what_is_settling_stays_but_on_a_broker_that_is_to_be_empty() {
    let mut world = world(&["r"; 2], &[&[0][..]; 8]);
    let even = |at: TopicPartition| at.partition % 2 == 0;
    let moves = Balancer::new(EXACT).plan(&world.image, &equal, &even);
    assert_eq!(moves.len(), 4);
    assert!(moves.iter().all(|one| !even(one.partition)), "{moves:?}");
    assert_eq!(Balancer::new(EXACT).plan(&world.image, &equal, &|_| true), []);
    drain(&mut world, 0);
    assert_eq!(Balancer::new(EXACT).plan(&world.image, &equal, &|_| true).len(), 8);
}
