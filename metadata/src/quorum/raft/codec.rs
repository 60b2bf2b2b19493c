//! What openraft gives us to keep, as versioned protobuf.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::{EmptyNode, EntryPayload, LeaderId, SnapshotMeta, StoredMembership};
use prost::{Message, Oneof};

use super::{Entry, LogId, Membership, NodeId, Proposal, Vote};
use crate::wire::{DecodeError, check_version};

const VERSION: u32 = 1;

#[derive(Clone, Copy, PartialEq, Message)]
struct LogIdRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
}

#[derive(Clone, PartialEq, Message)]
struct VoteRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(uint64, tag = "3")]
    node: u64,
    #[prost(bool, tag = "4")]
    committed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct VotersRecord {
    #[prost(uint64, repeated, tag = "1")]
    nodes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct MembershipRecord {
    /// One set of voters, two while they change.
    #[prost(message, repeated, tag = "1")]
    voters: Vec<VotersRecord>,
    /// Voters and learners.
    #[prost(uint64, repeated, tag = "2")]
    nodes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "2")]
    id: Option<LogIdRecord>,
    #[prost(oneof = "PayloadRecord", tags = "3, 4, 5")]
    payload: Option<PayloadRecord>,
}

#[derive(Clone, PartialEq, Oneof)]
enum PayloadRecord {
    #[prost(bool, tag = "3")]
    Blank(bool),
    #[prost(bytes = "bytes", tag = "4")]
    Commands(Bytes),
    #[prost(message, tag = "5")]
    Membership(MembershipRecord),
}

#[derive(Clone, PartialEq, Message)]
struct SnapshotMetaRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "2")]
    last: Option<LogIdRecord>,
    #[prost(message, optional, tag = "3")]
    membership_at: Option<LogIdRecord>,
    #[prost(message, optional, tag = "4")]
    membership: Option<MembershipRecord>,
    #[prost(string, tag = "5")]
    id: String,
}

impl From<&LogId> for LogIdRecord {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(record: LogIdRecord) -> Self {
        Self::new(LeaderId::new(record.term, record.node), record.index)
    }
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        let voters = |set: &BTreeSet<NodeId>| VotersRecord { nodes: set.iter().copied().collect() };
        Self {
            voters: membership.get_joint_config().iter().map(voters).collect(),
            nodes: membership.nodes().map(|(id, _)| *id).collect(),
        }
    }
}

impl From<MembershipRecord> for Membership {
    fn from(record: MembershipRecord) -> Self {
        let voters = record.voters.into_iter().map(|set| set.nodes.into_iter().collect());
        let nodes: BTreeMap<_, _> = record.nodes.into_iter().map(|id| (id, EmptyNode {})).collect();
        Self::new(voters.collect(), nodes)
    }
}

pub(super) fn encode_log_id(id: &LogId) -> Vec<u8> {
    LogIdRecord::from(id).encode_to_vec()
}

pub(super) fn decode_log_id(bytes: &[u8]) -> Result<LogId, DecodeError> {
    Ok(decode::<LogIdRecord>("a log id", bytes)?.into())
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let LeaderId { term, node_id: node } = vote.leader_id;
    VoteRecord { version: VERSION, term, node, committed: vote.committed }.encode_to_vec()
}

pub(super) fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    const WHAT: &str = "a Raft vote";
    let record: VoteRecord = decode(WHAT, bytes)?;
    check_version(WHAT, record.version, VERSION)?;
    Ok(Vote { leader_id: LeaderId::new(record.term, record.node), committed: record.committed })
}

pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let payload = match &entry.payload {
        EntryPayload::Blank => PayloadRecord::Blank(true),
        EntryPayload::Normal(Proposal(commands)) => PayloadRecord::Commands(commands.clone()),
        EntryPayload::Membership(membership) => PayloadRecord::Membership(membership.into()),
    };
    let id = Some((&entry.log_id).into());
    EntryRecord { version: VERSION, id, payload: Some(payload) }.encode_to_vec()
}

pub(super) fn decode_entry(bytes: Vec<u8>) -> Result<Entry, DecodeError> {
    const WHAT: &str = "an entry of the Raft log";
    let record: EntryRecord = decode(WHAT, Bytes::from(bytes))?;
    check_version(WHAT, record.version, VERSION)?;
    let (Some(id), Some(payload)) = (record.id, record.payload) else {
        return Err(DecodeError::damaged(WHAT, "it has no id or no payload"));
    };
    let payload = match payload {
        PayloadRecord::Blank(_) => EntryPayload::Blank,
        PayloadRecord::Commands(commands) => EntryPayload::Normal(Proposal(commands)),
        PayloadRecord::Membership(membership) => EntryPayload::Membership(membership.into()),
    };
    Ok(Entry { log_id: id.into(), payload })
}

pub(super) fn encode_meta(meta: &SnapshotMeta<NodeId, EmptyNode>) -> Vec<u8> {
    SnapshotMetaRecord {
        version: VERSION,
        last: meta.last_log_id.as_ref().map(LogIdRecord::from),
        membership_at: meta.last_membership.log_id().as_ref().map(LogIdRecord::from),
        membership: Some(meta.last_membership.membership().into()),
        id: meta.snapshot_id.clone(),
    }
    .encode_to_vec()
}

pub(super) fn decode_meta(bytes: &[u8]) -> Result<SnapshotMeta<NodeId, EmptyNode>, DecodeError> {
    const WHAT: &str = "the description of a snapshot";
    let record: SnapshotMetaRecord = decode(WHAT, bytes)?;
    check_version(WHAT, record.version, VERSION)?;
    let membership = record.membership.map(Membership::from).unwrap_or_default();
    let membership = StoredMembership::new(record.membership_at.map(LogId::from), membership);
    Ok(SnapshotMeta {
        last_log_id: record.last.map(LogId::from),
        last_membership: membership,
        snapshot_id: record.id,
    })
}

fn decode<M: Message + Default>(
    what: &'static str,
    bytes: impl bytes::Buf,
) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|error| DecodeError::damaged(what, error))
}
