//! Merge: live index objects of a partition group become a manifest. Ranges that lie in slots, as a
//! takeover leaves them, are written to segments on the way, so that the slots can go.

use std::sync::Arc;

use odradek_common::ids::{GroupId, TopicPartition};
use odradek_common::limits::MERGE_INDEX_OBJECTS;
use odradek_common::phases::Phase;
use odradek_metadata::{Command, Image, Merge, ProposeError, Refusal};
use odradek_storage::catalog::CatalogError;
use odradek_storage::merge::{self, MergeError, MergePlan};
use odradek_storage::range::Place;
use tracing::{debug, warn};

use crate::core::Core;
use crate::reading::{BadName, parse};
use crate::topics::LiveTopics;

/// Why a merge was given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is to be merged cannot be found.
    #[error(transparent)]
    Names(#[from] BadName),
    /// What is to be merged cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] MergeError),
    /// The metadata.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Merges every `merge.interval.ms`.
pub async fn run(core: Arc<Core>) {
    loop {
        once(&core).await;
        tokio::time::sleep(core.settings().background.merge_interval).await;
    }
}

/// Merges each group that has enough to merge.
pub async fn once(core: &Core) {
    let image = core.image();
    let groups: Vec<GroupId> = image.groups().map(|(id, _)| id).collect();
    for group in groups {
        match merge(core, group).await {
            Ok(()) => {}
            Err(Error::Propose(ProposeError::Refused(refusal))) => {
                debug!(group = group.0, %refusal, "a merge came too late");
            }
            Err(error) => {
                warn!(group = group.0, %error, "a merge did not succeed; it is tried again")
            }
        }
    }
}

async fn merge(core: &Core, group: GroupId) -> Result<(), Error> {
    let image = core.image();
    let Some(plan) = plan(core, &image, group).await? else { return Ok(()) };
    let log_start = |at: &TopicPartition| {
        let partition = image.partition(*at)?;
        image.live_topic(at.topic).map(|_| partition.log_start)
    };
    let attempt = core.attempt(image.applied_index());
    let merged = {
        let _in = core.phases.enter(Phase::Flush);
        merge::write(&attempt, &core.catalog, &plan, &log_start).await?
    };
    let taken = plan.taken.iter().map(|(name, of)| (name.to_string(), of.clone())).collect();
    let command = Command::Merge(Merge {
        mark: merged.mark,
        group,
        expected_version: plan.version,
        manifest: merged.manifest.map(|name| name.to_string()),
        taken,
    });
    let _in = core.phases.enter(Phase::Commit);
    match core.propose(command).await {
        Err(ProposeError::Refused(Refusal::ManifestVersion { .. })) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What to merge: all that is live of the group, if that is enough or holds slots back.
async fn plan(core: &Core, image: &Image, group: GroupId) -> Result<Option<MergePlan>, Error> {
    let Some(state) = image.group(group) else { return Ok(None) };
    let mut taken = Vec::new();
    for (name, accepted) in image.index_objects_of(group) {
        taken.push((parse(name)?, accepted.iter().copied().collect::<Vec<_>>()));
    }
    let mut due = taken.len() >= MERGE_INDEX_OBJECTS;
    for (name, _) in &taken {
        due = due || {
            let object = core.catalog.index_object(*name).await?;
            let mut ranges = object.parts.iter().flat_map(|part| &part.ranges);
            ranges.any(|range| matches!(range.place, Place::Slot(_)))
        };
    }
    if !due || taken.is_empty() {
        return Ok(None);
    }
    let manifest = state.manifest.as_deref().map(parse).transpose()?;
    Ok(Some(MergePlan { group, manifest, version: state.version, taken }))
}
