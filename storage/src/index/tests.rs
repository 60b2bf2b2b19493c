use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::names::{ObjectKind, ObjectName};
use crate::range::Place;
use crate::testkit::{CHAIN, golden, partition};
use odradek_common::ids::SlotNumber;

/// A range of one of a few objects.
pub(crate) fn range(base_offset: i64, next_offset: i64, place: u64) -> Range {
    let name = ObjectName {
        kind: ObjectKind::Segment,
        mark: place,
        unique: Uuid::from_u128(u128::from(place)),
    };
    let slot = Place::Slot(CHAIN.slot(SlotNumber(place)));
    Range {
        base_offset,
        next_offset,
        leader_epoch: LeaderEpoch(4),
        max_timestamp: base_offset - 1,
        place: if place.is_multiple_of(2) { Place::Segment(name) } else { slot },
        position: place * 100,
        length: next_offset.abs_diff(base_offset) * 10,
        crc: 0xdead_beef,
        index: if place.is_multiple_of(4) { (7, 9) } else { (0, 0) },
    }
}

pub(crate) fn ranges() -> impl Strategy<Value = Vec<Range>> {
    let lengths = proptest::collection::vec((1i64..1000, 0u64..6), 1..6);
    (0i64..1 << 40, lengths).prop_map(|(base, lengths)| {
        let mut next = base;
        let ranges = lengths.into_iter().map(|(length, place)| {
            next += length;
            range(next - length, next, place)
        });
        ranges.collect()
    })
}

fn index() -> impl Strategy<Value = IndexObject> {
    let part = (ranges(), any::<u64>(), 0i32..50, any::<Vec<u8>>());
    let parts = proptest::collection::btree_map(0i32..1000, part, 0..5);
    (any::<u64>(), parts).prop_map(|(mark, parts)| {
        let parts = parts.into_iter().map(|(number, (ranges, group, epoch, checkpoint))| {
            let (group, leader_epoch) = (GroupId(group), LeaderEpoch(epoch));
            let (partition, checkpoint) = (partition(number), checkpoint.into());
            IndexPart { partition, group, leader_epoch, ranges, checkpoint }
        });
        IndexObject { mark, parts: parts.collect() }
    })
}

fn example() -> IndexObject {
    let part = |number, ranges: &[Range]| IndexPart {
        partition: partition(number),
        group: GroupId(2),
        leader_epoch: LeaderEpoch(5),
        ranges: ranges.to_vec(),
        checkpoint: Bytes::from_static(b"producers"),
    };
    let first = part(0, &[range(0, 10, 2), range(10, 300, 3)]);
    IndexObject { mark: 17, parts: vec![first, part(7, &[range(55, 60, 4)])] }
}

#[test]
fn an_index_object_is_written_as_ever() {
    let golden = golden("index-1.bin", &example().encode());
    assert_eq!(IndexObject::decode(&golden).unwrap(), example());
}

#[test]
fn a_part_is_found() {
    let index = example();
    assert_eq!(index.part(&partition(7)).unwrap().base_offset(), 55);
    assert_eq!(index.part(&partition(0)).unwrap().next_offset(), 300);
    assert_eq!(index.part(&partition(1)), None);
}

#[test]
fn an_object_is_named_once() {
    let parts = (0..200).map(|number| IndexPart {
        partition: partition(number),
        group: GroupId(2),
        leader_epoch: LeaderEpoch(5),
        ranges: vec![range(0, 10, 2)],
        checkpoint: Bytes::new(),
    });
    let index = IndexObject { mark: 17, parts: parts.collect() };
    let bytes = index.encode().len();
    assert!(bytes < 200 * 70, "{bytes} bytes");
    let many = (0..1000).map(|i| range(i * 100, i * 100 + 100, 2)).collect();
    let index =
        IndexObject { parts: vec![IndexPart { ranges: many, ..index.parts[0].clone() }], ..index };
    let bytes = index.encode().len();
    assert!(bytes < 1000 * 20, "{bytes} bytes");
}

#[test]
fn what_cannot_be_is_refused() {
    let lie = |change: fn(&mut IndexObject)| {
        let mut index = example();
        change(&mut index);
        IndexObject::decode(&index.encode()).unwrap_err()
    };
    lie(|index| index.parts[1].partition = partition(0));
    lie(|index| index.parts.swap(0, 1));
    lie(|index| index.parts[0].ranges.clear());
    lie(|index| index.parts[0].ranges[0].next_offset = 11);
    lie(|index| index.parts[0].ranges[1].base_offset = 11);
    lie(|index| index.parts[0].ranges[0].base_offset = -1);
    lie(|index| index.parts[0].ranges[0].length = 0);
    lie(|index| index.parts[0].ranges[1].position = u64::MAX);
    lie(|index| index.parts[0].partition.partition = -1);
}

fn ranges_of(message: &mut IndexMessage) -> &mut RangesMessage {
    message.parts[0].ranges.as_mut().unwrap()
}

#[test]
fn a_place_must_be_there_and_be_one() {
    let lie = |change: fn(&mut IndexMessage)| {
        let bytes = example().encode();
        let mut message: IndexMessage = INDEX_KIND.open_message(&bytes).unwrap();
        change(&mut message);
        IndexObject::decode(&INDEX_KIND.seal_message(&message)).is_err()
    };
    assert!(!lie(|_| ()));
    assert!(lie(|message| ranges_of(message).places[0] = 3));
    assert!(lie(|message| ranges_of(message).places[0] = -1));
    assert!(lie(|message| ranges_of(message).leader_epochs[0] = i64::MAX));
    assert!(lie(|message| ranges_of(message).leader_epochs[0] = -1));
    assert!(lie(|message| ranges_of(message).offsets[1] = u64::MAX));
    assert!(lie(|message| ranges_of(message).index_lengths[0] = 8000));
    assert!(lie(|message| {
        ranges_of(message).index_lengths[0] = 1;
        ranges_of(message).index_gaps[0] = i64::MAX;
    }));
    assert!(lie(|message| ranges_of(message).crcs.truncate(1)));
    assert!(lie(|message| message.places[0].segment = None));
    assert!(lie(|message| message.places[0].slot = message.places[1].slot));
    assert!(lie(|message| message.places[0].segment.as_mut().unwrap().unique.clear()));
    assert!(lie(|message| message.parts[0].partition = None));
    assert!(lie(|message| message.parts[0].partition.as_mut().unwrap().topic.clear()));
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(index in index()) {
        prop_assert_eq!(&IndexObject::decode(&index.encode()).unwrap(), &index);
    }

    #[test]
    fn damage_is_seen(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = example().encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(IndexObject::decode(&bytes.into()).is_err());
    }

    #[test]
    fn noise_in_a_sound_envelope_never_panics(
        noise: Vec<u8>,
        at in any::<prop::sample::Index>(),
        value: u8,
    ) {
        let _ = IndexObject::decode(&INDEX_KIND.seal(&noise));
        let mut payload = INDEX_KIND.open(&example().encode()).unwrap().payload.to_vec();
        let at = at.index(payload.len());
        payload[at] = value;
        if let Ok(index) = IndexObject::decode(&INDEX_KIND.seal(&payload)) {
            prop_assert!(index.parts.iter().flat_map(|part| &part.ranges).all(|r| r.check().is_ok()));
        }
    }
}
