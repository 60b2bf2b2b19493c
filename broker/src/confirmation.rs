//! Confirming that this broker owns what it speaks for (law 5.3): by an answer of the quorum that names
//! it owner, or, where the quorum cannot be asked, by a slot that lands; both begun when they are asked
//! for. The quorum is asked first: it costs no put, and answers while the store is away.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use odradek_metadata::Image;

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
    /// `NotLeaderOrFollower` if it does not, or nothing says so.
    pub async fn of(&mut self, log: &PartitionLog) -> Result<(), ResponseError> {
        if self.by.is_none() {
            self.by = Some(match self.core.metadata.confirm().await {
                Ok(image) => By::Quorum(image),
                Err(_) => {
                    let confirmed = log.chain().confirm().await;
                    confirmed.map_err(|_| ResponseError::NotLeaderOrFollower)?;
                    By::Slot
                }
            });
        }
        let is_owner = match &self.by {
            Some(By::Quorum(image)) => image.partition(log.id).is_some_and(|partition| {
                partition.owner == self.core.me && partition.leader_epoch == log.leader_epoch
            }),
            // A slot says that the chain is unsealed, not that the partition is still on it.
            Some(By::Slot) => !log.has_left(),
            None => false,
        };
        if is_owner { Ok(()) } else { Err(ResponseError::NotLeaderOrFollower) }
    }
}
