//! Merge: what live index objects brought in of a partition group goes into a new manifest.

use odradek_common::ids::{GroupId, TopicPartition};

use crate::attempt::Attempt;
use crate::catalog::{Catalog, CatalogError};
use crate::flush::FlushError;
use crate::names::ObjectName;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The new manifest; none if no partition is left in the group.
    pub manifest: Option<ObjectName>,
    /// Its version: the plan's and one.
    pub version: u64,
    /// The birth mark of all that was written.
    pub mark: u64,
}

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// What is to be merged could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Segments or the manifest could not be written.
    #[error(transparent)]
    Write(#[from] FlushError),
}

/// Writes a new manifest of `plan.group`: the old one with what `plan.taken` brought in; ranges
/// that lie in slots are first written to segments. `log_start` gives a partition's log start in
/// the image that the plan is of, `None` if the partition was deleted. Ranges wholly below the log
/// start and deleted partitions are left out.
///
/// # Errors
/// What went wrong first; the merge is then void.
pub async fn write(
    attempt: &Attempt,
    catalog: &Catalog,
    plan: &MergePlan,
    log_start: &(dyn Fn(&TopicPartition) -> Option<i64> + Send + Sync),
) -> Result<Merged, MergeError> {
    let _ = (attempt, catalog, plan, log_start(&plan.taken[0].1[0]));
    unreachable!("skeleton")
}
