//! The fuzz targets, run over every seed, as it is and damaged.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// The seeds in a directory of the crate.
fn seeds(directory: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(directory).expect("a directory of seeds");
    let read = |path| fs::read(path).expect("a seed that can be read");
    entries.map(|entry| read(entry.expect("a seed").path())).collect()
}

/// Runs `body` over the files of a directory, whole and damaged; how many there were.
fn replay(directory: &str, body: fn(&[u8])) -> usize {
    let seeds = seeds(directory);
    for seed in &seeds {
        body(seed);
        damaged(seed, body);
    }
    seeds.len()
}

/// Bytes at both ends of a seed that are each damaged; between them one in [`STEP`] bytes is enough.
const ENDS: usize = 512;
const STEP: usize = 97;

/// The seed cut short, and with each byte in turn made to lie.
fn damaged(seed: &[u8], body: fn(&[u8])) {
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
fn frames() {
    assert!(replay("fuzz/seeds/frame", bodies::frame) >= 3);
}

#[test]
fn requests() {
    assert!(replay("fuzz/seeds/request", bodies::request) >= 140);
}

#[test]
fn batches() {
    assert!(replay("golden", bodies::batch) >= 5);
}
