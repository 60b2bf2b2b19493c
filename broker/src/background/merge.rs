//! Merge: live index objects of a partition group become a manifest. Ranges that lie in slots, as a
//! takeover leaves them, are written to segments on the way, so that the slots can go.

use std::collections::HashMap;
use std::sync::Arc;

use odradek_common::ids::{GroupId, TopicPartition};
use odradek_common::limits::{MERGE_INDEX_OBJECTS, MERGE_LEFT_OUT, METADATA_ITEMS};
use odradek_common::phases::Phase;
use odradek_metadata::{Command, Image, Merge, ProposeError, Refusal};
use odradek_storage::catalog::CatalogError;
use odradek_storage::merge::{self, MergeError, MergePlan};
use odradek_storage::names::ObjectName;
use odradek_storage::range::{Place, Range};
use tokio::time::Instant;
use tracing::warn;

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

/// Partitions of which a takeover left slots that cannot be read. They are left out of merges for a
/// while, or until their log starts elsewhere: to try at each merge is in vain, and costs as much.
#[derive(Debug, Default)]
struct Left(HashMap<TopicPartition, (Option<i64>, Instant)>);

impl Left {
    fn add(&mut self, at: TopicPartition, log_start: Option<i64>) {
        self.0.insert(at, (log_start, Instant::now() + MERGE_LEFT_OUT));
    }

    /// Forgets those that are due again.
    fn refresh(&mut self, image: &Arc<Image>) {
        let now = Instant::now();
        self.0.retain(|at, (start, until)| log_start(image, *at) == *start && now < *until);
    }

    fn contains(&self, at: &TopicPartition) -> bool {
        self.0.contains_key(at)
    }
}

/// Merges every `merge.interval.ms`.
pub async fn run(core: Arc<Core>) {
    let mut left = Left::default();
    loop {
        once(&core, &mut left).await;
        tokio::time::sleep(core.settings().background.merge_interval).await;
    }
}

/// Merges each group that has enough to merge.
async fn once(core: &Core, left: &mut Left) {
    let image = core.image();
    left.refresh(&image);
    let groups: Vec<GroupId> = image.groups().map(|(id, _)| id).collect();
    for group in groups {
        loop {
            match merge(core, group, left).await {
                Ok(More::Yes) => {}
                Ok(More::No) => break,
                Err(error) => {
                    warn!(group = group.0, %error, "a merge did not succeed; it is tried again");
                    break;
                }
            }
        }
    }
}

/// Whether a merge had to leave live index objects of its group to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// Merges a group once, if it has enough to merge. That another merge was faster is no error.
async fn merge(core: &Core, group: GroupId, left: &mut Left) -> Result<More, Error> {
    let begun = core.begin_attempt();
    let image = &begun.image;
    let Some((plan, more)) = plan(core, image, group, left).await? else { return Ok(More::No) };
    let log_start = |at: &TopicPartition| log_start(image, *at);
    let merged = {
        let _in = core.phases.enter(Phase::Flush);
        merge::write(&begun.attempt, &core.catalog, &plan, &log_start).await?
    };
    for (partition, error) in &merged.left {
        warn!(%partition, %error, "what a takeover left of this partition cannot be merged");
        left.add(*partition, log_start(partition));
    }
    if merged.taken.is_empty() && !merged.left.is_empty() {
        return Ok(more);
    }
    let taken = merged.taken.into_iter().map(|(name, of)| (name.to_string(), of)).collect();
    let command = Command::Merge(Merge {
        mark: merged.mark,
        group,
        expected_version: plan.version,
        manifest: merged.manifest.map(|name| name.to_string()),
        taken,
    });
    let _in = core.phases.enter(Phase::Commit);
    match core.propose(command).await {
        Ok(_) => Ok(more),
        Err(ProposeError::Refused(Refusal::ManifestVersion { .. })) => Ok(More::No),
        Err(error) => Err(error.into()),
    }
}

/// Where a partition's log starts, `None` if it was deleted.
fn log_start(image: &Arc<Image>, at: TopicPartition) -> Option<i64> {
    let partition = image.partition(at)?;
    image.live_topic(at.topic).map(|_| partition.log_start)
}

/// What to merge: what is live of the group, as far as one command may speak of it, if that is
/// enough, holds slots back, or keeps objects from being deleted that nobody reads any more.
async fn plan(
    core: &Core,
    image: &Arc<Image>,
    group: GroupId,
    left: &Left,
) -> Result<Option<(MergePlan, More)>, Error> {
    let Some(state) = image.group(group) else { return Ok(None) };
    let live = image
        .index_objects_of(group)
        .map(|(name, accepted)| (name, accepted.iter().copied().filter(|at| !left.contains(at))));
    let (taken, more) = take(live, METADATA_ITEMS)?;
    let manifest = state.manifest.as_deref().map(parse).transpose()?;
    let is_due = taken.len() >= MERGE_INDEX_OBJECTS
        || holds_back(core, image, &taken).await?
        || is_spent_in_part(core, image, manifest).await?;
    if !is_due {
        return Ok(None);
    }
    Ok(Some((MergePlan { group, manifest, version: state.version, taken }, more)))
}

/// Whether index objects refer to slots, or to what was deleted.
async fn holds_back(core: &Core, image: &Arc<Image>, taken: &Taken) -> Result<bool, CatalogError> {
    for (name, partitions) in taken {
        let object = core.catalog.index_object(*name).await?;
        for part in partitions.iter().filter_map(|at| object.part(at)) {
            let start = log_start(image, part.partition);
            let mut ranges = part.ranges.iter();
            if ranges.any(|r| matches!(r.place, Place::Slot(_)) || is_spent(start, r)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a manifest refers to what was deleted.
async fn is_spent_in_part(
    core: &Core,
    image: &Arc<Image>,
    manifest: Option<ObjectName>,
) -> Result<bool, CatalogError> {
    let Some(name) = manifest else { return Ok(false) };
    let manifest = core.catalog.manifest(name).await?;
    Ok(manifest.partitions.iter().any(|(at, entry)| {
        let start = log_start(image, *at);
        start.is_none() || entry.ranges.first().is_some_and(|first| is_spent(start, first))
    }))
}

/// Whether a range is of a deleted partition, or wholly below its log start.
fn is_spent(log_start: Option<i64>, range: &Range) -> bool {
    log_start.is_none_or(|start| range.next_offset <= start)
}

/// Index objects with those of their accepted partitions that a merge takes in.
type Taken = Vec<(ObjectName, Vec<TopicPartition>)>;

/// The first `limit` of the accepted partitions, index object by index object, in the order of
/// their names. That is the order of their birth marks, and the mark of what brings a partition's
/// next range in is not below the index that committed the range before: so the ranges that are
/// taken of a partition are always the first, and leave no hole.
fn take<'a>(
    live: impl Iterator<Item = (&'a Arc<str>, impl Iterator<Item = TopicPartition>)>,
    limit: usize,
) -> Result<(Taken, More), BadName> {
    let mut taken = Taken::new();
    let mut room = limit;
    for (name, accepted) in live {
        let mut accepted = accepted.peekable();
        let partitions: Vec<TopicPartition> = accepted.by_ref().take(room).collect();
        room -= partitions.len();
        if !partitions.is_empty() {
            taken.push((parse(name)?, partitions));
        }
        if accepted.peek().is_some() {
            return Ok((taken, More::Yes));
        }
    }
    Ok((taken, More::No))
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::TopicId;

    use super::*;

    fn at(number: i32) -> TopicPartition {
        TopicPartition { topic: TopicId::NIL, partition: number }
    }

    fn names(count: u128) -> Vec<Arc<str>> {
        let name =
            |unique| format!("idx/{unique:020}/{}", uuid::Uuid::from_u128(unique).as_simple());
        (0..count).map(|unique| name(unique).into()).collect()
    }

    /// To be tried again when time has passed, or when what is lost may lie below the log start.
    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_due_again_after_a_while_or_with_another_log_start() {
        let image = Arc::new(Image::default());
        let mut left = Left::default();
        left.add(at(0), None);
        left.add(at(1), Some(7));
        left.refresh(&image);
        assert!(left.contains(&at(0)) && !left.contains(&at(1)));
        tokio::time::advance(MERGE_LEFT_OUT).await;
        left.refresh(&image);
        assert!(!left.contains(&at(0)));
    }

    /// A backlog of flushes of a group with all the partitions it may have.
    #[test]
    fn a_merge_takes_no_more_than_a_command_may_name() {
        let names = names(41);
        let (taken, more) =
            take(names.iter().map(|name| (name, (0..256).map(at))), METADATA_ITEMS).unwrap();
        assert_eq!(taken.iter().map(|(_, of)| of.len()).sum::<usize>(), METADATA_ITEMS);
        assert_eq!(more, More::Yes);
        // What is left are the last partitions of the last object taken, and what follows it.
        for ((name, of), text) in taken.iter().zip(&names) {
            assert_eq!(name.to_string(), **text);
            let whole = taken.last().is_some_and(|(last, _)| last != name);
            assert_eq!(*of, (0..if whole { 256 } else { 16 }).map(at).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_fits_is_taken_whole() {
        let names = names(2);
        let (taken, more) = take(names.iter().map(|name| (name, (0..3).map(at))), 6).unwrap();
        assert_eq!((taken.len(), more), (2, More::No));
        let (taken, more) = take(names.iter().map(|name| (name, (0..3).map(at))), 3).unwrap();
        assert_eq!((taken.len(), more), (1, More::Yes), "no object without a partition");
    }
}
