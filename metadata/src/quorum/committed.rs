//! What the quorum has committed, from an index on, as it lies on this member's disk: for followers
//! that are no members, and for copies elsewhere. It never shows what may yet be taken back.

use std::sync::Arc;

use bytes::Bytes;
use odradek_common::blocking;
use odradek_common::limits::{
    METADATA_APPEND_BYTES, METADATA_APPEND_ENTRIES, METADATA_SNAPSHOT_CHUNK_BYTES,
};
use tokio::sync::watch;

use super::installs::Installs;
use crate::disk::{DiskError, Log, SnapshotPiece, Snapshots};
use crate::image::Image;

/// The committed entries and the newest snapshot of this member.
#[derive(Clone, Debug)]
pub(crate) struct CommittedLog {
    log: Arc<Log>,
    snapshots: Arc<Snapshots>,
    installs: Arc<Installs>,
    images: watch::Receiver<Arc<Image>>,
}

/// What there is from an index on.
#[derive(Debug)]
pub(crate) enum Committed {
    /// Stored entries, the first of them at the index asked for.
    Entries(Vec<(u64, Bytes)>),
    /// Nothing yet.
    UpToDate,
    /// The log begins later: a snapshot is needed.
    Purged,
}

impl CommittedLog {
    pub(crate) fn new(
        log: Arc<Log>,
        snapshots: Arc<Snapshots>,
        installs: Arc<Installs>,
        images: watch::Receiver<Arc<Image>>,
    ) -> Self {
        Self { log, snapshots, installs, images }
    }

    /// The last index that is applied here.
    pub(crate) fn applied(&self) -> u64 {
        self.images.borrow().applied_index()
    }

    /// Whether there is nothing from `next` on.
    pub(crate) fn is_at(&self, next: u64) -> bool {
        !has(&self.images.borrow(), next)
    }

    /// Waits until the entry at `next` is committed and applied here.
    pub(crate) async fn reached(&self, next: u64) {
        let mut images = self.images.clone();
        if images.wait_for(|image| has(image, next)).await.is_err() {
            // The member stopped: nothing more will come.
            std::future::pending().await
        }
    }

    /// The entries from `next` on, as many as are taken at once.
    pub(crate) async fn from(&self, next: u64) -> Result<Committed, DiskError> {
        // All that is applied is committed, and what was applied entry by entry stands in the log.
        let image = Arc::clone(&self.images.borrow());
        if !has(&image, next) {
            return Ok(Committed::UpToDate);
        }
        // Between a snapshot and the purge before it the log has what it had instead.
        if self.installs.is_installed(next) {
            return Ok(Committed::Purged);
        }
        let applied = image.applied_index();
        let log = Arc::clone(&self.log);
        let read =
            move || log.read_some(next..=applied, METADATA_APPEND_ENTRIES, METADATA_APPEND_BYTES);
        let entries = blocking::run(read).await?;
        match entries.first() {
            Some((first, _)) if *first == next && !self.installs.is_installed(next) => {
                Ok(Committed::Entries(entries))
            }
            _ => Ok(Committed::Purged),
        }
    }

    /// A piece of the snapshot at `index` from `offset` on, or the beginning of the newest one if
    /// that is gone or none is asked for.
    pub(crate) async fn snapshot(
        &self,
        wanted: Option<(u64, u64)>,
    ) -> Result<Option<SnapshotPiece>, DiskError> {
        let snapshots = Arc::clone(&self.snapshots);
        blocking::run(move || snapshots.piece(wanted, METADATA_SNAPSHOT_CHUNK_BYTES)).await
    }
}

/// Whether the entry at `next` is applied. An image at 0 may as well be that of a node on which nothing
/// is; every quorum goes on to 1 at once.
fn has(image: &Image, next: u64) -> bool {
    image.applied_index() >= next.max(1)
}
