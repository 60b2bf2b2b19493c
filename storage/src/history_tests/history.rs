//! The steps of a history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use odradek_common::ids::{BrokerEpoch, GroupId, LeaderEpoch, SlotNumber, TopicPartition};
use odradek_common::random::SeededRandom;

use super::Step;
use super::metadata::{Metadata, PARTITIONS, group_of, new_chain};
use crate::attempt::Attempt;
use crate::catalog::Catalog;
use crate::collect::{Collector, SealCheck};
use crate::flush::{self, FlushPart, FlushSource, FlushedRound, SlotPart};
use crate::merge::{self, MergePlan, Merged};
use crate::names::{ChainRef, Names, SlotRef};
use crate::range::Range;
use crate::slots::{SlotError, SlotReader};
use crate::testkit::{CHAIN, MemorySlots, batch, end_of, partition};

/// Batches that were not flushed, and where they lie in slots.
#[derive(Clone, Debug)]
struct Unflushed {
    range: Range,
    batches: Vec<Bytes>,
}

pub(super) struct History {
    pub store: Arc<dyn ObjectStore>,
    pub names: Names,
    random: Arc<SeededRandom>,
    pub metadata: Metadata,
    pub copy: Metadata,
    pub chain: ChainRef,
    pub next_slot: u64,
    /// How many slots of each chain have landed.
    pub landed: HashMap<ChainRef, u64>,
    /// How many chains were sealed.
    pub seals: usize,
    /// All batches ever appended.
    pub appended: BTreeMap<TopicPartition, Vec<Bytes>>,
    /// What each slot of the current chain holds.
    slots: BTreeMap<u64, Vec<(TopicPartition, Unflushed)>>,
    rounds: Vec<FlushedRound>,
    pub merges: Vec<(MergePlan, Merged)>,
}

/// Slots as they are in the bucket.
#[derive(Debug)]
pub(super) struct StoredSlots(pub Arc<dyn ObjectStore>, pub Names);

#[async_trait]
impl SlotReader for StoredSlots {
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError> {
        let path = self.1.slot(at);
        self.0.get_range(&path, position..position + length).await.map_err(|_| SlotError::Gone)
    }
}

/// Objects of one byte are seals.
#[derive(Debug)]
struct OneByte;

#[async_trait]
impl SealCheck for OneByte {
    async fn is_seal(
        &self,
        _at: SlotRef,
        size: u64,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        Ok(size == 1)
    }
}

impl History {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            names: Names::new(Path::from("p"), "c".parse().unwrap()),
            random: Arc::new(SeededRandom::from_seed(9)),
            metadata: Metadata::new(CHAIN),
            copy: Metadata::new(CHAIN),
            chain: CHAIN,
            next_slot: 0,
            landed: HashMap::new(),
            seals: 0,
            appended: (0..PARTITIONS).map(|number| (partition(number), Vec::new())).collect(),
            slots: BTreeMap::new(),
            rounds: Vec::new(),
            merges: Vec::new(),
        }
    }

    fn attempt(&self) -> Attempt {
        let slots = Arc::new(StoredSlots(self.store.clone(), self.names.clone()));
        let (store, random) = (self.store.clone(), self.random.clone());
        Attempt::new(store, self.names.clone(), random, slots, self.metadata.index)
    }

    /// One that has nothing in its cache: what is gone is gone.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::new(Catalog::new(self.store.clone(), self.names.clone(), 1 << 20))
    }

    pub async fn step(&mut self, step: &Step) {
        match step {
            Step::Append(blocks) => self.append(blocks).await,
            Step::Flush { partitions, from_slots } => self.flush(*partitions, *from_slots).await,
            Step::CommitRound { round, claims } => self.commit_round(*round, *claims),
            Step::TakeOver => self.take_over().await,
            Step::Merge(group) => self.merge(GroupId(group % 2)).await,
            Step::CommitMerge(number) if !self.merges.is_empty() => {
                let (plan, merged) = &self.merges[number % self.merges.len()];
                self.metadata.commit_merge(plan, merged);
            }
            Step::CommitMerge(_) => {}
            Step::Trim => self.trim(),
            Step::RaiseLogStart { partition: number, by } => {
                let end = end_of(&self.appended[&partition(*number)]);
                if let Some(log) = self.metadata.logs.get_mut(&partition(*number)) {
                    log.log_start = (log.log_start + by).min(end);
                    self.metadata.index += 1;
                }
            }
            Step::Delete(number) => self.metadata.delete(&partition(*number)),
            Step::Publish => self.copy = self.metadata.clone(),
            Step::Collect => self.collect().await,
        }
    }

    async fn append(&mut self, blocks: &[(i32, Vec<usize>)]) {
        let mut held: BTreeMap<TopicPartition, Vec<Bytes>> = BTreeMap::new();
        for (number, sizes) in blocks {
            let appended = self.appended.get_mut(&partition(*number)).unwrap();
            for size in sizes {
                let count = i32::try_from(size % 6).unwrap() + 1;
                let bytes = batch(end_of(appended), count, i64::try_from(*size).unwrap(), *size);
                appended.push(bytes.clone());
                held.entry(partition(*number)).or_default().push(bytes);
            }
        }
        held.retain(|_, batches| !batches.is_empty());
        let blocks: Vec<Vec<Bytes>> = held.values().cloned().collect();
        if blocks.is_empty() {
            return;
        }
        let at = self.chain.slot(SlotNumber(self.next_slot));
        let slots = MemorySlots::default();
        let ranges = slots.put(at, &blocks);
        let bytes = slots.read(at, 0, 1 << 40).await.unwrap();
        let path = self.names.slot(at);
        self.store.put_opts(&path, bytes.into(), PutMode::Create.into()).await.unwrap();
        let held = held.into_iter().zip(ranges);
        let held =
            held.map(|((partition, batches), range)| (partition, Unflushed { range, batches }));
        self.slots.insert(self.next_slot, held.collect());
        self.next_slot += 1;
        self.landed.insert(self.chain, self.next_slot);
    }

    /// What of a partition the current chain holds past the flushed end, in order.
    fn unflushed(&self, partition: &TopicPartition) -> Vec<Unflushed> {
        let Some(log) = self.metadata.logs.get(partition) else { return Vec::new() };
        let all = self.slots.values().flatten().filter(|(of, _)| of == partition);
        let past = all.filter(|(_, held)| held.range.base_offset >= log.flushed_end);
        past.map(|(_, held)| held.clone()).collect()
    }

    async fn flush(&mut self, partitions: u8, from_slots: bool) {
        let chosen = (0..PARTITIONS).filter(|number| partitions & (1 << number) != 0);
        let mut parts = Vec::new();
        for partition in chosen.map(partition) {
            let held = self.unflushed(&partition);
            let (Some(first), Some(last)) = (held.first(), held.last()) else { continue };
            let (base_offset, next_offset) = (first.range.base_offset, last.range.next_offset);
            let source = if from_slots {
                FlushSource::Slots(held.iter().map(|held| held.range).collect())
            } else {
                FlushSource::Batches(held.iter().flat_map(|held| held.batches.clone()).collect())
            };
            let (group, checkpoint) = (group_of(&partition), state_at(next_offset));
            let leader_epoch = LeaderEpoch(0);
            parts.push(FlushPart {
                partition,
                group,
                leader_epoch,
                base_offset,
                next_offset,
                source,
                checkpoint,
            });
        }
        if !parts.is_empty() {
            self.rounds.push(flush::write(&self.attempt(), parts).await.unwrap().rounds.remove(0));
        }
    }

    fn commit_round(&mut self, round: usize, claims: u8) {
        if self.rounds.is_empty() {
            return;
        }
        let round = self.rounds[round % self.rounds.len()].clone();
        for (number, part) in round.parts.iter().enumerate() {
            if claims & (1 << number) != 0 {
                self.metadata.commit_part(&round, part);
            }
        }
    }

    async fn take_over(&mut self) {
        let seal = self.names.slot(self.chain.slot(SlotNumber(self.next_slot)));
        self.store.put(&seal, Bytes::from_static(b"S").into()).await.unwrap();
        let mut parts = Vec::new();
        for partition in (0..PARTITIONS).map(partition) {
            let ranges: Vec<Range> =
                self.unflushed(&partition).iter().map(|held| held.range).collect();
            let Some(last) = ranges.last() else { continue };
            let checkpoint = state_at(last.next_offset);
            let (group, leader_epoch) = (group_of(&partition), LeaderEpoch(0));
            parts.push(SlotPart { partition, group, leader_epoch, ranges, checkpoint });
        }
        if !parts.is_empty() {
            let round = flush::index_slots(&self.attempt(), parts).await.unwrap().remove(0);
            for part in &round.parts {
                self.metadata.commit_part(&round, part);
            }
            self.rounds.push(round);
        }
        // Recovered and forgotten; the next epoch is the index of its registration.
        self.metadata.chains.remove(&self.chain);
        self.seals += 1;
        self.metadata.index += 1;
        self.chain.epoch = BrokerEpoch(self.metadata.index);
        self.metadata.chains.insert(self.chain, new_chain());
        (self.next_slot, self.slots) = (0, BTreeMap::new());
    }

    pub async fn merge(&mut self, group: GroupId) {
        let plan = self.metadata.plan(group);
        let logs = self.metadata.logs.clone();
        let log_start = |partition: &TopicPartition| logs.get(partition).map(|log| log.log_start);
        let merged = merge::write(&self.attempt(), &self.catalog(), &plan, &log_start).await;
        self.merges.push((plan, merged.unwrap()));
    }

    pub fn trim(&mut self) {
        let logs = &self.metadata.logs;
        let settled = |held: &Vec<(TopicPartition, Unflushed)>| {
            held.iter().all(|(partition, held)| {
                logs.get(partition).is_none_or(|log| held.range.next_offset <= log.flushed_end)
            })
        };
        let first = self.slots.iter().find(|(_, held)| !settled(held)).map(|(slot, _)| *slot);
        let to = SlotNumber(first.unwrap_or(self.next_slot));
        self.metadata.chains.get_mut(&self.chain).unwrap().trim_point = to;
        self.metadata.index += 1;
    }

    pub async fn collect(&mut self) {
        self.metadata.commit_horizon(self.metadata.index);
        let (store, names) = (self.store.clone(), self.names.clone());
        let (seals, grace) = (Arc::new(OneByte), Duration::ZERO);
        let mut collector = Collector::new(store, names, self.catalog(), seals, grace);
        let collected = collector.collect(&self.copy.roots()).await.unwrap();
        assert_eq!((collected.failed, collected.foreign), (0, 0));
    }
}

pub(super) fn state_at(offset: i64) -> Bytes {
    Bytes::from(format!("state at {offset}"))
}
