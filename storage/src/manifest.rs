//! The manifest: one version of the list of segments of a partition group, immutable.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::{GroupId, TopicPartition};

use crate::envelope::Kind;
use crate::range::message::{
    ListError, PartitionMessage, PlaceMessage, PlaceTable, Places, RangesMessage,
};
use crate::range::{Place, Range};

/// How manifests are marked.
pub const MANIFEST_KIND: Kind = Kind { name: "manifest", magic: *b"ODmf", version: 1 };

/// What a manifest holds of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Offset after the last one that was merged. It stays when no range is left.
    pub end: i64,
    /// Ranges in segments, in order, each beginning where the one before ended, the last at `end`.
    pub ranges: Vec<Range>,
    /// The state of the partition's producers at `end`.
    pub checkpoint: Bytes,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The group.
    pub group: GroupId,
    /// Rises by one with every manifest of the group.
    pub version: u64,
    /// The birth mark of its attempt.
    pub mark: u64,
    /// The group's partitions of which something was merged.
    pub partitions: BTreeMap<TopicPartition, ManifestEntry>,
}

impl Manifest {
    /// Memory that it takes, in bytes, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let entry = |entry: &ManifestEntry| {
            size_of::<TopicPartition>()
                + size_of::<ManifestEntry>()
                + entry.ranges.capacity() * size_of::<Range>()
                + entry.checkpoint.len()
        };
        size_of::<Self>() + self.partitions.values().map(entry).sum::<usize>()
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut places = PlaceTable::default();
        let entries = self.partitions.iter().map(|(partition, entry)| EntryMessage {
            partition: Some(PartitionMessage::new(*partition, self.group)),
            end: entry.end,
            ranges: Some(places.ranges(&entry.ranges)),
            checkpoint: entry.checkpoint.clone(),
        });
        let entries = entries.collect();
        let (group, version, mark) = (self.group.0, self.version, self.mark);
        let places = places.finish();
        MANIFEST_KIND.seal_message(&ManifestMessage { group, version, mark, places, entries })
    }

    /// From bytes.
    ///
    /// # Errors
    /// If these are not a well-formed manifest of a version known here.
    pub fn decode(bytes: &Bytes) -> Result<Self, ListError> {
        let message: ManifestMessage = MANIFEST_KIND.open_message(bytes)?;
        let places = Places::check(&message.places)?;
        let mut partitions = BTreeMap::new();
        for entry in message.entries {
            let (partition, group, entry) = check_entry(entry, &places)?;
            if group.0 != message.group {
                return Err(ListError::Field("a partition of another group"));
            }
            if partitions.insert(partition, entry).is_some() {
                return Err(ListError::Field("a partition twice"));
            }
        }
        let (version, mark) = (message.version, message.mark);
        Ok(Self { group: GroupId(message.group), version, mark, partitions })
    }
}

fn check_entry(
    message: EntryMessage,
    places: &Places,
) -> Result<(TopicPartition, GroupId, ManifestEntry), ListError> {
    let name = message.partition.ok_or(ListError::Field("an entry without a partition"))?;
    let (partition, group) = name.check()?;
    let ranges = places.ranges(&message.ranges.unwrap_or_default())?;
    if message.end < 0 || ranges.last().is_some_and(|last| last.next_offset != message.end) {
        return Err(ListError::Field("ranges that do not reach the end"));
    }
    if ranges.iter().any(|range| matches!(range.place, Place::Slot(_))) {
        return Err(ListError::Field("a manifest that refers to a slot"));
    }
    // A copy: a slice would pin the whole object for a few bytes.
    let checkpoint = Bytes::copy_from_slice(&message.checkpoint);
    Ok((partition, group, ManifestEntry { end: message.end, ranges, checkpoint }))
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct ManifestMessage {
    #[prost(uint64, tag = "1")]
    group: u64,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(uint64, tag = "3")]
    mark: u64,
    #[prost(message, repeated, tag = "4")]
    places: Vec<PlaceMessage>,
    #[prost(message, repeated, tag = "5")]
    entries: Vec<EntryMessage>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct EntryMessage {
    #[prost(message, optional, tag = "1")]
    partition: Option<PartitionMessage>,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, optional, tag = "3")]
    ranges: Option<RangesMessage>,
    #[prost(bytes = "bytes", tag = "4")]
    checkpoint: Bytes,
}

#[cfg(test)]
mod tests;
