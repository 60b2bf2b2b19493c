//! The fuzz targets, run over every seed.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// Runs `body` over the files of a directory of the crate; how many there were.
fn replay(directory: &str, body: fn(&[u8])) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut seeds = 0;
    for entry in fs::read_dir(directory).expect("a directory of seeds") {
        let path = entry.expect("a seed").path();
        body(&fs::read(path).expect("a seed that can be read"));
        seeds += 1;
    }
    seeds
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
