//! Deletes the slots below the trim point, in the background.

use std::convert::Infallible;

use odradek_common::ids::SlotNumber;
use odradek_common::limits::{TRIM_BATCH_SLOTS, TRIM_RETRY};

use super::state::Shared;

/// Runs until it is dropped. What it leaves behind, of a broker that ended, the collector finds.
pub(super) async fn run(shared: &Shared) -> Infallible {
    let mut points = shared.trim.subscribe();
    let mut next = SlotNumber(0);
    loop {
        // The sender lives in `shared`, so waiting cannot fail.
        let up_to = points.wait_for(|&up_to| up_to > next).await.map_or(next, |point| *point);
        let batch_end = SlotNumber(up_to.0.min(next.0 + TRIM_BATCH_SLOTS));
        let slots: Vec<_> =
            (next.0..batch_end.0).map(|slot| shared.options.chain.slot(SlotNumber(slot))).collect();
        match shared.wal.delete(&slots).await {
            Ok(()) => next = batch_end,
            Err(error) => {
                tracing::warn!(%error, retry = ?TRIM_RETRY, "could not delete trimmed slots");
                tokio::time::sleep(TRIM_RETRY).await;
            }
        }
    }
}
