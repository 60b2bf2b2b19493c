//! Reading write-ahead slots, as the reader, the flush and the merge need it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::names::SlotRef;

/// Why a slot's bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// There is no such slot, or no longer.
    #[error("the slot is not there")]
    Gone,
    /// The write-ahead log could not read it.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads bytes of slots, whatever kind of write-ahead log they are in.
#[async_trait]
pub trait SlotReader: Send + Sync + std::fmt::Debug {
    /// `length` bytes of the slot `at` from `position` on. What comes may be shorter; the caller
    /// checks length and CRC.
    ///
    /// # Errors
    /// The slot is gone or cannot be read.
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError>;
}

/// For those who have no slots to read: all are gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSlots;

#[async_trait]
impl SlotReader for NoSlots {
    async fn read(&self, _at: SlotRef, _position: u64, _length: u64) -> Result<Bytes, SlotError> {
        Err(SlotError::Gone)
    }
}
