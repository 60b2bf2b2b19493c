//! Confirming that this broker owns what it speaks for (law 5.3): by an answer of the quorum that names
//! it owner, or, where the quorum cannot be asked, by a slot that lands; both begun when they are asked
//! for. The quorum is asked first: it costs no put, and answers while the store is away. A client waits
//! for it no longer than it takes to see that it may be without a leader.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use odradek_common::limits::{CONFIRM_BY_QUORUM_MS, CONFIRM_BY_SLOT_MS};
use odradek_metadata::Image;
use odradek_storage::wal::ChainError;

use crate::core::Core;
use crate::partition::PartitionLog;

/// One confirmation for all partitions that a request asks about. To be made after it came.
pub struct Confirmation<'a> {
    core: &'a Core,
    by: Option<By>,
}

enum By {
    /// The quorum, with what it says.
    Quorum(Arc<Image>),
    /// A slot: the chain, which all partitions share, is not sealed.
    Slot,
    /// Neither, so that further partitions of the request do not wait for the same again.
    Nobody,
}

/// Why it is not confirmed that this broker owns a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConfirmed {
    /// The quorum names another owner, or another leader epoch.
    Elsewhere,
    /// Nobody knows now: the partition may be on its way to another owner, or neither the quorum nor
    /// the store answers.
    Unknown,
}

impl From<NotConfirmed> for ResponseError {
    fn from(_: NotConfirmed) -> Self {
        Self::NotLeaderOrFollower
    }
}

impl<'a> Confirmation<'a> {
    /// Nothing is confirmed yet.
    #[must_use]
    pub fn new(core: &'a Core) -> Self {
        Self { core, by: None }
    }

    /// Confirms that this broker owns the log's partition, in the log's leader epoch.
    ///
    /// # Errors
    /// See [`NotConfirmed`].
    pub async fn of(&mut self, log: &PartitionLog) -> Result<(), NotConfirmed> {
        let by = match self.by.take() {
            Some(by) => by,
            None => confirmed(self.core, log).await,
        };
        match self.by.insert(by) {
            By::Quorum(image) => {
                let is_owner = image.partition(log.id).is_some_and(|partition| {
                    partition.owner == self.core.me && partition.leader_epoch == log.leader_epoch
                });
                if is_owner { Ok(()) } else { Err(NotConfirmed::Elsewhere) }
            }
            // A slot says that the chain is unsealed, not that the partition is still on it.
            By::Slot if !log.has_left() => Ok(()),
            By::Slot | By::Nobody => Err(NotConfirmed::Unknown),
        }
    }
}

/// What confirms first.
async fn confirmed(core: &Core, log: &PartitionLog) -> By {
    let quorum = core.metadata.confirm();
    tokio::pin!(quorum);
    let alone = Duration::from_millis(CONFIRM_BY_QUORUM_MS);
    // Cuts no slot before it is polled.
    let slot = log.chain().confirm();
    tokio::pin!(slot);
    match tokio::time::timeout(alone, &mut quorum).await {
        Ok(Ok(image)) => return By::Quorum(image),
        Ok(Err(_)) => return by_slot(slot).await,
        Err(_) => {}
    }
    tokio::select! {
        biased;
        confirmed = &mut quorum => match confirmed {
            Ok(image) => By::Quorum(image),
            Err(_) => by_slot(slot).await,
        },
        landed = &mut slot => match landed {
            Ok(()) => By::Slot,
            Err(_) => quorum.await.map_or(By::Nobody, By::Quorum),
        },
    }
}

/// Waits for the slot, not for ever: the quorum may be back long before the store is, and who asks again asks it.
async fn by_slot(slot: impl Future<Output = Result<(), ChainError>>) -> By {
    match tokio::time::timeout(Duration::from_millis(CONFIRM_BY_SLOT_MS), slot).await {
        Ok(Ok(())) => By::Slot,
        Ok(Err(_)) | Err(_) => By::Nobody,
    }
}
