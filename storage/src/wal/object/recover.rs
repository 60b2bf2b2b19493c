//! Sealing a chain and reading what it holds (laws 2.1, 2.5 and 2.6).

use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::GetRange;
use odradek_common::ids::{SlotNumber, TopicPartition};
use odradek_common::limits::{DAMAGED_READS, SLOTS_AT_ONCE};

use super::ObjectWal;
use super::look::Look;
use super::put::Answer;
use super::retry::Retry;
use crate::names::{ChainRef, SlotRef};
use crate::wal::slot::{
    Footer, FormatError, HEAD_READ_BYTES, Head, Predecessors, Seal, TAIL_READ_BYTES, Tail,
    decode_predecessors, decode_tail,
};
use crate::wal::{RecoverError, Recovered, RecoveredSlot, UnreadableSlot};

/// What the end of an object says.
#[derive(Debug)]
enum Found {
    Slot(Footer),
    Seal,
    Nothing,
    Unreadable(FormatError),
}

/// Where a walk over slots ended.
enum Stop {
    Seal,
    Hole(SlotNumber),
}

/// What a put-if-absent of a seal left in the place.
#[derive(Debug, PartialEq)]
enum Sealed {
    /// A seal, ours or another's.
    Seal,
    /// A slot, or something unreadable that keeps slots out as well.
    Slot,
}

impl ObjectWal {
    pub(super) async fn recover_chain(
        &self,
        chain: ChainRef,
        from: SlotNumber,
        window: u32,
        fence: u64,
    ) -> Result<Recovered, RecoverError> {
        let mut found = Recovered::starting_at(from);
        let mut sealed_ahead = false;
        while let Stop::Hole(hole) = self.walk(chain, &mut found).await? {
            if !sealed_ahead {
                self.seal_ahead(chain, hole, window, fence).await?;
                sealed_ahead = true;
            }
            // A slot that landed there meanwhile is part of the prefix, and so may be those behind.
            if self.seal(chain.slot(hole), fence).await? == Sealed::Seal {
                break;
            }
        }
        for unreadable in &mut found.unreadable {
            let successor = unreadable.slot.chain.slot(unreadable.slot.slot.next());
            unreadable.partitions = self.predecessors(successor).await;
            tracing::error!(?unreadable, "a slot cannot be read; its partitions are lost");
        }
        Ok(found)
    }

    /// Takes in slots from `found.end` up to the first place that holds none.
    async fn walk(&self, chain: ChainRef, found: &mut Recovered) -> Result<Stop, RecoverError> {
        let probes = stream::iter(found.end.0..).map(|slot| async move {
            let at = chain.slot(SlotNumber(slot));
            (at, self.probe(at).await)
        });
        let mut probes = std::pin::pin!(probes.buffered(SLOTS_AT_ONCE));
        while let Some((at, probe)) = probes.next().await {
            match probe? {
                Found::Slot(footer) => found.slots.push(RecoveredSlot::new(at, footer)),
                Found::Unreadable(error) => found.unreadable.push(UnreadableSlot {
                    slot: at,
                    partitions: None,
                    reason: error.to_string(),
                }),
                Found::Nothing => return Ok(Stop::Hole(at.slot)),
                Found::Seal => return Ok(Stop::Seal),
            }
            found.end = at.slot.next();
        }
        // There are not that many numbers.
        Ok(Stop::Seal)
    }

    /// Reads the footer of whatever stands at `at`.
    async fn probe(&self, at: SlotRef) -> Result<Found, RecoverError> {
        let mut retry = Retry::new(&self.pace, &self.troubles, "read", at);
        let mut bytes_wanted = TAIL_READ_BYTES;
        let mut damaged = 0;
        let mut seen = false;
        loop {
            let (end, length) = match self.fetch(at, GetRange::Suffix(bytes_wanted)).await {
                Ok(Some(fetched)) => fetched,
                // Once seen it is no hole, and must not be sealed as if it were the end.
                Ok(None) if seen => return Err(RecoverError::Overtaken { at }),
                Ok(None) => return Ok(Found::Nothing),
                Err(error) => {
                    retry.failed(&error).await;
                    continue;
                }
            };
            seen = true;
            let error = match decode_tail(&end, length, self.names.cluster(), at) {
                Ok(Tail::Slot(footer)) => return Ok(Found::Slot(footer)),
                Ok(Tail::Seal(_)) => return Ok(Found::Seal),
                Ok(Tail::More(bytes)) if bytes > bytes_wanted => {
                    bytes_wanted = bytes;
                    continue;
                }
                Ok(Tail::More(_)) => FormatError::Malformed("cut"),
                Err(error) if error.is_lasting() => {
                    return Err(RecoverError::Foreign { at, source: error });
                }
                Err(error) => error,
            };
            if damaged == DAMAGED_READS {
                return Ok(Found::Unreadable(error));
            }
            // The bytes may have been damaged on their way, the length of the footer too.
            damaged += 1;
            bytes_wanted = TAIL_READ_BYTES;
            retry.wait().await;
        }
    }

    /// Puts a seal a full window past the first hole, so that a live owner cannot run ahead of the
    /// sealer for long. Where it meets a slot the owner did run, and the seal goes farther out.
    async fn seal_ahead(
        &self,
        chain: ChainRef,
        hole: SlotNumber,
        window: u32,
        fence: u64,
    ) -> Result<(), RecoverError> {
        let mut distance = u64::from(window.max(1));
        while let Some(place) = hole.0.checked_add(distance) {
            if self.seal(chain.slot(SlotNumber(place)), fence).await? == Sealed::Seal {
                break;
            }
            distance = distance.saturating_mul(2);
        }
        Ok(())
    }

    /// Puts a seal at `at` unless something stands there.
    async fn seal(&self, at: SlotRef, fence: u64) -> Result<Sealed, RecoverError> {
        let seal = Seal { cluster: self.names.cluster().clone(), at, fence };
        let (path, payload) = (self.path(at), seal.encode());
        let mut retry = Retry::new(&self.pace, &self.troubles, "seal", at);
        loop {
            match self.create(&path, payload.clone().into(), 0, retry.failures()).await {
                Answer::Created => return Ok(Sealed::Seal),
                Answer::Exists => {}
                Answer::Unknown(error) => {
                    retry.failed(&error).await;
                    continue;
                }
            }
            match self.look(at).await {
                Look::Is(Head::Seal(_), _) => return Ok(Sealed::Seal),
                Look::Is(Head::Slot(_), _) => return Ok(Sealed::Slot),
                // A collision of puts in which neither landed.
                Look::Absent => retry.wait().await,
                Look::Wrong(error) if error.is_lasting() => {
                    return Err(RecoverError::Foreign { at, source: error });
                }
                Look::Wrong(_) => return Ok(Sealed::Slot),
            }
        }
    }

    /// The partitions of the slot before `successor`, as that one names them.
    async fn predecessors(&self, successor: SlotRef) -> Option<Vec<TopicPartition>> {
        let mut retry = Retry::new(&self.pace, &self.troubles, "read", successor);
        let mut bytes_wanted = HEAD_READ_BYTES;
        let mut damaged = 0;
        while damaged <= DAMAGED_READS {
            let start: Bytes = match self.fetch(successor, GetRange::Bounded(0..bytes_wanted)).await
            {
                Ok(Some((start, _))) => start,
                Ok(None) => return None,
                Err(error) => {
                    retry.failed(&error).await;
                    continue;
                }
            };
            match decode_predecessors(&start, self.names.cluster(), successor) {
                Ok(Predecessors::List(partitions)) => return Some(partitions),
                Ok(Predecessors::More(bytes)) if bytes > bytes_wanted => bytes_wanted = bytes,
                Ok(Predecessors::More(_)) | Err(_) => {
                    damaged += 1;
                    bytes_wanted = HEAD_READ_BYTES;
                    retry.wait().await;
                }
            }
        }
        None
    }
}
