use bytes::Bytes;
use odradek_common::batch::crc32c;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::names::{ObjectKind, ObjectName};
use crate::range::Range;
use crate::testkit::{batch, batches, end_of, golden, partition};

const NAME: ObjectName =
    ObjectName { kind: ObjectKind::Segment, mark: 42, unique: Uuid::from_u128(7) };

type Held = Vec<(TopicPartition, Vec<Bytes>)>;

fn build(held: &Held) -> (Bytes, Vec<FooterRange>) {
    let mut builder = SegmentBuilder::new(NAME);
    for (partition, batches) in held {
        let end = end_of(batches);
        builder.add(*partition, GroupId(3), 0, end, batches.clone()).unwrap();
    }
    let WrittenSegment { name, payload, ranges } = builder.finish();
    assert_eq!(name, NAME);
    (payload.into(), ranges)
}

/// `length` bytes of `bytes` from `position` on.
fn part(bytes: &Bytes, position: u64, length: u64) -> Bytes {
    let start = usize::try_from(position).unwrap();
    bytes.slice(start..start + usize::try_from(length).unwrap())
}

fn index_of(segment: &Bytes, range: &Range) -> Bytes {
    part(segment, range.index.0, u64::from(range.index.1))
}

fn stretches_of(segment: &Bytes, range: &Range) -> Stretches {
    if range.index.1 == 0 {
        return Stretches::whole(range);
    }
    Stretches::decode(&index_of(segment, range), range).unwrap()
}

#[test]
fn a_segment_is_written_as_ever() {
    let held = vec![
        (partition(0), batches(0, &[100, 1])),
        (partition(1), batches(0, &[70_000, 3000, 70_000, 10])),
    ];
    let (segment, ranges) = build(&held);
    let golden = golden("segment-1.bin", &segment);
    let footer = SegmentFooter::decode(&golden, golden.len() as u64).unwrap();
    assert_eq!(footer, SegmentFooter { name: NAME, ranges: ranges.clone() });
    assert_eq!(ranges[0].range.index, (0, 0), "a short range needs no index");
    assert_eq!(stretches_of(&golden, &ranges[1].range).all().len(), 3);
}

#[test]
fn only_small_chunks_are_copied() {
    let batches = batches(0, &[200_000, 10, 10, 5000]);
    let mut builder = SegmentBuilder::new(NAME);
    // As in memory: headers and records apart.
    let chunks = batches.iter().flat_map(|batch| [batch.slice(..61), batch.slice(61..)]).collect();
    builder.add(partition(0), GroupId(3), 0, end_of(&batches), chunks).unwrap();
    let payload = builder.finish().payload;
    let pointers: Vec<*const u8> = payload.iter().map(|chunk| chunk.as_ptr()).collect();
    assert!(pointers.contains(&batches[0][61..].as_ptr()));
    assert!(pointers.contains(&batches[3][61..].as_ptr()));
    // Index and header, records, small batches and a header, records, footer.
    assert_eq!(pointers.len(), 5);
    assert_eq!(Bytes::from(payload), build(&vec![(partition(0), batches)]).0);
}

#[test]
fn what_is_not_a_range_is_refused() {
    let add = |base, next, chunks: Vec<Bytes>| {
        SegmentBuilder::new(NAME).add(partition(0), GroupId(3), base, next, chunks)
    };
    let two = || vec![batch(5, 5, 0, 10), batch(10, 5, 0, 10)];
    add(5, 15, two()).unwrap();
    add(0, 20, two()).unwrap();
    let offsets = |result| matches!(result, Err(BadBatches::Offsets { .. }));
    assert!(offsets(add(6, 15, two())));
    assert!(offsets(add(5, 14, two())));
    assert!(offsets(add(5, 15, two().into_iter().rev().collect())));
    let cut = vec![batch(0, 1, 0, 10).slice(..70)];
    assert!(matches!(add(0, 1, cut), Err(BadBatches::NoBatch { .. })));
}

#[test]
fn a_footer_that_lies_is_refused() {
    let (segment, ranges) = build(&vec![(partition(0), batches(0, &[10]))]);
    let lie = |change: fn(&mut Range)| {
        let mut ranges = ranges.clone();
        change(&mut ranges[0].range);
        let footer = SegmentFooter { name: NAME, ranges }.encode();
        SegmentFooter::decode(&footer, segment.len() as u64)
    };
    assert!(lie(|_| ()).is_ok());
    assert!(lie(|range| range.next_offset = 0).is_err());
    assert!(lie(|range| range.length = 0).is_err());
    assert!(lie(|range| range.length += 1).is_err());
    assert!(lie(|range| range.length = u64::MAX).is_err());
    assert!(lie(|range| range.leader_epoch = LeaderEpoch(-1)).is_err());
    assert!(lie(|range| range.index = (5, 4)).is_err());
}

fn held() -> impl Strategy<Value = Held> {
    let sizes = prop_oneof![3 => 0usize..3000, 1 => 30_000usize..150_000];
    let one = proptest::collection::vec(sizes, 1..8);
    proptest::collection::vec(one, 1..5).prop_map(|all| {
        let numbered = (0..).zip(all);
        numbered.map(|(number, sizes)| (partition(number), batches(0, &sizes))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(held in held()) {
        let (segment, ranges) = build(&held);
        let footer = SegmentFooter::decode(&segment, segment.len() as u64).unwrap();
        prop_assert_eq!(&footer.ranges, &ranges);
        for (found, (partition, batches)) in ranges.iter().zip(&held) {
            prop_assert_eq!(&found.partition, partition);
            let bytes = part(&segment, found.range.position, found.range.length);
            prop_assert_eq!(&bytes[..], &batches.concat()[..]);
            prop_assert_eq!(found.range.crc, crc32c(&bytes));
            let mut at = 0;
            let stretches = stretches_of(&segment, &found.range);
            for stretch in stretches.all() {
                prop_assert_eq!(stretch.position, at);
                let body = part(&bytes, at, stretch.length);
                prop_assert_eq!(stretch.crc, crc32c(&body));
                let first = odradek_common::batch::BatchHeader::parse(&body).unwrap();
                prop_assert_eq!(stretch.base_offset, first.base_offset);
                let batches = odradek_common::batch::batches(body);
                let largest = batches.map(|batch| batch.unwrap().header.max_timestamp).max();
                prop_assert_eq!(Some(stretch.max_timestamp), largest);
                at += stretch.length;
            }
            prop_assert_eq!(at, found.range.length);
        }
    }

    #[test]
    fn chunks_may_be_cut_anywhere(
        sizes in proptest::collection::vec(0usize..9000, 1..8),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let batches = batches(0, &sizes);
        let whole = Bytes::from(batches.concat());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
        let mut builder = SegmentBuilder::new(NAME);
        builder.add(partition(0), GroupId(3), 0, end_of(&batches), chunks).unwrap();
        let payload = builder.finish().payload;
        prop_assert_eq!(Bytes::from(payload), build(&vec![(partition(0), batches)]).0);
    }

    #[test]
    fn damage_of_an_index_or_footer_is_seen(
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let (segment, ranges) = build(&vec![(partition(0), batches(0, &[70_000; 5]))]);
        let range = ranges[0].range;
        let index = index_of(&segment, &range);
        let mut damaged = index.to_vec();
        damaged[at.index(index.len())] ^= flip;
        prop_assert!(Stretches::decode(&damaged, &range).is_err());
        prop_assert!(Stretches::decode(&index[..cut.index(index.len())], &range).is_err());
        let end = range.end_position();
        let footer = part(&segment, end, segment.len() as u64 - end);
        let mut damaged = footer.to_vec();
        damaged[at.index(footer.len())] ^= flip;
        prop_assert!(SegmentFooter::decode(&damaged.into(), segment.len() as u64).is_err());
    }

    #[test]
    fn a_sound_crc_does_not_make_an_index(
        entries in proptest::collection::vec(any::<[u8; ENTRY_BYTES]>(), 0..5),
        small in any::<bool>(),
    ) {
        let (_, ranges) = build(&vec![(partition(0), batches(0, &[70_000; 5]))]);
        let mut bytes: Vec<u8> = entries.concat();
        if small {
            bytes.iter_mut().for_each(|byte| *byte &= 1);
        }
        let crc = crc32c(&bytes);
        bytes.extend(crc.to_be_bytes());
        if let Ok(stretches) = Stretches::decode(&bytes, &ranges[0].range) {
            let length: u64 = stretches.all().iter().map(|stretch| stretch.length).sum();
            prop_assert_eq!(length, ranges[0].range.length);
        }
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>, length: u64) {
        let (_, ranges) = build(&vec![(partition(0), batches(0, &[10]))]);
        let _ = Stretches::decode(&noise, &ranges[0].range);
        let _ = SegmentFooter::decode(&noise.clone().into(), length);
        let _ = SegmentFooter::decode(&SEGMENT_KIND.seal_footer(&noise), length);
    }
}
