use std::path::Path;

use crate::settings::groups::{
    Admin, Background, Cache, Fetch, Groups, ListenerTexts, LogDefaults, LogOutput, Metadata,
    Network, Node, Process, Producers, Storage, Topics, Wal,
};
use crate::settings::table;

/// The code of this crate, without that of tests.
fn read_sources(directory: &Path, all: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                read_sources(&path, all);
            }
        } else if !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            all.push_str(text.split("#[cfg(test)]\nmod tests").next().unwrap());
        }
    }
}

/// True if `sources` take the field of something.
fn takes(sources: &str, field: &str) -> bool {
    let access = format!(".{field}");
    let behind = sources.match_indices(&access).map(|(at, _)| &sources[at + access.len()..]);
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    behind.into_iter().any(|rest| !rest.starts_with(is_letter))
}

/// One that is read nowhere belongs to those without effect, where giving it is a warning.
#[test]
fn settings_with_an_effect_are_read() {
    let fields = [
        Node::FIELDS,
        ListenerTexts::FIELDS,
        Network::FIELDS,
        Fetch::FIELDS,
        Topics::FIELDS,
        LogDefaults::FIELDS,
        Groups::FIELDS,
        Producers::FIELDS,
        Storage::FIELDS,
        Wal::FIELDS,
        Cache::FIELDS,
        Background::FIELDS,
        Metadata::FIELDS,
        Admin::FIELDS,
        LogOutput::FIELDS,
        Process::FIELDS,
    ]
    .concat();
    assert_eq!(fields.len(), table::with_effect().count());
    let mut sources = String::new();
    read_sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut sources);
    let unread: Vec<_> = fields.iter().filter(|(_, field)| !takes(&sources, field)).collect();
    assert!(unread.is_empty(), "{unread:?}");
    assert!(!takes(&sources, "queued_max_request") && takes(&sources, "queued_max_request_bytes"));
}
