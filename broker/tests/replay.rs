//! The fuzz targets, run over every seed, as it is and damaged.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

#[test]
fn settings() {
    let scratch = tempfile::tempdir().expect("a directory");
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/settings");
    let mut taken = 0;
    for entry in fs::read_dir(seeds).expect("a directory of seeds") {
        let seed = fs::read(entry.expect("a seed").path()).expect("a seed that can be read");
        taken += bodies::settings(&seed, scratch.path());
        for at in (0..seed.len()).step_by(3) {
            bodies::settings(&seed[..at], scratch.path());
            for lie in [b'=', b'"', b'[', b'.', b'\n', 0xff] {
                let mut bytes = seed.clone();
                bytes[at] = lie;
                bodies::settings(&bytes, scratch.path());
            }
        }
    }
    // As a file, as variables and as flags.
    assert!(taken >= 3, "{taken} were taken");
}
