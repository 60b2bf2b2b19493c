//! The manifest: one version of the list of segments of a partition group, immutable.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::{GroupId, TopicPartition};

use crate::range::Range;

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
