//! The protobuf messages of a connection.

use bytes::Bytes;
use odradek_common::ids::BrokerId;
use prost::Message;
use uuid::Uuid;

use crate::ids::{DirectoryId, Endpoint, ReplicaKey, Voter};

/// The first message of each side.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Greeting {
    /// [`super::hello::MAGIC`].
    #[prost(fixed64, tag = "1")]
    pub magic: u64,
    /// Random bytes for this connection alone: [`super::secret::NONCE_BYTES`] of them.
    #[prost(bytes = "vec", tag = "2")]
    pub nonce: Vec<u8>,
}

/// The second message of each side.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Hello {
    /// The newest version that the caller speaks; in the answer the one that is spoken.
    #[prost(uint32, tag = "2")]
    pub version: u32,
    /// The cluster; empty as long as it is not known.
    #[prost(string, tag = "3")]
    pub cluster: String,
    /// Who speaks.
    #[prost(message, optional, tag = "4")]
    pub from: Option<ReplicaKeyRecord>,
    /// The node id of who is called.
    #[prost(int32, tag = "5")]
    pub to: i32,
    /// In an answer: why the caller is refused. Empty if it is not.
    #[prost(string, tag = "6")]
    pub refused: String,
    /// That the speaker knows the secret of the cluster's nodes; empty where they have none, and in a refusal.
    #[prost(bytes = "vec", tag = "7")]
    pub proof: Vec<u8>,
}

/// A request, an answer, or a sign of life (neither `kind` nor `correlation`).
#[derive(Clone, PartialEq, Message)]
pub(super) struct Frame {
    /// Chosen by the caller, repeated in the answer; from 1 on.
    #[prost(uint64, tag = "1")]
    pub correlation: u64,
    /// Of a request: what it is about.
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    /// The request or the answer.
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
    /// In place of an answer.
    #[prost(message, optional, tag = "4")]
    pub refusal: Option<RefusalRecord>,
}

/// A node with its data directory.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ReplicaKeyRecord {
    #[prost(int32, tag = "1")]
    node: i32,
    #[prost(fixed64, tag = "2")]
    directory_high: u64,
    #[prost(fixed64, tag = "3")]
    directory_low: u64,
}

/// A member of the quorum and where it is reached.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VoterRecord {
    #[prost(message, optional, tag = "1")]
    key: Option<ReplicaKeyRecord>,
    #[prost(string, tag = "2")]
    host: String,
    #[prost(uint32, tag = "3")]
    port: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RefusalRecord {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(message, optional, tag = "3")]
    leader: Option<VoterRecord>,
}

/// Why a node does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refusal {
    /// For the caller to decide by.
    pub(crate) code: RefusalCode,
    /// For people.
    pub(crate) reason: String,
    /// Who leads the quorum, if another does.
    pub(crate) leader: Option<Voter>,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalCode {
    /// Another node leads, or none. Nothing was done.
    NotLeader,
    /// The request makes no sense, or is of a newer build. Nothing was done.
    Invalid,
    /// It failed, or may have been done or not.
    Failed,
    /// It makes sense, but cannot be done yet. Nothing was done.
    NotYet,
}

impl Refusal {
    pub(crate) fn invalid(reason: impl ToString) -> Self {
        Self { code: RefusalCode::Invalid, reason: reason.to_string(), leader: None }
    }

    pub(crate) fn not_yet(reason: impl ToString) -> Self {
        Self { code: RefusalCode::NotYet, reason: reason.to_string(), leader: None }
    }

    pub(crate) fn failed(reason: impl ToString) -> Self {
        Self { code: RefusalCode::Failed, reason: reason.to_string(), leader: None }
    }

    pub(crate) fn not_leader(leader: Option<Voter>) -> Self {
        let reason = match &leader {
            Some(leader) => format!("{} leads the quorum", leader.key),
            None => "no leader of the quorum is known".to_owned(),
        };
        Self { code: RefusalCode::NotLeader, reason, leader }
    }
}

impl From<ReplicaKey> for ReplicaKeyRecord {
    fn from(key: ReplicaKey) -> Self {
        let (directory_high, directory_low) = key.directory.0.as_u64_pair();
        Self { node: key.node.0, directory_high, directory_low }
    }
}

impl From<ReplicaKeyRecord> for ReplicaKey {
    fn from(record: ReplicaKeyRecord) -> Self {
        let directory = Uuid::from_u64_pair(record.directory_high, record.directory_low);
        Self { node: BrokerId(record.node), directory: DirectoryId(directory) }
    }
}

impl From<&Voter> for VoterRecord {
    fn from(voter: &Voter) -> Self {
        let Endpoint { host, port } = voter.endpoint.clone();
        Self { key: Some(voter.key.into()), host, port: u32::from(port) }
    }
}

impl VoterRecord {
    /// The voter, if it is one.
    pub(crate) fn voter(self) -> Option<Voter> {
        let endpoint = Endpoint { host: self.host, port: u16::try_from(self.port).ok()? };
        Some(Voter { key: self.key?.into(), endpoint })
    }
}

impl From<&Refusal> for RefusalRecord {
    fn from(refusal: &Refusal) -> Self {
        let code = match refusal.code {
            RefusalCode::NotLeader => 1,
            RefusalCode::Invalid => 2,
            RefusalCode::Failed => 3,
            RefusalCode::NotYet => 4,
        };
        let leader = refusal.leader.as_ref().map(VoterRecord::from);
        Self { code, reason: refusal.reason.clone(), leader }
    }
}

impl From<RefusalRecord> for Refusal {
    fn from(record: RefusalRecord) -> Self {
        let code = match record.code {
            1 => RefusalCode::NotLeader,
            2 => RefusalCode::Invalid,
            4 => RefusalCode::NotYet,
            // What is not known may mean that something was done.
            _ => RefusalCode::Failed,
        };
        Self { code, reason: record.reason, leader: record.leader.and_then(VoterRecord::voter) }
    }
}
