//! What the tests of data at rest share: batches, slots in memory, a store that can be told to
//! misbehave, golden files.

mod probe;
mod world;

pub(crate) use probe::{Harm, Probe};
pub(crate) use world::{World, part};

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use odradek_common::batch::{BatchHeader, HEADER_LENGTH, LOG_OVERHEAD, crc32c};
use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, LeaderEpoch, SlotNumber, TopicId, TopicPartition,
};
use parking_lot::Mutex;

use crate::names::{ChainRef, SlotRef};
use crate::range::{Place, Range};
use crate::slots::{SlotError, SlotReader};

/// The chain of most tests.
pub(crate) const CHAIN: ChainRef =
    ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(1), chain: ChainId(0) };

/// A slot of it.
pub(crate) fn slot(number: u64) -> SlotRef {
    CHAIN.slot(SlotNumber(number))
}

pub(crate) fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: TopicId(uuid::Uuid::from_u128(77)), partition: number }
}

/// A batch of `count` records at `base_offset` whose bytes differ from those of any other.
pub(crate) fn batch(base_offset: i64, count: i32, max_timestamp: i64, body_bytes: usize) -> Bytes {
    batch_of(base_offset, count, 0, max_timestamp, body_bytes)
}

/// A batch of a leader epoch.
pub(crate) fn batch_of(
    base_offset: i64,
    count: i32,
    leader_epoch: i32,
    max_timestamp: i64,
    body_bytes: usize,
) -> Bytes {
    let seed = base_offset.wrapping_mul(31).wrapping_add(max_timestamp).to_le_bytes()[0];
    let pattern: Vec<u8> = (0..251).map(|i| seed.wrapping_add(i)).collect();
    let mut body = pattern.repeat(body_bytes / pattern.len() + 1);
    body.truncate(body_bytes);
    let mut header = BatchHeader {
        base_offset,
        batch_length: i32::try_from(body_bytes + HEADER_LENGTH - LOG_OVERHEAD).unwrap(),
        leader_epoch,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: max_timestamp,
        max_timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: count,
    };
    header.set_crc(&body);
    let mut bytes = BytesMut::from(&header.encode()[..]);
    bytes.extend_from_slice(&body);
    bytes.freeze()
}

/// Batches one behind the other, each of one record more than the one before, from `base_offset`.
pub(crate) fn batches(base_offset: i64, sizes: &[usize]) -> Vec<Bytes> {
    let mut next = base_offset;
    let mut all = Vec::new();
    for (number, size) in sizes.iter().enumerate() {
        let count = i32::try_from(number % 5).unwrap() + 1;
        all.push(batch(next, count, next * 10, *size));
        next += i64::from(count);
    }
    all
}

/// The offset after the last record of `batches`.
pub(crate) fn end_of(batches: &[Bytes]) -> i64 {
    batches.last().map_or(0, |last| BatchHeader::parse(last).unwrap().next_offset())
}

/// Slots in memory.
#[derive(Debug, Default)]
pub(crate) struct MemorySlots(Mutex<HashMap<SlotRef, Bytes>>);

impl MemorySlots {
    /// Puts the batches of partitions into the slot `at` and says where they lie.
    pub fn put(&self, at: SlotRef, blocks: &[Vec<Bytes>]) -> Vec<Range> {
        let mut slot = BytesMut::from(&b"some header"[..]);
        let mut ranges = Vec::new();
        for batches in blocks {
            let headers: Vec<BatchHeader> =
                batches.iter().map(|batch| BatchHeader::parse(batch).unwrap()).collect();
            let bytes = batches.concat();
            ranges.push(Range {
                base_offset: headers[0].base_offset,
                next_offset: headers.last().unwrap().next_offset(),
                leader_epoch: LeaderEpoch(headers[0].leader_epoch),
                max_timestamp: headers.iter().map(|header| header.max_timestamp).max().unwrap(),
                place: Place::Slot(at),
                position: slot.len() as u64,
                length: bytes.len() as u64,
                crc: crc32c(&bytes),
                index: (0, 0),
            });
            slot.extend_from_slice(&bytes);
        }
        self.0.lock().insert(at, slot.freeze());
        ranges
    }

    pub fn remove(&self, at: SlotRef) {
        self.0.lock().remove(&at);
    }

    pub fn damage(&self, at: SlotRef, position: usize) {
        let mut slots = self.0.lock();
        let mut bytes = slots[&at].to_vec();
        bytes[position] ^= 1;
        slots.insert(at, bytes.into());
    }
}

#[async_trait]
impl SlotReader for MemorySlots {
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError> {
        let slots = self.0.lock();
        let slot = slots.get(&at).ok_or(SlotError::Gone)?;
        let start = usize::try_from(position).unwrap().min(slot.len());
        let end = usize::try_from(position + length).unwrap().min(slot.len());
        Ok(slot.slice(start..end))
    }
}

/// Compares `bytes` with a file that a release wrote; `BLESS=1` writes it.
pub(crate) fn golden(name: &str, bytes: &[u8]) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert_eq!(golden, bytes, "{name} is no longer written as it was");
    golden.into()
}
