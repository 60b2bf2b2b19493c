//! The fuzz targets, run over every seed, as it is and damaged.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// Runs `body` over the files of the directories of the crate; how many there were, and how much of
/// them was sound.
fn replay(directories: &[&str], body: fn(&[u8]) -> usize) -> (usize, usize) {
    let (mut seeds, mut sound) = (0, 0);
    for directory in directories {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        for entry in fs::read_dir(directory).expect("a directory of seeds") {
            let seed = fs::read(entry.expect("a seed").path()).expect("a seed that can be read");
            sound += body(&seed);
            seeds += 1;
            damaged(&seed, body);
        }
    }
    (seeds, sound)
}

/// Bytes at both ends of a seed that are each damaged. Heads and footers are there; between them, in
/// a segment, are records, of which one in [`STEP`] bytes is enough.
const ENDS: usize = 512;
const STEP: usize = 997;

/// The seed cut short, and with each byte in turn made to lie.
fn damaged(seed: &[u8], body: fn(&[u8]) -> usize) {
    let is_tried = |at: &usize| *at < ENDS || seed.len() - *at <= ENDS || at.is_multiple_of(STEP);
    for at in (0..seed.len()).filter(is_tried) {
        body(&seed[..at]);
        for lie in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = seed.to_vec();
            bytes[at] = lie;
            body(&bytes);
        }
    }
}

#[test]
fn slots() {
    let (seeds, sound) = replay(&["golden", "fuzz/seeds/slot"], bodies::slot);
    assert!(seeds >= 8 && sound >= 7, "{seeds} seeds, {sound} sound");
}

#[test]
fn segments() {
    let (seeds, sound) = replay(&["golden", "fuzz/seeds/segment"], bodies::segment);
    assert!(seeds >= 6 && sound >= 2, "{seeds} seeds, {sound} sound");
}

#[test]
fn lists() {
    let (seeds, sound) = replay(&["golden", "fuzz/seeds/lists"], bodies::lists);
    assert!(seeds >= 7 && sound >= 4, "{seeds} seeds, {sound} sound");
}
