//! Hands over what the metadata wants elsewhere: reassignments, preferred elections, balance and drains
//! set the target of a partition, and its owner, who alone may give it away (law 3.2), finds it here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::HANDOVER_PARTITIONS;
use odradek_metadata::image::Registration;
use odradek_metadata::{Image, Incarnation};
use tracing::{info, warn};

use crate::core::Core;
use crate::handover::{HandoverError, hand_over};
use crate::partition::PartitionLog;
use crate::topics::LiveTopics;

/// What could not be handed over is tried again after this, if no newer image comes before; after an error
/// each time later, whatever comes, since producers wait while it is tried.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// The pause between two passes of a drain.
const DRAIN_PAUSE: Duration = Duration::from_millis(50);

/// Partitions that go to one broker, by the broker.
type Wanted = BTreeMap<Incarnation, Vec<Arc<PartitionLog>>>;

/// Follows the metadata until its watch ends.
pub async fn run(core: Arc<Core>) {
    let mut images = core.metadata.subscribe();
    let mut again = AGAIN;
    loop {
        let image = images.borrow_and_update().clone();
        let wanted = wanted(&core, &image);
        let is_idle = wanted.is_empty();
        match all(&core, wanted).await {
            Ok(()) => again = AGAIN,
            Err(error) => {
                warn!(%error, "partitions were not handed over; it is tried again");
                tokio::time::sleep(again).await;
                again = (again * 2).min(AGAIN_MAX);
            }
        }
        let changed = if is_idle {
            images.changed().await
        } else {
            tokio::time::timeout(AGAIN, images.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Hands everything over to the other brokers, as far as there are any that take it, before this one
/// stops. Returns when nothing is left, or nobody takes what is.
///
/// # Errors
/// See [`HandoverError`]; what is left is taken over once this broker is fenced.
pub async fn drain(core: &Arc<Core>) -> Result<(), HandoverError> {
    loop {
        let wanted = spread(core, &core.image());
        if wanted.is_empty() {
            return Ok(());
        }
        all(core, wanted).await?;
        // What was refused has changed; so soon after, it is decided anew with what is there now.
        tokio::time::sleep(DRAIN_PAUSE).await;
    }
}

/// A bounded number of partitions at a time: each batch is frozen as a whole.
async fn all(core: &Arc<Core>, wanted: Wanted) -> Result<(), HandoverError> {
    for (to, logs) in wanted {
        for logs in logs.chunks(HANDOVER_PARTITIONS) {
            let handed = hand_over(core, to, logs.to_vec()).await?;
            info!(%to, handed, of = logs.len(), "handed over");
        }
    }
    Ok(())
}

/// The logs of this broker whose partitions have a target elsewhere that takes them.
fn wanted(core: &Core, image: &Arc<Image>) -> Wanted {
    let mut wanted = Wanted::new();
    for (at, partition) in image.owned_by(core.me) {
        let target = partition.target.filter(|target| *target != core.me.broker);
        let target = target.and_then(|target| image.broker(target));
        let Some(target) = target.filter(|target| target.takes_partitions()) else { continue };
        wanted.entry(target.incarnation).or_default().extend(held(core, image, at));
    }
    wanted
}

/// All logs of this broker, spread over the others that take partitions.
fn spread(core: &Core, image: &Arc<Image>) -> Wanted {
    let others: Vec<&Registration> = image
        .live_brokers()
        .filter(|other| other.takes_partitions() && other.incarnation != core.me)
        .collect();
    let mut wanted = Wanted::new();
    let mut turn = others.iter().cycle();
    for (at, partition) in image.owned_by(core.me) {
        let replica = |broker| others.iter().find(|other| other.incarnation.broker == broker);
        let preferred = partition.replicas.iter().find_map(|broker| replica(*broker));
        let Some(to) = preferred.or_else(|| turn.next()) else { break };
        if let Some(log) = held(core, image, at) {
            wanted.entry(to.incarnation).or_default().push(log);
        }
    }
    wanted
}

/// The log of a partition of a live topic, if it is served here.
fn held(
    core: &Core,
    image: &Arc<Image>,
    at: odradek_common::ids::TopicPartition,
) -> Option<Arc<PartitionLog>> {
    image.live_topic(at.topic)?;
    core.logs.get(&at).filter(|log| !log.is_closed())
}
