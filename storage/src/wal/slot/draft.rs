//! Freezing a slot: from batches in append order to the chunks that are written.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use odradek_common::batch::NO_SEQUENCE;
use odradek_common::ids::{ClusterId, LeaderEpoch, TopicPartition};

use super::footer::windows;
use super::{BlockEntry, Footer, Header, Nonce, PREDECESSOR, ProducerBatch};
use crate::names::SlotRef;
use crate::wal::append::AppendedBatch;

/// Chunks below this are copied together: as many tiny chunks, headers above all, would cost more
/// in system calls than the copy does. Larger ones go as they are.
const GATHER_BYTES: usize = 4 << 10;
/// Where a chunk of gathered bytes ends.
const GATHERED_BYTES: usize = 64 << 10;

/// Consecutive batches of one partition and leader epoch.
#[derive(Clone, Debug)]
pub struct BlockDraft {
    /// The partition.
    pub partition: TopicPartition,
    /// Its batches in append order, at least one, no offset missing between them.
    pub batches: Vec<AppendedBatch>,
}

/// What a slot is made of.
#[derive(Clone, Debug)]
pub struct SlotDraft {
    /// The cluster.
    pub cluster: ClusterId,
    /// The slot's place.
    pub at: SlotRef,
    /// The partitions of the slot before it: should that one be unreadable, they are known.
    pub predecessors: Arc<[TopicPartition]>,
    /// The blocks.
    pub blocks: Vec<BlockDraft>,
}

/// A slot whose bytes will never change (law 2.4), as chunks that share the batches' memory.
#[derive(Clone, Debug)]
pub struct FrozenSlot {
    /// Its place.
    pub at: SlotRef,
    /// Its writer's mark.
    pub nonce: Nonce,
    /// Bytes of all chunks.
    pub length: u64,
    /// CRC-32C of the footer, as it stands in the header.
    pub crc: u32,
    /// The bytes.
    pub chunks: Vec<Bytes>,
    /// What the footer says of the blocks.
    pub blocks: Vec<BlockEntry>,
}

impl SlotDraft {
    /// Freezes the slot.
    #[must_use]
    pub fn freeze(self, nonce: Nonce) -> FrozenSlot {
        let predecessors = encode_partitions(&self.predecessors);
        let header = Header { cluster: self.cluster, at: self.at, nonce, length: 0, crc: 0 };
        let header_bytes = header.encode().len();
        let mut chunks = Chunks { length: size(header_bytes), ..Chunks::default() };
        chunks.push(predecessors);
        let blocks = self.blocks.into_iter().map(|block| block.write(&mut chunks)).collect();
        let footer = Footer { nonce, blocks };
        let encoded = footer.encode(&header.cluster, self.at);
        let crc = Footer::crc(&encoded);
        chunks.push(encoded);
        let length = chunks.length;
        let header = Header { length, crc, ..header }.encode();
        debug_assert_eq!(header.len(), header_bytes, "length and crc are of fixed width");
        let chunks = std::iter::once(header).chain(chunks.finish()).collect();
        FrozenSlot { at: self.at, nonce, length, crc, chunks, blocks: footer.blocks }
    }
}

impl BlockDraft {
    fn write(self, chunks: &mut Chunks) -> BlockEntry {
        let position = chunks.length;
        let base_offset = self.batches.first().map_or(0, |batch| batch.header.base_offset);
        let leader_epoch = self.batches.first().map_or(0, |batch| batch.header.leader_epoch);
        let last_offset = self.batches.last().map_or(0, |batch| batch.header.last_offset());
        let timestamps = self.batches.iter().map(|batch| batch.header.max_timestamp);
        let max_timestamp = timestamps.max().unwrap_or(-1);
        let producers =
            windows(self.batches.iter().filter_map(producer_batch).collect::<Vec<_>>().into_iter());
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        for batch in self.batches {
            debug_assert_eq!(batch.header.leader_epoch, leader_epoch);
            digest.update(&batch.encoded_header);
            digest.update(&batch.records);
            chunks.push(batch.encoded_header);
            chunks.push(batch.records);
        }
        BlockEntry {
            partition: self.partition,
            leader_epoch: LeaderEpoch(leader_epoch),
            base_offset,
            last_offset,
            position,
            length: chunks.length - position,
            crc: u32::try_from(digest.finalize()).unwrap_or(0),
            max_timestamp,
            producers,
        }
    }
}

/// What its producer's window remembers of a batch; nothing of one without a sequence.
fn producer_batch(batch: &AppendedBatch) -> Option<ProducerBatch> {
    let header = &batch.header;
    let sequenced = header.has_producer() && header.base_sequence != NO_SEQUENCE;
    sequenced.then(|| ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
    })
}

/// A list of partitions in its envelope: 20 bytes each.
fn encode_partitions(partitions: &[TopicPartition]) -> Bytes {
    let mut payload = BytesMut::with_capacity(partitions.len() * super::decode::PARTITION_BYTES);
    for partition in partitions {
        payload.put_slice(partition.topic.as_bytes());
        payload.put_i32(partition.partition);
    }
    PREDECESSOR.seal(&payload)
}

/// The chunks of a slot as they gather.
#[derive(Default)]
struct Chunks {
    done: Vec<Bytes>,
    gathered: BytesMut,
    length: u64,
}

impl Chunks {
    fn push(&mut self, bytes: Bytes) {
        self.length += size(bytes.len());
        if bytes.len() >= GATHER_BYTES {
            self.end_gathered();
            self.done.push(bytes);
            return;
        }
        self.gathered.extend_from_slice(&bytes);
        if self.gathered.len() >= GATHERED_BYTES {
            self.end_gathered();
        }
    }

    fn end_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.done.push(self.gathered.split().freeze());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.end_gathered();
        self.done
    }
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
