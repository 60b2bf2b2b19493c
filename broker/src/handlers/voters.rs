//! AddRaftVoter (API 80) and RemoveRaftVoter (81), KIP-853: a voter is a node with its data directory. Any
//! broker asks the quorum's leader. A change goes on when the client's time is over.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse,
};
use kafka_protocol::protocol::StrBytes;
use odradek_common::ids::{BrokerId, ClusterId};
use odradek_metadata::{DirectoryId, Endpoint, ReplicaKey, Voter};
use tokio::time::timeout_at;
use uuid::Uuid;

use super::quorum::failure;
use super::topics::deadline;
use super::{Answer, Body, text};
use crate::core::Core;
use crate::topics::Failure;

/// Serves AddRaftVoter.
pub(super) fn add_raft_voter(
    core: &Arc<Core>,
    peer: SocketAddr,
    request: AddRaftVoterRequest,
) -> Answer {
    let core = Arc::clone(core);
    Answer::Later(Box::pin(async move {
        let deadline = deadline(request.timeout_ms);
        let added = timeout_at(deadline, add(&core, peer, request)).await.unwrap_or_else(|_| {
            let message = "the change of the voters goes on";
            Err(Failure::new(ResponseError::RequestTimedOut, message))
        });
        let (code, message) = told(added);
        let answer = AddRaftVoterResponse::default().with_error_code(code);
        Body::of(answer.with_error_message(message))
    }))
}

async fn add(core: &Core, peer: SocketAddr, request: AddRaftVoterRequest) -> Result<(), Failure> {
    check_peer(peer)?;
    check_cluster(&core.cluster, request.cluster_id.as_deref())?;
    let key = key("Add", request.voter_id, request.voter_directory_id)?;
    let name = core.settings().controller_listener_name.clone();
    let endpoint = endpoint(&request.listeners, &name)?;
    let voters = core.metadata.describe_quorum().await.map_err(failure)?.voters;
    if voters.iter().any(|voter| voter.key.node == key.node) {
        let message = format!("The voter id for {key} is already part of the set of voters.");
        return Err(Failure::new(ResponseError::DuplicateVoter, message));
    }
    core.metadata.add_voter(&Voter { key, endpoint }).await.map_err(failure)
}

/// Serves RemoveRaftVoter.
pub(super) fn remove_raft_voter(
    core: &Arc<Core>,
    peer: SocketAddr,
    request: RemoveRaftVoterRequest,
) -> Answer {
    let core = Arc::clone(core);
    Answer::Later(Box::pin(async move {
        let (code, message) = told(remove(&core, peer, request).await);
        let answer = RemoveRaftVoterResponse::default().with_error_code(code);
        Body::of(answer.with_error_message(message))
    }))
}

async fn remove(
    core: &Core,
    peer: SocketAddr,
    request: RemoveRaftVoterRequest,
) -> Result<(), Failure> {
    check_peer(peer)?;
    check_cluster(&core.cluster, request.cluster_id.as_deref())?;
    let key = key("Remove", request.voter_id, request.voter_directory_id)?;
    let voters = core.metadata.describe_quorum().await.map_err(failure)?.voters;
    if voters.iter().all(|voter| voter.key != key) {
        let message = format!("Cannot remove voter {key}: it is not in the set of voters.");
        return Err(Failure::new(ResponseError::VoterNotFound, message));
    }
    core.metadata.remove_voter(key).await.map_err(failure)
}

/// Who becomes a voter is told all that the cluster knows, and decides with the others. As long as clients are not
/// asked who they are, only a broker's own machine may say who does.
fn check_peer(peer: SocketAddr) -> Result<(), Failure> {
    if peer.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let message = "Voters are changed from the machine of a broker only, at a loopback address.";
    Err(Failure::new(ResponseError::ClusterAuthorizationFailed, message))
}

/// Who names a cluster means that one.
fn check_cluster(here: &ClusterId, named: Option<&str>) -> Result<(), Failure> {
    match named {
        Some(named) if named != here.as_str() => {
            let code = ResponseError::InconsistentClusterId;
            Err(Failure::new(code, format!("this is cluster {}", here.as_str())))
        }
        _ => Ok(()),
    }
}

fn key(verb: &str, node: i32, directory: Uuid) -> Result<ReplicaKey, Failure> {
    if node < 0 || directory.is_nil() {
        let message = format!("{verb} voter request didn't include a valid voter");
        return Err(Failure::new(ResponseError::InvalidRequest, message));
    }
    Ok(ReplicaKey { node: BrokerId(node), directory: DirectoryId(directory) })
}

/// Where the voters reach it: at its listener of the name that theirs have.
fn endpoint(listeners: &[Listener], name: &str) -> Result<Endpoint, Failure> {
    let listener = listeners.iter().find(|one| one.name.eq_ignore_ascii_case(name));
    let listener = listener.filter(|one| !one.host.is_empty() && one.port != 0);
    let listener = listener.ok_or_else(|| {
        let message =
            format!("Add voter request didn't include the endpoint for the listener {name}");
        Failure::new(ResponseError::InvalidRequest, message)
    })?;
    Ok(Endpoint { host: listener.host.to_string(), port: listener.port })
}

fn told(done: Result<(), Failure>) -> (i16, Option<StrBytes>) {
    match done {
        Ok(()) => (0, None),
        Err(Failure { code, message }) => (code.code(), Some(text(message))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(checked: Result<T, Failure>) -> Option<i16> {
        checked.err().map(|failure| failure.code.code())
    }

    #[test]
    fn a_voter_is_a_node_with_a_directory() {
        let directory = Uuid::from_u128(1);
        assert_eq!(code(key("Add", 1, directory)), None);
        assert_eq!(code(key("Add", -1, directory)), Some(42));
        assert_eq!(code(key("Remove", 1, Uuid::nil())), Some(42));
    }

    #[test]
    fn strangers_change_no_voters() {
        let of = |address: &str| code(check_peer(address.parse().unwrap()));
        for here in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(of(here), None, "{here}");
        }
        for elsewhere in ["10.0.0.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1", "0.0.0.0:1"] {
            assert_eq!(of(elsewhere), Some(31), "{elsewhere}");
        }
    }

    #[test]
    fn the_cluster_may_be_named_and_must_be_this_one() {
        let here: ClusterId = "here".parse().unwrap();
        assert_eq!(code(check_cluster(&here, None)), None);
        assert_eq!(code(check_cluster(&here, Some("here"))), None);
        assert_eq!(code(check_cluster(&here, Some("there"))), Some(104));
    }

    #[test]
    fn the_endpoint_is_that_of_the_listener_for_controllers() {
        let listener = |name: &'static str, host: &'static str, port| {
            Listener::default().with_name(text(name)).with_host(text(host)).with_port(port)
        };
        let listeners = [listener("PLAINTEXT", "a", 1), listener("CONTROLLER", "b", 2)];
        let found = endpoint(&listeners, "CONTROLLER").unwrap();
        assert_eq!((found.host.as_str(), found.port), ("b", 2));
        assert_eq!(code(endpoint(&listeners[..1], "CONTROLLER")), Some(42));
        assert_eq!(code(endpoint(&[listener("CONTROLLER", "b", 0)], "CONTROLLER")), Some(42));
    }
}
