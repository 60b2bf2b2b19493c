//! Requests damaged at every position, and what their decoding takes at most. One test alone in
//! its process, as it counts what the process allocates.

use bytes::Bytes;
use odradek_protocol::request::{self, DecodeError};
use peak_alloc::PeakAlloc;
use std::fs;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What decoding may take at its peak for each byte of a frame: the least elements take a byte or
/// two and some 100 in memory; the map of one unknown tagged field takes three and some 400.
const BYTES_A_FRAME_BYTE: usize = 200;
/// What it may take on top of that: errors with their texts.
const BYTES_BESIDES: usize = 4 << 10;

/// What is written over the bytes at a position: counts, lengths, markers and numbers that lie.
const LIES: &[&[u8]] = &[
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0, 0xff, 0xff, 0xff],
    &[0x7f, 0xff],
    &[0x80, 0],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0x80, 0x80, 0x80, 0x80, 0],
    &[0],
    &[1],
    &[0x7f],
    &[0xff],
];

#[derive(Default)]
struct Outcomes {
    taken: usize,
    refused: usize,
}

impl Outcomes {
    fn decode(&mut self, name: &str, frame: Vec<u8>) {
        let length = frame.len();
        let frame = Bytes::from(frame);
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let decoded = request::decode(frame);
        let took = ALLOCATOR.peak_usage().saturating_sub(before);
        assert!(
            took <= BYTES_BESIDES + BYTES_A_FRAME_BYTE * length,
            "{name}: {took} bytes to decode {length}"
        );
        match decoded {
            Ok(_) => self.taken += 1,
            // The guard is to refuse whatever the decoder would.
            Err(DecodeError::Undecodable { reason, .. }) => panic!("{name}: {reason}"),
            Err(_) => self.refused += 1,
        }
    }
}

#[test]
fn damage_at_any_position_is_refused_or_decoded_within_bounds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/request");
    let mut outcomes = Outcomes::default();
    for entry in fs::read_dir(seeds).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        let frame = fs::read(&path).unwrap();
        for at in 0..frame.len() {
            outcomes.decode(&name, frame[..at].to_vec());
            for lie in LIES {
                let tail = frame.get(at + lie.len()..).unwrap_or_default();
                outcomes.decode(&name, [&frame[..at], lie, tail].concat());
                outcomes.decode(&name, [&frame[..at], lie, &frame[at..]].concat());
            }
        }
    }
    assert!(outcomes.taken > 10_000, "{} taken", outcomes.taken);
    assert!(outcomes.refused > 100_000, "{} refused", outcomes.refused);
    large_frames();
}

/// Frames of many of the least elements there are, which take the most memory for their size.
fn large_frames() {
    const LARGE: usize = 900_000;
    const MEMORY_BYTES: usize = 100 << 20;
    // Metadata 9 (a header with a client id of null and no tags): topics of an empty name.
    let mut topics = vec![0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0];
    let body = topics.len();
    for (count, element, fits) in [
        (400_000, &[1, 0][..], true),
        (LARGE, &[1, 0][..], false),
        (100_000, &[1, 1, 99, 0][..], true),
        (LARGE, &[1, 1, 99, 0][..], false),
    ] {
        topics.truncate(body);
        put_uvarint(&mut topics, count + 1);
        (0..count).for_each(|_| topics.extend(element));
        topics.extend([1, 0, 0, 0]);
        let frame = Bytes::from(topics.clone());
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        assert_eq!(request::decode(frame).is_ok(), fits, "{count} elements of {element:?}");
        let took = ALLOCATOR.peak_usage().saturating_sub(before);
        assert!(took <= MEMORY_BYTES, "{took} bytes for {count} elements of {element:?}");
    }
}

fn put_uvarint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
