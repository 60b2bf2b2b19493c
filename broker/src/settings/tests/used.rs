use std::path::Path;

use crate::settings::groups::{
    Admin, Background, Cache, Fetch, Groups, ListenerTexts, LogDefaults, LogOutput, Metadata,
    Network, Node, Process, Producers, Storage, Topics, Wal,
};
use crate::settings::table;
use crate::topic_settings::table as topic_table;

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
    // What topics may override is taken by its key.
    let of_topics = topic_table::ALL.iter().filter(|setting| setting.in_effect);
    let of_topics: Vec<_> = of_topics.flat_map(|s| s.broker).map(|(key, _)| *key).collect();
    let by_field = fields.iter().filter(|(key, _)| !of_topics.contains(key));
    let unread: Vec<_> = by_field.filter(|(_, field)| !takes(&sources, field)).collect();
    assert!(unread.is_empty(), "{unread:?}");
    assert!(!takes(&sources, "queued_max_request") && takes(&sources, "queued_max_request_bytes"));
}
