//! How nodes talk about the metadata, over the CONTROLLER listeners: one connection for each node
//! that is called, requests on it side by side, each with a deadline.
//!
//! A connection begins with a [hello](hello): who speaks, who is meant, which cluster, which version.
//! Then frames follow: a length (u32, big-endian) and a [`messages::Frame`]. What is asked and
//! answered is opaque here: [`Kind`] says what it is, [`Answers`] answers it.

mod connection;
mod frame;
mod hello;
mod messages;
mod peers;
mod secret;
mod server;
mod strangers;
#[cfg(test)]
pub(crate) mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use hello::Introduction;
pub(crate) use messages::{Refusal, RefusalCode, ReplicaKeyRecord, VoterRecord};
pub(crate) use peers::{Peers, Target};
pub use secret::PeerSecret;
pub(crate) use server::PeerServer;

use crate::ids::ReplicaKey;

/// What a request is about. Numbers are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Entries for a member's log, or a leader's sign of life.
    Append,
    /// An election.
    Vote,
    /// A piece of a snapshot for a member.
    Snapshot,
    /// Commands for the leader to put into its log.
    Propose,
    /// A confirmed read: up to where has the quorum committed?
    Confirm,
    /// What is committed after an index, for a node that is not a member.
    Follow,
    /// Who is in the quorum and how far.
    Describe,
    /// A node becomes a voter.
    AddVoter,
    /// A voter leaves.
    RemoveVoter,
    /// A broker lives.
    Heartbeat,
    /// Tell when all up to an index is copied into the store.
    Copied,
}

impl Kind {
    const ALL: [(Self, u32); 11] = [
        (Self::Append, 1),
        (Self::Vote, 2),
        (Self::Snapshot, 3),
        (Self::Propose, 4),
        (Self::Confirm, 5),
        (Self::Follow, 6),
        (Self::Describe, 7),
        (Self::AddVoter, 8),
        (Self::RemoveVoter, 9),
        (Self::Heartbeat, 10),
        (Self::Copied, 11),
    ];

    fn number(self) -> u32 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, number)| *number)
    }

    fn of(number: u32) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == number).map(|(kind, _)| *kind)
    }
}

/// Answers what other nodes ask.
#[async_trait]
pub(crate) trait Answers: Send + Sync + std::fmt::Debug {
    /// The answer, or why there is none. Dropped when the asker's connection ends.
    async fn answer(&self, from: ReplicaKey, kind: Kind, request: Bytes)
    -> Result<Answer, Refusal>;

    /// A connection of this node has ended.
    fn left(&self, from: ReplicaKey);
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What is answered.
    pub(crate) bytes: Bytes,
    /// The room that a large one takes, until it is sent.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl From<Bytes> for Answer {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, room: None }
    }
}

/// A call that has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request was not sent.
    #[error("{0}")]
    NotSent(String),
    /// It may have been sent, and may have been done.
    #[error("{0}")]
    Lost(String),
    /// The other node says no.
    #[error("{0}")]
    Refused(Refusal),
}
