//! The tail of a log: waiting until something is durable, and finding it in memory.

use std::sync::Arc;

use odradek_storage::wal::ChainError;
use tokio::sync::Notify;

use super::{Found, PartitionLog};

impl PartitionLog {
    /// Asks to be woken when the high watermark rises or the partition closes. To be called before
    /// the state is looked at, so that nothing slips between.
    pub fn wake(&self, waiter: &Arc<Notify>) {
        let mut state = self.state.lock();
        if state.waiters.len() >= 16 {
            state.waiters.retain(|w| w.strong_count() > 0);
        }
        if !state.waiters.iter().any(|w| std::ptr::eq(w.as_ptr(), Arc::as_ptr(waiter))) {
            state.waiters.push(Arc::downgrade(waiter));
        }
    }

    /// Waits until everything below `offset` is durable; the high watermark then.
    ///
    /// # Errors
    /// The log was closed, or its chain ended: it may never be.
    pub async fn durable_to(&self, offset: i64) -> Result<i64, ChainError> {
        let woken = Arc::new(Notify::new());
        loop {
            self.wake(&woken);
            let (high_watermark, slot) = {
                let state = self.state.lock();
                (state.high_watermark, state.newest_slot)
            };
            if high_watermark >= offset {
                return Ok(high_watermark);
            }
            if self.is_closed() {
                return Err(ChainError::Closed);
            }
            let Some(slot) = slot else { return Err(ChainError::Closed) };
            tokio::select! {
                () = woken.notified() => {}
                ended = self.chain.durable(slot) => ended?,
            }
        }
    }

    /// Finds the records from `offset` on, below the high watermark.
    #[must_use]
    pub fn find(&self, offset: i64, max_bytes: usize, min_one: bool) -> Found {
        let state = self.state.lock();
        if offset < state.log_start || offset > state.append_end {
            return Found::OutOfRange;
        }
        if offset >= state.high_watermark {
            return Found::Nothing;
        }
        if let Some(chunks) = state.cache.read(offset, state.high_watermark, max_bytes, min_one) {
            return Found::Cached(chunks);
        }
        Found::Stored
    }
}
