use proptest::prelude::*;

use super::*;
use crate::index::tests::{range, ranges};
use crate::testkit::{golden, partition};

fn in_segments(ranges: Vec<Range>) -> Vec<Range> {
    let moved = ranges.into_iter().map(|one| range(one.base_offset, one.next_offset, 2));
    moved.collect()
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let entry = (ranges(), any::<bool>(), any::<Vec<u8>>());
    let entries = proptest::collection::btree_map(0i32..1000, entry, 0..5);
    (any::<u64>(), any::<u64>(), any::<u64>(), entries).prop_map(
        |(group, version, mark, entries)| {
            let partitions = entries.into_iter().map(|(number, (ranges, emptied, checkpoint))| {
                let end = ranges.last().unwrap().next_offset;
                let ranges = if emptied { Vec::new() } else { in_segments(ranges) };
                (partition(number), ManifestEntry { end, ranges, checkpoint: checkpoint.into() })
            });
            Manifest { group: GroupId(group), version, mark, partitions: partitions.collect() }
        },
    )
}

fn example() -> Manifest {
    let entry = |end, ranges: &[Range]| ManifestEntry {
        end,
        ranges: ranges.to_vec(),
        checkpoint: Bytes::from_static(b"producers"),
    };
    let partitions = [
        (partition(0), entry(300, &[range(0, 10, 2), range(10, 300, 4)])),
        (partition(7), entry(55, &[])),
    ];
    Manifest { group: GroupId(2), version: 9, mark: 17, partitions: partitions.into() }
}

#[test]
fn a_manifest_is_written_as_ever() {
    let golden = golden("manifest-1.bin", &example().encode());
    assert_eq!(Manifest::decode(&golden).unwrap(), example());
}

#[test]
fn what_cannot_be_is_refused() {
    let lie = |change: fn(&mut ManifestEntry)| {
        let mut manifest = example();
        change(manifest.partitions.get_mut(&partition(0)).unwrap());
        Manifest::decode(&manifest.encode()).unwrap_err()
    };
    lie(|entry| entry.end = 299);
    lie(|entry| entry.ranges[0].next_offset = 11);
    lie(|entry| entry.ranges.truncate(1));
    let slot = lie(|entry| entry.ranges[0] = range(0, 10, 3));
    assert!(slot.to_string().contains("slot"), "{slot}");
}

#[test]
fn partitions_belong_to_the_group_and_come_once() {
    let lie = |change: fn(&mut ManifestMessage)| {
        let mut message: ManifestMessage = MANIFEST_KIND.open_message(&example().encode()).unwrap();
        change(&mut message);
        Manifest::decode(&MANIFEST_KIND.seal_message(&message)).is_err()
    };
    assert!(!lie(|_| ()));
    assert!(lie(|message| message.group = 3));
    assert!(lie(|message| message.entries[1].partition = message.entries[0].partition.clone()));
    assert!(lie(|message| message.entries[1].end = -1));
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(manifest in manifest()) {
        prop_assert_eq!(&Manifest::decode(&manifest.encode()).unwrap(), &manifest);
    }

    #[test]
    fn damage_is_seen(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = example().encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Manifest::decode(&bytes.into()).is_err());
    }

    #[test]
    fn noise_in_a_sound_envelope_never_panics(noise: Vec<u8>) {
        let _ = Manifest::decode(&MANIFEST_KIND.seal(&noise));
    }
}
