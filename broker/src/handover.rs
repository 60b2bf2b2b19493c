//! Handover (law 3.3): partitions go to another broker with their owner's word. They are frozen, what
//! was appended becomes durable, an index object names what of it was not flushed, and an entry
//! of the metadata states where each ends and who goes on. Metadata moves, no bytes.
//!
//! Until the entry is proposed, giving up is free. From then on a partition stays frozen until a
//! committed entry about it is read: the handover, a takeover, the refusal of it, or a *cancel*, which is
//! a handover to oneself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::{LeaderEpoch, SlotNumber, TopicPartition};
use odradek_metadata::image::Partition;
use odradek_metadata::{
    Command, HandOver, HandedPartition, Image, Incarnation, NotConfirmed, Outcome,
    PartitionRefusal, ProposeError,
};
use odradek_storage::flush::{self, FlushError, SlotPart};
use odradek_storage::range::Place;
use odradek_storage::wal::ChainError;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::broken::Law;
use crate::core::Core;
use crate::handed::{Named, named};
use crate::partition::{PartitionLog, checkpoint};

/// The pause between two attempts to take a handover back whose outcome is not known.
const CANCEL_PAUSE: Duration = Duration::from_millis(500);

/// The index objects by which this process handed slots of its own chain over: while one is live, its
/// slots stay, wherever the trim point is (law 4.2). No others name slots of a chain that is written.
#[derive(Debug, Default)]
pub struct HandedSlots(Mutex<Vec<(String, SlotNumber)>>);

impl HandedSlots {
    fn note(&self, index_object: &str, lowest: SlotNumber) {
        self.0.lock().push((index_object.to_owned(), lowest));
    }

    /// The lowest slot that is still named. To be called when no handover is under way: what is not
    /// live then never will be, or is merged.
    pub fn lowest(&self, image: &Image) -> Option<SlotNumber> {
        let mut handed = self.0.lock();
        handed.retain(|(name, _)| image.index_object(name).is_some());
        handed.iter().map(|(_, lowest)| *lowest).min()
    }
}

/// Why partitions were not handed over. They are owned here still, and take appends.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The quorum is away: nothing would be decided, and the partitions would wait for it frozen.
    #[error("the quorum does not answer: {0}")]
    Quorum(#[from] NotConfirmed),
    /// What was appended cannot become durable any more.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The index object was not written.
    #[error(transparent)]
    Write(#[from] FlushError),
    /// Nothing was proposed.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Hands the partitions of `logs` over to `to`; how many went. Those that it refuses, for they have
/// changed meanwhile, stay. Returns when it is decided of each who owns it, however long that takes.
///
/// # Errors
/// See [`HandoverError`]; what went before, went.
pub async fn hand_over(
    core: &Core,
    to: Incarnation,
    logs: Vec<Arc<PartitionLog>>,
) -> Result<usize, HandoverError> {
    core.metadata.confirm().await?;
    // A flush would move the flushed ends that the entry is conditional on.
    let _no_flush = core.flushing.lock().await;
    let frozen = Frozen(logs.into_iter().filter(|log| log.freeze()).collect());
    for log in frozen.0.iter().filter(|_| core.broken != Some(Law::LandedFirst)) {
        log.durable_to(log.offsets().append_end).await?;
    }
    let proposal = prepare(core, to, &frozen.0).await?;
    let mut handed = 0;
    for named in &proposal.commands {
        handed += propose(core, &proposal, named, &frozen).await?;
    }
    Ok(handed)
}

/// Partitions that take no appends; they do again when this is dropped, but for those that have left.
struct Frozen(Vec<Arc<PartitionLog>>);

impl Frozen {
    fn of<'a>(
        &'a self,
        items: &'a [HandedPartition],
    ) -> impl Iterator<Item = (&'a HandedPartition, &'a Arc<PartitionLog>)> {
        let by_id: HashMap<TopicPartition, &Arc<PartitionLog>> =
            self.0.iter().map(|log| (log.id, log)).collect();
        items.iter().filter_map(move |item| Some((item, *by_id.get(&item.partition)?)))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|log| log.thaw());
    }
}

/// What is proposed, in as many commands as it takes.
struct Proposal {
    to: Incarnation,
    mark: u64,
    commands: Vec<Named>,
    /// Keeps the horizon below the mark.
    _begun: crate::attempts::Begun,
}

/// Writes the index objects of what was not flushed of the frozen partitions, all of it durable.
async fn prepare(
    core: &Core,
    to: Incarnation,
    logs: &[Arc<PartitionLog>],
) -> Result<Proposal, HandoverError> {
    let begun = core.begin_attempt();
    let now_ms = core.clock.now_ms();
    let (mut parts, mut items) = (Vec::<SlotPart>::new(), Vec::new());
    for log in logs {
        let Some(partition) = begun.image.partition(log.id).filter(|p| is_held(core, p, log))
        else {
            continue;
        };
        // A flush whose fate was unknown may have been committed since.
        log.flushed(partition.flushed_end);
        // Nobody is forgotten on the way: the next owner answers duplicates as this one would.
        let plan = log.plan_flush(None, now_ms, i64::MAX);
        items.push(HandedPartition {
            partition: log.id,
            leader_epoch: log.leader_epoch,
            flushed_end: partition.flushed_end,
            end: plan.as_ref().map_or(partition.flushed_end, |plan| plan.next_offset),
        });
        let Some(plan) = plan else { continue };
        let part = SlotPart {
            partition: log.id,
            group: log.group,
            leader_epoch: log.leader_epoch,
            ranges: plan.slots,
            checkpoint: Bytes::from(checkpoint::encode(&plan.producers)),
        };
        part.check_from(partition.flushed_end).map_err(FlushError::Coverage)?;
        parts.push(part);
    }
    let slots = parts.iter().flat_map(|part| &part.ranges).filter_map(|range| match range.place {
        Place::Slot(at) => Some(at.slot),
        Place::Segment(_) => None,
    });
    let lowest = slots.min();
    let rounds = flush::index_slots(&begun.attempt, parts).await?;
    for round in &rounds {
        let lowest = lowest.unwrap_or(SlotNumber(0));
        core.handed_slots.note(&round.index_object.to_string(), lowest);
    }
    let commands = named(items, &rounds);
    Ok(Proposal { to, mark: begun.attempt.mark(), commands, _begun: begun })
}

fn is_held(core: &Core, p: &Partition, log: &PartitionLog) -> bool {
    p.owner == core.me && p.leader_epoch == log.leader_epoch
}

/// Proposes one command's worth of partitions and waits until it is decided; how many went.
async fn propose(
    core: &Core,
    proposal: &Proposal,
    named: &Named,
    frozen: &Frozen,
) -> Result<usize, HandoverError> {
    // One that was closed meanwhile is not this owner's any more.
    let leaving: Vec<_> = frozen.of(&named.items).filter(|(_, log)| log.leave()).collect();
    let items = leaving.iter().map(|(item, _)| **item).collect();
    let index_object = named.index_object.clone();
    let logs: Vec<Arc<PartitionLog>> = leaving.iter().map(|(_, log)| Arc::clone(log)).collect();
    match core.propose(command(core, proposal, Named { index_object, items })).await {
        Ok(Outcome::HandedOver(results)) => Ok(decided(&logs, &results)),
        Err(ProposeError::Unknown) | Ok(_) => {
            warn!(to = %proposal.to, "the outcome of a handover is not known; it is taken back");
            Ok(take_back(core, &logs).await)
        }
        Err(ProposeError::Refused(refusal)) => {
            logs.iter().for_each(|log| log.stay());
            warn!(to = %proposal.to, %refusal, "a handover was refused");
            Ok(0)
        }
        Err(not_proposed) => {
            logs.iter().for_each(|log| log.stay());
            Err(not_proposed.into())
        }
    }
}

fn command(core: &Core, of: &Proposal, named: Named) -> Command {
    let Named { index_object, items } = named;
    Command::HandOver(HandOver { mark: of.mark, by: core.me, to: of.to, index_object, items })
}

/// What was refused is decided too: a command is committed once, and what it was refused for, an
/// epoch or an end that has moved, never comes back.
fn decided(logs: &[Arc<PartitionLog>], results: &[Result<LeaderEpoch, PartitionRefusal>]) -> usize {
    let mut handed = 0;
    for (log, result) in logs.iter().zip(results) {
        match result {
            // The follower of the metadata closes it, and the waiting producers are told.
            Ok(_) => handed += 1,
            Err(refusal) => {
                info!(topic = %log.topic, partition = log.id.partition, %refusal, "not handed over");
                log.stay();
            }
        }
    }
    handed
}

/// Finds out what became of a handover whose outcome is not known: cancels it until a committed entry
/// decides. How many went after all.
async fn take_back(core: &Core, logs: &[Arc<PartitionLog>]) -> usize {
    loop {
        let image = core.image();
        let open: Vec<_> = logs.iter().filter(|log| is_open(core, &image, log)).cloned().collect();
        if open.is_empty() {
            let is_elsewhere = |log: &&Arc<PartitionLog>| {
                image.partition(log.id).is_some_and(|p| p.owner != core.me)
            };
            return logs.iter().filter(is_elsewhere).count();
        }
        if let Err(error) = cancel(core, open).await {
            warn!(%error, "a handover is not taken back yet; its partitions wait");
        }
        tokio::time::sleep(CANCEL_PAUSE).await;
    }
}

/// Whether no committed entry has decided about the log since it left.
fn is_open(core: &Core, image: &Arc<Image>, log: &PartitionLog) -> bool {
    !log.is_closed() && image.partition(log.id).is_some_and(|p| is_held(core, p, log))
}

async fn cancel(core: &Core, logs: Vec<Arc<PartitionLog>>) -> Result<(), HandoverError> {
    let proposal = prepare(core, core.me, &logs).await?;
    for named in &proposal.commands {
        core.propose(command(core, &proposal, named.clone())).await?;
    }
    Ok(())
}
