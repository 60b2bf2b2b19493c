//! Changes of the voters: one at a time, each in a task of its own, which goes on when nobody waits for
//! it any more. openraft shows a change as soon as it is appended: here it counts once it is committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::{METADATA_CONFIRM_MS, VOTERS};
use openraft::ChangeMembers;
use openraft::error::{ClientWriteError, RaftError};
use tokio::time::{Instant, timeout, timeout_at};

use super::leading::Leading;
use super::{Membership, Metrics, NodeId};
use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::quorum::QuorumError;

/// How long a node may take to catch up before it votes.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// How long a change waits for its turn: one that is over may still be looked at.
const TURN_MAX: Duration = Duration::from_secs(1);

/// How long after a failure a change that is half done is taken up again.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);

type WriteError = RaftError<NodeId, ClientWriteError<NodeId, Endpoint>>;

/// The changes that this node makes while it leads.
pub(super) struct Changes {
    leading: Leading,
    /// One change at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Changes {
    pub(super) fn new(leading: Leading) -> Arc<Self> {
        Arc::new(Self { leading, turn: Arc::default() })
    }

    /// Makes a voter of a node, once it has caught up.
    pub(super) async fn add(self: &Arc<Self>, voter: Voter) -> Result<(), QuorumError> {
        let this = Arc::clone(self);
        self.to_the_end(async move { this.leading.during(this.add_now(voter)).await }).await
    }

    /// Takes a voter, or who is to become one, out of the quorum.
    pub(super) async fn remove(self: &Arc<Self>, key: ReplicaKey) -> Result<(), QuorumError> {
        let this = Arc::clone(self);
        self.to_the_end(async move { this.leading.during(this.remove_now(key)).await }).await
    }

    async fn to_the_end(
        &self,
        change: impl Future<Output = Result<(), QuorumError>> + Send + 'static,
    ) -> Result<(), QuorumError> {
        self.leading.check()?;
        let busy = |_| QuorumError::NotYet("another change of the voters is under way".to_owned());
        let turn = Arc::clone(&self.turn).lock_owned();
        let turn = timeout(TURN_MAX, turn).await.map_err(busy)?;
        let task = tokio::spawn(async move {
            let done = change.await;
            drop(turn);
            done
        });
        task.await.unwrap_or_else(|error| Err(QuorumError::Unknown(error.to_string())))
    }

    async fn add_now(&self, voter: Voter) -> Result<(), QuorumError> {
        let voters: BTreeSet<_> = self.settled().await?.voter_ids().collect();
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
        match timeout(CATCH_UP_MAX, self.teach(key, endpoint)).await {
            Ok(Ok(())) => self.change(ChangeMembers::AddVoterIds(BTreeSet::from([key]))).await,
            Ok(Err(error)) => Err(error),
            Err(_) => {
                // It would be sent entries for ever, and may not even be there.
                self.change(ChangeMembers::RemoveNodes(BTreeSet::from([key]))).await?;
                Err(QuorumError::NotYet(format!("{key} did not catch up in {CATCH_UP_MAX:?}")))
            }
        }
    }

    /// Makes a learner of a node and waits until it has all that there was then. openraft's own wait is
    /// content with a node that lags by thousands of entries, and with one that is not there where the
    /// log is short: as a voter it would only be in the way.
    async fn teach(&self, key: ReplicaKey, endpoint: Endpoint) -> Result<(), QuorumError> {
        let raft = &self.leading.raft;
        let added = raft.add_learner(key, endpoint, false).await.map_err(failed)?;
        let has_all = |metrics: &Metrics| {
            let last = metrics.replication.as_ref().and_then(|all| all.get(&key).copied());
            last.flatten() >= Some(added.log_id)
        };
        let caught_up = raft.metrics().wait_for(has_all).await.map(drop);
        caught_up.map_err(|_| QuorumError::Unknown("the quorum's member has ended".to_owned()))
    }

    async fn remove_now(&self, key: ReplicaKey) -> Result<(), QuorumError> {
        let members = self.settled().await?;
        let voters: BTreeSet<_> = members.voter_ids().collect();
        let keys = BTreeSet::from([key]);
        if voters == keys {
            return Err(QuorumError::Refused(format!("{key} is the only voter")));
        }
        if voters.contains(&key) {
            self.change(ChangeMembers::RemoveVoters(keys)).await
        } else if members.get_node(&key).is_some() {
            self.change(ChangeMembers::RemoveNodes(keys)).await
        } else {
            Ok(())
        }
    }

    async fn change(&self, to: ChangeMembers<NodeId, Endpoint>) -> Result<(), QuorumError> {
        self.leading.raft.change_membership(to, false).await.map(drop).map_err(failed)
    }

    /// The members, when their last change is whole and committed; one that is half done is finished.
    async fn settled(&self) -> Result<Membership, QuorumError> {
        let until = Instant::now() + Duration::from_millis(METADATA_CONFIRM_MS);
        let mut metrics = self.leading.raft.metrics();
        loop {
            metrics.borrow_and_update();
            // Another leader may have changed them meanwhile.
            self.leading.confirm().await?;
            let known = self.leading.raft.with_raft_state(|state| {
                let (members, committed) =
                    (state.membership_state.effective(), state.membership_state.committed());
                (members.log_id() == committed.log_id()).then(|| members.membership().clone())
            });
            let known = known.await.map_err(|error| QuorumError::Unknown(error.to_string()))?;
            match known.map(|members| (goal(&members), members)) {
                Some((None, members)) => return Ok(members),
                Some((Some(goal), _)) => {
                    self.change(ChangeMembers::ReplaceAllVoters(goal)).await?;
                }
                None => {
                    let changed = timeout_at(until, metrics.changed()).await;
                    let late = "the change of the voters before it is not committed yet";
                    changed.map_err(|_| QuorumError::Unknown(late.to_owned()))?.map_err(|_| {
                        QuorumError::Unknown("the quorum's member has ended".to_owned())
                    })?;
                }
            }
        }
    }

    /// Finishes what a leader that died left half done, whenever this node leads; never ends.
    pub(super) async fn finish(&self) {
        let mut metrics = self.leading.raft.metrics();
        while metrics.wait_for(|metrics| self.is_half_done(metrics)).await.is_ok() {
            let turn = self.turn.lock().await;
            // A change of this node's own is over by now.
            let is_half_done = self.is_half_done(&metrics.borrow_and_update());
            if is_half_done && let Err(error) = self.leading.during(self.settled()).await {
                tracing::info!(%error, "a change of the voters is still half done");
                tokio::time::sleep(CHANGE_PAUSE).await;
            }
            drop(turn);
        }
        // Raft ended, and says so elsewhere.
        std::future::pending().await
    }

    fn is_half_done(&self, metrics: &Metrics) -> bool {
        let leads = metrics.current_leader == Some(self.leading.me);
        leads && goal(metrics.membership_config.membership()).is_some()
    }
}

/// The voters to be, if their change is half done.
fn goal(members: &Membership) -> Option<BTreeSet<NodeId>> {
    let voters = members.get_joint_config();
    voters.last().filter(|_| voters.len() > 1).cloned()
}

fn failed(error: WriteError) -> QuorumError {
    match error {
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            QuorumError::Refused(error.to_string())
        }
        // The first of two steps may have been done: who looks at the members finds out.
        error => QuorumError::Unknown(error.to_string()),
    }
}
