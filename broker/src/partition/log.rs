//! A partition's log as its owner holds it: sequences appends, knows the durable end, serves the
//! tail from memory and says where the rest lies.

mod flushing;
mod gate;
mod remembered;
mod tail;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Weak;

use arc_swap::ArcSwap;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use odradek_common::batch::{Batch, BatchHeader, TimestampType};
use odradek_common::ids::{GroupId, LeaderEpoch, SlotNumber, TopicPartition};
use odradek_common::limits::SEQUENCES_SETTLE;
use odradek_storage::range::Range;
use odradek_storage::wal::{AppendedBatch, ChainHandle, ProducerBatch};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::cache::{CachedBatch, LogCache};
use super::producers::{self, Producers, Sequenced};
use super::rules::{AppendError, AppendRules};
use super::traffic::Traffic;
use crate::metric_names;

pub use flushing::FlushPlan;
use gate::Gate;

/// Where an owner's log begins: what a committed entry of the metadata states, never memory.
#[derive(Debug)]
pub struct LogStart {
    /// The partition.
    pub id: TopicPartition,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition group whose segments and manifest it shares.
    pub group: GroupId,
    /// The leader epoch in which this owner appends.
    pub leader_epoch: LeaderEpoch,
    /// Offset of the first record that is kept.
    pub log_start: i64,
    /// End of what the metadata has accepted: where appends go on.
    pub flushed_end: i64,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record, of the original for a duplicate.
    pub base_offset: i64,
    /// Offset after the last record.
    pub next_offset: i64,
    /// The slot that must be durable before the append is acknowledged; `None` if it is already.
    pub slot: Option<SlotNumber>,
    /// The time of the append (of the original's for a duplicate) where the topic has log-append
    /// time, else -1.
    pub timestamp_ms: i64,
    /// Offset of the first record that is kept.
    pub log_start: i64,
}

/// The offsets of a log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Of the first record that is kept.
    pub log_start: i64,
    /// End of what was flushed and accepted.
    pub flushed_end: i64,
    /// End of what is durable: consumers see what lies below.
    pub high_watermark: i64,
    /// End of what was appended.
    pub append_end: i64,
}

/// Where the records from an offset on are.
#[derive(Debug)]
pub enum Found {
    /// At the end of the durable log: nothing yet.
    Nothing,
    /// In memory: chunks of whole batches.
    Cached(Vec<Bytes>),
    /// In slots or segments.
    Stored,
    /// Below the log start or above the append end.
    OutOfRange,
}

/// Why a batch got no place in the log. Nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotSequenced {
    /// The partition is being handed over: who owns it next is not decided.
    #[error("the partition is being handed over")]
    Frozen,
    /// Kafka's code for what is wrong; `NotLeaderOrFollower` if the partition or its chain is closed.
    #[error("{0}")]
    Refused(#[from] AppendError),
}

#[derive(Debug)]
struct State {
    log_start: i64,
    flushed_end: i64,
    high_watermark: i64,
    append_end: i64,
    cache: LogCache,
    unflushed: VecDeque<Range>,
    /// Bytes of these.
    unflushed_bytes: u64,
    /// Batches of producers above the flushed end, in order, with the time of their append.
    unflushed_batches: VecDeque<(ProducerBatch, i64)>,
    /// The producers at exactly the flushed end.
    flushed_producers: Producers,
    /// The producers at the append end.
    producers: Producers,
    waiters: Vec<Weak<Notify>>,
    /// The slot of the newest append of this owner.
    newest_slot: Option<SlotNumber>,
    gate: Gate,
}

/// The owner's log of one partition.
#[derive(Debug)]
pub struct PartitionLog {
    /// The partition.
    pub id: TopicPartition,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition group.
    pub group: GroupId,
    /// The leader epoch of this owner.
    pub leader_epoch: LeaderEpoch,
    rules: ArcSwap<AppendRules>,
    /// Held by who changes `rules`.
    refreshing: Mutex<()>,
    chain: ChainHandle,
    taken_up: Instant,
    /// What comes and goes.
    pub traffic: Traffic,
    state: Mutex<State>,
}

impl PartitionLog {
    /// A log that goes on where the metadata says it ended, with the producers at that place.
    #[must_use]
    pub fn new(
        start: LogStart,
        producers: Producers,
        rules: AppendRules,
        chain: ChainHandle,
    ) -> Self {
        let state = State {
            log_start: start.log_start,
            flushed_end: start.flushed_end,
            high_watermark: start.flushed_end,
            append_end: start.flushed_end,
            cache: LogCache::default(),
            unflushed: VecDeque::new(),
            unflushed_bytes: 0,
            unflushed_batches: VecDeque::new(),
            flushed_producers: producers.clone(),
            producers,
            waiters: Vec::new(),
            newest_slot: None,
            gate: Gate::Open,
        };
        Self {
            id: start.id,
            topic: start.topic,
            group: start.group,
            leader_epoch: start.leader_epoch,
            rules: ArcSwap::from_pointee(rules),
            refreshing: Mutex::new(()),
            chain,
            taken_up: Instant::now(),
            traffic: Traffic::default(),
            state: Mutex::new(state),
        }
    }

    /// Puts what `rules` finds out of the newest settings into force, for the next append. One
    /// caller at a time: who comes last must not be overwritten by who has read older settings.
    pub fn refresh_rules(&self, rules: impl FnOnce() -> Option<AppendRules>) {
        let _turn = self.refreshing.lock();
        if let Some(rules) = rules().filter(|rules| *rules != self.rules()) {
            self.rules.store(Arc::new(rules));
        }
    }

    /// Whether it is owned here for so long that a gap in a sequence is one, and not the change of the leader.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.taken_up.elapsed() >= SEQUENCES_SETTLE
    }

    /// The topic settings in force.
    #[must_use]
    pub fn rules(&self) -> AppendRules {
        **self.rules.load()
    }

    /// Appends a batch from a client: checks it, sequences it and gives it its offsets. It is
    /// acknowledged only when the slot is durable. Waits while the partition is being handed over;
    /// dropping the future then leaves nothing behind.
    ///
    /// # Errors
    /// Kafka's code for what is wrong; nothing was appended then.
    pub async fn append(&self, mut batch: Batch, now_ms: i64) -> Result<Appended, AppendError> {
        let rules = self.rules();
        rules.admit(&mut batch, now_ms).await?;
        let stamped = batch.header.timestamp_type() == TimestampType::LogAppendTime;
        let appended = loop {
            self.decided().await;
            match self.sequence(batch.header, batch.records(), now_ms) {
                Err(NotSequenced::Frozen) => {}
                Err(NotSequenced::Refused(error)) => return Err(error),
                Ok(appended) => break appended,
            }
        };
        Ok(Appended { timestamp_ms: if stamped { appended.timestamp_ms } else { -1 }, ..appended })
    }

    /// Gives the cached records of the batch at `base_offset` memory of their own: those of a request
    /// share its frame, and keep all of it in memory.
    pub fn own_records(&self, base_offset: i64) {
        self.state.lock().cache.own(base_offset);
    }

    /// Appends a batch of the broker's own (a coordinator's records), whose bytes are trusted.
    ///
    /// # Errors
    /// See [`NotSequenced`].
    pub fn append_internal(&self, batch: &Batch) -> Result<Appended, NotSequenced> {
        // It is stamped with the time of its append.
        self.sequence(batch.header, batch.records(), batch.header.max_timestamp)
    }

    fn sequence(
        &self,
        mut header: BatchHeader,
        records: Bytes,
        now_ms: i64,
    ) -> Result<Appended, NotSequenced> {
        let mut state = self.state.lock();
        match state.gate {
            Gate::Open => {}
            Gate::Frozen | Gate::Left => return Err(NotSequenced::Frozen),
            Gate::Closed => return Err(self.not_owned().into()),
        }
        header.base_offset = state.append_end;
        header.leader_epoch = self.leader_epoch.0;
        let produced = producers::produced(&header);
        if let Some(batch) = &produced
            && let Some(duplicate) = state.judge(batch)?
        {
            return Ok(duplicate);
        }
        let encoded_header = Bytes::copy_from_slice(&header.encode());
        let slot = self
            .chain
            .append(AppendedBatch {
                partition: self.id,
                header,
                encoded_header: encoded_header.clone(),
                records: records.clone(),
            })
            .map_err(|_| self.not_owned())?;
        state.append_end = header.next_offset();
        state.newest_slot = Some(slot);
        if let Some(batch) = produced {
            state.producers.append(batch, Some(slot), now_ms);
            state.unflushed_batches.push_back((batch, now_ms));
        }
        let bytes = encoded_header.len() + records.len();
        state.cache.push(CachedBatch {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            max_timestamp: header.max_timestamp,
            header: encoded_header,
            records,
        });
        let log_start = state.log_start;
        drop(state);
        self.traffic.note(bytes);
        metrics::counter!(metric_names::PRODUCED_BYTES).increment(bytes as u64);
        metrics::counter!(metric_names::PRODUCED_RECORDS)
            .increment(header.next_offset().abs_diff(header.base_offset));
        Ok(Appended {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            slot: Some(slot),
            timestamp_ms: header.max_timestamp,
            log_start,
        })
    }

    fn not_owned(&self) -> AppendError {
        AppendError::new(
            ResponseError::NotLeaderOrFollower,
            format!("partition {}-{} is not served here any more", self.topic, self.id.partition),
        )
    }

    /// Takes note that a range of this partition is durable; called in the order of the chain,
    /// before any append in it is acknowledged. Answers the bytes of memory that the cache has of it.
    pub fn landed(&self, range: Range) -> usize {
        let mut state = self.state.lock();
        debug_assert_eq!(state.high_watermark, range.base_offset, "slots land in order");
        state.high_watermark = range.next_offset;
        state.unflushed.push_back(range);
        state.unflushed_bytes += range.length;
        state.wake_all();
        state.cache.memory_bytes(range.base_offset, range.next_offset)
    }

    /// The offsets now.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.state.lock().offsets()
    }

    /// Takes note of a log start read as committed; it never goes back.
    pub fn set_log_start(&self, log_start: i64) {
        let mut state = self.state.lock();
        state.log_start = state.log_start.max(log_start);
    }

    /// Lets the cache go below `offset`, which must be durable; the bytes that were freed.
    pub fn evict_below(&self, offset: i64) -> usize {
        let mut state = self.state.lock();
        let offset = offset.min(state.high_watermark);
        state.cache.evict_below(offset)
    }

    /// The chain this partition is pinned to.
    #[must_use]
    pub fn chain(&self) -> &ChainHandle {
        &self.chain
    }
}

impl State {
    fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start,
            flushed_end: self.flushed_end,
            high_watermark: self.high_watermark,
            append_end: self.append_end,
        }
    }

    /// A duplicate's answer, or `None` for a batch that comes next.
    fn judge(&self, batch: &ProducerBatch) -> Result<Option<Appended>, AppendError> {
        match self.producers.check(batch) {
            Ok(Sequenced::Next) => Ok(None),
            Ok(Sequenced::Duplicate { base_offset, timestamp, slot }) => Ok(Some(Appended {
                base_offset,
                next_offset: base_offset + (batch.last_offset - batch.base_offset) + 1,
                slot,
                timestamp_ms: timestamp,
                log_start: self.log_start,
            })),
            Err(code) => Err(AppendError::new(
                code,
                format!(
                    "producer {} at epoch {} sent sequence {} at offset {}: {code}",
                    batch.producer_id, batch.producer_epoch, batch.first_sequence, self.append_end
                ),
            )),
        }
    }
}
