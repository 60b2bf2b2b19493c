//! What must hold after every step, and at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use odradek_common::batch::{BatchHeader, batches};
use odradek_common::ids::{GroupId, SlotNumber, TopicPartition};

use super::history::{History, StoredSlots, state_at};
use super::metadata::Metadata;
use crate::range::{PartitionRanges, Place};
use crate::reader::LogReader;
use crate::testkit::partition;

impl History {
    /// One that has nothing in its cache: what is gone is gone.
    fn reader(&self) -> LogReader {
        let slots = Arc::new(StoredSlots(self.store.clone(), self.names.clone()));
        LogReader::new(self.store.clone(), self.names.clone(), slots, 1 << 20)
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
    pub async fn check(&self, view: &Metadata) {
        for (chain, state) in view.chains.iter().filter(|(_, state)| !state.recovered) {
            for slot in state.trim_point.0..self.landed.get(chain).copied().unwrap_or(0) {
                self.store.head(&self.names.slot(chain.slot(SlotNumber(slot)))).await.unwrap();
            }
        }
        let reader = self.reader();
        for (partition, log) in &view.logs {
            let ranges = self.ranges(view, *partition).await;
            let mut offset = log.log_start;
            let mut found = Vec::new();
            while offset < log.flushed_end {
                let read = reader.read(&ranges, offset, 50_000, true).await.unwrap().concat();
                let last = batches(Bytes::from(read.clone())).last();
                offset = last.unwrap().unwrap().header.next_offset();
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
    pub async fn check_read(&self, number: i32, offset: i64, max_bytes: usize) {
        let Some(log) = self.metadata.logs.get(&partition(number)) else { return };
        if log.log_start >= log.flushed_end {
            return;
        }
        let offset = log.log_start + offset % (log.flushed_end - log.log_start);
        let reader = self.reader();
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
    pub async fn settle(&mut self) {
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
                let Place::Segment(name) = range.place else { panic!("a slot") };
                needed.insert(self.names.object(&name));
            }
        }
        let trim_point = self.metadata.chains[&self.chain].trim_point.0;
        for slot in trim_point..self.next_slot {
            needed.insert(self.names.slot(self.chain.slot(SlotNumber(slot))));
        }
        let there: Vec<ObjectMeta> =
            futures::TryStreamExt::try_collect(self.store.list(None)).await.unwrap();
        let (seals, there): (Vec<_>, Vec<_>) = there.into_iter().partition(|meta| meta.size == 1);
        assert_eq!(seals.len(), self.seals, "no seal is deleted");
        let there: BTreeSet<Path> = there.into_iter().map(|meta| meta.location).collect();
        assert_eq!(there, needed);
    }
}
