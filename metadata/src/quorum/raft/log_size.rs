//! The size of the log. openraft counts entries, and ours differ in size by a factor of a hundred
//! thousand: a log of large ones is snapshotted and purged early.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use odradek_common::limits::METADATA_LOG_BYTES;
use openraft::Raft;
use tokio::sync::Notify;

use super::Config;

/// How long a snapshot may take until another is asked for.
const SNAPSHOT_MAX: Duration = Duration::from_secs(600);

/// Bytes applied since a snapshot was last asked for on their account.
#[derive(Debug, Default)]
pub(super) struct LogSize {
    bytes: AtomicUsize,
    too_large: Notify,
}

impl LogSize {
    /// Counts an entry.
    pub(super) fn add(&self, bytes: usize) {
        let sum = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if sum >= METADATA_LOG_BYTES {
            self.bytes.store(0, Ordering::Relaxed);
            self.too_large.notify_one();
        }
    }

    /// Has snapshots taken; each time the log is purged up to the one before, so that followers that
    /// lag a little find what they need.
    pub(super) async fn keep_small(&self, raft: &Raft<Config>) {
        let mut metrics = raft.metrics();
        let mut former = None;
        loop {
            self.too_large.notified().await;
            let before = metrics.borrow_and_update().snapshot;
            // If the member stopped, everybody else says so.
            let _ = raft.trigger().snapshot().await;
            if let Some(upto) = former {
                let _ = raft.trigger().purge_log(upto).await;
            }
            let taken = metrics.wait_for(|metrics| metrics.snapshot > before);
            if let Ok(Ok(metrics)) = tokio::time::timeout(SNAPSHOT_MAX, taken).await {
                former = metrics.snapshot.map(|id| id.index);
            }
        }
    }
}
