//! Where the log of a member stands to its snapshots. Raft has a snapshot that came from the leader
//! written down, and the log before it purged, at the same time: who purges, and who reads the log,
//! looks here first.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// What is known of the snapshots of a member.
#[derive(Debug)]
pub(crate) struct Installs {
    /// The newest snapshot that is durable.
    durable: watch::Sender<Durable>,
    /// The entries before this index are those of a snapshot that came from the leader: what the log
    /// has of them was perhaps never committed.
    installed_next: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Durable {
    /// Up to and with this index; none before there is a snapshot.
    Upto(Option<u64>),
    /// A snapshot could not be written, and the member is about to end.
    Failed,
}

impl Installs {
    /// Begins with the newest snapshot on the disk.
    pub(crate) fn new(newest: Option<u64>) -> Self {
        Self { durable: watch::channel(Durable::Upto(newest)).0, installed_next: 0.into() }
    }

    /// A snapshot of the state at `index` is durable.
    pub(crate) fn note_durable(&self, index: u64) {
        self.durable.send_if_modified(|durable| match durable {
            Durable::Upto(upto) if *upto < Some(index) => {
                *upto = Some(index);
                true
            }
            _ => false,
        });
    }

    /// A snapshot that is waited for does not become durable.
    pub(crate) fn note_failure(&self) {
        self.durable.send_replace(Durable::Failed);
    }

    /// Waits until a snapshot at or after `index` is durable; false if that will not be.
    pub(crate) async fn covers(&self, index: u64) -> bool {
        let mut durable = self.durable.subscribe();
        let known = durable.wait_for(|durable| match durable {
            Durable::Upto(upto) => *upto >= Some(index),
            Durable::Failed => true,
        });
        known.await.is_ok_and(|durable| matches!(*durable, Durable::Upto(_)))
    }

    /// A snapshot of the state at `index` came from the leader. To be called before that state is
    /// shown.
    pub(crate) fn note_installed(&self, index: u64) {
        self.installed_next.fetch_max(index.saturating_add(1), Ordering::AcqRel);
    }

    /// Whether the entry at `index` is part of a snapshot that came from the leader.
    pub(crate) fn is_installed(&self, index: u64) -> bool {
        index < self.installed_next.load(Ordering::Acquire)
    }
}
