//! What an image takes of memory.

use std::mem::size_of;
use std::sync::Arc;

use super::*;
use crate::image::EpochStart;
use crate::wire::{decode_snapshot, encode_snapshot};

/// A node of the persistent maps: a count, a pointer to the entry, a color, two children.
const NODE_BYTES: usize = 40;
/// What their entries have in front: a count.
const ENTRY_BYTES: usize = 8;
/// What a shared slice has in front: two counts.
const SHARED_BYTES: usize = 16;

/// Section 7: an idle partition takes less than 300 bytes, here with three replicas: its place in the
/// map and in its owner's set, and its replicas. The history of leader epochs is shared.
#[test]
fn an_idle_partition_takes_less_than_300_bytes() {
    let in_map = NODE_BYTES + ENTRY_BYTES + size_of::<(TopicPartition, Partition)>();
    let in_set = NODE_BYTES + (ENTRY_BYTES + size_of::<TopicPartition>()).next_multiple_of(8);
    let replicas = (SHARED_BYTES + 3 * size_of::<BrokerId>()).next_multiple_of(8);
    assert_eq!(size_of::<EpochStart>(), 16);
    let bytes = in_map + in_set + replicas;
    assert!(bytes < 300, "{bytes}");
}

/// Partitions that were never moved have one history together, also after a restart.
#[test]
fn the_first_leader_epoch_is_shared() {
    let (mut world, one, _) = World::busy();
    world.ok(create_topic("a", 2, &[&[1, 2], &[2, 1], &[1, 2], &[2, 1]]));
    let is_shared = |image: &Image, a, b| {
        let epochs = |number| &image.partition(partition(2, number)).unwrap().leader_epochs;
        Arc::ptr_eq(epochs(a), epochs(b))
    };
    assert!((1..4).all(|number| is_shared(&world.image, 0, number)));
    let mut state = world.image.partition(partition(2, 1)).unwrap().clone();
    state.begin_leader_epoch(LeaderEpoch(1), 5);
    world.image.put_partition(partition(2, 1), state);
    let read = decode_snapshot(&encode_snapshot(&world.image)).unwrap();
    assert_eq!(read, world.image);
    assert!(is_shared(&read, 2, 3) && !is_shared(&read, 0, 1) && !is_shared(&read, 1, 2));
    assert!(read.is_live(one));
}

#[test]
fn a_command_may_hand_over_ten_thousand_partitions() {
    let (mut world, one, two) = World::busy();
    world.ok(create_topic("wide", 2, &vec![&[1][..]; 10_000]));
    let item = |(at, state): (_, &Partition)| HandedPartition {
        partition: at,
        leader_epoch: state.leader_epoch,
        flushed_end: state.flushed_end,
        end: 7,
    };
    let items: Vec<_> = world.image.partitions_of(topic(2)).map(item).collect();
    let hand = HandOver {
        mark: world.index,
        by: one,
        to: two,
        index_object: Some("handed".to_owned()),
        items,
    };
    let Outcome::HandedOver(results) = world.ok(Command::HandOver(hand)) else { panic!() };
    assert!(results.len() == 10_000 && results.iter().all(|r| *r == Ok(LeaderEpoch(1))));
    assert_eq!(world.image.owned_by(two).count(), 10_000);
}
