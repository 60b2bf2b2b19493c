//! openraft's way to other members: calls on their CONTROLLER listeners. A call is meant for a node
//! *with its data directory*: what answers under the same id with another is not that member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::BrokerId;
use odradek_common::limits::PEER_BACKOFF_MAX_MS;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, SnapshotMismatch,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, SnapshotSegmentId};
use tokio::time::Instant;

use super::progress::ProgressBoard;
use super::{Config, NodeId, rpc};
use crate::ids::Endpoint;
use crate::peer::{CallError, Kind, Peers, Target};
use crate::wire::DecodeError;

type Failed<E = openraft::error::Infallible> = RPCError<NodeId, Endpoint, RaftError<NodeId, E>>;

/// The other members.
#[derive(Clone, Debug)]
pub(super) struct Members {
    pub(super) peers: Arc<Peers>,
    /// Where nodes are reached as the settings have it, which may be newer than what the quorum knows.
    pub(super) endpoints: Arc<BTreeMap<BrokerId, Endpoint>>,
    pub(super) board: Arc<ProgressBoard>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct MemberClient {
    key: NodeId,
    target: Target,
    members: Members,
}

impl RaftNetworkFactory<Config> for Members {
    type Network = MemberClient;

    async fn new_client(&mut self, key: NodeId, known: &Endpoint) -> MemberClient {
        let endpoint = self.endpoints.get(&key.node).unwrap_or(known).clone();
        let target = Target { node: key.node, directory: Some(key.directory), endpoint };
        MemberClient { key, target, members: self.clone() }
    }
}

impl MemberClient {
    async fn call<E: std::error::Error>(
        &self,
        kind: Kind,
        request: bytes::Bytes,
        limit: Duration,
    ) -> Result<bytes::Bytes, Failed<E>> {
        let until = Instant::now() + limit;
        match self.members.peers.call(&self.target, kind, request, until).await {
            Ok(answer) => Ok(answer),
            Err(error @ CallError::NotSent(_)) => {
                Err(RPCError::Unreachable(Unreachable::new(&AnyError::new(&error))))
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

impl RaftNetwork<Config> for MemberClient {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Config>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, Failed> {
        let sent = Instant::now();
        let reaches = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let bytes = rpc::encode_append(&request);
        let answer = self.call(Kind::Append, bytes, option.hard_ttl()).await?;
        let answer = rpc::decode_append_answer(answer, reaches, self.members.board.term());
        let answer = answer.map_err(|error| damaged(&error))?;
        let reached = match &answer {
            AppendEntriesResponse::Success => reaches,
            AppendEntriesResponse::PartialSuccess(matching) => *matching,
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => None,
        };
        self.members.board.heard(self.key, sent, reached.map(|id| id.index));
        Ok(answer)
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Config>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, Failed<InstallSnapshotError>> {
        let id = request.meta.snapshot_id.clone();
        let got = SnapshotSegmentId { id: id.clone(), offset: request.offset };
        let bytes = rpc::encode_snapshot(request);
        let answer = self.call(Kind::Snapshot, bytes, option.hard_ttl()).await?;
        let answer = rpc::decode_snapshot_answer(answer, self.members.board.term());
        match answer.map_err(|error| damaged(&error))? {
            Some(vote) => Ok(InstallSnapshotResponse { vote }),
            None => {
                let expect = SnapshotSegmentId { id, offset: 0 };
                let mismatch = SnapshotMismatch { expect, got };
                let error = RaftError::APIError(InstallSnapshotError::from(mismatch));
                Err(RPCError::RemoteError(RemoteError::new(self.key, error)))
            }
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, Failed> {
        let answer = self.call(Kind::Vote, rpc::encode_vote(&request), option.hard_ttl()).await?;
        let term = self.members.board.term();
        rpc::decode_vote_answer(answer, term).map_err(|error| damaged(&error))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(PEER_BACKOFF_MAX_MS / 2)))
    }
}

fn damaged<E: std::error::Error>(error: &DecodeError) -> Failed<E> {
    RPCError::Network(NetworkError::new(error))
}

fn failed<E: std::error::Error>(error: &CallError) -> Failed<E> {
    RPCError::Network(NetworkError::new(error))
}
