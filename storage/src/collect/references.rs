//! What a copy of the metadata refers to, directly and through index objects and manifests.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use odradek_common::ids::{SlotNumber, TopicPartition};
use odradek_common::limits;

use crate::catalog::{Catalog, CatalogError};
use crate::names::{ChainRef, ObjectName, SlotRef};
use crate::range::{Place, Range};

/// What a copy of the metadata says about a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainState {
    /// Where recovery would start: slots below are not needed for it.
    pub trim_point: SlotNumber,
    /// True if the epoch is recovered: none of its slots is needed for recovery.
    pub recovered: bool,
}

/// What the newest copy of the metadata *in the bucket* says (law 4.5). A newer one that is not
/// there yet must not be used: a restore has only what is in the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// The Raft index up to which that copy holds everything.
    pub applied: u64,
    /// The horizon committed in that copy. As it is the copy's own, the copy contains it, and with
    /// it everything older that will ever be referred to (law 4.4).
    pub horizon: u64,
    /// The live index objects, each with the accepted partitions that were not deleted since.
    pub index_objects: Vec<(ObjectName, Vec<TopicPartition>)>,
    /// The manifests of all groups.
    pub manifests: Vec<ObjectName>,
    /// The chains of every registration that is kept: of all that are not recovered at least.
    pub chains: HashMap<ChainRef, ChainState>,
}

impl Roots {
    /// What is known of a chain. An epoch is the index of its registration, which is kept until it is
    /// recovered: one that this copy reaches and does not hold was recovered and forgotten, its broker
    /// perhaps too. `None` for one that this copy cannot know yet: its slots stay.
    pub(super) fn chain(&self, of: ChainRef) -> Option<ChainState> {
        let forgotten = || ChainState { trim_point: SlotNumber(0), recovered: true };
        let kept = self.chains.get(&of).copied();
        kept.or_else(|| (of.epoch.0 <= self.applied).then(forgotten))
    }
}

/// All that is referred to.
#[derive(Debug, Default)]
pub(super) struct References {
    objects: HashSet<ObjectName>,
    slots: HashSet<SlotRef>,
}

impl References {
    /// Follows `roots` through the lists that they name.
    pub async fn read(catalog: &Catalog, roots: &Roots) -> Result<Self, CatalogError> {
        let mut references = Self::default();
        references.objects.extend(&roots.manifests);
        references.objects.extend(roots.index_objects.iter().map(|(name, _)| *name));
        let manifests: Vec<_> =
            roots.manifests.iter().map(|name| catalog.manifest(*name)).collect();
        let mut manifests = stream::iter(manifests).buffer_unordered(limits::LISTS_AT_ONCE);
        while let Some(manifest) = manifests.try_next().await? {
            for entry in manifest.partitions.values() {
                references.add_segments(&entry.ranges);
            }
        }
        let read = |(name, accepted)| async move {
            catalog.index_object(name).await.map(|index| (name, accepted, index))
        };
        let index_objects: Vec<_> =
            roots.index_objects.iter().map(|(name, accepted)| read((*name, accepted))).collect();
        let mut index_objects = stream::iter(index_objects).buffer_unordered(limits::LISTS_AT_ONCE);
        while let Some((name, accepted, index)) = index_objects.try_next().await? {
            for partition in accepted {
                let part = index.part(partition);
                let partition = *partition;
                let part = part.ok_or(CatalogError::NoSuchPart { name, partition })?;
                references.add_segments(&part.ranges);
            }
            // Of slots all that it names, accepted or not: who reads a slot needs all of it.
            for part in &index.parts {
                references.add_slots(&part.ranges);
            }
        }
        Ok(references)
    }

    /// True if something refers to the object.
    pub fn has(&self, name: &ObjectName) -> bool {
        self.objects.contains(name)
    }

    /// True if a live index object refers to the slot.
    pub fn has_slot(&self, at: &SlotRef) -> bool {
        self.slots.contains(at)
    }

    fn add_segments(&mut self, ranges: &[Range]) {
        self.objects.extend(ranges.iter().filter_map(|range| match range.place {
            Place::Segment(name) => Some(name),
            Place::Slot(_) => None,
        }));
    }

    fn add_slots(&mut self, ranges: &[Range]) {
        self.slots.extend(ranges.iter().filter_map(|range| match range.place {
            Place::Slot(at) => Some(at),
            Place::Segment(_) => None,
        }));
    }
}
