//! A slot while it gathers batches.

use std::collections::HashMap;
use std::sync::Arc;

use odradek_common::ids::{SlotNumber, TopicPartition};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::wal::AppendedBatch;
use crate::wal::slot::BlockDraft;

/// The slot that batches join.
#[derive(Debug)]
pub(super) struct OpenSlot {
    pub(super) number: SlotNumber,
    /// Bytes of batches.
    pub(super) bytes: usize,
    /// Bytes of memory that these take.
    pub(super) memory_bytes: usize,
    /// Since when something waits for the slot: its first batch, or someone who wants it cut even
    /// if it stays empty.
    pub(super) since: Option<Instant>,
    /// Tells those who wait for the slot that it landed, or that the chain ended.
    pub(super) gate: Arc<Notify>,
    blocks: Vec<BlockDraft>,
    /// The last block of each partition.
    last_blocks: HashMap<TopicPartition, usize>,
}

impl OpenSlot {
    pub(super) fn new(number: SlotNumber) -> Self {
        Self {
            number,
            bytes: 0,
            memory_bytes: 0,
            since: None,
            gate: Arc::default(),
            blocks: Vec::new(),
            last_blocks: HashMap::new(),
        }
    }

    /// Adds a batch to its partition's block, or to a new one where the leader epoch changed or an
    /// offset is missing: a block states one epoch and no gap.
    pub(super) fn push(&mut self, batch: AppendedBatch) {
        self.bytes += batch.size_bytes();
        self.memory_bytes += batch.memory_bytes();
        let last = self.last_blocks.get(&batch.partition);
        if let Some(block) = last.and_then(|&at| self.blocks.get_mut(at))
            && block.batches.last().is_some_and(|last| follows(last, &batch))
        {
            block.batches.push(batch);
            return;
        }
        self.last_blocks.insert(batch.partition, self.blocks.len());
        self.blocks.push(BlockDraft { partition: batch.partition, batches: vec![batch] });
    }

    /// The partitions in it, and its blocks.
    pub(super) fn into_content(self) -> (Arc<[TopicPartition]>, Vec<BlockDraft>) {
        let mut partitions: Vec<_> = self.last_blocks.into_keys().collect();
        partitions.sort_unstable();
        (partitions.into(), self.blocks)
    }
}

fn follows(last: &AppendedBatch, next: &AppendedBatch) -> bool {
    last.header.leader_epoch == next.header.leader_epoch
        && last.header.next_offset() == next.header.base_offset
}
