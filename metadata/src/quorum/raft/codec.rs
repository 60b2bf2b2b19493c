//! What openraft gives us to keep and to send, as versioned protobuf.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use odradek_common::limits::METADATA_MEMBERSHIP_BYTES;
use openraft::{EntryPayload, LeaderId, SnapshotMeta, StoredMembership};
use prost::{Message, Oneof};

use super::{Entry, LogId, Membership, NodeId, Proposal, Vote};
use crate::ids::Endpoint;
use crate::peer::ReplicaKeyRecord;
use crate::wire::{DecodeError, check_version};

const VERSION: u32 = 1;

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct LogIdRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    leader: Option<ReplicaKeyRecord>,
    #[prost(uint64, tag = "3")]
    index: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct VoteRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(message, optional, tag = "3")]
    node: Option<ReplicaKeyRecord>,
    #[prost(bool, tag = "4")]
    committed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct VotersRecord {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<ReplicaKeyRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct MemberRecord {
    #[prost(message, optional, tag = "1")]
    node: Option<ReplicaKeyRecord>,
    #[prost(string, tag = "2")]
    host: String,
    #[prost(uint32, tag = "3")]
    port: u32,
}

#[derive(Clone, PartialEq, Message)]
struct MembershipRecord {
    /// One set of voters, two while they change.
    #[prost(message, repeated, tag = "1")]
    voters: Vec<VotersRecord>,
    /// Voters and learners.
    #[prost(message, repeated, tag = "2")]
    members: Vec<MemberRecord>,
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
    /// A [`MembershipRecord`], whose length is looked at before it is decoded.
    #[prost(bytes = "bytes", tag = "5")]
    Membership(Bytes),
}

#[derive(Clone, PartialEq, Message)]
struct SnapshotMetaRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "2")]
    last: Option<LogIdRecord>,
    #[prost(message, optional, tag = "3")]
    membership_at: Option<LogIdRecord>,
    #[prost(bytes = "bytes", tag = "4")]
    membership: Bytes,
    #[prost(string, tag = "5")]
    id: String,
}

fn node(record: Option<ReplicaKeyRecord>) -> NodeId {
    record.map(NodeId::from).unwrap_or_default()
}

impl From<LogId> for LogIdRecord {
    fn from(id: LogId) -> Self {
        let leader = Some(id.leader_id.node_id.into());
        Self { term: id.leader_id.term, leader, index: id.index }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(record: LogIdRecord) -> Self {
        Self::new(LeaderId::new(record.term, node(record.leader)), record.index)
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        let LeaderId { term, node_id } = vote.leader_id;
        let committed = vote.committed;
        Self { version: VERSION, term, node: Some(node_id.into()), committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        let leader_id = LeaderId::new(record.term, node(record.node));
        Self { leader_id, committed: record.committed }
    }
}

fn encode_membership(membership: &Membership) -> Bytes {
    let voters = |set: &BTreeSet<NodeId>| VotersRecord {
        nodes: set.iter().copied().map(ReplicaKeyRecord::from).collect(),
    };
    let member = |(key, endpoint): (&NodeId, &Endpoint)| MemberRecord {
        node: Some((*key).into()),
        host: endpoint.host.clone(),
        port: u32::from(endpoint.port),
    };
    let record = MembershipRecord {
        voters: membership.get_joint_config().iter().map(voters).collect(),
        members: membership.nodes().map(member).collect(),
    };
    record.encode_to_vec().into()
}

fn decode_membership(bytes: Bytes) -> Result<Membership, DecodeError> {
    const WHAT: &str = "the members of the quorum";
    if bytes.len() > METADATA_MEMBERSHIP_BYTES {
        return Err(DecodeError::damaged(WHAT, "they are too many"));
    }
    let record: MembershipRecord = decode(WHAT, bytes)?;
    let voters = |set: VotersRecord| set.nodes.into_iter().map(NodeId::from).collect();
    let voters: Vec<BTreeSet<NodeId>> = record.voters.into_iter().map(voters).collect();
    let mut members = BTreeMap::new();
    for member in record.members {
        let port = u16::try_from(member.port);
        let port = port.map_err(|_| DecodeError::damaged(WHAT, "a port is out of range"))?;
        members.insert(node(member.node), Endpoint { host: member.host, port });
    }
    if voters.iter().flatten().any(|voter| !members.contains_key(voter)) {
        return Err(DecodeError::damaged(WHAT, "a voter has no address"));
    }
    Ok(Membership::new(voters, members))
}

pub(super) fn encode_log_id(id: LogId) -> Vec<u8> {
    LogIdRecord::from(id).encode_to_vec()
}

pub(super) fn decode_log_id(bytes: &[u8]) -> Result<LogId, DecodeError> {
    Ok(decode::<LogIdRecord>("a log id", bytes)?.into())
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    VoteRecord::from(vote).encode_to_vec()
}

pub(super) fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    const WHAT: &str = "a Raft vote";
    let record: VoteRecord = decode(WHAT, bytes)?;
    check_version(WHAT, record.version, VERSION)?;
    Ok(record.into())
}

pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let payload = match &entry.payload {
        EntryPayload::Blank => PayloadRecord::Blank(true),
        EntryPayload::Normal(Proposal { commands, .. }) => {
            PayloadRecord::Commands(commands.clone())
        }
        EntryPayload::Membership(membership) => {
            PayloadRecord::Membership(encode_membership(membership))
        }
    };
    let id = Some(entry.log_id.into());
    EntryRecord { version: VERSION, id, payload: Some(payload) }.encode_to_vec()
}

pub(super) fn decode_entry(bytes: Bytes) -> Result<Entry, DecodeError> {
    const WHAT: &str = "an entry of the Raft log";
    let record: EntryRecord = decode(WHAT, bytes)?;
    check_version(WHAT, record.version, VERSION)?;
    let (Some(id), Some(payload)) = (record.id, record.payload) else {
        return Err(DecodeError::damaged(WHAT, "it has no id or no payload"));
    };
    let payload = match payload {
        PayloadRecord::Blank(_) => EntryPayload::Blank,
        PayloadRecord::Commands(commands) => EntryPayload::Normal(Proposal::new(commands)),
        PayloadRecord::Membership(bytes) => EntryPayload::Membership(decode_membership(bytes)?),
    };
    Ok(Entry { log_id: id.into(), payload })
}

pub(super) fn encode_meta(meta: &SnapshotMeta<NodeId, Endpoint>) -> Vec<u8> {
    SnapshotMetaRecord {
        version: VERSION,
        last: meta.last_log_id.map(LogIdRecord::from),
        membership_at: meta.last_membership.log_id().map(LogIdRecord::from),
        membership: encode_membership(meta.last_membership.membership()),
        id: meta.snapshot_id.clone(),
    }
    .encode_to_vec()
}

pub(super) fn decode_meta(
    bytes: impl bytes::Buf,
) -> Result<SnapshotMeta<NodeId, Endpoint>, DecodeError> {
    const WHAT: &str = "the description of a snapshot";
    let record: SnapshotMetaRecord = decode(WHAT, bytes)?;
    check_version(WHAT, record.version, VERSION)?;
    let membership = decode_membership(record.membership)?;
    let membership = StoredMembership::new(record.membership_at.map(LogId::from), membership);
    Ok(SnapshotMeta {
        last_log_id: record.last.map(LogId::from),
        last_membership: membership,
        snapshot_id: record.id,
    })
}

pub(super) fn decode<M: Message + Default>(
    what: &'static str,
    bytes: impl bytes::Buf,
) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|error| DecodeError::damaged(what, error))
}
