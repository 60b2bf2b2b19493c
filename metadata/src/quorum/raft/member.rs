//! A member of the quorum, or a node that waits to become one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::limits::{QUORUM_ELECTION_MS, VOTERS};
use openraft::error::{
    CheckIsLeaderError, ClientWriteError, ForwardToLeader, InitializeError, InstallSnapshotError,
    RaftError,
};
use openraft::{ChangeMembers, Raft};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::log_size::LogSize;
use super::progress::ProgressBoard;
use super::{Config, Metrics, NodeId, Proposal, rpc};
use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::peer::{Kind, Refusal};
use crate::quorum::{Leadership, MemberView, Progress, Quorum, QuorumError};
use crate::service::StartError;

/// How long a node may take to catch up before it votes.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// How long after a failure a change of the voters is tried again.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);

/// How long a leader without word of the others is taken for one.
const LEADER_SILENCE_MS: u64 = 2 * QUORUM_ELECTION_MS.1;

type WriteError = RaftError<NodeId, ClientWriteError<NodeId, Endpoint>>;

/// A member.
pub(super) struct Member {
    me: ReplicaKey,
    raft: Raft<Config>,
    size: Arc<LogSize>,
    board: Arc<ProgressBoard>,
    leadership: watch::Receiver<Leadership>,
    /// Of the snapshot that is coming in: which it is, and what has come of it.
    receiving: Mutex<(String, u64)>,
    /// One change of the members at a time.
    changing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("me", &self.me).finish_non_exhaustive()
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
        let is_alone = is_lone_voter(&raft.metrics().borrow(), me);
        if is_alone {
            raft.trigger().elect().await.map_err(StartError::raft)?;
        }
        let (receiving, changing) = (Mutex::default(), tokio::sync::Mutex::default());
        let seen = leadership.clone();
        Ok((Self { me, raft, size, board, leadership, receiving, changing }, seen))
    }

    fn not_leader(&self, to: ForwardToLeader<NodeId, Endpoint>) -> QuorumError {
        let named = to.leader_id.zip(to.leader_node);
        let leader = named.map(|(key, endpoint)| Voter { key, endpoint });
        QuorumError::NotLeader {
            leader: leader.or_else(|| self.leadership.borrow().leader.clone()),
        }
    }

    async fn change(&self, to: ChangeMembers<NodeId, Endpoint>) -> Result<(), QuorumError> {
        match self.raft.change_membership(to, false).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.change_failed(error)),
        }
    }

    fn change_failed(&self, error: WriteError) -> QuorumError {
        match error {
            RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
                QuorumError::Refused(error.to_string())
            }
            // The first of two steps may have been done: who looks at the members finds out.
            error => QuorumError::Unknown(error.to_string()),
        }
    }

    fn check_leads(&self) -> Result<(), QuorumError> {
        let leader = self.leadership.borrow().leader.clone();
        if leader.as_ref().is_some_and(|leader| leader.key == self.me) {
            Ok(())
        } else {
            Err(QuorumError::NotLeader { leader })
        }
    }

    fn try_change(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, QuorumError> {
        let busy = |_| QuorumError::Refused("another change of the voters is under way".to_owned());
        self.changing.try_lock().map_err(busy)
    }

    /// A leader that died may have left a change of the voters half done.
    async fn finish_changes(&self) {
        let mut metrics = self.raft.metrics();
        while metrics.wait_for(|metrics| self.half_done(metrics).is_some()).await.is_ok() {
            let turn = self.changing.lock().await;
            // A change of this node's own is over by now.
            let goal = self.half_done(&self.raft.metrics().borrow());
            if let Some(goal) = goal
                && let Err(error) = self.change(ChangeMembers::ReplaceAllVoters(goal)).await
            {
                tracing::info!(%error, "a change of the voters is still half done");
                tokio::time::sleep(CHANGE_PAUSE).await;
            }
            drop(turn);
        }
        // Raft ended, and says so elsewhere.
        std::future::pending().await
    }

    /// The voters to be, if this node leads and their change is half done.
    fn half_done(&self, metrics: &Metrics) -> Option<BTreeSet<NodeId>> {
        let voters = metrics.membership_config.membership().get_joint_config();
        let leads = metrics.current_leader == Some(self.me);
        voters.last().filter(|_| leads && voters.len() > 1).cloned()
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

    async fn install(&self, request: Bytes) -> Result<Bytes, Refusal> {
        let request = rpc::decode_snapshot(request).map_err(Refusal::invalid)?;
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
                Err(self.not_leader(to))
            }
            Err(error) => Err(QuorumError::Unknown(error.to_string())),
        }
    }

    async fn confirm(&self) -> Result<u64, QuorumError> {
        match self.raft.get_read_log_id().await {
            Ok((upto, _)) => Ok(upto.map_or(0, |id| id.index)),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => {
                Err(self.not_leader(to))
            }
            Err(error) => Err(QuorumError::Unknown(error.to_string())),
        }
    }

    async fn answer(&self, kind: Kind, request: Bytes) -> Result<Bytes, Refusal> {
        match kind {
            Kind::Append => {
                let request = rpc::decode_append(request).map_err(Refusal::invalid)?;
                let answer = self.raft.append_entries(request).await.map_err(Refusal::failed)?;
                Ok(rpc::encode_append_answer(&answer))
            }
            Kind::Vote => {
                let request = rpc::decode_vote(request).map_err(Refusal::invalid)?;
                let answer = self.raft.vote(request).await.map_err(Refusal::failed)?;
                Ok(rpc::encode_vote_answer(&answer))
            }
            Kind::Snapshot => self.install(request).await,
            _ => Err(Refusal::invalid(format!("{kind:?} is no part of Raft"))),
        }
    }

    async fn initialise(&self, voters: &[Voter]) -> Result<(), QuorumError> {
        if !voters.iter().any(|voter| voter.key == self.me) {
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

    async fn add_voter(&self, voter: Voter) -> Result<(), QuorumError> {
        self.check_leads()?;
        let _turn = self.try_change()?;
        let voters = self.describe().voters;
        if voters.contains(&voter.key) {
            return Ok(());
        }
        if let Some(other) = voters.iter().find(|other| other.node == voter.key.node) {
            let reason = format!("{other} votes under the same node id: remove it first");
            return Err(QuorumError::Refused(reason));
        }
        if voters.len() >= VOTERS {
            return Err(QuorumError::Refused(format!("there are {VOTERS} voters, no more can be")));
        }
        let (key, endpoint) = (voter.key, voter.endpoint);
        let caught_up = timeout(CATCH_UP_MAX, self.raft.add_learner(key, endpoint, true)).await;
        match caught_up {
            Ok(Ok(_)) => self.change(ChangeMembers::AddVoterIds(BTreeSet::from([key]))).await,
            Ok(Err(error)) => Err(self.change_failed(error)),
            Err(_) => {
                // It would be sent entries for ever, and may not even be there.
                self.change(ChangeMembers::RemoveNodes(BTreeSet::from([key]))).await?;
                Err(QuorumError::Refused(format!("{key} did not catch up in {CATCH_UP_MAX:?}")))
            }
        }
    }

    async fn remove_voter(&self, key: ReplicaKey) -> Result<(), QuorumError> {
        self.check_leads()?;
        let _turn = self.try_change()?;
        let view = self.describe();
        let keys = BTreeSet::from([key]);
        if view.voters == keys {
            return Err(QuorumError::Refused(format!("{key} is the only voter")));
        }
        if view.voters.contains(&key) {
            self.change(ChangeMembers::RemoveVoters(keys)).await
        } else if view.members.iter().any(|member| member.replica.key == key) {
            self.change(ChangeMembers::RemoveNodes(keys)).await
        } else {
            Ok(())
        }
    }

    fn describe(&self) -> MemberView {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let now = Instant::now();
        let membership = metrics.membership_config.membership();
        let progress = |(key, endpoint): (&NodeId, &Endpoint)| {
            let replica = Voter { key: *key, endpoint: endpoint.clone() };
            if *key == self.me {
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
            leadership: self.leadership.borrow().clone(),
            committed: metrics.last_applied.map_or(0, |id| id.index),
            members: membership.nodes().map(progress).collect(),
            voters: membership.voter_ids().collect(),
        }
    }

    async fn tend(&self) {
        tokio::join!(self.size.keep_small(&self.raft), self.finish_changes());
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

fn is_lone_voter(metrics: &Metrics, me: ReplicaKey) -> bool {
    let voters: Vec<_> = metrics.membership_config.membership().voter_ids().collect();
    voters == [me]
}
