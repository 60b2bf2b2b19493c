//! What is kept: the state that a replay of the log gives, changed only by records. The live groups
//! (members that join, rebalances that go on) stand beside it and are rebuilt from it at load.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use bytes::Bytes;

use super::records::{FormatError, GroupRecord, OffsetRecord, RecordKey, TooLong};
use crate::coordinator::CoordinatorRecord;

/// Bytes that a record takes beside key and value: lengths, deltas, attributes.
const RECORD_BYTES: usize = 12;
/// Bytes of the fixed fields of an offset's key and value.
const OFFSET_BYTES: usize = 40;

/// Bytes of memory that an offset takes beside its record, by and large, ...
const OFFSET_MEMORY: usize = 128;
/// ... a topic in which a group has any, whose map begins with room for eleven, ...
const TOPIC_MEMORY: usize = 768;
/// ... and a group that has any, or a record of its own.
const GROUP_MEMORY: usize = 512;

type Partitions = BTreeMap<i32, OffsetRecord>;
type Topics = BTreeMap<Arc<str>, Partitions>;

/// The kept state of one partition of `__consumer_offsets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// The newest record of each group, as it was written.
    groups: BTreeMap<Arc<str>, Bytes>,
    offsets: BTreeMap<Arc<str>, Topics>,
    /// Records of types that this broker does not know, as they came: a newer broker may have
    /// written them, and finds them again.
    unknown: BTreeMap<Bytes, Bytes>,
    live_bytes: usize,
    /// Bytes of memory beside these.
    beside_bytes: usize,
}

/// The place of a live record in the order in which they are written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Behind this group.
    Group(Arc<str>),
    /// Behind all offsets of this group in this topic.
    Offsets(Arc<str>, Arc<str>),
    /// Behind this record of an unknown type.
    Unknown(Bytes),
}

impl Store {
    /// Takes in a record.
    ///
    /// # Errors
    /// If a record of a known type is malformed.
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<(), FormatError> {
        match (RecordKey::decode(key)?, value) {
            (RecordKey::Offset { group, topic, partition }, Some(value)) => {
                self.put_offset(&group, &topic, partition, OffsetRecord::decode(value)?);
            }
            (RecordKey::Offset { group, topic, partition }, None) => {
                self.remove_offset(&group, &topic, partition);
            }
            (RecordKey::Group(group), Some(value)) => {
                // It is kept as it came, and must be one that the live group can be made of.
                GroupRecord::decode(value)?;
                // A slice of the page would pin the page.
                self.put_group(&group, Bytes::copy_from_slice(value));
            }
            (RecordKey::Group(group), None) => self.remove_group(&group),
            (RecordKey::Unknown(kind), value) => {
                tracing::info!(kind, "a record of an unknown type is kept as it is");
                self.put_unknown(key, value);
            }
        }
        Ok(())
    }

    /// Bytes of the live records.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes of memory that they take, by and large: several times as much where they are short.
    pub fn memory_bytes(&self) -> usize {
        self.live_bytes + self.beside_bytes
    }

    /// The groups that have a record of their own, with it.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &Bytes)> {
        self.groups.iter()
    }

    /// The groups that have offsets.
    pub fn groups_with_offsets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.offsets.keys()
    }

    /// The record of a group, if it has one of its own.
    pub fn group(&self, group: &str) -> Option<&Bytes> {
        self.groups.get(group)
    }

    /// All offsets of a group: topic, partition, offset.
    pub fn offsets(&self, group: &str) -> impl Iterator<Item = (&Arc<str>, i32, &OffsetRecord)> {
        let topics = self.offsets.get(group).into_iter().flatten();
        topics.flat_map(|(topic, partitions)| partitions.iter().map(move |(p, o)| (topic, *p, o)))
    }

    /// The offset of a group in a partition.
    pub fn offset(&self, group: &str, topic: &str, partition: i32) -> Option<&OffsetRecord> {
        self.offsets.get(group)?.get(topic)?.get(&partition)
    }

    pub(super) fn put_group(&mut self, group: &Arc<str>, value: Bytes) {
        self.live_bytes += group_bytes(group, &value);
        self.beside_bytes += GROUP_MEMORY;
        if let Some(old) = self.groups.insert(Arc::clone(group), value) {
            self.live_bytes -= group_bytes(group, &old);
            self.beside_bytes -= GROUP_MEMORY;
        }
    }

    pub(super) fn remove_group(&mut self, group: &str) {
        if let Some(old) = self.groups.remove(group) {
            self.live_bytes -= group_bytes(group, &old);
            self.beside_bytes -= GROUP_MEMORY;
        }
    }

    pub(super) fn put_offset(
        &mut self,
        group: &Arc<str>,
        topic: &Arc<str>,
        partition: i32,
        offset: OffsetRecord,
    ) {
        self.live_bytes += offset_bytes(group, topic, &offset);
        let beside = &mut self.beside_bytes;
        let topics = self.offsets.entry(Arc::clone(group)).or_insert_with(|| {
            *beside += GROUP_MEMORY;
            Topics::new()
        });
        let partitions = topics.entry(Arc::clone(topic)).or_insert_with(|| {
            *beside += TOPIC_MEMORY;
            Partitions::new()
        });
        match partitions.insert(partition, offset) {
            Some(old) => self.live_bytes -= offset_bytes(group, topic, &old),
            None => *beside += OFFSET_MEMORY,
        }
    }

    pub(super) fn remove_offset(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(topics) = self.offsets.get_mut(group) else { return };
        let Some(partitions) = topics.get_mut(topic) else { return };
        let Some(old) = partitions.remove(&partition) else { return };
        self.live_bytes -= offset_bytes(group, topic, &old);
        self.beside_bytes -= OFFSET_MEMORY;
        if partitions.is_empty() {
            topics.remove(topic);
            self.beside_bytes -= TOPIC_MEMORY;
        }
        if topics.is_empty() {
            self.offsets.remove(group);
            self.beside_bytes -= GROUP_MEMORY;
        }
    }

    fn put_unknown(&mut self, key: &Bytes, value: Option<&Bytes>) {
        let bytes = |value: &Bytes| RECORD_BYTES + key.len() + value.len();
        let old = match value {
            Some(value) => {
                self.live_bytes += bytes(value);
                let [key, value] = [key, value].map(|b| Bytes::copy_from_slice(b));
                self.unknown.insert(key, value)
            }
            None => self.unknown.remove(key),
        };
        self.live_bytes -= old.as_ref().map_or(0, bytes);
    }

    /// The live records behind `after`, some `bytes_max` of them; see
    /// [`crate::coordinator::StateMachine::rewrite`].
    pub fn rewrite(
        &self,
        after: Option<Cursor>,
        bytes_max: usize,
    ) -> (Vec<CoordinatorRecord>, Option<Cursor>) {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut cursor = after;
        while let Some(next) = self.next_cursor(cursor.as_ref()) {
            if bytes >= bytes_max {
                return (records, cursor);
            }
            let from = records.len();
            // Everything here was encoded or decoded before, so it fits its record.
            if let Err(error) = self.records_at(&next, &mut records) {
                tracing::error!(%error, ?next, "a live record cannot be written anew");
            }
            bytes += records[from..].iter().map(CoordinatorRecord::size_bytes).sum::<usize>();
            cursor = Some(next);
        }
        (records, None)
    }

    /// The place behind `after`: groups, then offsets, then what is unknown.
    fn next_cursor(&self, after: Option<&Cursor>) -> Option<Cursor> {
        let group = |from| {
            let next = self.groups.range::<str, _>((from, Unbounded)).next();
            next.map(|(group, _)| Cursor::Group(Arc::clone(group)))
        };
        let first_offsets = |from| {
            let next = self.offsets.range::<str, _>((from, Unbounded)).next();
            next.and_then(|(group, topics)| {
                let (topic, _) = topics.first_key_value()?;
                Some(Cursor::Offsets(Arc::clone(group), Arc::clone(topic)))
            })
        };
        let unknown = |from: std::ops::Bound<&Bytes>| {
            let next = self.unknown.range::<Bytes, _>((from, Unbounded)).next();
            next.map(|(key, _)| Cursor::Unknown(key.clone()))
        };
        match after {
            None => {
                group(Unbounded).or_else(|| first_offsets(Unbounded)).or_else(|| unknown(Unbounded))
            }
            Some(Cursor::Group(last)) => group(Excluded(&**last))
                .or_else(|| first_offsets(Unbounded))
                .or_else(|| unknown(Unbounded)),
            Some(Cursor::Offsets(last, topic)) => {
                let topics = self.offsets.get(&**last);
                let behind = (Excluded(&**topic), Unbounded);
                let next = topics.and_then(|topics| topics.range::<str, _>(behind).next());
                next.map(|(topic, _)| Cursor::Offsets(Arc::clone(last), Arc::clone(topic)))
                    .or_else(|| first_offsets(Excluded(&**last)))
                    .or_else(|| unknown(Unbounded))
            }
            Some(Cursor::Unknown(last)) => unknown(Excluded(last)),
        }
    }

    fn records_at(&self, at: &Cursor, records: &mut Vec<CoordinatorRecord>) -> Result<(), TooLong> {
        match at {
            Cursor::Group(group) => {
                let key = RecordKey::encode_group(group)?;
                let value = self.groups.get(group).cloned();
                records.push(CoordinatorRecord { key, value });
            }
            Cursor::Offsets(group, topic) => {
                let partitions = self.offsets.get(group).and_then(|topics| topics.get(topic));
                for (partition, offset) in partitions.into_iter().flatten() {
                    let key = RecordKey::encode_offset(group, topic, *partition)?;
                    records.push(CoordinatorRecord { key, value: Some(offset.encode()?) });
                }
            }
            Cursor::Unknown(key) => {
                let value = self.unknown.get(key).cloned();
                records.push(CoordinatorRecord { key: key.clone(), value });
            }
        }
        Ok(())
    }
}

fn group_bytes(group: &str, value: &Bytes) -> usize {
    RECORD_BYTES + group.len() + value.len()
}

fn offset_bytes(group: &str, topic: &str, offset: &OffsetRecord) -> usize {
    RECORD_BYTES + OFFSET_BYTES + group.len() + topic.len() + offset.metadata.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offset(offset: i64) -> OffsetRecord {
        OffsetRecord {
            offset,
            leader_epoch: None,
            metadata: "".into(),
            commit_ms: 5,
            expire_ms: None,
            topic_id: None,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Group(u8, Option<u8>),
        Offset(u8, u8, i32, Option<i64>),
        Unknown(u8, Option<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..6u8, any::<Option<u8>>()).prop_map(|(g, v)| Step::Group(g, v)),
            (0..4u8, 0..4u8, 0..4, prop::option::of(0..9i64))
                .prop_map(|(g, t, p, o)| Step::Offset(g, t, p, o)),
            (0..4u8, any::<Option<u8>>()).prop_map(|(k, v)| Step::Unknown(k, v)),
        ]
    }

    fn record(step: &Step) -> CoordinatorRecord {
        let (key, value) = match step {
            Step::Group(g, v) => {
                let value = v.map(|v| {
                    let (protocol_type, protocol, leader) = (None, None, None);
                    let (generation, state_since_ms, members) = (v.into(), None, vec![]);
                    GroupRecord {
                        protocol_type,
                        generation,
                        protocol,
                        leader,
                        state_since_ms,
                        members,
                    }
                });
                let value = value.map(|record| record.encode().unwrap());
                (RecordKey::encode_group(&format!("g{g}")).unwrap(), value)
            }
            Step::Offset(g, t, p, o) => {
                let key = RecordKey::encode_offset(&format!("g{g}"), &format!("t{t}"), *p);
                (key.unwrap(), o.map(|o| offset(o).encode().unwrap()))
            }
            Step::Unknown(k, v) => (vec![0, 9, *k].into(), v.map(|v| vec![v].into())),
        };
        CoordinatorRecord { key, value }
    }

    fn replay(store: &mut Store, record: &CoordinatorRecord) {
        store.replay(&record.key, record.value.as_ref()).unwrap();
    }

    proptest! {
        #[test]
        fn a_rewriting_with_changes_in_between_gives_the_state(
            before in prop::collection::vec(step(), 0..40),
            during in prop::collection::vec(prop::collection::vec(step(), 0..4), 0..30),
            bytes_max in 1usize..200,
        ) {
            let mut live = Store::default();
            before.iter().for_each(|step| replay(&mut live, &record(step)));
            let mut written = Store::default();
            let (mut cursor, mut begun) = (None, false);
            let mut during = during.into_iter();
            while !begun || cursor.is_some() {
                begun = true;
                let (records, next) = live.rewrite(cursor, bytes_max);
                records.iter().for_each(|record| replay(&mut written, record));
                cursor = next;
                for step in during.next().unwrap_or_default() {
                    replay(&mut live, &record(&step));
                    replay(&mut written, &record(&step));
                }
            }
            prop_assert_eq!(&written, &live);
            let mut emptied = live.clone();
            for (group, topic, partition) in live.offsets.iter().flat_map(|(g, topics)| {
                topics.iter().flat_map(move |(t, ps)| ps.keys().map(move |p| (g, t, *p)))
            }) {
                emptied.remove_offset(group, topic, partition);
            }
            live.groups.keys().for_each(|group| emptied.remove_group(group));
            live.unknown.keys().for_each(|key| emptied.put_unknown(key, None));
            prop_assert_eq!(emptied, Store::default());
        }
    }
}
