//! Flush: what is durable in slots goes into segments, the metadata accepts it, the trim point
//! follows. One round at a time; a round that fails leaves everything as it was, and its objects
//! to the collector.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::TopicPartition;
use odradek_common::limits::COMMAND_RANGES;
use odradek_common::phases::Phase;
use odradek_metadata::{Command, CommitFlush, FlushedRange, Outcome, ProposeError, Trim};
use odradek_storage::flush::{self, FlushError, FlushPart, FlushSource, FlushedRound};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::core::Core;
use crate::metric_names;
use crate::partition::{PartitionLog, checkpoint};

/// How often the un-flushed bytes are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The store.
    #[error(transparent)]
    Write(#[from] FlushError),
    /// The metadata.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Flushes every `flush.interval.ms`, and when `flush.bytes` have gathered.
pub async fn run(core: Arc<Core>) {
    let interval = core.settings().background.flush_interval;
    let bytes = core.settings().background.flush_bytes;
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(LOOK.min(interval)).await;
        let gathered: u64 = core.logs.all().iter().map(|log| log.unflushed_bytes()).sum();
        if gathered < bytes && (last.elapsed() < interval || gathered == 0) {
            continue;
        }
        let begun = Instant::now();
        if let Err(error) = now(&core).await {
            metrics::counter!(metric_names::FLUSH_FAILED).increment(1);
            warn!(%error, "a flush did not succeed; it is tried again");
        }
        last = Instant::now();
        metrics::histogram!(metric_names::FLUSH_SECONDS)
            .record(last.duration_since(begun).as_secs_f64());
    }
}

/// Flushes everything that is durable now.
///
/// # Errors
/// Something could not be written or committed; what was committed counts.
pub async fn now(core: &Core) -> Result<(), RoundError> {
    let _one_at_a_time = core.flushing.lock().await;
    let image = core.image();
    let mark = image.applied_index();
    let logs: HashMap<TopicPartition, Arc<PartitionLog>> =
        core.logs.all().into_iter().map(|log| (log.id, log)).collect();
    for log in logs.values() {
        // A command whose fate was unknown may have been committed since.
        if let Some(partition) = image.partition(log.id)
            && partition.leader_epoch == log.leader_epoch
        {
            log.flushed(partition.flushed_end);
        }
    }
    let now_ms = core.clock.now_ms();
    let expiration = core.producer_expiration_ms();
    let parts: Vec<FlushPart> =
        logs.values().filter_map(|log| part(log, now_ms, expiration)).collect();
    if !parts.is_empty() {
        let round = {
            let _in = core.phases.enter(Phase::Flush);
            flush::write(&core.attempt(mark), parts).await?
        };
        commit(core, &logs, &round).await?;
    }
    trim(core).await
}

fn part(log: &PartitionLog, now_ms: i64, expiration_ms: i64) -> Option<FlushPart> {
    let plan = log.plan_flush(now_ms, expiration_ms)?;
    Some(FlushPart {
        partition: log.id,
        group: log.group,
        leader_epoch: log.leader_epoch,
        base_offset: plan.base_offset,
        next_offset: plan.next_offset,
        source: match plan.cached {
            Some(batches) => FlushSource::Batches(batches),
            None => FlushSource::Slots(plan.slots),
        },
        checkpoint: Bytes::from(checkpoint::encode(&plan.producers)),
    })
}

async fn commit(
    core: &Core,
    logs: &HashMap<TopicPartition, Arc<PartitionLog>>,
    round: &FlushedRound,
) -> Result<(), RoundError> {
    let _in = core.phases.enter(Phase::Commit);
    for parts in round.parts.chunks(COMMAND_RANGES) {
        let ranges = parts.iter().map(|part| FlushedRange {
            partition: part.partition,
            leader_epoch: part.leader_epoch,
            base_offset: part.base_offset,
            next_offset: part.next_offset,
        });
        let command = Command::CommitFlush(CommitFlush {
            mark: round.mark,
            by: core.me,
            index_object: round.index_object.to_string(),
            ranges: ranges.collect(),
        });
        let Outcome::Flushed(results) = core.propose(command).await? else { continue };
        for (part, result) in parts.iter().zip(results) {
            match (result, logs.get(&part.partition)) {
                (Ok(()), Some(log)) => log.flushed(part.next_offset),
                (Ok(()), None) => {}
                (Err(refusal), _) => {
                    debug!(partition = %part.partition, %refusal, "a flushed range was refused");
                }
            }
        }
    }
    Ok(())
}

/// Raises the trim point past the slots of which nothing is needed any more. The end of what
/// landed is read first: what lands later is above it, what landed before is in its log.
async fn trim(core: &Core) -> Result<(), RoundError> {
    let landed = core.chain.stats().landed_end;
    let needed = core.logs.all().iter().filter_map(|log| log.oldest_unflushed_slot()).min();
    let slot = needed.map_or(landed, |slot| slot.min(landed));
    let chain = core.chain_id();
    let now = core.image().registration(core.me).and_then(|r| r.trim_point(chain));
    if now.is_none_or(|now| slot <= now) {
        return Ok(());
    }
    let _in = core.phases.enter(Phase::Trim);
    core.propose(Command::Trim(Trim { by: core.me, chain, slot })).await?;
    core.chain.trim(slot);
    Ok(())
}
