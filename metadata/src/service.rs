//! The running part: it puts what is proposed at the same time into one entry, so that many
//! proposals share one sync of the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::files::SharedFiles;
use odradek_common::ids::BrokerId;
use odradek_common::limits::{
    METADATA_ENTRY_BYTES, METADATA_ENTRY_COMMANDS, METADATA_QUEUED_PROPOSALS,
};
use odradek_common::phases::Phases;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::disk::DiskError;
use crate::handle::{FRAMING_BYTES, Metadata, Proposal, ProposeError};
use crate::ids::DirectoryId;
use crate::image::Image;
use crate::machine::Judged;
use crate::quorum::{self, Quorum, QuorumError, RaftOptions};
use crate::wire::{DecodeError, encode_entry};

/// What is in flight at a shutdown gets so long to be answered.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(2);

/// What the metadata of a node needs.
#[derive(Debug)]
pub struct Options {
    /// This node (`node.id`, at least 0).
    pub node: BrokerId,
    /// The id of its data directory. A log that was made for another is refused.
    pub directory_id: DirectoryId,
    /// Where log and snapshots are; made if it is not there.
    pub directory: PathBuf,
    /// True once the cluster of this node is formed: its log is never made anew then.
    pub formed: bool,
    /// The file system.
    pub files: SharedFiles,
    /// A snapshot is taken, and the log before it dropped, after so many entries.
    pub snapshot_entries: u64,
    /// Where the writing of snapshots is noted.
    pub phases: Phases,
}

/// The metadata cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Kafka's node ids begin at 0.
    #[error("{0:?} is not a node id: they begin at 0")]
    NodeId(BrokerId),
    /// The local disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What is stored is newer than this build, or damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Raft did not come up.
    #[error("the metadata quorum did not start: {0}")]
    Raft(String),
}

impl StartError {
    pub(crate) fn raft(error: impl std::fmt::Display) -> Self {
        Self::Raft(error.to_string())
    }
}

/// The member of the quorum cannot go on: its disk failed, or what it read is damaged or too new.
/// The process must end.
#[derive(Debug, thiserror::Error)]
#[error("the metadata quorum failed: {0}")]
pub struct ServiceError(String);

/// The running part of the metadata.
#[derive(Debug)]
pub struct Service {
    proposals: mpsc::Receiver<Proposal>,
    quorum: Arc<dyn Quorum>,
}

impl Metadata {
    /// Opens log and snapshots and starts Raft. When this returns, the image holds all that was
    /// ever acknowledged here. Proposals are answered while [`Service::run`] runs.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<(Service, Self), StartError> {
        let (publish, images) = watch::channel(Arc::new(Image::default()));
        let Options { node, directory_id, directory, formed, files, snapshot_entries, phases } =
            options;
        let options =
            RaftOptions { node, directory_id, directory, formed, files, snapshot_entries, phases };
        let quorum = quorum::start(options, publish).await?;
        let (proposer, proposals) = mpsc::channel(METADATA_QUEUED_PROPOSALS);
        let metadata = Self::new(proposer, images, Arc::clone(&quorum));
        Ok((Service { proposals, quorum }, metadata))
    }
}

impl Service {
    /// Answers proposals until `shutdown`, then stops Raft and lets go of the files.
    ///
    /// # Errors
    /// The quorum failed; the process must end.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), ServiceError> {
        let ended = self.serve(&shutdown).await;
        self.refuse_the_rest().await;
        self.quorum.stop().await;
        ended
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<(), ServiceError> {
        let quorum = Arc::clone(&self.quorum);
        let mut failed = quorum.failed();
        let mut waiting = Vec::with_capacity(METADATA_ENTRY_COMMANDS);
        loop {
            let room = METADATA_ENTRY_COMMANDS - waiting.len();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                reason = &mut failed => return Err(ServiceError(reason)),
                count = self.proposals.recv_many(&mut waiting, room), if waiting.is_empty() => {
                    if count == 0 {
                        break;
                    }
                }
                () = std::future::ready(()), if !waiting.is_empty() => {}
            }
            let entry = take_entry(&mut waiting);
            tokio::select! {
                () = propose(&*quorum, entry) => {}
                () = last_answer(shutdown) => {}
            }
        }
        for proposal in waiting {
            refuse(proposal);
        }
        Ok(())
    }

    async fn refuse_the_rest(&mut self) {
        self.proposals.close();
        while let Some(proposal) = self.proposals.recv().await {
            refuse(proposal);
        }
    }
}

async fn last_answer(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST_ANSWER_MAX).await;
}

/// Takes from the front what fits into one entry. Who does not wait any more is left out.
fn take_entry(waiting: &mut Vec<Proposal>) -> Vec<Proposal> {
    waiting.retain(|proposal| !proposal.answer.is_closed());
    let mut bytes = 0;
    let fits = |proposal: &Proposal| {
        bytes += proposal.command.len() + FRAMING_BYTES;
        bytes <= METADATA_ENTRY_BYTES
    };
    let count = waiting.iter().map(fits).take_while(|fits| *fits).count();
    waiting.drain(..count).collect()
}

async fn propose(quorum: &dyn Quorum, proposals: Vec<Proposal>) {
    if proposals.is_empty() {
        return;
    }
    let entry = encode_entry(proposals.iter().map(|proposal| &proposal.command));
    match quorum.propose(entry).await {
        Ok(outcomes) => answer(proposals, outcomes),
        Err(QuorumError::NotLeader { leader }) => {
            for proposal in proposals {
                let _ = proposal.answer.send(Err(ProposeError::NotLeader { leader }));
            }
        }
        // Dropped without an answer: unknown. `failed` tells the reason.
        Err(QuorumError::Stopped(_)) => {}
    }
}

/// A proposer that went away needs no answer.
fn answer(proposals: Vec<Proposal>, outcomes: Vec<Judged>) {
    debug_assert_eq!(proposals.len(), outcomes.len(), "one outcome a command");
    for (proposal, outcome) in proposals.into_iter().zip(outcomes) {
        drop(proposal.room);
        let _ = proposal.answer.send(Ok(outcome));
    }
}

fn refuse(proposal: Proposal) {
    let _ = proposal.answer.send(Err(ProposeError::ShuttingDown));
}
