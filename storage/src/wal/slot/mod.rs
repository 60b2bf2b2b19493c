//! The bytes of a slot, the same in every kind of write-ahead log, and of a seal.
//!
//! ```text
//! slot   header · predecessor's partitions · blocks · footer
//! seal   one envelope with the fence's log index
//! ```
//!
//! Header, list and footer are envelopes (see [`crate::envelope`]): each has its magic, version
//! and CRC-32C. A block holds consecutive batches of one partition and leader epoch, in append
//! order; its CRC-32C stands in the footer. The header alone tells whose slot it is (nonce, length
//! and the footer's CRC, which covers those of all blocks); the footer alone suffices for recovery.

mod decode;
mod draft;
mod footer;
mod header;
#[cfg(test)]
mod tests;

pub use decode::{
    HEAD_READ_BYTES, Head, Predecessors, TAIL_READ_BYTES, Tail, decode_head, decode_predecessors,
    decode_tail, decode_whole,
};
pub use draft::{BlockDraft, FrozenSlot, SlotDraft};
pub use footer::{BlockEntry, Footer, ProducerBatch};
pub use header::{Header, Nonce, Seal};

use crate::envelope::{EnvelopeError, Kind};
use crate::names::SlotRef;
use crate::range::Place;

const HEADER: Kind = Kind { name: "slot header", magic: *b"ODsh", version: 1 };
const PREDECESSOR: Kind = Kind { name: "slot's list of partitions", magic: *b"ODsp", version: 1 };
const FOOTER: Kind = Kind { name: "slot footer", magic: *b"ODsf", version: 1 };
const SEAL: Kind = Kind { name: "seal", magic: *b"ODse", version: 1 };

/// Why bytes are not a slot, or not the one that should be in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// An envelope is damaged, cut or too new.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// What an envelope says is impossible.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// It is sound, but belongs to another place or another cluster.
    #[error("it belongs to {} of cluster '{cluster}'", Place::Slot(*found))]
    Elsewhere {
        /// The place that it names.
        found: SlotRef,
        /// The cluster that it names.
        cluster: String,
    },
}

impl FormatError {
    /// True if reading again, or another copy, cannot help: the bytes are as they were written.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Elsewhere { .. } | Self::Envelope(EnvelopeError::Newer { .. }))
    }
}
