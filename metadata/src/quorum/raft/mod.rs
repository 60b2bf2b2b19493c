//! Raft by openraft. Its types stay in this module.

mod applier;
mod changes;
mod codec;
mod leading;
mod log_size;
mod log_store;
mod member;
mod network;
mod progress;
mod rpc;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use odradek_common::blocking;
use odradek_common::files::SharedFiles;
use odradek_common::ids::BrokerId;
use odradek_common::limits::{
    METADATA_APPEND_ENTRIES, METADATA_KEPT_ENTRIES, METADATA_SNAPSHOT_CHUNK_BYTES,
    METADATA_SNAPSHOT_CHUNK_MS, QUORUM_ELECTION_MS, QUORUM_HEARTBEAT_MS,
};
use odradek_common::phases::Phases;
use openraft::{AnyError, EntryPayload, Raft, SnapshotPolicy};
use tokio::sync::watch;

use applier::{Applier, OpenError};
use log_size::LogSize;
use log_store::LogStore;
use member::Member;
use network::Members;
use progress::ProgressBoard;

use super::installs::Installs;
use super::{CommittedLog, Leadership, Quorum};
use crate::disk::{DiskError, Identity, Log, Snapshots};
use crate::ids::{Endpoint, ReplicaKey};
use crate::peer::Peers;
use crate::service::StartError;
use crate::state::State;
use crate::wire::DecodeError;

type NodeId = ReplicaKey;
type LogId = openraft::LogId<NodeId>;
type Vote = openraft::Vote<NodeId>;
type Membership = openraft::Membership<NodeId, Endpoint>;
type Entry = openraft::Entry<Config>;
type Metrics = openraft::RaftMetrics<NodeId, Endpoint>;

openraft::declare_raft_types!(
    /// The types of our Raft.
    pub(super) Config:
        D = Proposal,
        R = (),
        NodeId = NodeId,
        Node = Endpoint,
        SnapshotData = Cursor<Vec<u8>>,
);

/// The encoded commands of one entry.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    commands: Bytes,
    /// Set once the entry is appended here. openraft says "not leader" also of an entry that it
    /// appended and lost: that one may yet be committed by another leader.
    appended: Arc<AtomicBool>,
}

impl Proposal {
    fn new(commands: Bytes) -> Self {
        Self { commands, appended: Arc::default() }
    }

    fn note_appended(&self) {
        self.appended.store(true, Ordering::Release);
    }
}

/// What a member needs.
#[derive(Debug)]
pub(crate) struct RaftOptions {
    /// This node.
    pub(crate) me: ReplicaKey,
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
    /// Where the voters are reached, as the settings have it.
    pub(crate) endpoints: BTreeMap<BrokerId, Endpoint>,
    /// The way to them.
    pub(crate) peers: Arc<Peers>,
}

/// A member that runs.
pub(crate) struct Started {
    /// The member.
    pub(crate) quorum: Arc<dyn Quorum>,
    /// What is committed, on its disk.
    pub(crate) committed: CommittedLog,
    /// Who leads.
    pub(crate) leadership: watch::Receiver<Leadership>,
}

/// Starts Raft. A lone voter that was one before leads at once; otherwise nothing is waited for.
pub(crate) async fn start(options: RaftOptions, state: State) -> Result<Started, StartError> {
    let config = Arc::new(config(options.snapshot_entries)?);
    let me = options.me;
    let board = Arc::new(ProgressBoard::default());
    let endpoints = Arc::new(options.endpoints.clone());
    let peers = Arc::clone(&options.peers);
    let members = Members { peers, endpoints, board: Arc::clone(&board) };
    let images = state.subscribe();
    let opened = blocking::run(move || open(options, state)).await?;
    let Opened { log, snapshots, installs, applier, size } = opened;
    let committed = CommittedLog::new(log.log(), snapshots, installs, images);
    let raft = Raft::new(me, config, members, log, applier).await.map_err(StartError::raft)?;
    board.watch(raft.metrics());
    let (member, leadership) = Member::start(me, raft, size, board).await?;
    Ok(Started { quorum: Arc::new(member), committed, leadership })
}

/// What lies on the disk.
struct Opened {
    log: LogStore,
    snapshots: Arc<Snapshots>,
    installs: Arc<Installs>,
    applier: Applier,
    size: Arc<LogSize>,
}

fn open(options: RaftOptions, state: State) -> Result<Opened, StartError> {
    let RaftOptions { me, directory, formed, files, phases, .. } = options;
    let identity = Identity { node: me.node, directory: me.directory };
    let log = Log::open(&files, &directory, identity, formed)?;
    let snapshots = Arc::new(Snapshots::open(files, directory.clone()).with_phases(phases));
    let installs = Arc::new(Installs::new(snapshots.newest_index()?));
    let size = Arc::new(LogSize::default());
    let (s, i) = (Arc::clone(&snapshots), Arc::clone(&installs));
    let applier = Applier::open(s, i, state, Arc::clone(&size));
    let applier = applier.map_err(|error| match error {
        OpenError::Disk(error) => StartError::Disk(error),
        OpenError::Decode(error) => StartError::Decode(error),
    })?;
    join_to_snapshot(&log, applier.last_applied(), directory)?;
    let log = LogStore::new(me, options.endpoints.is_empty(), log, Arc::clone(&installs));
    Ok(Opened { log, snapshots, installs, applier, size })
}

/// A log that begins after the snapshot lacks entries that are nowhere else on this disk. One that ends
/// before it was to be purged when the process died: what it has may never have been committed, and may
/// look newer than the snapshot to openraft, which goes by terms.
fn join_to_snapshot(
    log: &Log,
    snapshot: Option<LogId>,
    directory: PathBuf,
) -> Result<(), StartError> {
    let purged = log.purged()?.map(|mark| codec::decode_log_id(&mark)).transpose()?;
    if let Some(purged) = purged.filter(|purged| Some(purged.index) > snapshot.map(|s| s.index)) {
        let found = snapshot.map_or_else(
            || "there is no snapshot".to_owned(),
            |snapshot| format!("the newest snapshot ends at entry {}", snapshot.index),
        );
        return Err(DiskError::Gap { path: directory, purged: purged.index, found }.into());
    }
    let last = log.last()?.map(|(index, _)| index);
    if let Some(snapshot) =
        snapshot.filter(|snapshot| last.is_some_and(|last| last < snapshot.index))
    {
        log.purge(snapshot.index, &codec::encode_log_id(snapshot))?;
    }
    Ok(())
}

fn config(snapshot_entries: u64) -> Result<openraft::Config, StartError> {
    let (election_timeout_min, election_timeout_max) = QUORUM_ELECTION_MS;
    let config = openraft::Config {
        cluster_name: "odradek".to_owned(),
        heartbeat_interval: QUORUM_HEARTBEAT_MS,
        election_timeout_min,
        election_timeout_max,
        install_snapshot_timeout: METADATA_SNAPSHOT_CHUNK_MS,
        snapshot_max_chunk_size: METADATA_SNAPSHOT_CHUNK_BYTES as u64,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        max_in_snapshot_log_to_keep: METADATA_KEPT_ENTRIES.min(snapshot_entries),
        replication_lag_threshold: METADATA_KEPT_ENTRIES + snapshot_entries,
        max_payload_entries: METADATA_APPEND_ENTRIES as u64,
        ..openraft::Config::default()
    };
    config.validate().map_err(StartError::raft)
}

/// A stored entry, as far as it concerns who is not a member.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    /// Its index.
    pub(crate) index: u64,
    /// The encoded commands in it, if it has any.
    pub(crate) commands: Option<Bytes>,
}

impl StoredEntry {
    /// Reads one.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let entry = codec::decode_entry(bytes)?;
        let commands = match entry.payload {
            EntryPayload::Normal(Proposal { commands, .. }) => Some(commands),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        };
        Ok(Self { index: entry.log_id.index, commands })
    }
}

/// Runs what blocks where it may.
async fn aside<T, E>(call: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, AnyError>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
{
    blocking::run(call).await.map_err(|error| AnyError::new(&error))
}
