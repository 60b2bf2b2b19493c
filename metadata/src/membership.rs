//! Changing and describing the quorum at run time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::calls::{AddVoterRequest, DescribeAnswer, RemoveVoterRequest};
use crate::handle::Metadata;
use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::leader::{AskError, Patience};
use crate::peer::Kind;
use crate::quorum::Progress;

/// How long a change of the voters may take: a new one has to catch up.
const CHANGE_MAX: Duration = Duration::from_secs(90);

/// How long a description may take, and how long each member is asked for it.
const DESCRIBE_MAX: Duration = Duration::from_millis(3_000);
const DESCRIBE_EACH: Duration = Duration::from_millis(1_000);

/// The quorum was not changed, or not described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumCallError {
    /// No leader was found. Nothing was done.
    #[error("no leader of the quorum was found")]
    NoLeader,
    /// It cannot be done. Nothing was done.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done yet: another change is under way, or the new voter did not catch up. Nothing was
    /// done.
    #[error("{0}")]
    NotYet(String),
    /// It may have been done, or may be yet, or never: the description tells.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

/// The quorum, as Kafka's DescribeQuorum (KIP-595, KIP-836) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    /// Who leads.
    pub leader: ReplicaKey,
    /// The Raft term: Kafka's leader epoch.
    pub leader_epoch: u64,
    /// The newest index that is committed.
    pub high_watermark: u64,
    /// Who votes.
    pub voters: Vec<ReplicaState>,
    /// Who follows without a vote.
    pub observers: Vec<ReplicaState>,
}

/// How far a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// Which.
    pub key: ReplicaKey,
    /// Where it is reached; none of one that nobody calls.
    pub endpoint: Option<Endpoint>,
    /// The last index that it is known to have.
    pub last_index: Option<u64>,
    /// How long ago it was last heard of.
    pub heard: Option<Duration>,
    /// How long ago it last had all that there was.
    pub caught_up: Option<Duration>,
}

impl Metadata {
    /// Takes a node into the quorum: it catches up first, then it votes. It has to run, with the
    /// voters of the quorum in its settings. Done already is done.
    ///
    /// # Errors
    /// See [`QuorumCallError`]; one change is made at a time.
    pub async fn add_voter(&self, voter: &Voter) -> Result<(), QuorumCallError> {
        let request = AddVoterRequest { voter: Some(voter.into()) };
        self.change(Kind::AddVoter, request.encode_to_vec().into()).await
    }

    /// Takes a node out of the quorum. Done already is done.
    ///
    /// # Errors
    /// See [`QuorumCallError`]; one change is made at a time.
    pub async fn remove_voter(&self, key: ReplicaKey) -> Result<(), QuorumCallError> {
        let request = RemoveVoterRequest { key: Some(key.into()) };
        self.change(Kind::RemoveVoter, request.encode_to_vec().into()).await
    }

    async fn change(&self, kind: Kind, request: Bytes) -> Result<(), QuorumCallError> {
        let until = Instant::now() + CHANGE_MAX;
        let patience = Patience { until, each: CHANGE_MAX, may_repeat: false };
        self.leader.ask(kind, request, patience).await?;
        Ok(())
    }

    /// How many nodes vote, as far as this one knows; none where it is no member.
    #[must_use]
    pub fn voter_count(&self) -> usize {
        self.quorum.as_ref().map_or(0, |quorum| quorum.describe().voters.len())
    }

    /// Who is in the quorum and how far. Observers are those that follow a member that answers.
    ///
    /// # Errors
    /// See [`QuorumCallError`].
    pub async fn describe_quorum(&self) -> Result<QuorumDescription, QuorumCallError> {
        let until = Instant::now() + DESCRIBE_MAX;
        let patience = Patience { until, each: DESCRIBE_EACH, may_repeat: true };
        // Only a leader that is one still may speak for the quorum.
        self.leader.ask(Kind::Confirm, Bytes::new(), patience).await?;
        let leader = self.leader.leadership.borrow().leader.clone();
        let leader = leader.ok_or(QuorumCallError::NoLeader)?;
        let answer = self.describe_at(&leader, until).await?;
        let (view, followers) = answer.view();
        let mut observers: BTreeMap<_, _> = followers.into_iter().map(by_key).collect();
        let mut asked = JoinSet::new();
        for other in view.members.iter().map(|member| member.replica.clone()) {
            if other.key != leader.key {
                let metadata = self.clone();
                asked.spawn(async move { metadata.describe_at(&other, until).await });
            }
        }
        for answer in asked.join_all().await.into_iter().flatten() {
            observers.extend(answer.view().1.into_iter().map(by_key));
        }
        let is_voter = |member: &Progress| view.voters.contains(&member.replica.key);
        let (voters, learners): (Vec<_>, Vec<_>) = view.members.into_iter().partition(is_voter);
        observers.extend(learners.into_iter().map(by_key));
        Ok(QuorumDescription {
            leader: leader.key,
            leader_epoch: view.leadership.term,
            high_watermark: view.committed,
            voters: voters.into_iter().map(ReplicaState::from).collect(),
            observers: observers.into_values().map(ReplicaState::from).collect(),
        })
    }

    async fn describe_at(
        &self,
        member: &Voter,
        until: Instant,
    ) -> Result<DescribeAnswer, QuorumCallError> {
        let until = until.min(Instant::now() + DESCRIBE_EACH);
        let unknown = |error: String| QuorumCallError::Unknown(error);
        let answer = if member.key == self.leader.me {
            let answer = self.leader.here.answer(member.key, Kind::Describe, Bytes::new());
            let answer = timeout_at(until, answer).await;
            let answer = answer.map_err(|error| unknown(error.to_string()))?;
            answer.map_err(|no| unknown(no.reason))?.bytes
        } else {
            let target = self.leader.target(member.key, member.endpoint.clone());
            let answer = self.leader.peers.call(&target, Kind::Describe, Bytes::new(), until).await;
            answer.map_err(|error| unknown(error.to_string()))?
        };
        DescribeAnswer::decode(answer).map_err(|error| unknown(error.to_string()))
    }
}

fn by_key(progress: Progress) -> (ReplicaKey, Progress) {
    (progress.replica.key, progress)
}

impl From<Progress> for ReplicaState {
    fn from(progress: Progress) -> Self {
        let Progress { replica: Voter { key, endpoint }, last, heard, caught_up } = progress;
        let endpoint = Some(endpoint).filter(|endpoint| *endpoint != Endpoint::default());
        Self { key, endpoint, last_index: last, heard, caught_up }
    }
}

impl From<AskError> for QuorumCallError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::NoLeader => Self::NoLeader,
            AskError::Refused(reason) => Self::Refused(reason),
            AskError::NotYet(reason) => Self::NotYet(reason),
            AskError::Unknown(reason) => Self::Unknown(reason),
        }
    }
}
