//! The last look, when all is well again: everything is read, from the first offset to the last.

use std::collections::BTreeMap;

use odradek_tests::history::{Content, Event, Place, Reader};

use super::admin::Topics;
use super::calls::{EARLIEST, limited};
use super::{Common, TOPIC};

/// Notes the bounds and the contents of all logs, and what the group has committed.
pub async fn look(common: &Common, ends: &BTreeMap<Place, i64>) {
    for (&place, &end) in ends {
        let start = common.insist(|| common.offset(place, EARLIEST)).await;
        common.notes.note(Event::Bounds { place, start, end });
        let all = || async {
            let mut wire = common.leader(TOPIC, place.partition).await?;
            limited(wire.read(TOPIC, place.partition, 0, 0)).await
        };
        let all = common.insist(all).await;
        let pass = common.notes.unique();
        common.notes.note(Event::PassBegan { pass, place, reader: Reader::Scan { until: end } });
        for (offset, value) in all {
            let content = Content::decode(Some(&value));
            common.notes.note(Event::Read { pass, offset, content });
        }
        common.notes.note(Event::ScanEnded { pass });
        common.insist(|| common.ask_group(place)).await;
    }
}

/// Notes where topics differ from what was answered about them.
pub async fn compare_topics(common: &Common, topics: &Topics) {
    let listed = common.insist(|| common.topics()).await;
    for (topic, exists) in topics {
        if listed.contains(topic) != *exists {
            common
                .notes
                .problem(format!("topic {topic} exists: {}, against what was answered", !exists));
        }
    }
}
