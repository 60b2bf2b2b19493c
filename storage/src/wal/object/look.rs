//! Looking at what stands in a slot's place (law 2.4).

use object_store::GetRange;
use odradek_common::limits::DAMAGED_READS;

use super::ObjectWal;
use super::retry::Retry;
use crate::names::SlotRef;
use crate::wal::PutError;
use crate::wal::slot::{FormatError, FrozenSlot, HEAD_READ_BYTES, Head, decode_head};

/// What stands in a place.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing.
    Absent,
    /// A slot or a seal, and the object's length.
    Is(Head, u64),
    /// Something that is neither, or not of this place; read more than once.
    Wrong(FormatError),
}

impl ObjectWal {
    /// Looks until it sees.
    pub(super) async fn look(&self, at: SlotRef) -> Look {
        let mut retry = Retry::new(&self.pace, &self.troubles, "look at", at);
        let mut damaged = 0;
        loop {
            match self.fetch(at, GetRange::Bounded(0..HEAD_READ_BYTES)).await {
                Ok(None) => return Look::Absent,
                Ok(Some((bytes, length))) => match decode_head(&bytes, self.names.cluster(), at) {
                    Ok(head) => return Look::Is(head, length),
                    Err(error) if error.is_lasting() || damaged == DAMAGED_READS => {
                        return Look::Wrong(error);
                    }
                    // The bytes may have been damaged on their way.
                    Err(_) => damaged += 1,
                },
                Err(error) => {
                    retry.failed(&error).await;
                    continue;
                }
            }
            retry.wait().await;
        }
    }

    /// "Already exists", resolved: true if it is `slot` that exists, false if nothing does.
    pub(super) async fn is_ours(&self, slot: &FrozenSlot) -> Result<bool, PutError> {
        let at = slot.at;
        let what = match self.look(at).await {
            Look::Absent => return Ok(false),
            Look::Is(Head::Seal(seal), _) => {
                return Err(PutError::Sealed { at, fence: seal.fence });
            }
            Look::Is(Head::Slot(header), length) => {
                let written = (header.nonce, header.length, header.crc, length);
                if written == (slot.nonce, slot.length, slot.crc, slot.length) {
                    return Ok(true);
                }
                format!(
                    "a slot with nonce {:?}, {} bytes of {length}, CRC-32C {:08x}; ours: nonce \
                     {:?}, {} bytes, CRC-32C {:08x}",
                    header.nonce, header.length, header.crc, slot.nonce, slot.length, slot.crc
                )
            }
            Look::Wrong(error) => error.to_string(),
        };
        Err(PutError::Foreign { at, what })
    }
}
