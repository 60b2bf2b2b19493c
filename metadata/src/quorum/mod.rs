//! The quorum that puts proposals in order, as the rest of the crate sees it. Whatever implements
//! Raft stays behind this trait.

pub(crate) mod bundle;
mod committed;
mod installs;
mod raft;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub(crate) use committed::{Committed, CommittedLog};
#[cfg(test)]
pub(crate) use raft::tests::leave_half_done;
pub(crate) use raft::{RaftOptions, Started, StoredEntry, start};

use crate::ids::{ReplicaKey, Voter};
use crate::peer::{Kind, Refusal};

/// A member of the quorum, or a node that waits to become one.
#[async_trait]
pub(crate) trait Quorum: Send + Sync + std::fmt::Debug {
    /// Appends an entry here, and waits until it is committed and applied here. Dropping the future
    /// does not take the entry back.
    async fn propose(&self, entry: Bytes) -> Result<(), QuorumError>;

    /// Confirms, by an exchange with the quorum that begins after the call, that this node leads.
    /// Gives the index up to where all that was committed before the call stands.
    async fn confirm(&self) -> Result<u64, QuorumError>;

    /// Answers what another member asks in the course of Raft, for itself.
    async fn answer(&self, from: ReplicaKey, kind: Kind, request: Bytes) -> Result<Bytes, Refusal>;

    /// Makes a quorum of `voters`, unless this node has already been in one, or is not among them.
    async fn initialise(&self, voters: &[Voter]) -> Result<(), QuorumError>;

    /// Whether this node has been in a quorum.
    async fn is_initialised(&self) -> Result<bool, QuorumError>;

    /// Takes a node into the quorum: first it catches up, then it votes.
    async fn add_voter(&self, voter: Voter) -> Result<(), QuorumError>;

    /// Takes a node out of the quorum.
    async fn remove_voter(&self, key: ReplicaKey) -> Result<(), QuorumError>;

    /// Who is in the quorum and how far, as far as this node knows.
    fn describe(&self) -> MemberView;

    /// What keeps the member in order beside Raft itself; never ends.
    async fn tend(&self);

    /// Completes, with the reason, once this member cannot go on.
    async fn failed(&self) -> String;

    /// Stops the member and waits until it has let go of its files.
    async fn stop(&self);
}

/// Who leads, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// The newest term known.
    pub(crate) term: u64,
    /// Its leader, if there is one.
    pub(crate) leader: Option<Voter>,
}

/// What a member knows of the quorum.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberView {
    /// Who leads.
    pub(crate) leadership: Leadership,
    /// The newest index known here to be committed.
    pub(crate) committed: u64,
    /// The members; how far they are only the leader knows.
    pub(crate) members: Vec<Progress>,
    /// Who of them votes.
    pub(crate) voters: BTreeSet<ReplicaKey>,
}

/// How far a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Which.
    pub(crate) replica: Voter,
    /// The last index that it is known to have.
    pub(crate) last: Option<u64>,
    /// How long ago it was last heard of.
    pub(crate) heard: Option<Duration>,
    /// How long ago it last had all there was.
    pub(crate) caught_up: Option<Duration>,
}

/// A call on the quorum failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuorumError {
    /// Another node leads, or none. Nothing was done.
    #[error("this node does not lead the quorum (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as it is known.
        leader: Option<Voter>,
    },
    /// It cannot be done. Nothing was done.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done yet. Nothing was done.
    #[error("{0}")]
    NotYet(String),
    /// It may have been done, or may be yet, or never.
    #[error("{0}")]
    Unknown(String),
}

impl From<QuorumError> for Refusal {
    fn from(error: QuorumError) -> Self {
        match error {
            QuorumError::NotLeader { leader } => Self::not_leader(leader),
            QuorumError::Refused(reason) => Self::invalid(reason),
            QuorumError::NotYet(reason) => Self::not_yet(reason),
            QuorumError::Unknown(reason) => Self::failed(reason),
        }
    }
}
