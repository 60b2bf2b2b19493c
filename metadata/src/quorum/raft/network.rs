//! The way to other voters: with one voter there is none, and nobody is ever called.

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, EmptyNode};

use super::{Config, NodeId};

type CallError<E = openraft::error::Infallible> = RPCError<NodeId, EmptyNode, RaftError<NodeId, E>>;

/// Reaches nobody.
#[derive(Debug)]
pub(super) struct NoPeers;

impl RaftNetworkFactory<Config> for NoPeers {
    type Network = Self;

    async fn new_client(&mut self, _target: NodeId, _node: &EmptyNode) -> Self {
        Self
    }
}

impl RaftNetwork<Config> for NoPeers {
    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Config>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, CallError> {
        Err(unreachable_peer())
    }

    async fn install_snapshot(
        &mut self,
        _rpc: InstallSnapshotRequest<Config>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, CallError<InstallSnapshotError>> {
        Err(unreachable_peer())
    }

    async fn vote(
        &mut self,
        _rpc: VoteRequest<NodeId>,
        _option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, CallError> {
        Err(unreachable_peer())
    }
}

fn unreachable_peer<E: std::error::Error>() -> CallError<E> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error("the quorum has one voter")))
}
