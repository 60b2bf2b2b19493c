//! How a chain cuts its slots.

use std::time::Duration;

use odradek_common::ids::ClusterId;
use odradek_common::limits::{CHAIN_UNLANDED_BYTES, SLOT_BYTES, SLOT_BYTES_MAX, SLOT_WINDOW};

use crate::names::ChainRef;

/// The options of a chain.
#[derive(Clone, Debug)]
pub struct ChainOptions {
    /// The chain.
    pub chain: ChainRef,
    /// The cluster.
    pub cluster: ClusterId,
    /// A slot is cut when it holds this many bytes of batches, or more by less than one batch. At
    /// most [`SLOT_BYTES_MAX`].
    pub slot_bytes: usize,
    /// The longest that a batch waits for others while slots are in flight.
    pub linger_max: Duration,
    /// The shortest time for which batches gather while slots are in flight.
    pub linger_floor: Duration,
    /// Puts a second into the object store that slots cut before they are full may cost; infinite for
    /// no bound. A log on a local disk has none.
    pub puts_per_second: f64,
    /// How many slots, counted from the first that has not landed, may be in flight. It must be
    /// what the chain's registration says: sealers count on it (law 2.6).
    pub window: u32,
    /// Bytes of memory not yet landed at which [`super::ChainHandle::room`] lets nobody through; from half
    /// of them on it delays.
    pub unlanded_bytes_max: usize,
}

impl ChainOptions {
    /// The same within the bounds that a chain can keep.
    pub(super) fn within_bounds(self) -> Self {
        Self { slot_bytes: self.slot_bytes.min(SLOT_BYTES_MAX), window: self.window.max(1), ..self }
    }

    /// The defaults, for `chain` of `cluster`.
    #[must_use]
    pub fn new(chain: ChainRef, cluster: ClusterId) -> Self {
        Self {
            chain,
            cluster,
            slot_bytes: SLOT_BYTES,
            linger_max: Duration::from_millis(100),
            linger_floor: Duration::from_millis(1),
            puts_per_second: f64::INFINITY,
            window: SLOT_WINDOW,
            unlanded_bytes_max: CHAIN_UNLANDED_BYTES,
        }
    }
}
