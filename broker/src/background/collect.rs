//! Collection: a horizon is committed, then everything born before it that nothing refers to goes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use odradek_common::ids::ChainId;
use odradek_metadata::{Command, Image, NotCopied, ProposeError};
use odradek_storage::catalog::CatalogError;
use odradek_storage::collect::{ChainState, CollectError, Collector, Roots};
use odradek_storage::names::{ChainRef, SlotRef};
use odradek_storage::range::Place;
use odradek_storage::wal::DeleteError;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::core::Core;
use crate::reading::{BadName, parse};

/// Why a round was given up.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Names(#[from] BadName),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Disk(#[from] DeleteError),
    #[error(transparent)]
    Collect(#[from] CollectError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Copy(#[from] NotCopied),
}

/// Collects every `collect.interval.ms`. The horizon stays behind by `collect.grace.ms`, and
/// behind the attempts that are under way here, however long they take: above it they could not be
/// committed. Safety does not depend on either.
pub async fn run(core: Arc<Core>, mut collector: Collector) {
    let background = core.settings().background.clone();
    let mut seen: VecDeque<(Instant, u64)> = VecDeque::new();
    loop {
        tokio::time::sleep(background.collect_interval).await;
        seen.push_back((Instant::now(), core.image().applied_index()));
        let mut horizon = None;
        while let Some((at, index)) = seen.front().copied()
            && at.elapsed() >= background.collect_grace
        {
            horizon = Some(index);
            seen.pop_front();
        }
        let Some(horizon) = horizon else { continue };
        // One is enough; that two do it at once does no harm.
        if core.has_several_voters() && !core.metadata.is_leader() {
            continue;
        }
        let horizon = core.attempts.oldest().map_or(horizon, |mark| mark.min(horizon));
        if let Err(error) = round(&core, &mut collector, horizon).await {
            warn!(%error, "a collection did not succeed; it is tried again");
        }
    }
}

async fn round(core: &Core, collector: &mut Collector, horizon: u64) -> Result<(), Error> {
    if core.image().horizon() < horizon {
        core.propose(Command::SetHorizon(horizon)).await?;
    }
    // Read after the horizon was applied, so that it contains it.
    let image = core.image();
    core.copied(image.applied_index()).await?;
    let roots = roots(&image)?;
    let done = collector.collect(&roots).await?;
    free_disk(core, &roots).await?;
    if done.objects_deleted + done.slots_deleted + done.failed > 0 {
        info!(
            objects = done.objects_deleted,
            slots = done.slots_deleted,
            bytes = done.bytes_deleted,
            failed = done.failed,
            "collected"
        );
    }
    Ok(())
}

/// Slots on the local disk are in no listing of the store.
async fn free_disk(core: &Core, roots: &Roots) -> Result<(), Error> {
    let mut referred = HashSet::new();
    for (name, _) in &roots.index_objects {
        let object = core.catalog.index_object(*name).await?;
        let ranges = object.parts.iter().flat_map(|part| &part.ranges);
        referred.extend(ranges.filter_map(|range| match range.place {
            Place::Slot(at) => Some(at),
            Place::Segment(_) => None,
        }));
    }
    let is_free = |at: SlotRef| {
        let chain = roots.chains.get(&at.chain);
        chain.is_none_or(|chain| chain.recovered || at.slot < chain.trim_point)
    };
    core.wals.free_disk(is_free, &referred).await?;
    Ok(())
}

/// What the metadata refers to.
fn roots(image: &Image) -> Result<Roots, BadName> {
    let (applied, horizon) = (image.applied_index(), image.horizon());
    let mut roots = Roots { applied, horizon, ..Roots::default() };
    for (name, object) in image.index_objects() {
        let partitions = object.accepted.values().flat_map(|set| set.iter().copied());
        roots.index_objects.push((parse(name)?, partitions.collect()));
    }
    for (_, group) in image.groups() {
        if let Some(name) = &group.manifest {
            roots.manifests.push(parse(name)?);
        }
    }
    roots.chains = chains(image);
    Ok(roots)
}

fn chains(image: &Image) -> HashMap<ChainRef, ChainState> {
    let registrations = image.registrations();
    registrations
        .flat_map(|r| {
            (0..).zip(&r.trim_points).map(move |(chain, trim_point)| {
                let of = ChainRef {
                    broker: r.incarnation.broker,
                    epoch: r.incarnation.epoch,
                    chain: ChainId(chain),
                };
                (of, ChainState { trim_point: *trim_point, recovered: r.recovered })
            })
        })
        .collect()
}
