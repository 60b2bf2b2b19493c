#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("odradek-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory to write to");
    directory
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::settings(data, &DIRECTORY);
});
