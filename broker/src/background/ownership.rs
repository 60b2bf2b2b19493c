//! Follows the metadata: takes up the partitions that it gives to this broker, lets go of those
//! that it takes away, puts changed settings into force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::{LeaderEpoch, TopicId, TopicPartition};
use odradek_common::limits::COMMAND_RANGES;
use odradek_metadata::image::{Partition, TopicState};
use odradek_metadata::{Command, Image, ReleasePartitions};
use odradek_storage::catalog::CatalogError;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::core::Core;
use crate::internal_log::InternalLog;
use crate::partition::{AppendRules, LogStart, PartitionLog, checkpoint};
use crate::reading::{self, RangesError};
use crate::topics::{LiveTopics, OFFSETS_TOPIC};

/// What could not be taken up is tried again after this, if no newer image comes before.
const AGAIN: Duration = Duration::from_millis(500);

/// What a pass over an image has left to be done.
pub struct Followed {
    /// Whether all could be taken up.
    complete: bool,
    /// Partitions of topics that are being deleted, which have no log here any more.
    releasable: Releasable,
}

type Releasable = Vec<(TopicPartition, LeaderEpoch)>;

/// Follows until the metadata's watch ends. What is to be released waits for the write-ahead log,
/// and nothing else waits for that.
pub async fn run(core: Arc<Core>) {
    let (tell, told) = watch::channel(Releasable::new());
    tokio::select! {
        () = follow_all(&core, &tell) => {}
        () = release_all(&core, told) => {}
    }
}

async fn follow_all(core: &Arc<Core>, tell: &watch::Sender<Releasable>) {
    let mut images = core.metadata.subscribe();
    loop {
        let image = images.borrow_and_update().clone();
        let Followed { complete, releasable } = follow(core, &image).await;
        tell.send_if_modified(|before| {
            let is_other = *before != releasable;
            *before = releasable;
            is_other
        });
        let changed = if complete {
            images.changed().await
        } else {
            tokio::time::timeout(AGAIN, images.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn release_all(core: &Core, mut told: watch::Receiver<Releasable>) {
    loop {
        let releasable = told.borrow_and_update().clone();
        let changed = if release(core, releasable).await {
            told.changed().await
        } else {
            tokio::time::timeout(AGAIN, told.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Makes the logs of this broker those that `image` gives it.
pub async fn follow(core: &Arc<Core>, image: &Arc<Image>) -> Followed {
    // Also where none of them is this broker's: it tells from it which groups are not its own.
    let offsets = image.live_topic_named(OFFSETS_TOPIC);
    core.groups.set_partitions(offsets.map_or(0, |topic| topic.partition_count));
    let (mut mine, mut releasable) = (BTreeMap::new(), Releasable::new());
    for (at, partition) in image.owned_by(core.me) {
        let deleting = image.topic(at.topic).is_none_or(|t| t.state == TopicState::Deleting);
        if deleting {
            releasable.push((at, partition.leader_epoch));
        } else {
            mine.insert(at, partition);
        }
    }
    // First of all, since taking up may take its time: who waits for one of these is to hear that it
    // is gone.
    for log in core.logs.all() {
        if !mine.contains_key(&log.id) {
            let_go(core, &log).await;
        }
    }
    let (mut complete, mut coordinates) = (true, true);
    for (at, partition) in mine {
        match core.logs.get(&at) {
            Some(log) if log.leader_epoch == partition.leader_epoch => refresh(core, image, &log),
            former => {
                if let Some(former) = former {
                    // Another leader epoch: a handover that was taken back, or there and back again.
                    let_go(core, &former).await;
                }
                let taken = take_up(core, image, at, partition).await;
                let of_groups = image.topic(at.topic).is_some_and(|t| *t.name == *OFFSETS_TOPIC);
                complete &= taken;
                coordinates &= taken || !of_groups;
            }
        }
    }
    if !coordinates {
        // A partition that is not taken up may hold offsets of a topic that is being deleted.
        releasable.clear();
    }
    Followed { complete, releasable }
}

/// Topic settings and log start may have changed.
fn refresh(core: &Core, image: &Image, log: &PartitionLog) {
    refresh_rules(core, log);
    if let Some(partition) = image.partition(log.id) {
        log.set_log_start(partition.log_start);
    }
}

/// Brings the rules of a log up to the newest settings of its topic and of the broker.
pub(super) fn refresh_rules(core: &Core, log: &PartitionLog) {
    log.refresh_rules(|| {
        let image = core.image();
        let topic = image.topic(log.id.topic)?;
        Some(AppendRules::of(&core.topic_config(&topic.configs)))
    });
}

/// The log goes on where the committed entry says, with the producers that were committed with it.
async fn take_up(
    core: &Arc<Core>,
    image: &Arc<Image>,
    at: TopicPartition,
    partition: &Partition,
) -> bool {
    let Some(topic) = image.topic(at.topic) else { return true };
    let flushed = match reading::flushed_ranges(&core.catalog, image, at).await {
        Ok(ranges) => ranges,
        Err(RangesError::Catalog(CatalogError::Stale(name))) => {
            debug!(topic = %topic.name, partition = at.partition, %name, "merged meanwhile");
            return false;
        }
        Err(error) => {
            warn!(topic = %topic.name, partition = at.partition, %error, "cannot take up a partition");
            return false;
        }
    };
    let producers = match checkpoint::decode(flushed.checkpoint()) {
        Ok(producers) => producers,
        Err(error) => {
            warn!(topic = %topic.name, partition = at.partition, %error, "cannot take up a partition");
            return false;
        }
    };
    let start = LogStart {
        id: at,
        topic: topic.name.clone(),
        group: partition.group,
        leader_epoch: partition.leader_epoch,
        log_start: partition.log_start,
        flushed_end: partition.flushed_end,
    };
    let rules = AppendRules::of(&core.topic_config(&topic.configs));
    let log = Arc::new(PartitionLog::new(start, producers, rules, core.chain.clone()));
    core.logs.insert(log.clone());
    // Settings that were altered meanwhile reached the logs that were there.
    refresh_rules(core, &log);
    if *topic.name == *OFFSETS_TOPIC {
        let log = InternalLog::new(core, log, flushed.bytes());
        core.groups.owned(at.partition, Arc::new(log));
    }
    true
}

async fn let_go(core: &Core, log: &PartitionLog) {
    log.close();
    core.logs.remove(&log.id);
    if *log.topic == *OFFSETS_TOPIC {
        core.groups.lost(log.id.partition);
    }
}

/// Consents to the deletion of topics: nothing is appended to their partitions here any more, and
/// the offsets that groups committed for them are gone before their names can be used again. False
/// if it has to be tried again.
async fn release(core: &Core, partitions: Releasable) -> bool {
    if partitions.is_empty() {
        return true;
    }
    let image = core.image();
    let topics: BTreeSet<TopicId> = partitions.iter().map(|(at, _)| at.topic).collect();
    let names = topics.iter().filter_map(|id| Some(image.topic(*id)?.name.to_string()));
    core.groups.topics_deleted(names.collect(), image.applied_index()).await.await;
    let mut complete = true;
    for partitions in partitions.chunks(COMMAND_RANGES) {
        let partitions = partitions.to_vec();
        let command = Command::ReleasePartitions(ReleasePartitions { by: core.me, partitions });
        if let Err(error) = core.propose(command).await {
            warn!(%error, "could not let go of deleted partitions; it is tried again");
            complete = false;
        }
    }
    complete
}
