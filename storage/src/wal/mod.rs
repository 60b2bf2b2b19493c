//! The write-ahead log: batches gather in slots, slots form a chain, and what a chain holds up to
//! its first hole or seal is durable (section 2 of the architecture).
//!
//! [`Chain`] is the sequencer, the same for all kinds: it cuts slots, keeps several in flight and
//! lets them land in order. A kind of log ([`Wal`]) puts a slot's bytes where they survive, finds
//! them again and reads them.
//!
//! ```text
//!  append → open slot → closed → put … put … put → landed in order → SlotSink, then the waiters
//!           (gathers)            (at most a window past the first hole)
//! ```

mod append;
mod chain;
#[cfg(test)]
mod conformance;
mod disk;
mod object;
mod recovered;
pub mod slot;
#[cfg(test)]
mod testing;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use odradek_common::ids::SlotNumber;

pub use append::{AppendedBatch, SHARED_BYTES};
pub use chain::{
    Chain, ChainError, ChainHandle, ChainOptions, ChainStats, LandedSlot, SlotRange, SlotSink,
};
pub use disk::{DiskError, DiskOptions, DiskWal, OWNER_FILE};
pub use object::{ObjectOptions, ObjectWal};
pub use recovered::{Recovered, RecoveredSlot, SlotProducers, UnreadableSlot};
pub use slot::{FrozenSlot, ProducerBatch};

use crate::names::{ChainRef, SlotRef};
use crate::range::Place;
use crate::slots::SlotReader;
use slot::FormatError;

/// Where a write-ahead log keeps its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalKind {
    /// In an object store: slots survive the broker and its disk, and a seal fences a chain.
    Object,
    /// On a local disk: slots survive the process and a power cut. There is no seal, and so no
    /// fence: for a single node only.
    Disk,
}

/// A slot that did not become durable, and of which the caller will not learn more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutError {
    /// A seal stands in the slot's place: the broker is fenced (law 2.3).
    #[error("{} is sealed: the broker was fenced by log entry {fence}", Place::Slot(*at))]
    Sealed {
        /// The place.
        at: SlotRef,
        /// The Raft index of the fence.
        fence: u64,
    },
    /// Something else stands in the slot's place. Never ours, so nothing after it may be answered.
    #[error("{} is taken by something that is not ours: {what}", Place::Slot(*at))]
    Foreign {
        /// The place.
        at: SlotRef,
        /// What it is.
        what: String,
    },
    /// The local disk failed. The kernel may have dropped what it could not write, so nothing is
    /// tried again.
    #[error("the write-ahead log's disk failed: {0}")]
    Disk(Arc<DiskError>),
}

/// Why a chain could not be recovered. It can be tried again; each of these wants an operator.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// What stands in a slot's place is of another place, another cluster or a newer release.
    #[error("{} is not what should be there: {source}", Place::Slot(*at))]
    Foreign {
        /// The place.
        at: SlotRef,
        /// What is wrong.
        source: FormatError,
    },
    /// Slots vanished while they were read: another sealer has recovered this chain and its slots
    /// are being deleted. There is nothing left to take over.
    #[error("{} vanished: the chain was recovered by another", Place::Slot(*at))]
    Overtaken {
        /// The place.
        at: SlotRef,
    },
    /// The local disk holds something valid behind something that is not: acknowledged data is
    /// damaged, or a disk of files was lost.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why slots could not be deleted. Some may be gone; deleting them again is harmless.
#[derive(Debug, thiserror::Error)]
#[error("could not delete {}: {source}", Place::Slot(*at))]
pub struct DeleteError {
    /// The slot that failed.
    pub at: SlotRef,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A kind of write-ahead log.
#[async_trait]
pub trait Wal: SlotReader {
    /// Which it is.
    fn kind(&self) -> WalKind;

    /// Makes a slot durable. Returns only when it is, or when it never will be: outages are waited
    /// for, however long, and the same bytes are tried again (law 2.4). Dropping the future leaves
    /// open whether the slot lands.
    ///
    /// # Errors
    /// The chain is over: sealed, or broken.
    async fn put(&self, slot: &FrozenSlot) -> Result<(), PutError>;

    /// Reads the footers of the longest gapless prefix of `chain` from `from`, its frozen trim
    /// point. Where the kind has seals it first seals the chain, so that nothing joins the prefix
    /// afterwards; `window` is that of the chain's registration and `fence` the Raft index of the
    /// fence, which must have been seen *applied* (law 2.6). Waits for outages, however long. May
    /// be repeated, also after it was left half-way, and by several at once.
    ///
    /// # Errors
    /// What is there cannot be taken over without an operator.
    async fn recover(
        &self,
        chain: ChainRef,
        from: SlotNumber,
        window: u32,
        fence: u64,
    ) -> Result<Recovered, RecoverError>;

    /// Deletes slots, those that are there; seals among them stay (law 2.5).
    ///
    /// # Errors
    /// The first failure, after which some of them may still be there.
    async fn delete(&self, slots: &[SlotRef]) -> Result<(), DeleteError>;

    /// What stands in the way of puts at present, in words for an operator; `None` if nothing.
    fn trouble(&self) -> Option<String>;
}
