//! The client of the metadata: an image to read, a watch to wait on, and proposals.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::BrokerId;
use odradek_common::limits::{METADATA_ENTRY_BYTES, METADATA_PROPOSE_MS, METADATA_QUEUED_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::command::Command;
use crate::image::Image;
use crate::machine::Judged;
use crate::outcome::{Outcome, Refusal};
use crate::quorum::{Quorum, QuorumError};
use crate::wire::encode_command;

/// Bytes that the place of a command in its entry takes, at most.
pub(crate) const FRAMING_BYTES: usize = 16;

/// A proposal that waits for its turn.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// The encoded command.
    pub(crate) command: Bytes,
    /// Who asks. Dropped without an answer it means: unknown.
    pub(crate) answer: oneshot::Sender<Result<Judged, ProposeError>>,
    /// The room that its bytes take, given back with it.
    pub(crate) room: OwnedSemaphorePermit,
}

/// A handle on the cluster's metadata, cheap to clone. Proposals need the service to run; reading
/// does not.
#[derive(Clone, Debug)]
pub struct Metadata {
    proposals: mpsc::Sender<Proposal>,
    images: watch::Receiver<Arc<Image>>,
    quorum: Arc<dyn Quorum>,
    room: Arc<Semaphore>,
}

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The state machine refused it: it changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody can tell: it may have been committed, or may be yet, or never. The proposer finds
    /// out by looking at the image.
    #[error("the outcome is unknown")]
    Unknown,
    /// This node does not lead the quorum; nothing was proposed.
    #[error("this node does not lead the quorum (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as it is known.
        leader: Option<BrokerId>,
    },
    /// Too many proposals wait; this one was not proposed.
    #[error("too many proposals wait")]
    Overloaded,
    /// The command is larger than an entry may be; it was not proposed.
    #[error("the command has {bytes} bytes, more than {METADATA_ENTRY_BYTES}")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// The service has ended or is about to; nothing was proposed.
    #[error("the metadata service is shutting down")]
    ShuttingDown,
}

/// The service ended while it was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata service has ended")]
pub struct Ended;

/// Leadership could not be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConfirmed {
    /// Another node leads, or none.
    #[error("this node does not lead the quorum (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as it is known.
        leader: Option<BrokerId>,
    },
    /// The quorum did not answer in time.
    #[error("the quorum did not answer in time")]
    TimedOut,
    /// The service has ended.
    #[error("the metadata service has ended")]
    Ended,
}

impl Metadata {
    pub(crate) fn new(
        proposals: mpsc::Sender<Proposal>,
        images: watch::Receiver<Arc<Image>>,
        quorum: Arc<dyn Quorum>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(METADATA_QUEUED_BYTES));
        Self { proposals, images, quorum, room }
    }

    /// The newest image that this node has.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// Tells of every new image; one that looks seldom misses those in between.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }

    /// The Raft index that is applied here: the birth mark of an attempt that begins now.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.images.borrow().applied_index()
    }

    /// Proposes a command and waits for its outcome. When this returns an outcome, the image of
    /// this node holds it and a power cut does not undo it. Takes 10 s at most; then, and when
    /// the future is dropped, the outcome is unknown.
    ///
    /// # Errors
    /// See [`ProposeError`]; only `Unknown` leaves open whether something changed.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let command = encode_command(&command);
        if command.len() > METADATA_ENTRY_BYTES - FRAMING_BYTES {
            return Err(ProposeError::TooLarge { bytes: command.len() });
        }
        let until = Instant::now() + Duration::from_millis(METADATA_PROPOSE_MS);
        let (answer, answered) = oneshot::channel();
        let queued = timeout_at(until, self.queue(command, answer)).await;
        queued.map_err(|_| ProposeError::Overloaded)??;
        match timeout_at(until, answered).await {
            Ok(Ok(judged)) => Ok(judged??),
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    async fn queue(
        &self,
        command: Bytes,
        answer: oneshot::Sender<Result<Judged, ProposeError>>,
    ) -> Result<(), ProposeError> {
        let bytes = u32::try_from(command.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| ProposeError::ShuttingDown)?;
        let queued = self.proposals.send(Proposal { command, answer, room }).await;
        queued.map_err(|_| ProposeError::ShuttingDown)
    }

    /// Waits until the image holds the entry at `index`.
    ///
    /// # Errors
    /// The service ended before.
    pub async fn wait_applied(&self, index: u64) -> Result<Arc<Image>, Ended> {
        let mut images = self.images.clone();
        let reached = images.wait_for(|image| image.applied_index() >= index).await;
        reached.map(|image| Arc::clone(&image)).map_err(|_| Ended)
    }

    /// Confirms that this node leads, by an exchange with the quorum that begins after the call,
    /// and gives an image that holds all that was committed before the call.
    ///
    /// # Errors
    /// See [`NotConfirmed`].
    pub async fn confirm_leader(&self) -> Result<Arc<Image>, NotConfirmed> {
        let until = Instant::now() + Duration::from_millis(METADATA_PROPOSE_MS);
        let confirmed = timeout_at(until, self.quorum.confirm_leader()).await;
        match confirmed.map_err(|_| NotConfirmed::TimedOut)? {
            Ok(index) => self.wait_applied(index).await.map_err(|_| NotConfirmed::Ended),
            Err(QuorumError::NotLeader { leader }) => Err(NotConfirmed::NotLeader { leader }),
            Err(QuorumError::Stopped(_)) => Err(NotConfirmed::Ended),
        }
    }

    /// Whether this node led the quorum when it last looked. Good for metrics; a decision needs
    /// [`Metadata::confirm_leader`].
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.quorum.is_leader()
    }
}
