//! What stands at the front of a slot, and the seal that may stand in its place.

use std::fmt;

use bytes::Bytes;
use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, ClusterId, SlotNumber};
use prost::Message;

use super::{FormatError, HEADER, SEAL};
use crate::names::{ChainRef, SlotRef};

/// 16 random bytes, drawn once for a slot: by them a writer knows its own (law 2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A slot's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its place.
    pub at: SlotRef,
    /// Its writer's mark.
    pub nonce: Nonce,
    /// Bytes of the whole slot.
    pub length: u64,
    /// The CRC-32C of the footer, which holds the CRCs of all blocks.
    pub crc: u32,
}

/// A seal: it ends the chain, and says which fence allowed that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its place.
    pub at: SlotRef,
    /// The Raft index of the fence that its sealer saw applied.
    pub fence: u64,
}

/// The names of cluster and place, as they stand in every part of a slot.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PlaceMessage {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(int32, tag = "2")]
    broker: i32,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(uint32, tag = "4")]
    chain: u32,
    #[prost(uint64, tag = "5")]
    slot: u64,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderMessage {
    #[prost(message, required, tag = "1")]
    place: PlaceMessage,
    #[prost(bytes = "bytes", tag = "2")]
    nonce: Bytes,
    /// Of fixed width, so that it can count the header that it stands in.
    #[prost(fixed64, required, tag = "3")]
    length: u64,
    #[prost(fixed32, required, tag = "4")]
    crc: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SealMessage {
    #[prost(message, required, tag = "1")]
    place: PlaceMessage,
    #[prost(uint64, tag = "2")]
    fence: u64,
}

impl PlaceMessage {
    pub(super) fn new(cluster: &ClusterId, at: SlotRef) -> Self {
        Self {
            cluster: cluster.as_str().to_owned(),
            broker: at.chain.broker.0,
            epoch: at.chain.epoch.0,
            chain: at.chain.chain.0,
            slot: at.slot.0,
        }
    }

    pub(super) fn parse(&self) -> Result<(ClusterId, SlotRef), FormatError> {
        let cluster = self.cluster.parse().map_err(|_| FormatError::Malformed("cluster id"))?;
        let chain = ChainRef {
            broker: BrokerId(self.broker),
            epoch: BrokerEpoch(self.epoch),
            chain: ChainId(self.chain),
        };
        Ok((cluster, chain.slot(SlotNumber(self.slot))))
    }
}

impl Nonce {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        bytes.try_into().map(Self).map_err(|_| FormatError::Malformed("nonce"))
    }
}

impl Header {
    pub(super) fn encode(&self) -> Bytes {
        HEADER.seal_message(&HeaderMessage {
            place: PlaceMessage::new(&self.cluster, self.at),
            nonce: Bytes::copy_from_slice(&self.nonce.0),
            length: self.length,
            crc: self.crc,
        })
    }

    pub(super) fn decode(envelope: &Bytes) -> Result<Self, FormatError> {
        let message: HeaderMessage = HEADER.open_message(envelope)?;
        let (cluster, at) = message.place.parse()?;
        let nonce = Nonce::parse(&message.nonce)?;
        Ok(Self { cluster, at, nonce, length: message.length, crc: message.crc })
    }

    /// Checks that the slot belongs to this place.
    pub(super) fn expect(&self, cluster: &ClusterId, at: SlotRef) -> Result<(), FormatError> {
        expect((&self.cluster, self.at), cluster, at)
    }
}

impl Seal {
    /// The seal's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let place = PlaceMessage::new(&self.cluster, self.at);
        SEAL.seal_message(&SealMessage { place, fence: self.fence })
    }

    pub(super) fn decode(envelope: &Bytes) -> Result<Self, FormatError> {
        let message: SealMessage = SEAL.open_message(envelope)?;
        let (cluster, at) = message.place.parse()?;
        Ok(Self { cluster, at, fence: message.fence })
    }

    pub(super) fn expect(&self, cluster: &ClusterId, at: SlotRef) -> Result<(), FormatError> {
        expect((&self.cluster, self.at), cluster, at)
    }
}

/// Checks the place that a part of a slot names against the one that it was read from.
pub(super) fn expect(
    found: (&ClusterId, SlotRef),
    cluster: &ClusterId,
    at: SlotRef,
) -> Result<(), FormatError> {
    if found == (cluster, at) {
        Ok(())
    } else {
        Err(FormatError::Elsewhere { found: found.1, cluster: found.0.to_string() })
    }
}
