//! The producers that a log remembers, as the rest of the broker asks for them.

use odradek_common::batch::BatchHeader;
use odradek_storage::wal::ProducerBatch;

use super::PartitionLog;
use crate::partition::producers;

impl PartitionLog {
    /// Drops producers that were idle for `expiration_ms`.
    pub fn expire_producers(&self, now_ms: i64, expiration_ms: i64) {
        let mut state = self.state.lock();
        state.producers.expire(now_ms, expiration_ms);
        state.flushed_producers.expire(now_ms, expiration_ms);
    }

    /// Batches of producers that are remembered, at the append end and at the flushed end.
    #[must_use]
    pub fn producer_batches(&self) -> usize {
        let state = self.state.lock();
        state.producers.batch_count() + state.flushed_producers.batch_count()
    }

    /// Forgets what makes it more than `batches` of them.
    pub fn shorten_producers(&self, batches: usize) {
        let mut state = self.state.lock();
        state.producers.shorten_to(batches / 2);
        let left = batches.saturating_sub(state.producers.batch_count());
        state.flushed_producers.shorten_to(left);
    }

    /// The newest batch of each producer: what DescribeProducers shows.
    #[must_use]
    pub fn describe_producers(&self) -> Vec<ProducerBatch> {
        self.state.lock().producers.newest().copied().collect()
    }

    /// Whether a batch has a sequence of a producer of which nothing is remembered.
    #[must_use]
    pub fn is_new_producer(&self, header: &BatchHeader) -> bool {
        producers::produced(header)
            .is_some_and(|b| !self.state.lock().producers.knows(b.producer_id))
    }

    /// Number of producers remembered.
    #[must_use]
    pub fn producer_count(&self) -> usize {
        self.state.lock().producers.len()
    }
}
