//! The seeds of the fuzz targets: one request an API and version, and a few streams of frames.

use super::{Style, every_version, generate};
use crate::schema;
use std::fs;
use std::path::{Path, PathBuf};

/// Set, the seeds are written; otherwise they are checked.
const WRITE: &str = "ODRADEK_WRITE_SEEDS";

fn hold(directory: &str, name: &str, expected: &[u8]) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(directory);
    let path = directory.join(name);
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(directory).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read(&path).unwrap_or_default();
    assert!(found == expected, "{} is out of date: set {WRITE}", path.display());
    path
}

/// A whole request frame without its length, every field in use.
fn requests() -> impl Iterator<Item = (String, Vec<u8>)> {
    every_version().map(|(api, version)| {
        let mut frame = (api as i16).to_be_bytes().to_vec();
        frame.extend(version.to_be_bytes());
        frame.extend([0, 0, 0, 7, 0, 2, b'm', b'e']);
        if api.request_header_version(version) >= 2 {
            frame.push(0);
        }
        frame.extend(generate(schema::request(api).unwrap(), version, Style::Full, 3));
        (format!("{api:?}-{version}"), frame)
    })
}

#[test]
fn seeds_of_requests_are_those_of_the_layouts() {
    for (name, frame) in requests() {
        hold("request", &name, &frame);
    }
}

#[test]
fn seeds_of_streams_are_those_of_the_layouts() {
    let framed =
        |frame: &[u8]| [&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat();
    let many: Vec<u8> = requests().take(12).flat_map(|(_, frame)| framed(&frame)).collect();
    hold("frame", "many-small", &[&[200], &many[..]].concat());
    hold("frame", "one-large", &[&[255], &framed(&[5; 9000])[..]].concat());
    hold("frame", "byte-by-byte", &[&[0], &many[..400]].concat());
    hold("frame", "half-read", &[&[99], &(50_u32 << 10).to_be_bytes()[..], &[1; 500]].concat());
    hold("frame", "negative", &[7, 0xff, 0xff, 0xff, 0xff, 0]);
}
