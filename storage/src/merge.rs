//! Merge: what live index objects brought in of a partition group goes into a new manifest.

use std::collections::BTreeMap;

use bytes::Bytes;
use odradek_common::ids::{GroupId, LeaderEpoch, TopicPartition};

use crate::attempt::{Attempt, CreateError};
use crate::catalog::{Catalog, CatalogError};
use crate::manifest::{Manifest, ManifestEntry};
use crate::names::{ObjectKind, ObjectName};
use crate::range::{CoverageError, PartitionRanges, Place, Range};
use crate::segment::{self, Input, Source, WriteError};

/// What to merge, all of one image of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergePlan {
    /// The partition group.
    pub group: GroupId,
    /// Its manifest, if it has one.
    pub manifest: Option<ObjectName>,
    /// The version of that manifest, 0 if there is none.
    pub version: u64,
    /// Live index objects, with those of their *accepted* partitions that belong to the group.
    pub taken: Vec<(ObjectName, Vec<TopicPartition>)>,
}

/// What a merge wrote, to be committed by compare-and-swap with the plan's version.
#[derive(Debug)]
pub struct Merged {
    /// The new manifest; none if no partition is left in the group.
    pub manifest: Option<ObjectName>,
    /// Its version: the plan's and one.
    pub version: u64,
    /// The birth mark of all that was written.
    pub mark: u64,
    /// What of the plan's it took in, to be committed with it.
    pub taken: Vec<(ObjectName, Vec<TopicPartition>)>,
    /// Partitions that were left as they are, because of slots that cannot be read.
    pub left: BTreeMap<TopicPartition, WriteError>,
}

/// Why nothing was merged. What was written is left to the collector.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// What is to be merged could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// What is to be merged is not what the plan says.
    #[error("{name} is not what the plan takes it for: {what}")]
    NotAsPlanned {
        /// The manifest or index object.
        name: ObjectName,
        /// What is different.
        what: &'static str,
    },
    /// The ranges do not make up the log.
    #[error("manifest {manifest:?} and index objects {taken:?}: {source}")]
    Coverage {
        /// The manifest that was read.
        manifest: Option<ObjectName>,
        /// The index objects that were read.
        taken: Vec<ObjectName>,
        /// What is wrong.
        source: CoverageError,
    },
    /// Ranges that lie in slots were not written into segments.
    #[error(transparent)]
    Segments(#[from] WriteError),
    /// The manifest was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// What is known of one partition while it is merged.
#[derive(Debug, Default)]
struct Gathered {
    /// The end of what is known, and the state of the producers there.
    end: i64,
    checkpoint: Bytes,
    ranges: Vec<Range>,
    /// The highest leader epoch that a batch may have.
    leader_epoch: Option<LeaderEpoch>,
}

/// Writes a new manifest of `plan.group`: the old one with what `plan.taken` brought in; ranges
/// that lie in slots are first written to segments. `log_start` gives a partition's log start in
/// the image that the plan is of, `None` if the partition was deleted. Ranges wholly below the log
/// start and deleted partitions are left out. A partition with a slot that cannot be read keeps its
/// index objects, all of them, and what the old manifest says of it: the others go on.
///
/// # Errors
/// What went wrong first; the merge is then void.
pub async fn write(
    attempt: &Attempt,
    catalog: &Catalog,
    plan: &MergePlan,
    log_start: &(dyn Fn(&TopicPartition) -> Option<i64> + Send + Sync),
) -> Result<Merged, MergeError> {
    let (version, mark) = (plan.version + 1, attempt.mark());
    let entries = settled(catalog, plan, log_start).await?;
    let (mut partitions, left) = out_of_slots(attempt, plan.group, entries).await?;
    if !left.is_empty() {
        let old = MergePlan { taken: Vec::new(), ..plan.clone() };
        let old = settled(catalog, &old, log_start).await?;
        let of_left = old.into_iter().filter(|(partition, _)| left.contains_key(partition));
        partitions.extend(of_left.map(|(partition, (entry, _))| (partition, entry)));
    }
    let taken = without(&plan.taken, &left);
    let mut merged = Merged { manifest: None, version, mark, taken, left };
    if !partitions.is_empty() {
        let manifest = Manifest { group: plan.group, version, mark, partitions };
        let name = attempt.fresh_name(ObjectKind::Manifest);
        attempt.create_list(name, manifest.encode()).await?;
        merged.manifest = Some(name);
    }
    Ok(merged)
}

fn without(
    taken: &[(ObjectName, Vec<TopicPartition>)],
    left: &BTreeMap<TopicPartition, WriteError>,
) -> Vec<(ObjectName, Vec<TopicPartition>)> {
    let rest = taken.iter().map(|(name, partitions)| {
        let mut partitions = partitions.clone();
        partitions.retain(|partition| !left.contains_key(partition));
        (*name, partitions)
    });
    rest.filter(|(_, partitions)| !partitions.is_empty()).collect()
}

/// What the new manifest is to say, of each partition that was not deleted.
async fn settled(
    catalog: &Catalog,
    plan: &MergePlan,
    log_start: &(dyn Fn(&TopicPartition) -> Option<i64> + Send + Sync),
) -> Result<BTreeMap<TopicPartition, Settled>, MergeError> {
    let mut entries = BTreeMap::new();
    for (partition, gathered) in gather(catalog, plan).await? {
        let Some(log_start) = log_start(&partition) else { continue };
        let entry = settle(partition, log_start, gathered).map_err(|source| {
            let taken = plan.taken.iter().map(|(name, _)| *name).collect();
            MergeError::Coverage { manifest: plan.manifest, taken, source }
        })?;
        entries.insert(partition, entry);
    }
    Ok(entries)
}

/// What the old manifest and the taken index objects hold, by partition.
async fn gather(
    catalog: &Catalog,
    plan: &MergePlan,
) -> Result<BTreeMap<TopicPartition, Gathered>, MergeError> {
    let mut gathered: BTreeMap<TopicPartition, Gathered> = BTreeMap::new();
    if let Some(name) = plan.manifest {
        let manifest = catalog.manifest(name).await?;
        if manifest.group != plan.group || manifest.version != plan.version {
            let what = "another group or version";
            return Err(MergeError::NotAsPlanned { name, what });
        }
        for (partition, entry) in &manifest.partitions {
            let known = gathered.entry(*partition).or_default();
            known.add(entry.end, &entry.checkpoint, &entry.ranges);
        }
    }
    for (name, partitions) in &plan.taken {
        let index = catalog.index_object(*name).await?;
        for partition in partitions {
            let part = index
                .part(partition)
                .ok_or(CatalogError::NoSuchPart { name: *name, partition: *partition })?;
            if part.group != plan.group {
                let what = "a partition of another group";
                return Err(MergeError::NotAsPlanned { name: *name, what });
            }
            let known = gathered.entry(*partition).or_default();
            known.add(part.next_offset(), &part.checkpoint, &part.ranges);
            known.leader_epoch = known.leader_epoch.max(Some(part.leader_epoch));
        }
    }
    Ok(gathered)
}

impl Gathered {
    fn add(&mut self, end: i64, checkpoint: &Bytes, ranges: &[Range]) {
        self.ranges.extend(ranges);
        if end >= self.end {
            self.end = end;
            self.checkpoint = checkpoint.clone();
        }
    }
}

/// A partition's entry, its ranges perhaps still in slots, and the highest leader epoch that a
/// batch in a slot may have.
type Settled = (ManifestEntry, Option<LeaderEpoch>);

/// What a manifest says of its partitions.
type Entries = BTreeMap<TopicPartition, ManifestEntry>;

/// Drops what is below the log start and checks that nothing is missing or twice.
fn settle(
    partition: TopicPartition,
    log_start: i64,
    gathered: Gathered,
) -> Result<Settled, CoverageError> {
    let Gathered { end, checkpoint, ranges, leader_epoch } = gathered;
    let ranges = PartitionRanges::new(partition, log_start, end, ranges, checkpoint.clone())?;
    let ranges = ranges.ranges().to_vec();
    Ok((ManifestEntry { end, ranges, checkpoint }, leader_epoch))
}

/// Writes into segments what lies in slots: manifests never refer to slots (law 4.2), which go
/// when no live index object names them any more. Returns what could be had, and what not for its
/// slots.
async fn out_of_slots(
    attempt: &Attempt,
    group: GroupId,
    entries: BTreeMap<TopicPartition, Settled>,
) -> Result<(Entries, BTreeMap<TopicPartition, WriteError>), WriteError> {
    let mut partitions = BTreeMap::new();
    let mut inputs = Vec::new();
    for (partition, (mut entry, leader_epoch)) in entries {
        let (in_slots, in_segments): (Vec<Range>, Vec<Range>) =
            entry.ranges.drain(..).partition(|range| matches!(range.place, Place::Slot(_)));
        entry.ranges = in_segments;
        partitions.insert(partition, entry);
        let leader_epoch = leader_epoch.unwrap_or(LeaderEpoch(i32::MAX));
        inputs.extend(in_slots.chunk_by(follows).map(|run| Input {
            partition,
            group,
            leader_epoch,
            base_offset: run.first().map_or(0, |range| range.base_offset),
            next_offset: run.last().map_or(0, |range| range.next_offset),
            source: Source::Slots(run.to_vec()),
        }));
    }
    let whose: Vec<TopicPartition> = inputs.iter().map(|input| input.partition).collect();
    let mut left = BTreeMap::new();
    for (partition, ranges) in whose.into_iter().zip(segment::write(attempt, inputs).await?) {
        match (ranges, partitions.get_mut(&partition)) {
            (Ok(ranges), Some(entry)) => {
                entry.ranges.extend(ranges);
                entry.ranges.sort_by_key(|range| range.base_offset);
            }
            (Err(error), _) => {
                partitions.remove(&partition);
                left.insert(partition, error);
            }
            (Ok(_), None) => {}
        }
    }
    Ok((partitions, left))
}

fn follows(one: &Range, next: &Range) -> bool {
    one.next_offset == next.base_offset
}

#[cfg(test)]
mod tests;
