//! Which slot lies where.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use odradek_common::files::File;
use odradek_common::ids::SlotNumber;

use super::layout::Frame;
use crate::names::{ChainRef, SlotRef};

/// A file that holds slots, or is about to.
#[derive(Clone, Debug)]
pub(super) struct LiveFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
}

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The generation of its file.
    pub(super) generation: u64,
    /// Where its first byte is.
    pub(super) position: u64,
    pub(super) length: u64,
}

/// All slots and the files that hold them.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: BTreeMap<u64, (LiveFile, usize)>,
    chains: HashMap<ChainRef, BTreeMap<SlotNumber, Location>>,
}

impl Index {
    pub(super) fn add_file(&mut self, generation: u64, file: LiveFile) {
        self.files.insert(generation, (file, 0));
    }

    pub(super) fn remove_file(&mut self, generation: u64) -> Option<LiveFile> {
        self.files.remove(&generation).map(|(file, _)| file)
    }

    pub(super) fn insert(&mut self, generation: u64, frame: &Frame) {
        let (position, length) = (frame.slot_position(), frame.length);
        let location = Location { generation, position, length };
        let chain = self.chains.entry(frame.at.chain).or_default();
        if chain.insert(frame.at.slot, location).is_none()
            && let Some((_, slots)) = self.files.get_mut(&generation)
        {
            *slots += 1;
        }
    }

    /// Removes a slot; gives back its file if that holds no other.
    pub(super) fn remove(&mut self, at: SlotRef) -> Option<u64> {
        let chain = self.chains.get_mut(&at.chain)?;
        let location = chain.remove(&at.slot)?;
        if chain.is_empty() {
            self.chains.remove(&at.chain);
        }
        let (_, slots) = self.files.get_mut(&location.generation)?;
        *slots -= 1;
        (*slots == 0).then_some(location.generation)
    }

    /// True if the file holds no slot.
    pub(super) fn is_empty(&self, generation: u64) -> bool {
        self.files.get(&generation).is_none_or(|(_, slots)| *slots == 0)
    }

    pub(super) fn find(&self, at: SlotRef) -> Option<(LiveFile, Location)> {
        let location = *self.chains.get(&at.chain)?.get(&at.slot)?;
        let (file, _) = self.files.get(&location.generation)?;
        Some((file.clone(), location))
    }

    /// The slots of a chain from `from` on, in order.
    pub(super) fn slots_from(&self, chain: ChainRef, from: SlotNumber) -> Vec<SlotRef> {
        let slots = self.chains.get(&chain).into_iter().flat_map(|slots| slots.range(from..));
        slots.map(|(&slot, _)| chain.slot(slot)).collect()
    }

    /// All slots, in no order.
    pub(super) fn slots(&self) -> Vec<SlotRef> {
        let chains = self.chains.iter();
        chains.flat_map(|(chain, slots)| slots.keys().map(|&slot| chain.slot(slot))).collect()
    }

    /// The slot after the last one of `chain`.
    pub(super) fn end(&self, chain: ChainRef) -> SlotNumber {
        let last = self.chains.get(&chain).and_then(|slots| slots.last_key_value());
        last.map_or(SlotNumber(0), |(slot, _)| slot.next())
    }
}
