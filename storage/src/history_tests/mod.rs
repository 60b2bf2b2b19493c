//! Random histories of appends, flushes, takeovers, merges, retention, deletion and collection, in
//! any order and with a grace of zero. Commands may come late or never. After each step all that
//! the metadata, and the bucket's older copy of it, say is there must read back exactly; at the
//! end one merge and one collection leave nothing but what is needed.

mod metadata;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use odradek_common::batch::BatchHeader;
use odradek_common::ids::{BrokerEpoch, GroupId, LeaderEpoch, SlotNumber, TopicPartition};
use odradek_common::random::SeededRandom;
use proptest::prelude::*;

use crate::attempt::Attempt;
use crate::catalog::Catalog;
use crate::collect::{Collector, SealCheck};
use crate::flush::{self, FlushPart, FlushSource, FlushedRound, SlotPart};
use crate::merge::{self, MergePlan, Merged};
use crate::names::{ChainRef, Names, SlotRef};
use crate::range::{PartitionRanges, Range};
use crate::reader::LogReader;
use crate::slots::{SlotError, SlotReader};
use crate::testkit::{CHAIN, MemorySlots, batch, end_of, partition};
use metadata::{Metadata, PARTITIONS, group_of, new_chain};

/// A step of a history. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// A slot with batches of these sizes, by partition.
    Append(Vec<(i32, Vec<usize>)>),
    /// A flush of the partitions whose bits are set, from memory or from slots.
    Flush {
        partitions: u8,
        from_slots: bool,
    },
    /// Commits of a finished round those claims whose bits are set; the round stays around.
    CommitRound {
        round: usize,
        claims: u8,
    },
    /// A new broker epoch takes over all that was not flushed.
    TakeOver,
    /// A merge of a group, written but not committed.
    Merge(u64),
    /// Commits a finished merge, perhaps again.
    CommitMerge(usize),
    Trim,
    RaiseLogStart {
        partition: i32,
        by: i64,
    },
    Delete(i32),
    /// The bucket's copy catches up.
    Publish,
    Collect,
}

/// Batches that were not flushed, and where they lie in slots.
#[derive(Clone, Debug)]
struct Unflushed {
    range: Range,
    batches: Vec<Bytes>,
}

struct History {
    store: Arc<InMemory>,
    names: Names,
    random: Arc<SeededRandom>,
    metadata: Metadata,
    copy: Metadata,
    chain: ChainRef,
    next_slot: u64,
    /// How many slots of each chain have landed.
    landed: HashMap<ChainRef, u64>,
    /// All batches ever appended.
    appended: BTreeMap<TopicPartition, Vec<Bytes>>,
    /// What each slot of the current chain holds.
    slots: BTreeMap<u64, Vec<(TopicPartition, Unflushed)>>,
    rounds: Vec<FlushedRound>,
    merges: Vec<(MergePlan, Merged)>,
}

/// Slots as they are in the bucket.
#[derive(Debug)]
struct StoredSlots(Arc<InMemory>, Names);

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
    fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            names: Names::new(Path::from("p"), "c".parse().unwrap()),
            random: Arc::new(SeededRandom::from_seed(9)),
            metadata: Metadata::new(CHAIN),
            copy: Metadata::new(CHAIN),
            chain: CHAIN,
            next_slot: 0,
            landed: HashMap::new(),
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
    fn catalog(&self) -> Arc<Catalog> {
        Arc::new(Catalog::new(self.store.clone(), self.names.clone(), 1 << 20))
    }

    async fn step(&mut self, step: &Step) {
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
            self.rounds.push(flush::write(&self.attempt(), parts).await.unwrap());
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
            let round = flush::index_slots(&self.attempt(), parts).await.unwrap();
            for part in &round.parts {
                self.metadata.commit_part(&round, part);
            }
            self.rounds.push(round);
        }
        self.metadata.chains.get_mut(&self.chain).unwrap().recovered = true;
        self.chain.epoch = BrokerEpoch(self.chain.epoch.0 + 1);
        self.metadata.chains.insert(self.chain, new_chain());
        self.metadata.index += 1;
        (self.next_slot, self.slots) = (0, BTreeMap::new());
    }

    async fn merge(&mut self, group: GroupId) {
        let plan = self.metadata.plan(group);
        let logs = self.metadata.logs.clone();
        let log_start = |partition: &TopicPartition| logs.get(partition).map(|log| log.log_start);
        let merged = merge::write(&self.attempt(), &self.catalog(), &plan, &log_start).await;
        self.merges.push((plan, merged.unwrap()));
    }

    fn trim(&mut self) {
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

    async fn collect(&mut self) {
        self.metadata.commit_horizon(self.metadata.index);
        let (store, names) = (self.store.clone(), self.names.clone());
        let (seals, grace) = (Arc::new(OneByte), Duration::ZERO);
        let mut collector = Collector::new(store, names, self.catalog(), seals, grace);
        let collected = collector.collect(&self.copy.roots()).await.unwrap();
        assert_eq!((collected.failed, collected.foreign), (0, 0));
    }

    /// Where the log of a partition lies, according to a view of the metadata.
    async fn ranges(&self, view: &Metadata, partition: TopicPartition) -> Arc<PartitionRanges> {
        let log = &view.logs[&partition];
        let (manifest, live) = (view.manifest_of(&partition), view.live_of(&partition));
        let (start, end) = (log.log_start, log.flushed_end);
        let catalog = self.catalog();
        let ranges = catalog.ranges(partition, manifest, &live, start, end).await.unwrap();
        if end > 0 {
            assert_eq!(ranges.checkpoint(), &state_at(end));
        }
        ranges
    }

    /// Reads all that a view says is there, from the log start on, and looks whether the slots
    /// are there that a recovery would read.
    async fn check(&self, view: &Metadata) {
        for (chain, state) in view.chains.iter().filter(|(_, state)| !state.recovered) {
            for slot in state.trim_point.0..self.landed.get(chain).copied().unwrap_or(0) {
                self.store.head(&self.names.slot(chain.slot(SlotNumber(slot)))).await.unwrap();
            }
        }
        let slots = Arc::new(StoredSlots(self.store.clone(), self.names.clone()));
        let reader = LogReader::new(self.store.clone(), self.names.clone(), slots, 1 << 20);
        for (partition, log) in &view.logs {
            let ranges = self.ranges(view, *partition).await;
            let mut offset = log.log_start;
            let mut found = Vec::new();
            while offset < log.flushed_end {
                let read = reader.read(&ranges, offset, 50_000, true).await.unwrap().concat();
                let batches = odradek_common::batch::batches(Bytes::from(read.clone()));
                offset = batches.last().unwrap().unwrap().header.next_offset();
                found.extend(read);
            }
            let expected = self.appended[partition].iter().filter(|batch| {
                let header = BatchHeader::parse(batch).unwrap();
                header.next_offset() > log.log_start && header.base_offset < log.flushed_end
            });
            assert!(found == expected.flatten().copied().collect::<Vec<u8>>(), "{partition}");
        }
    }

    /// Mid-batch starts and small sizes.
    async fn check_read(&self, number: i32, offset: i64, max_bytes: usize) {
        let Some(log) = self.metadata.logs.get(&partition(number)) else { return };
        if log.log_start >= log.flushed_end {
            return;
        }
        let offset = log.log_start + offset % (log.flushed_end - log.log_start);
        let slots = Arc::new(StoredSlots(self.store.clone(), self.names.clone()));
        let reader = LogReader::new(self.store.clone(), self.names.clone(), slots, 1 << 20);
        let ranges = self.ranges(&self.metadata, partition(number)).await;
        let read = reader.read(&ranges, offset, max_bytes, true).await.unwrap().concat();
        let mut expected = Vec::new();
        for batch in &self.appended[&partition(number)] {
            let header = BatchHeader::parse(batch).unwrap();
            let wanted = header.next_offset() > offset && header.base_offset < log.flushed_end;
            if wanted && !expected.is_empty() && expected.len() + batch.len() > max_bytes {
                break;
            }
            if wanted {
                expected.extend_from_slice(batch);
            }
        }
        assert!(read == expected, "{} {offset} {max_bytes}", partition(number));
    }

    /// One merge and one collection, and what is then needed: everything there is, no more.
    async fn settle(&mut self) {
        for group in [GroupId(0), GroupId(1)] {
            self.merge(group).await;
            let (plan, merged) = self.merges.last().unwrap();
            self.metadata.commit_merge(plan, merged);
        }
        self.trim();
        self.metadata.commit_horizon(self.metadata.index + 1);
        self.copy = self.metadata.clone();
        self.collect().await;
        let mut needed: BTreeSet<Path> = BTreeSet::new();
        let roots = self.metadata.roots();
        assert_eq!(roots.index_objects, []);
        for name in &roots.manifests {
            needed.insert(self.names.object(name));
            let manifest = self.catalog().manifest(*name).await.unwrap();
            for range in manifest.partitions.values().flat_map(|entry| &entry.ranges) {
                let crate::range::Place::Segment(name) = range.place else { panic!("a slot") };
                needed.insert(self.names.object(&name));
            }
        }
        let trim_point = self.metadata.chains[&self.chain].trim_point.0;
        for slot in trim_point..self.next_slot {
            needed.insert(self.names.slot(self.chain.slot(SlotNumber(slot))));
        }
        let there: Vec<object_store::ObjectMeta> =
            futures::TryStreamExt::try_collect(self.store.list(None)).await.unwrap();
        let (seals, there): (Vec<_>, Vec<_>) = there.into_iter().partition(|meta| meta.size == 1);
        assert_eq!(seals.len() as u64, self.chain.epoch.0 - CHAIN.epoch.0, "no seal is deleted");
        let there: BTreeSet<Path> = there.into_iter().map(|meta| meta.location).collect();
        assert_eq!(there, needed);
    }
}

fn state_at(offset: i64) -> Bytes {
    Bytes::from(format!("state at {offset}"))
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 0usize..300, 1 => 40_000usize..80_000];
    let block = (0..PARTITIONS, proptest::collection::vec(size, 1..4));
    prop_oneof![
        6 => proptest::collection::vec(block, 1..4).prop_map(Step::Append),
        4 => (any::<u8>(), any::<bool>())
            .prop_map(|(partitions, from_slots)| Step::Flush { partitions, from_slots }),
        6 => (any::<usize>(), any::<u8>())
            .prop_map(|(round, claims)| Step::CommitRound { round, claims }),
        1 => Just(Step::TakeOver),
        3 => any::<u64>().prop_map(Step::Merge),
        3 => any::<usize>().prop_map(Step::CommitMerge),
        2 => Just(Step::Trim),
        1 => (0..PARTITIONS, 1i64..20)
            .prop_map(|(partition, by)| Step::RaiseLogStart { partition, by }),
        1 => (0..PARTITIONS * 3).prop_map(|number| match number {
            number if number < PARTITIONS => Step::Delete(number),
            _ => Step::Publish,
        }),
        2 => Just(Step::Publish),
        3 => Just(Step::Collect),
    ]
}

async fn run(steps: &[Step], reads: &[(i32, i64, usize)]) {
    let mut history = History::new();
    for step in steps {
        history.step(step).await;
        let (metadata, copy) = (&history.metadata, &history.copy);
        history.check(metadata).await;
        history.check(copy).await;
    }
    for (number, offset, max_bytes) in reads {
        history.check_read(*number, *offset, *max_bytes).await;
    }
    history.settle().await;
    history.check(&history.metadata).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_what_is_needed_and_nothing_else(
        steps in proptest::collection::vec(step(), 1..60),
        reads in proptest::collection::vec((0..PARTITIONS, 0i64..10_000, 0usize..100_000), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(&steps, &reads));
    }
}
