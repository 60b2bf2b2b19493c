//! Partitions that a request may name once. Names may be long, and their partitions many: a name is kept
//! and looked at once.

use std::collections::{HashMap, HashSet};

use kafka_protocol::messages::TopicName;

/// The partitions that a request has named so far.
#[derive(Debug, Default)]
pub(super) struct Once {
    names: HashMap<TopicName, usize>,
    seen: HashSet<(usize, i32)>,
}

/// A topic of a request, by the place of its name among those seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnceTopic(usize);

impl Once {
    /// The topic of this name.
    pub(super) fn topic(&mut self, name: &TopicName) -> OnceTopic {
        let count = self.names.len();
        OnceTopic(*self.names.entry(name.clone()).or_insert(count))
    }

    /// Whether the partition is named for the first time.
    pub(super) fn is_first(&mut self, topic: OnceTopic, partition: i32) -> bool {
        self.seen.insert((topic.0, partition))
    }
}
