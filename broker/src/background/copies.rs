//! Copies of the metadata in the bucket (law 4.5), made by the broker that leads the quorum of several voters:
//! a snapshot when its lead begins and whenever the tails have grown past it, and tails of what was committed
//! since. A former leader that does not know it writes the same under the same names.

use std::time::Duration;

use odradek_common::blocking;
use odradek_common::limits::{
    METADATA_COPY_INTERVAL_MS, METADATA_COPY_TAIL_BYTES, METADATA_COPY_TAILS,
};
use odradek_metadata::{CopyPiece, DiskError, snapshot_copy};
use odradek_storage::copies::{CopyName, MetadataCopies};
use std::sync::Arc;
use tracing::{debug, warn};

use crate::core::Core;

/// Between two looks whether a lone voter is alone still.
const ALONE: Duration = Duration::from_secs(5);

/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] object_store::Error),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Copies as long as this broker leads the quorum, whenever it does.
pub async fn run(core: Arc<Core>) {
    core.metadata.while_leading(|| copy(&core)).await;
}

async fn copy(core: &Core) {
    // A lone voter's own log is the copy (decision 16); others may join it.
    while !core.has_several_voters() {
        tokio::time::sleep(ALONE).await;
    }
    let mut copier = Copier {
        core,
        copies: MetadataCopies::new(core.store.retrying(), core.names.clone()),
        at: None,
        tails: 0,
        tail_bytes: 0,
        snapshot_bytes: 0,
    };
    loop {
        if let Err(error) = copier.step().await {
            warn!(%error, "the metadata is not copied into the store; it is tried again");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// One time of leading.
struct Copier<'a> {
    core: &'a Core,
    copies: MetadataCopies,
    /// Up to where it is copied; nothing before the first snapshot.
    at: Option<u64>,
    /// Tails since the snapshot, and their bytes.
    tails: usize,
    tail_bytes: usize,
    /// Bytes of the snapshot.
    snapshot_bytes: usize,
}

impl Copier<'_> {
    async fn step(&mut self) -> Result<(), Error> {
        let Some(at) = self.at else { return self.snapshot().await };
        let most = self.snapshot_bytes.max(METADATA_COPY_TAIL_BYTES);
        if self.tails >= METADATA_COPY_TAILS || self.tail_bytes > most {
            return self.snapshot().await;
        }
        let next = at + 1;
        let mut images = self.core.metadata.subscribe();
        if images.wait_for(|image| image.applied_index() >= next).await.is_err() {
            // The metadata has ended, and this broker is about to.
            return std::future::pending().await;
        }
        let interval = Duration::from_millis(METADATA_COPY_INTERVAL_MS);
        // Whoever waits for it does not wait for the interval.
        let _ = tokio::time::timeout(interval, self.core.metadata.copy_wanted(next)).await;
        match self.core.metadata.committed_from(next).await? {
            CopyPiece::Tail(tail) => {
                let (name, bytes) =
                    (CopyName::Tail { first: tail.first, last: tail.last }, tail.bytes);
                let len = bytes.len();
                self.copies.put(name, bytes).await?;
                self.tails += 1;
                self.tail_bytes += len;
                self.copied(tail.last);
                Ok(())
            }
            CopyPiece::Nothing => Ok(()),
            CopyPiece::Purged => self.snapshot().await,
        }
    }

    async fn snapshot(&mut self) -> Result<(), Error> {
        let image = self.core.image();
        let index = image.applied_index();
        let bytes = blocking::run(move || snapshot_copy(&image)).await;
        self.snapshot_bytes = bytes.len();
        self.copies.put(CopyName::Snapshot(index), bytes).await?;
        (self.tails, self.tail_bytes) = (0, 0);
        self.copied(index);
        debug!(index, bytes = self.snapshot_bytes, "the metadata is copied");
        if let Err(error) = self.copies.remove_before(index).await {
            warn!(%error, "older copies of the metadata stay until the next");
        }
        Ok(())
    }

    fn copied(&mut self, index: u64) {
        self.at = Some(index);
        self.core.metadata.note_copied(index);
    }
}
