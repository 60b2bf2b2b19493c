//! Whether this node leads, and what only a leader can say.

use std::time::Duration;

use openraft::Raft;
use openraft::error::{CheckIsLeaderError, ForwardToLeader, RaftError};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Config, NodeId};
use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::quorum::{Leadership, QuorumError};

/// How long a node that leads no more waits for the outcome of what it did before.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);

/// This node, as it may lead.
#[derive(Clone)]
pub(super) struct Leading {
    pub(super) me: ReplicaKey,
    pub(super) raft: Raft<Config>,
    pub(super) leadership: watch::Receiver<Leadership>,
}

impl Leading {
    /// Nothing, unless another node leads or none, as far as it is known.
    pub(super) fn check(&self) -> Result<(), QuorumError> {
        let leader = self.leadership.borrow().leader.clone();
        if leader.as_ref().is_some_and(|leader| leader.key == self.me) {
            Ok(())
        } else {
            Err(QuorumError::NotLeader { leader })
        }
    }

    /// What openraft says of another leader.
    pub(super) fn not_leader(&self, to: ForwardToLeader<NodeId, Endpoint>) -> QuorumError {
        let named = to.leader_id.zip(to.leader_node);
        let leader = named.map(|(key, endpoint)| Voter { key, endpoint });
        QuorumError::NotLeader {
            leader: leader.or_else(|| self.leadership.borrow().leader.clone()),
        }
    }

    /// Confirms with a majority that this node leads. Gives the index up to where all that was
    /// committed before the call stands.
    pub(super) async fn confirm(&self) -> Result<u64, QuorumError> {
        match self.raft.get_read_log_id().await {
            Ok((upto, _)) => Ok(upto.map_or(0, |id| id.index)),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => {
                Err(self.not_leader(to))
            }
            Err(error) => Err(QuorumError::Unknown(error.to_string())),
        }
    }

    /// Does something that needs a leader, until it is done or this node is not known to lead any more:
    /// then its outcome is unknown, unless it comes soon. A leader that takes itself out leads no more
    /// by what it did.
    pub(super) async fn during<T>(
        &self,
        work: impl Future<Output = Result<T, QuorumError>>,
    ) -> Result<T, QuorumError> {
        let mut leadership = self.leadership.clone();
        let leads_no_more = leadership
            .wait_for(|now| now.leader.as_ref().is_none_or(|leader| leader.key != self.me));
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = leads_no_more => {}
        }
        let unknown = "this node does not lead the quorum any more";
        let done = timeout(LAST_WORD_MAX, work).await;
        done.unwrap_or_else(|_| Err(QuorumError::Unknown(unknown.to_owned())))
    }
}
