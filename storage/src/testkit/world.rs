//! A store, slots, and what works on them.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use odradek_common::batch::BatchHeader;
use odradek_common::ids::{GroupId, LeaderEpoch};
use odradek_common::random::SeededRandom;

use super::{MemorySlots, Probe, partition};
use crate::attempt::Attempt;
use crate::catalog::Catalog;
use crate::flush::{FlushPart, FlushSource};
use crate::names::{Names, ObjectName};
use crate::reader::LogReader;
use crate::slots::SlotReader;

/// A store, slots, and what works on them.
pub(crate) struct World {
    pub store: Probe,
    pub names: Names,
    pub slots: Arc<MemorySlots>,
    pub catalog: Arc<Catalog>,
    random: Arc<SeededRandom>,
}

impl World {
    pub fn new() -> Self {
        let store = Probe::default();
        let names = Names::new(Path::from("pre"), "cluster".parse().unwrap());
        let catalog = Arc::new(Catalog::new(Arc::new(store.clone()), names.clone(), 1 << 20));
        let random = Arc::new(SeededRandom::from_seed(5));
        Self { store, names, slots: Arc::default(), catalog, random }
    }

    /// A reader with a cache of `cache_bytes`.
    pub fn reader(&self, cache_bytes: usize) -> LogReader {
        let store = Arc::new(self.store.clone());
        LogReader::new(store, self.names.clone(), self.slots.clone(), cache_bytes)
    }

    /// An attempt that begins at `mark`.
    pub fn attempt(&self, mark: u64) -> Attempt {
        self.attempt_with(mark, self.slots.clone())
    }

    /// The same with other slots.
    pub fn attempt_with(&self, mark: u64, slots: Arc<dyn SlotReader>) -> Attempt {
        let store = Arc::new(self.store.clone());
        Attempt::new(store, self.names.clone(), self.random.clone(), slots, mark)
    }

    /// The path of an object, as text.
    pub fn path(&self, name: &ObjectName) -> String {
        self.names.object(name).to_string()
    }
}

/// What a flush takes of the partition `number` of group 1: `batches`, in one buffer each.
pub(crate) fn part(number: i32, batches: &[Bytes]) -> FlushPart {
    let first = BatchHeader::parse(&batches[0]).unwrap();
    FlushPart {
        partition: partition(number),
        group: GroupId(1),
        leader_epoch: LeaderEpoch(0),
        base_offset: first.base_offset,
        next_offset: super::end_of(batches),
        source: FlushSource::Batches(batches.to_vec()),
        checkpoint: Bytes::from(format!("state at {}", super::end_of(batches))),
    }
}
