//! The footer: what recovery needs to know of a slot without reading its blocks.

use std::collections::HashMap;

use bytes::{Buf, Bytes};
use odradek_common::ids::{ClusterId, LeaderEpoch, TopicId, TopicPartition};
use odradek_common::limits::PRODUCER_WINDOW_BATCHES;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::header::{Nonce, PlaceMessage, expect};
use super::{FOOTER, FormatError};
use crate::envelope::{FOOTER_TAIL_BYTES, Opened};
use crate::names::SlotRef;
use crate::range::{Place, Range};

/// One batch of an idempotent producer, as its window remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence number of the first record.
    pub first_sequence: i32,
    /// Sequence number of the last record.
    pub last_sequence: i32,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The largest timestamp in the batch, in ms.
    pub max_timestamp: i64,
}

/// What the footer says of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch of all its batches.
    pub leader_epoch: LeaderEpoch,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Where the block begins in the slot.
    pub position: u64,
    /// Its length in bytes.
    pub length: u64,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// The largest timestamp in it, in ms.
    pub max_timestamp: i64,
    /// The last [`PRODUCER_WINDOW_BATCHES`] batches of each producer in it, in order of offset.
    pub producers: Vec<ProducerBatch>,
}

/// A slot's footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The slot's writer's mark.
    pub nonce: Nonce,
    /// The blocks, in order of position, without a gap between them.
    pub blocks: Vec<BlockEntry>,
}

/// Tags 11 (first offset of an open transaction) and 12 (markers) are kept for transactions.
#[derive(Clone, PartialEq, Message)]
struct BlockMessage {
    #[prost(bytes = "bytes", tag = "1")]
    topic: Bytes,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int32, tag = "3")]
    leader_epoch: i32,
    #[prost(int64, tag = "4")]
    base_offset: i64,
    #[prost(int64, tag = "5")]
    last_offset: i64,
    #[prost(uint64, tag = "6")]
    position: u64,
    #[prost(uint64, tag = "7")]
    length: u64,
    #[prost(fixed32, tag = "8")]
    crc: u32,
    #[prost(int64, tag = "9")]
    max_timestamp: i64,
    #[prost(message, repeated, tag = "10")]
    producers: Vec<ProducerMessage>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ProducerMessage {
    #[prost(sfixed64, required, tag = "1")]
    producer_id: i64,
    #[prost(int32, tag = "2")]
    producer_epoch: i32,
    #[prost(int32, tag = "3")]
    first_sequence: i32,
    #[prost(int32, tag = "4")]
    last_sequence: i32,
    #[prost(int64, tag = "5")]
    base_offset: i64,
    #[prost(int64, tag = "6")]
    last_offset: i64,
    #[prost(int64, tag = "7")]
    max_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct FooterMessage {
    #[prost(message, required, tag = "1")]
    place: PlaceMessage,
    #[prost(bytes = "bytes", tag = "2")]
    nonce: Bytes,
    #[prost(message, repeated, tag = "3")]
    blocks: Vec<BlockMessage>,
}

const BLOCKS_TAG: u32 = 3;
const PRODUCERS_TAG: u32 = 10;
/// A topic id of 16 bytes with its key and length.
const BLOCK_BYTES_MIN: u64 = 18;
/// A producer id with its key.
const PRODUCER_BYTES_MIN: u64 = 9;

impl BlockEntry {
    /// The block as a range of its partition.
    #[must_use]
    pub fn range(&self, at: SlotRef) -> Range {
        Range {
            base_offset: self.base_offset,
            next_offset: self.last_offset.saturating_add(1),
            leader_epoch: self.leader_epoch,
            max_timestamp: self.max_timestamp,
            place: Place::Slot(at),
            position: self.position,
            length: self.length,
            crc: self.crc,
            index: (0, 0),
        }
    }

    fn message(&self) -> BlockMessage {
        BlockMessage {
            topic: Bytes::copy_from_slice(self.partition.topic.as_bytes()),
            partition: self.partition.partition,
            leader_epoch: self.leader_epoch.0,
            base_offset: self.base_offset,
            last_offset: self.last_offset,
            position: self.position,
            length: self.length,
            crc: self.crc,
            max_timestamp: self.max_timestamp,
            producers: self.producers.iter().map(ProducerBatch::message).collect(),
        }
    }

    fn parse(message: BlockMessage) -> Result<Self, FormatError> {
        let topic =
            TopicId::from_slice(&message.topic).ok_or(FormatError::Malformed("topic id"))?;
        let offsets_fit = (0..=message.last_offset).contains(&message.base_offset)
            && message.last_offset < i64::MAX;
        if !offsets_fit {
            return Err(FormatError::Malformed("offsets of a block"));
        }
        if message.partition < 0 || message.leader_epoch < 0 || message.length == 0 {
            return Err(FormatError::Malformed("partition, leader epoch or length of a block"));
        }
        let producers: Result<Vec<_>, _> =
            message.producers.iter().map(ProducerBatch::parse).collect();
        Ok(Self {
            partition: TopicPartition { topic, partition: message.partition },
            leader_epoch: LeaderEpoch(message.leader_epoch),
            base_offset: message.base_offset,
            last_offset: message.last_offset,
            position: message.position,
            length: message.length,
            crc: message.crc,
            max_timestamp: message.max_timestamp,
            producers: producers?,
        })
    }
}

impl ProducerBatch {
    fn message(&self) -> ProducerMessage {
        ProducerMessage {
            producer_id: self.producer_id,
            producer_epoch: i32::from(self.producer_epoch),
            first_sequence: self.first_sequence,
            last_sequence: self.last_sequence,
            base_offset: self.base_offset,
            last_offset: self.last_offset,
            max_timestamp: self.max_timestamp,
        }
    }

    fn parse(message: &ProducerMessage) -> Result<Self, FormatError> {
        let producer_epoch = i16::try_from(message.producer_epoch)
            .map_err(|_| FormatError::Malformed("producer epoch"))?;
        Ok(Self {
            producer_id: message.producer_id,
            producer_epoch,
            first_sequence: message.first_sequence,
            last_sequence: message.last_sequence,
            base_offset: message.base_offset,
            last_offset: message.last_offset,
            max_timestamp: message.max_timestamp,
        })
    }
}

impl Footer {
    /// The CRC-32C of the footer that `end` ends with; 0 if it is too short for one.
    pub(super) fn crc(end: &[u8]) -> u32 {
        let without_tail = end.split_last_chunk::<FOOTER_TAIL_BYTES>().map(|(rest, _)| rest);
        let crc = without_tail.and_then(|rest| rest.last_chunk());
        crc.map_or(0, |crc| u32::from_be_bytes(*crc))
    }

    /// The footer in its envelope, ready to end the slot.
    pub(super) fn encode(&self, cluster: &ClusterId, at: SlotRef) -> Bytes {
        let message = FooterMessage {
            place: PlaceMessage::new(cluster, at),
            nonce: Bytes::copy_from_slice(&self.nonce.0),
            blocks: self.blocks.iter().map(BlockEntry::message).collect(),
        };
        FOOTER.seal_footer(&message.encode_to_vec())
    }

    /// Reads and checks the footer of the slot `at`, whose blocks end at `blocks_end`.
    pub(super) fn decode(
        opened: Opened,
        cluster: &ClusterId,
        at: SlotRef,
        blocks_end: u64,
    ) -> Result<Self, FormatError> {
        guard(&opened.payload)?;
        let message: FooterMessage = FOOTER.decode(opened)?;
        let (found_cluster, found_at) = message.place.parse()?;
        expect((&found_cluster, found_at), cluster, at)?;
        let nonce = Nonce::parse(&message.nonce)?;
        let blocks: Result<Vec<_>, _> = message.blocks.into_iter().map(BlockEntry::parse).collect();
        let footer = Self { nonce, blocks: blocks? };
        footer.check(blocks_end)?;
        Ok(footer)
    }

    /// The blocks lie one behind the other up to the footer, with no more batches of a producer
    /// than its window holds.
    fn check(&self, blocks_end: u64) -> Result<(), FormatError> {
        let mut end = self.blocks.first().map_or(blocks_end, |block| block.position);
        for block in &self.blocks {
            if block.position != end {
                return Err(FormatError::Malformed("a gap between blocks"));
            }
            end = end.checked_add(block.length).ok_or(FormatError::Malformed("block length"))?;
            let in_block = |batch: &ProducerBatch| {
                block.base_offset <= batch.base_offset
                    && batch.base_offset <= batch.last_offset
                    && batch.last_offset <= block.last_offset
            };
            if !block.producers.iter().all(in_block) {
                return Err(FormatError::Malformed("a producer's batch outside its block"));
            }
        }
        if end == blocks_end { Ok(()) } else { Err(FormatError::Malformed("end of the blocks")) }
    }
}

/// Refuses lists of elements too short to be real before they are decoded: an element in memory
/// is some hundred bytes, and two bytes of input could ask for it.
fn guard(mut footer: &[u8]) -> Result<(), FormatError> {
    each_element(&mut footer, BLOCKS_TAG, BLOCK_BYTES_MIN, |mut block| {
        each_element(&mut block, PRODUCERS_TAG, PRODUCER_BYTES_MIN, |_| Ok(()))
    })
}

fn each_element(
    bytes: &mut &[u8],
    tag: u32,
    bytes_min: u64,
    inner: impl Fn(&[u8]) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let malformed = |_| FormatError::Malformed("protobuf of the footer");
    while bytes.has_remaining() {
        let (found, wire_type) = decode_key(bytes).map_err(malformed)?;
        if found != tag || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, found, bytes, DecodeContext::default()).map_err(malformed)?;
            continue;
        }
        let length = decode_varint(bytes).map_err(malformed)?;
        if length < bytes_min {
            return Err(FormatError::Malformed("an element too short to be one"));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (element, rest) = bytes
            .split_at_checked(length)
            .ok_or(FormatError::Malformed("an element past the end"))?;
        inner(element)?;
        *bytes = rest;
    }
    Ok(())
}

/// The last [`PRODUCER_WINDOW_BATCHES`] of each producer among `batches`, which are in order of
/// offset. What came before a producer's newest epoch is left out, as its window forgets it.
pub(super) fn windows(
    batches: impl DoubleEndedIterator<Item = ProducerBatch>,
) -> Vec<ProducerBatch> {
    let mut kept_of: HashMap<i64, (i16, usize)> = HashMap::new();
    let mut kept: Vec<ProducerBatch> = Vec::new();
    for batch in batches.rev() {
        let (epoch, count) = kept_of.entry(batch.producer_id).or_insert((batch.producer_epoch, 0));
        if *epoch == batch.producer_epoch && *count < PRODUCER_WINDOW_BATCHES {
            *count += 1;
            kept.push(batch);
        }
    }
    kept.reverse();
    kept
}
