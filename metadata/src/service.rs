//! The running part: it puts what is proposed at the same time into one entry, so that many
//! proposals share one sync of the disk, and keeps what talks to other nodes going.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::files::SharedFiles;
use odradek_common::ids::{BrokerId, ClusterId};
use odradek_common::limits::{
    METADATA_ENTRY_BYTES, METADATA_ENTRY_COMMANDS, METADATA_FORWARD_MS, METADATA_PROPOSE_MS,
};
use odradek_common::net::SharedNetwork;
use odradek_common::phases::Phases;
use odradek_common::random::SharedRandom;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::confirmations::{self, Confirmations};
use crate::disk::DiskError;
use crate::follow::FeedFollower;
use crate::handle::{FRAMING_BYTES, ProposeError, Queued};
use crate::ids::{DirectoryId, Endpoint};
use crate::leader::{AskError, LeaderClient, Patience};
use crate::peer::{Kind, PeerSecret, PeerServer};
use crate::quorum::Quorum;
use crate::reads::Reads;
use crate::waiting::Waiting;
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
    /// Where log and snapshots are; made if it is not there and this node may vote.
    pub directory: PathBuf,
    /// The cluster that the data directory notes. Once it does, the log is never made anew.
    pub cluster: Option<ClusterId>,
    /// The file system.
    pub files: SharedFiles,
    /// The network.
    pub network: SharedNetwork,
    /// Randomness.
    pub random: SharedRandom,
    /// The voters and where they are reached (`controller.quorum.voters`). None: this node is the
    /// only one.
    pub voters: BTreeMap<BrokerId, Endpoint>,
    /// Where this node listens for the others (the CONTROLLER listener), if it votes or is to.
    pub listen: Option<Endpoint>,
    /// What the nodes of the cluster share. None: only nodes on this machine may call it.
    pub secret: Option<PeerSecret>,
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
    /// The CONTROLLER listener.
    #[error("the quorum's listener cannot listen on {endpoint}: {source}")]
    Listen {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        source: std::io::Error,
    },
    /// The quorum has other voters than this node, and the settings name none.
    #[error(
        "this node is the only voter by its settings, and the quorum that it is in has the voters \
         {voters}: controller.quorum.voters has to name them; nothing was changed"
    )]
    OtherVoters {
        /// Who votes.
        voters: String,
    },
    /// Raft did not come up.
    #[error("the metadata quorum did not start: {0}")]
    Raft(String),
}

impl StartError {
    pub(crate) fn raft(error: impl std::fmt::Display) -> Self {
        Self::Raft(error.to_string())
    }
}

/// The metadata cannot go on: the disk failed, or what was read is damaged or too new. The process
/// must end.
#[derive(Debug, thiserror::Error)]
#[error("the metadata quorum failed: {0}")]
pub struct ServiceError(String);

/// The running part of the metadata.
#[derive(Debug)]
pub struct Service {
    pub(crate) proposals: mpsc::Receiver<Queued>,
    pub(crate) confirmations: Confirmations,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) leader: Arc<LeaderClient>,
    /// What is applied here.
    pub(crate) reads: Reads,
    /// Of a member.
    pub(crate) quorum: Option<Arc<dyn Quorum>>,
    /// Of a member with a listener.
    pub(crate) server: Option<PeerServer>,
    /// Of a node that is no member.
    pub(crate) follower: Option<FeedFollower>,
}

type Tasks = JoinSet<Result<(), ServiceError>>;

impl Service {
    /// Answers proposals and other nodes until `shutdown`, then stops Raft and lets go of the files.
    ///
    /// # Errors
    /// The quorum failed; the process must end.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), ServiceError> {
        let mut tasks = self.spawn_tasks();
        let ended = self.serve(&shutdown, &mut tasks).await;
        self.refuse_the_rest().await;
        if let Some(quorum) = &self.quorum {
            quorum.stop().await;
        }
        tasks.shutdown().await;
        self.waiting.give_up_all();
        ended
    }

    fn spawn_tasks(&mut self) -> Tasks {
        let mut tasks = JoinSet::new();
        if let Some(quorum) = self.quorum.clone() {
            tasks.spawn(async move {
                tokio::select! {
                    reason = quorum.failed() => Err(ServiceError(reason)),
                    () = quorum.tend() => Ok(()),
                }
            });
        }
        if let Some(server) = self.server.take() {
            tasks.spawn(async move {
                server.run().await;
                Err(ServiceError("its listener ended".to_owned()))
            });
        }
        if let Some(follower) = self.follower.take() {
            tasks.spawn(async move { Err(ServiceError(follower.run().await.to_string())) });
        }
        let confirmations = std::mem::replace(&mut self.confirmations, confirmations::closed());
        let leader = Arc::clone(&self.leader);
        tasks.spawn(async move {
            confirmations.run(&leader).await;
            Ok(())
        });
        tasks
    }

    async fn serve(
        &mut self,
        shutdown: &CancellationToken,
        tasks: &mut Tasks,
    ) -> Result<(), ServiceError> {
        let mut queued = Vec::with_capacity(METADATA_ENTRY_COMMANDS);
        loop {
            let room = METADATA_ENTRY_COMMANDS - queued.len();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = tasks.join_next() => check_ended(ended)?,
                count = self.proposals.recv_many(&mut queued, room), if queued.is_empty() => {
                    if count == 0 {
                        break;
                    }
                }
                () = std::future::ready(()), if !queued.is_empty() => {}
            }
            let batch = self.take_batch(&mut queued);
            tokio::select! {
                () = self.propose(batch, tasks) => {}
                () = last_answer(shutdown) => {}
            }
        }
        for proposal in queued {
            self.refuse(&proposal);
        }
        Ok(())
    }

    /// Takes from the front what fits into one entry. Who does not wait any more is left out.
    fn take_batch(&self, queued: &mut Vec<Queued>) -> Vec<Queued> {
        queued.retain(|proposal| self.waiting.is_waited_for(proposal.sequence));
        let mut bytes = 0;
        let fits = |proposal: &Queued| {
            bytes += proposal.command.len() + FRAMING_BYTES;
            bytes <= METADATA_ENTRY_BYTES
        };
        let count = queued.iter().map(fits).take_while(|fits| *fits).count();
        queued.drain(..count).collect()
    }

    /// Puts a batch into the leader's log. Whoever waits is answered when it is applied here.
    async fn propose(&self, batch: Vec<Queued>, tasks: &mut Tasks) {
        // Who stopped waiting before this is told that nothing was proposed.
        let sent = |proposal: &Queued| self.waiting.note_sent(proposal.sequence);
        let batch: Vec<_> = batch.into_iter().filter(sent).collect();
        let Some(until) = last_turn(&batch) else { return };
        let entry = encode_entry(batch.iter().map(|proposal| &proposal.command));
        let each = Duration::from_millis(METADATA_FORWARD_MS);
        let patience = Patience { until, each, may_repeat: false };
        match self.leader.ask(Kind::Propose, entry, patience).await {
            Ok(_) => {}
            Err(AskError::NoLeader) => {
                let leadership = self.leader.leadership.borrow().clone();
                let leader = leadership.leader.map(|leader| leader.key.node);
                for proposal in batch {
                    let answer = Err(ProposeError::NotLeader { leader });
                    self.waiting.answer(proposal.sequence, answer);
                }
            }
            Err(AskError::Refused(reason) | AskError::NotYet(reason)) => {
                for proposal in batch {
                    let answer = Err(ProposeError::NotTaken(reason.clone()));
                    self.waiting.answer(proposal.sequence, answer);
                }
            }
            Err(AskError::Unknown(reason)) => {
                tracing::info!(reason, "the outcome of proposals is not known");
                let sequences = batch.into_iter().map(|proposal| proposal.sequence).collect();
                let (reads, waiting) = (self.reads.clone(), Arc::clone(&self.waiting));
                tasks.spawn(async move {
                    give_up_in_time(&reads, &waiting, sequences).await;
                    Ok(())
                });
            }
        }
    }

    async fn refuse_the_rest(&mut self) {
        self.proposals.close();
        while let Some(proposal) = self.proposals.recv().await {
            self.refuse(&proposal);
        }
    }

    fn refuse(&self, proposal: &Queued) {
        self.waiting.answer(proposal.sequence, Err(ProposeError::ShuttingDown));
    }
}

/// Until when a batch may be proposed. Of those in it who stop waiting before, the outcome is unknown.
fn last_turn(batch: &[Queued]) -> Option<Instant> {
    batch.iter().map(|proposal| proposal.until).max()
}

/// A proposal that may be lost is waited for until this node has all that is committed at a later
/// time: most that were committed are there by then, and nobody waits for the others in vain.
async fn give_up_in_time(reads: &Reads, waiting: &Waiting, sequences: Vec<u64>) {
    let until = Instant::now() + Duration::from_millis(METADATA_PROPOSE_MS);
    while Instant::now() < until && reads.confirm().await.is_err() {}
    for sequence in sequences {
        waiting.answer(sequence, Err(ProposeError::Unknown));
    }
}

fn check_ended(
    ended: Result<Result<(), ServiceError>, tokio::task::JoinError>,
) -> Result<(), ServiceError> {
    ended.unwrap_or_else(|error| Err(ServiceError(error.to_string())))
}

async fn last_answer(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST_ANSWER_MAX).await;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn a_late_proposal_does_not_shorten_the_time_of_its_batch() {
        let now = Instant::now();
        let room = Arc::new(Semaphore::new(3));
        let queued = |seconds: u64| {
            let _room = Arc::clone(&room).try_acquire_owned().unwrap();
            let until = now + Duration::from_secs(seconds);
            Queued { command: Bytes::new(), sequence: seconds, until, _room }
        };
        assert_eq!(last_turn(&[]), None);
        let last = last_turn(&[queued(9), queued(1), queued(5)]);
        assert_eq!(last, Some(now + Duration::from_secs(9)));
    }
}
