//! A member of the quorum, or a node that waits to become one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::limits::QUORUM_ELECTION_MS;
use openraft::Raft;
use openraft::error::{ClientWriteError, InitializeError, InstallSnapshotError, RaftError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::Changes;
use super::leading::Leading;
use super::log_size::LogSize;
use super::progress::ProgressBoard;
use super::{Config, Metrics, NodeId, Proposal, Vote, rpc};
use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::peer::{Kind, Refusal};
use crate::quorum::{Leadership, MemberView, Progress, Quorum, QuorumError};
use crate::service::StartError;

/// How long a leader without word of the others is taken for one.
const LEADER_SILENCE_MS: u64 = 2 * QUORUM_ELECTION_MS.1;

/// A member.
pub(super) struct Member {
    leading: Leading,
    changes: Arc<Changes>,
    raft: Raft<Config>,
    size: Arc<LogSize>,
    board: Arc<ProgressBoard>,
    /// Of the snapshot that is coming in: which it is, and what has come of it.
    receiving: Mutex<(String, u64)>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("me", &self.leading.me).finish_non_exhaustive()
    }
}

impl Member {
    /// Takes up a Raft that runs.
    pub(super) async fn start(
        me: ReplicaKey,
        raft: Raft<Config>,
        size: Arc<LogSize>,
        board: Arc<ProgressBoard>,
    ) -> Result<(Self, watch::Receiver<Leadership>), StartError> {
        let (known, leadership) = watch::channel(Leadership::default());
        tokio::spawn(watch_leadership(raft.metrics(), known));
        // An answer means that what lay on the disk is taken up, and shown.
        let is_initialised = raft.is_initialized().await.map_err(StartError::raft)?;
        if is_initialised && may_lead_at_once(&raft.metrics().borrow(), me) {
            raft.trigger().elect().await.map_err(StartError::raft)?;
        }
        let leading = Leading { me, raft: raft.clone(), leadership: leadership.clone() };
        let (changes, receiving) = (Changes::new(leading.clone()), Mutex::default());
        Ok((Self { leading, changes, raft, size, board, receiving }, leadership))
    }

    /// openraft writes a piece wherever it is told to, so that a gap would be filled with zeros.
    fn begins_where_it_ended(&self, id: &str, offset: u64, length: u64) -> bool {
        let mut receiving = self.receiving.lock();
        if offset == 0 {
            *receiving = (id.to_owned(), 0);
        }
        let (current, end) = &mut *receiving;
        let follows = current.as_str() == id && offset <= *end;
        if follows {
            *end = offset + length;
        }
        follows
    }

    /// A vote is asked for, and a leader speaks, for itself and in a term that can be.
    fn check(&self, from: ReplicaKey, vote: &Vote) -> Result<(), Refusal> {
        let named = vote.leader_id.node_id;
        if named != from {
            return Err(Refusal::invalid(format!("{from} speaks for {named}")));
        }
        let known = self.raft.metrics().borrow().current_term;
        rpc::check_term(vote, known).map_err(Refusal::invalid)
    }

    async fn install(&self, from: ReplicaKey, request: Bytes) -> Result<Bytes, Refusal> {
        let request = rpc::decode_snapshot(request).map_err(Refusal::invalid)?;
        self.check(from, &request.vote)?;
        let (id, length) = (&request.meta.snapshot_id, request.data.len() as u64);
        if !self.begins_where_it_ended(id, request.offset, length) {
            return Ok(rpc::encode_snapshot_answer(None));
        }
        match self.raft.install_snapshot(request).await {
            Ok(answer) => Ok(rpc::encode_snapshot_answer(Some(&answer.vote))),
            Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(_))) => {
                Ok(rpc::encode_snapshot_answer(None))
            }
            Err(RaftError::Fatal(fatal)) => Err(Refusal::failed(fatal)),
        }
    }
}

#[async_trait]
impl Quorum for Member {
    async fn propose(&self, entry: Bytes) -> Result<(), QuorumError> {
        let proposal = Proposal::new(entry);
        let appended = Arc::clone(&proposal.appended);
        match self.raft.client_write(proposal).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))
                if !appended.load(Ordering::Acquire) =>
            {
                Err(self.leading.not_leader(to))
            }
            Err(error) => Err(QuorumError::Unknown(error.to_string())),
        }
    }

    async fn confirm(&self) -> Result<u64, QuorumError> {
        self.leading.confirm().await
    }

    async fn answer(&self, from: ReplicaKey, kind: Kind, request: Bytes) -> Result<Bytes, Refusal> {
        match kind {
            Kind::Append => {
                let request = rpc::decode_append(request).map_err(Refusal::invalid)?;
                self.check(from, &request.vote)?;
                let answer = self.raft.append_entries(request).await.map_err(Refusal::failed)?;
                Ok(rpc::encode_append_answer(&answer))
            }
            Kind::Vote => {
                let request = rpc::decode_vote(request).map_err(Refusal::invalid)?;
                self.check(from, &request.vote)?;
                let answer = self.raft.vote(request).await.map_err(Refusal::failed)?;
                Ok(rpc::encode_vote_answer(&answer))
            }
            Kind::Snapshot => self.install(from, request).await,
            _ => Err(Refusal::invalid(format!("{kind:?} is no part of Raft"))),
        }
    }

    async fn initialise(&self, voters: &[Voter]) -> Result<(), QuorumError> {
        if !voters.iter().any(|voter| voter.key == self.leading.me) {
            return Ok(());
        }
        let node = |voter: &Voter| (voter.key, voter.endpoint.clone());
        let nodes: BTreeMap<_, _> = voters.iter().map(node).collect();
        match self.raft.initialize(nodes).await {
            // It has a log, or has voted for another founder, who has the same voters.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => Err(QuorumError::Refused(error.to_string())),
            Err(RaftError::Fatal(fatal)) => Err(QuorumError::Unknown(fatal.to_string())),
        }
    }

    async fn is_initialised(&self) -> Result<bool, QuorumError> {
        let answer = self.raft.is_initialized().await;
        answer.map_err(|fatal| QuorumError::Unknown(fatal.to_string()))
    }

    async fn add_voter(&self, voter: Voter) -> Result<(), QuorumError> {
        self.changes.add(voter).await
    }

    async fn remove_voter(&self, key: ReplicaKey) -> Result<(), QuorumError> {
        self.changes.remove(key).await
    }

    fn describe(&self) -> MemberView {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let now = Instant::now();
        let membership = metrics.membership_config.membership();
        let progress = |(key, endpoint): (&NodeId, &Endpoint)| {
            let replica = Voter { key: *key, endpoint: endpoint.clone() };
            if *key == self.leading.me {
                let (last, now) = (metrics.last_log_index, Some(Duration::ZERO));
                return Progress { replica, last, heard: now, caught_up: now };
            }
            let replication = metrics.replication.as_ref();
            let last = replication.and_then(|all| all.get(key).copied().flatten());
            let seen = self.board.seen(key);
            Progress {
                replica,
                last: last.map(|id| id.index),
                heard: seen.map(|seen| now - seen.at),
                caught_up: seen.and_then(|seen| seen.caught_up).map(|at| now - at),
            }
        };
        self.board.retain(|key| membership.get_node(key).is_some());
        MemberView {
            leadership: self.leading.leadership.borrow().clone(),
            committed: metrics.last_applied.map_or(0, |id| id.index),
            members: membership.nodes().map(progress).collect(),
            voters: membership.voter_ids().collect(),
        }
    }

    async fn tend(&self) {
        tokio::join!(self.size.keep_small(&self.raft), self.changes.finish());
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

/// Tells who leads, until Raft ends.
async fn watch_leadership(mut metrics: watch::Receiver<Metrics>, known: watch::Sender<Leadership>) {
    loop {
        let now = leadership(&metrics.borrow_and_update());
        known.send_if_modified(|before| {
            let is_new = *before != now;
            if is_new {
                let leader = now.leader.as_ref().map(|leader| leader.key.to_string());
                tracing::info!(term = now.term, leader, "the leader of the quorum");
            }
            *before = now;
            is_new
        });
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn leadership(metrics: &Metrics) -> Leadership {
    let membership = metrics.membership_config.membership();
    // A leader that does not hear of the others does not know whether it leads still.
    let silence = metrics.millis_since_quorum_ack.unwrap_or(0);
    let leader = metrics.current_leader.filter(|_| silence < LEADER_SILENCE_MS);
    let leader = leader.and_then(|key| {
        let endpoint = membership.get_node(&key)?.clone();
        Some(Voter { key, endpoint })
    });
    Leadership { term: metrics.current_term, leader }
}

/// Whether it has nobody to wait for, and does not lead on from before.
fn may_lead_at_once(metrics: &Metrics, me: ReplicaKey) -> bool {
    let voters: Vec<_> = metrics.membership_config.membership().voter_ids().collect();
    let leads_on = metrics.vote.committed && metrics.vote.leader_id.node_id == me;
    voters == [me] && !leads_on
}
