//! Raft by openraft. Its types stay in this module.

mod applier;
mod codec;
mod log_store;
mod network;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::blocking;
use odradek_common::files::SharedFiles;
use odradek_common::ids::BrokerId;
use odradek_common::limits::METADATA_LOG_BYTES;
use odradek_common::phases::Phases;
use openraft::error::{CheckIsLeaderError, ClientWriteError, Fatal, RaftError};
use openraft::{AnyError, EmptyNode, Raft, SnapshotPolicy};
use tokio::sync::watch;

use applier::{Applier, OpenError};
use log_store::LogStore;
use network::NoPeers;

use super::{Quorum, QuorumError};
use crate::disk::{Identity, Log, Snapshots};
use crate::ids::DirectoryId;
use crate::image::Image;
use crate::machine::Judged;
use crate::service::StartError;

type NodeId = u64;
type LogId = openraft::LogId<NodeId>;
type Vote = openraft::Vote<NodeId>;
type Membership = openraft::Membership<NodeId, EmptyNode>;
type Entry = openraft::Entry<Config>;

openraft::declare_raft_types!(
    /// The types of our Raft.
    pub(super) Config:
        D = Proposal,
        R = Vec<Judged>,
        NodeId = NodeId,
        Node = EmptyNode,
        SnapshotData = Cursor<Vec<u8>>,
);

/// The encoded commands of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal(Bytes);

/// How long an election or the replay of the log may take at start.
const START_MAX: Duration = Duration::from_secs(60);

/// What a member needs.
#[derive(Debug)]
pub(crate) struct RaftOptions {
    /// This node.
    pub(crate) node: BrokerId,
    /// The id of its data directory.
    pub(crate) directory_id: DirectoryId,
    /// Where log and snapshots are.
    pub(crate) directory: PathBuf,
    /// True once the cluster of this node is formed: its log is never made anew then.
    pub(crate) formed: bool,
    /// The file system.
    pub(crate) files: SharedFiles,
    /// A snapshot is taken after so many entries.
    pub(crate) snapshot_entries: u64,
    /// Where the writing of snapshots is noted.
    pub(crate) phases: Phases,
}

/// Starts a quorum of this node alone, and waits until all that was ever committed is in the image.
pub(crate) async fn start(
    options: RaftOptions,
    images: watch::Sender<Arc<Image>>,
) -> Result<Arc<dyn Quorum>, StartError> {
    let node = NodeId::try_from(options.node.0).map_err(|_| StartError::NodeId(options.node))?;
    let config = Arc::new(config(options.snapshot_entries)?);
    let (log, applier) = blocking::run(move || open(options, images)).await?;
    let raft = Raft::new(node, config, NoPeers, log, applier).await.map_err(StartError::raft)?;
    let quorum = RaftQuorum { raft, node, since_snapshot: AtomicUsize::new(0) };
    if let Err(error) = lead_alone(&quorum.raft, node).await {
        quorum.stop().await;
        return Err(error);
    }
    Ok(Arc::new(quorum))
}

fn open(
    options: RaftOptions,
    images: watch::Sender<Arc<Image>>,
) -> Result<(LogStore, Applier), StartError> {
    let RaftOptions { node, directory_id, directory, formed, files, phases, .. } = options;
    let identity = Identity { node, directory: directory_id };
    let log = LogStore::new(Log::open(&files, &directory, identity, formed)?);
    let snapshots = Snapshots::open(files, directory).with_phases(phases);
    let applier = Applier::open(snapshots, images);
    let applier = applier.map_err(|error| match error {
        OpenError::Disk(error) => StartError::Disk(error),
        OpenError::Decode(error) => StartError::Decode(error),
    })?;
    Ok((log, applier))
}

/// The times matter to a quorum of several only: a lone voter is told when to elect itself.
fn config(snapshot_entries: u64) -> Result<openraft::Config, StartError> {
    let config = openraft::Config {
        cluster_name: "odradek".to_owned(),
        heartbeat_interval: 200,
        election_timeout_min: 600,
        election_timeout_max: 1200,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        // There is no follower that could lag behind the snapshot.
        max_in_snapshot_log_to_keep: 0,
        ..openraft::Config::default()
    };
    config.validate().map_err(StartError::raft)
}

async fn lead_alone(raft: &Raft<Config>, node: NodeId) -> Result<(), StartError> {
    if !raft.is_initialized().await.map_err(StartError::raft)? {
        raft.initialize(BTreeSet::from([node])).await.map_err(StartError::raft)?;
    } else if raft.current_leader().await != Some(node) {
        raft.trigger().elect().await.map_err(StartError::raft)?;
    }
    let leads = raft.wait(Some(START_MAX)).current_leader(node, "lead alone").await;
    leads.map_err(StartError::raft)?;
    let caught_up = tokio::time::timeout(START_MAX, raft.ensure_linearizable()).await;
    caught_up.map_err(StartError::raft)?.map_err(StartError::raft)?;
    Ok(())
}

/// A member of the quorum.
struct RaftQuorum {
    raft: Raft<Config>,
    node: NodeId,
    /// Bytes proposed since the last snapshot was asked for on their account.
    since_snapshot: AtomicUsize,
}

impl std::fmt::Debug for RaftQuorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftQuorum").field("node", &self.node).finish_non_exhaustive()
    }
}

impl RaftQuorum {
    /// openraft counts entries, and ours differ in size by a factor of a hundred thousand.
    async fn count_bytes(&self, bytes: usize) {
        let sum = self.since_snapshot.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if sum >= METADATA_LOG_BYTES {
            self.since_snapshot.store(0, Ordering::Relaxed);
            // If the member stopped, the next proposal says so.
            let _ = self.raft.trigger().snapshot().await;
        }
    }
}

#[async_trait]
impl Quorum for RaftQuorum {
    async fn propose(&self, entry: Bytes) -> Result<Vec<Judged>, QuorumError> {
        let bytes = entry.len();
        let written = self.raft.client_write(Proposal(entry)).await;
        let response = written.map_err(|error| match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => not_leader(to.leader_id),
            RaftError::APIError(error) => QuorumError::Stopped(error.to_string()),
            RaftError::Fatal(fatal) => stopped(&fatal),
        })?;
        self.count_bytes(bytes).await;
        Ok(response.data)
    }

    async fn confirm_leader(&self) -> Result<u64, QuorumError> {
        let confirmed = self.raft.ensure_linearizable().await.map_err(|error| match error {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to)) => {
                not_leader(to.leader_id)
            }
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => not_leader(None),
            RaftError::Fatal(fatal) => stopped(&fatal),
        })?;
        Ok(confirmed.map_or(0, |id| id.index))
    }

    fn is_leader(&self) -> bool {
        self.raft.metrics().borrow().current_leader == Some(self.node)
    }

    async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        let ended = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
        match ended.as_deref().map(|metrics| &metrics.running_state) {
            Ok(Err(fatal)) => fatal.to_string(),
            Ok(Ok(())) | Err(_) => "it ended".to_owned(),
        }
    }

    async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the Raft task did not stop in order");
        }
    }
}

fn not_leader(leader: Option<NodeId>) -> QuorumError {
    let leader = leader.and_then(|leader| i32::try_from(leader).ok()).map(BrokerId);
    QuorumError::NotLeader { leader }
}

fn stopped(fatal: &Fatal<NodeId>) -> QuorumError {
    QuorumError::Stopped(fatal.to_string())
}

/// Runs what blocks where it may.
async fn aside<T, E>(call: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, AnyError>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
{
    blocking::run(call).await.map_err(|error| AnyError::new(&error))
}
