//! The quorum that puts proposals in order, as the rest of the crate sees it. Whatever implements
//! Raft stays behind this trait.

mod raft;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::ids::BrokerId;

pub(crate) use raft::{RaftOptions, start};

use crate::machine::Judged;

/// A member of the quorum.
#[async_trait]
pub(crate) trait Quorum: Send + Sync + std::fmt::Debug {
    /// Appends an entry, waits until it is committed and applied here, and gives what became of
    /// each of its commands. Dropping the future does not take the entry back.
    async fn propose(&self, entry: Bytes) -> Result<Vec<Judged>, QuorumError>;

    /// Confirms, by an exchange with the quorum that begins after the call, that this node leads,
    /// and waits until all that was committed before the call is applied here. Gives its index.
    async fn confirm_leader(&self) -> Result<u64, QuorumError>;

    /// Whether this node led when it last looked. Good for metrics, not for decisions.
    fn is_leader(&self) -> bool;

    /// Completes, with the reason, once this member cannot go on.
    async fn failed(&self) -> String;

    /// Stops the member and waits until it has let go of its files.
    async fn stop(&self);
}

/// A call on the quorum failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuorumError {
    /// Another node leads, or none. Nothing was appended.
    #[error("this node does not lead the quorum (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as it is known.
        leader: Option<BrokerId>,
    },
    /// The member stopped. What it was asked may have happened or may yet happen.
    #[error("the quorum member stopped: {0}")]
    Stopped(String),
}
