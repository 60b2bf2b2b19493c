//! Reading what is applied here: as it is, or as of now.

use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::BrokerId;
use odradek_common::limits::METADATA_CONFIRM_MS;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::confirmations::Asker;
use crate::image::Image;

/// The service ended while it was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata service has ended")]
pub struct Ended;

/// The quorum did not confirm what is committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConfirmed {
    /// No leader was found.
    #[error("no leader of the quorum was found (last known: {leader:?})")]
    NotLeader {
        /// The leader, as far as it is known.
        leader: Option<BrokerId>,
    },
    /// The quorum did not answer in time, or what it said is not applied here yet.
    #[error("the quorum did not answer in time")]
    TimedOut,
    /// The service has ended.
    #[error("the metadata service has ended")]
    Ended,
}

/// The images of this node, and the way to have them confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    pub(crate) images: watch::Receiver<Arc<Image>>,
    pub(crate) askers: mpsc::Sender<Asker>,
}

impl Reads {
    /// Waits until the image holds the entry at `index`.
    pub(crate) async fn applied(&self, index: u64) -> Result<Arc<Image>, Ended> {
        let mut images = self.images.clone();
        let reached = images.wait_for(|image| image.applied_index() >= index).await;
        reached.map(|image| Arc::clone(&image)).map_err(|_| Ended)
    }

    /// An image with all that was committed before the call.
    pub(crate) async fn confirm(&self) -> Result<Arc<Image>, NotConfirmed> {
        // A round that is under way is waited for first.
        let until = Instant::now() + 2 * Duration::from_millis(METADATA_CONFIRM_MS);
        let confirmed = async {
            let (asker, answered) = oneshot::channel();
            self.askers.send(asker).await.map_err(|_| NotConfirmed::Ended)?;
            let index = answered.await.map_err(|_| NotConfirmed::Ended)??;
            self.applied(index).await.map_err(|_| NotConfirmed::Ended)
        };
        timeout_at(until, confirmed).await.map_err(|_| NotConfirmed::TimedOut)?
    }
}
