//! The client of the metadata: an image to read, a watch to wait on, and proposals.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::BrokerId;
use odradek_common::limits::{METADATA_ENTRY_BYTES, METADATA_PROPOSE_MS, METADATA_QUEUED_BYTES};
use odradek_common::net::SharedNetwork;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::command::Command;
use crate::copies::Copies;
use crate::heartbeats::Board;
use crate::ids::ReplicaKey;
use crate::image::Image;
use crate::leader::LeaderClient;
use crate::outcome::{Outcome, Refusal};
use crate::peer::Introduction;
use crate::quorum::{CommittedLog, Quorum};
use crate::reads::{Ended, NotConfirmed, Reads};
use crate::waiting::Waiting;
use crate::wire::{check_command, encode_proposal};

/// Bytes that the place of a command in its entry takes, at most.
pub(crate) const FRAMING_BYTES: usize = 16;

/// Who is told that nothing was proposed is told so before it stops waiting.
const ANSWER_MARGIN: Duration = Duration::from_millis(200);

/// A proposal that waits for its turn.
#[derive(Debug)]
pub(crate) struct Queued {
    /// The encoded command.
    pub(crate) command: Bytes,
    /// Which of the waiting proposals it is.
    pub(crate) sequence: u64,
    /// Until when it may be proposed.
    pub(crate) until: Instant,
    /// The room that its bytes take, given back with it.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// A handle on the cluster's metadata, cheap to clone. Proposals and confirmations need the service
/// to run; reading does not.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub(crate) proposals: mpsc::Sender<Queued>,
    pub(crate) reads: Reads,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) leader: Arc<LeaderClient>,
    pub(crate) quorum: Option<Arc<dyn Quorum>>,
    pub(crate) introduction: Arc<Introduction>,
    pub(crate) room: Arc<Semaphore>,
    /// What brokers tell this node, if it leads.
    pub(crate) board: Arc<Board>,
    /// How far what is committed is copied, if this node leads.
    pub(crate) copies: Arc<Copies>,
    /// What is committed, on the disk of a member.
    pub(crate) committed: Option<CommittedLog>,
    pub(crate) network: SharedNetwork,
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
    /// No leader of the quorum was found; nothing was proposed.
    #[error("no leader of the quorum was found (last known: {leader:?})")]
    NotLeader {
        /// The leader, as far as it is known.
        leader: Option<BrokerId>,
    },
    /// The leader does not take it: it is of an older build and cannot read it, or there is too much in
    /// the command. Nothing was proposed.
    #[error("the leader of the quorum does not take it: {0}")]
    NotTaken(String),
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

impl Metadata {
    /// The newest image that this node has.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.reads.images.borrow())
    }

    /// Tells of every new image; one that looks seldom misses those in between.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.reads.images.clone()
    }

    /// The Raft index that is applied here: the birth mark of an attempt that begins now.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.reads.images.borrow().applied_index()
    }

    /// Proposes a command and waits for its outcome; any node may. When this returns an outcome, the
    /// image of this node holds it and a power cut does not undo it. Takes 10 s at most; then, and
    /// when the future is dropped, the outcome is unknown.
    ///
    /// # Errors
    /// See [`ProposeError`]; only `Unknown` leaves open whether something changed.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let mut ticket = self.waiting.register();
        let command = encode_proposal(&command, ticket.origin);
        if command.len() > METADATA_ENTRY_BYTES - FRAMING_BYTES {
            return Err(ProposeError::TooLarge { bytes: command.len() });
        }
        // The leader would refuse the others in its entry as well.
        check_command(&command).map_err(|error| ProposeError::NotTaken(error.to_string()))?;
        let until = Instant::now() + Duration::from_millis(METADATA_PROPOSE_MS);
        let queued = timeout_at(until, self.queue(command, ticket.origin.sequence, until)).await;
        queued.map_err(|_| ProposeError::Overloaded)??;
        match timeout_at(until, &mut ticket.answered).await {
            Ok(Ok(judged)) => Ok(judged??),
            Ok(Err(_)) => Err(ProposeError::Unknown),
            Err(_) if ticket.take_back() => Err(ProposeError::Overloaded),
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    async fn queue(
        &self,
        command: Bytes,
        sequence: u64,
        until: Instant,
    ) -> Result<(), ProposeError> {
        let bytes = u32::try_from(command.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let _room = room.map_err(|_| ProposeError::ShuttingDown)?;
        let queued = Queued { command, sequence, until: until - ANSWER_MARGIN, _room };
        self.proposals.send(queued).await.map_err(|_| ProposeError::ShuttingDown)
    }

    /// Waits until the image holds the entry at `index`.
    ///
    /// # Errors
    /// The service ended before.
    pub async fn wait_applied(&self, index: u64) -> Result<Arc<Image>, Ended> {
        self.reads.applied(index).await
    }

    /// An image that holds all that was committed before the call, as the quorum confirms by an
    /// exchange that begins after it; any node may ask. Takes 5 s at most.
    ///
    /// # Errors
    /// See [`NotConfirmed`].
    pub async fn confirm(&self) -> Result<Arc<Image>, NotConfirmed> {
        self.reads.confirm().await
    }

    /// Who leads the quorum, as far as this node knows. Good for metrics and hints; a decision needs
    /// [`Metadata::confirm`].
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaKey> {
        self.leader.leadership.borrow().leader.as_ref().map(|leader| leader.key)
    }

    /// Whether this node led the quorum when it last looked.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.leader.me)
    }
}

/// Room for what waits.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(METADATA_QUEUED_BYTES))
}
