//! Flush: what is durable in slots goes into segments, the metadata accepts it, the trim point
//! follows. One round at a time, each of a bounded size; a round that fails leaves everything as it
//! was, and its objects to the collector.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::{SlotNumber, TopicPartition};
use odradek_common::limits::{BACKLOG_INDEX_BYTES, COMMAND_RANGES, FLUSH_ROUND_BYTES};
use odradek_common::phases::Phase;
use odradek_metadata::{Command, CommitFlush, FlushedRange, Outcome, ProposeError, Trim};
use odradek_storage::flush::{self, FlushError, FlushPart, FlushSource, FlushedRound};
use tokio::time::{Instant, timeout};
use tracing::{debug, error, warn};

use crate::backlog::Gathered;
use crate::core::Core;
use crate::metric_names;
use crate::partition::{PartitionLog, checkpoint};

/// How often the un-flushed bytes are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long trimmed slots wait for the bucket's copy of the metadata, before they are left to the collector.
const COPY_MAX: Duration = Duration::from_secs(1);

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

/// Partitions that a flush could not take along. They are tried again with the next.
pub type LeftOut = HashSet<TopicPartition>;

/// Flushes every `flush.interval.ms`, and when `flush.bytes` have gathered, or much index of them.
pub async fn run(core: Arc<Core>) {
    let interval = core.settings().background.flush_interval;
    let bytes = core.settings().background.flush_bytes;
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(LOOK.min(interval)).await;
        let (logs, left_out) = (core.logs.all(), core.left_out.load_full());
        // What was left out has gathered no reason to flush the others without a pause.
        let (waiting, hurried): (Vec<_>, Vec<_>) =
            logs.iter().partition(|log| left_out.contains(&log.id));
        let of =
            |logs: Vec<&Arc<PartitionLog>>| -> Gathered { logs.iter().map(|l| l.gathered()).sum() };
        let (waiting, hurried) = (of(waiting), of(hurried));
        let is_much = hurried.log_bytes >= bytes || hurried.index_bytes >= BACKLOG_INDEX_BYTES / 4;
        let is_any = waiting.log_bytes + hurried.log_bytes > 0;
        if !is_much && (last.elapsed() < interval || !is_any) {
            continue;
        }
        match now(&core).await {
            Ok(not_flushed) => core.left_out.store(Arc::new(not_flushed)),
            Err(error) => {
                metrics::counter!(metric_names::FLUSH_FAILED).increment(1);
                warn!(%error, "a flush did not succeed; it is tried again");
            }
        }
        last = Instant::now();
    }
}

/// Flushes everything that is durable now, but for what it gives back.
///
/// # Errors
/// Something could not be written or committed; what was committed counts.
pub async fn now(core: &Core) -> Result<LeftOut, RoundError> {
    in_rounds_of(core, core.settings().background.flush_bytes.max(FLUSH_ROUND_BYTES)).await
}

/// The same in rounds of so many bytes, but at least one slot: an attempt has an end however much
/// has gathered, and the trim point rises after each.
///
/// # Errors
/// As for [`now`].
pub async fn in_rounds_of(core: &Core, bytes: u64) -> Result<LeftOut, RoundError> {
    let landed = core.chain.stats().landed_end;
    let mut left_out = LeftOut::new();
    loop {
        let begun = Instant::now();
        let end = round(core, bytes, &mut left_out).await;
        metrics::histogram!(metric_names::FLUSH_SECONDS).record(begun.elapsed().as_secs_f64());
        match end? {
            Some(last) if last < landed => {}
            _ => return Ok(left_out),
        }
    }
}

/// Flushes the oldest slots, of all partitions that were not left out before; the last slot if
/// there are more. A partition of which nothing could be committed is left out.
async fn round(
    core: &Core,
    bytes: u64,
    left_out: &mut LeftOut,
) -> Result<Option<SlotNumber>, RoundError> {
    let _one_at_a_time = core.flushing.lock().await;
    let begun = core.begin_attempt();
    let logs: HashMap<TopicPartition, Arc<PartitionLog>> = core
        .logs
        .all()
        .into_iter()
        .filter(|log| !left_out.contains(&log.id))
        .map(|log| (log.id, log))
        .collect();
    let mut by_slot = BTreeMap::new();
    for log in logs.values() {
        // A command whose fate was unknown may have been committed since.
        if let Some(partition) = begun.image.partition(log.id)
            && partition.leader_epoch == log.leader_epoch
        {
            log.flushed(partition.flushed_end);
        }
        log.add_unflushed(&mut by_slot);
    }
    let last = cut(&by_slot, bytes);
    let now_ms = core.clock.now_ms();
    let expiration = core.producer_expiration_ms();
    let parts: Vec<FlushPart> =
        logs.values().filter_map(|log| part(log, last, now_ms, expiration)).collect();
    if !parts.is_empty() {
        let flushed = {
            let _in = core.phases.enter(Phase::Flush);
            flush::write(&begun.attempt, parts).await?
        };
        for out in flushed.left_out {
            tell(&out, &logs);
            left_out.insert(out.partition);
        }
        for round in &flushed.rounds {
            left_out.extend(commit(core, &logs, round).await?);
        }
    }
    trim(core).await?;
    Ok(last)
}

/// The last of the oldest slots that have at most `limit` bytes together, at least the first;
/// `None` if that is all of them.
fn cut(by_slot: &BTreeMap<SlotNumber, u64>, limit: u64) -> Option<SlotNumber> {
    let (mut sum, mut last) = (0u64, None);
    for (slot, bytes) in by_slot {
        sum = sum.saturating_add(*bytes);
        if sum > limit && last.is_some() {
            return last;
        }
        last = Some(*slot);
    }
    None
}

fn part(
    log: &PartitionLog,
    last: Option<SlotNumber>,
    now_ms: i64,
    expiration_ms: i64,
) -> Option<FlushPart> {
    let plan = log.plan_flush(last, now_ms, expiration_ms)?;
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

/// Tells of a partition whose slots cannot be read: the trim point stays below them until they can.
fn tell(out: &flush::LeftOut, logs: &HashMap<TopicPartition, Arc<PartitionLog>>) {
    metrics::counter!(metric_names::FLUSH_LEFT_OUT).increment(1);
    let topic = logs.get(&out.partition).map_or("", |log| &*log.topic);
    let (partition, error) = (out.partition.partition, &out.why);
    error!(topic, partition, %error, "acknowledged records cannot be read and so not be flushed; it is tried again");
}

/// Proposes what was written; the partitions of which it was refused.
async fn commit(
    core: &Core,
    logs: &HashMap<TopicPartition, Arc<PartitionLog>>,
    round: &FlushedRound,
) -> Result<Vec<TopicPartition>, RoundError> {
    let _in = core.phases.enter(Phase::Commit);
    let mut refused = Vec::new();
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
                    refused.push(part.partition);
                }
            }
        }
    }
    Ok(refused)
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
    // What is still named when it could go is left to the collector; so is everything while the bucket's copy of
    // the metadata does not know that it is not needed (law 4.2).
    let named = core.handed_slots.lowest(&core.image());
    match timeout(COPY_MAX, core.copied(core.image().applied_index())).await {
        Ok(Ok(())) => core.chain.trim(named.map_or(slot, |named| named.min(slot))),
        Ok(Err(error)) => debug!(%error, "trimmed slots are left to the collector"),
        Err(_) => {
            debug!("trimmed slots are left to the collector: the copy of the metadata is late")
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_with_the_slot_that_still_fits() {
        let by_slot = |bytes: &[u64]| (7..).map(SlotNumber).zip(bytes.iter().copied()).collect();
        assert_eq!(cut(&by_slot(&[]), 0), None);
        assert_eq!(cut(&by_slot(&[10, 10, 10]), 30), None, "all of it");
        assert_eq!(cut(&by_slot(&[10, 10, 10]), 29), Some(SlotNumber(8)));
        assert_eq!(cut(&by_slot(&[10, 10]), 1), Some(SlotNumber(7)), "one at least");
        assert_eq!(cut(&by_slot(&[10]), 1), None, "and none behind it");
    }
}
