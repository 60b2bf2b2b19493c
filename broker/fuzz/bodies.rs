//! What each fuzz target does to its input, for the targets and for the test that replays seeds.

use std::ffi::OsString;
use std::path::Path;

use odradek_broker::settings::{Settings, Sources};

/// Settings, as the text of a file, as variables of the environment and as flags, a line each: they
/// are taken or refused with a text, and what is taken can be described. How many were taken.
pub fn settings(data: &[u8], directory: &Path) -> usize {
    let text = String::from_utf8_lossy(data);
    let file = directory.join("settings.toml");
    std::fs::write(&file, data).expect("a directory to write to");
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let environment = variables
        .map(|(key, value)| {
            let key = key.trim().to_uppercase().replace('.', "_");
            (OsString::from(format!("ODRADEK_{key}")), OsString::from(value.trim()))
        })
        .collect();
    let flags = text.lines().map(|line| line.replace([' ', '"'], "")).collect();
    let sources = [
        Sources { file: Some(file), ..Sources::default() },
        Sources { environment, ..Sources::default() },
        Sources { flags, ..Sources::default() },
    ];
    let loaded = |sources: &Sources| match Settings::load(sources) {
        Ok((settings, warnings)) => {
            assert!(settings.describe().count() > 100, "all settings are described");
            warnings.iter().for_each(|warning| assert!(!warning.to_string().is_empty()));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal without a reason");
            false
        }
    };
    sources.iter().filter(|sources| loaded(sources)).count()
}
