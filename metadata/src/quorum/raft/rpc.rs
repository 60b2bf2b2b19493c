//! What members ask each other in the course of Raft, as protobuf. Entries go as they are stored.

use bytes::Bytes;
use odradek_common::limits::{METADATA_SNAPSHOT_BYTES, QUORUM_NUMBER_MAX, QUORUM_TERM_STEP};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest, VoteResponse,
};
use prost::Message;

use super::codec::{self, LogIdRecord, VoteRecord};
use super::{Config, Entry, LogId, NodeId, Vote};
use crate::quorum::bundle::{join, split};
use crate::wire::DecodeError;

const MESSAGE: &str = "a Raft message";

#[derive(Clone, PartialEq, Message)]
struct AppendMessage {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
    #[prost(message, optional, tag = "2")]
    previous: Option<LogIdRecord>,
    #[prost(message, optional, tag = "3")]
    committed: Option<LogIdRecord>,
    #[prost(bytes = "bytes", tag = "4")]
    entries: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct AppendAnswer {
    /// 1: all of it; 2: up to `matching`; 3: another entry lies before; 4: there is a higher vote.
    #[prost(uint32, tag = "1")]
    outcome: u32,
    #[prost(message, optional, tag = "2")]
    matching: Option<LogIdRecord>,
    #[prost(message, optional, tag = "3")]
    vote: Option<VoteRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct VoteMessage {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
    #[prost(message, optional, tag = "2")]
    last: Option<LogIdRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct VoteAnswer {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
    #[prost(bool, tag = "2")]
    granted: bool,
    #[prost(message, optional, tag = "3")]
    last: Option<LogIdRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct SnapshotMessage {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
    #[prost(bytes = "bytes", tag = "2")]
    meta: Bytes,
    #[prost(uint64, tag = "3")]
    offset: u64,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
    #[prost(bool, tag = "5")]
    done: bool,
}

#[derive(Clone, PartialEq, Message)]
struct SnapshotAnswer {
    /// None if the receiver lacks what comes before: the sender begins again.
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteRecord>,
}

pub(super) fn encode_append(request: &AppendEntriesRequest<Config>) -> Bytes {
    let message = AppendMessage {
        vote: Some((&request.vote).into()),
        previous: request.prev_log_id.map(LogIdRecord::from),
        committed: request.leader_commit.map(LogIdRecord::from),
        entries: join(request.entries.iter().map(codec::encode_entry)),
    };
    message.encode_to_vec().into()
}

pub(super) fn decode_append(bytes: Bytes) -> Result<AppendEntriesRequest<Config>, DecodeError> {
    let message: AppendMessage = codec::decode("an append", bytes)?;
    let vote = vote(message.vote)?;
    let previous = log_id(message.previous, &vote)?;
    let entries = split(message.entries)?.into_iter().map(codec::decode_entry);
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
    check_order(previous, &entries)?;
    check_log_id(entries.last().map(|entry| entry.log_id), &vote)?;
    let committed = log_id(message.committed, &vote)?;
    Ok(AppendEntriesRequest { vote, prev_log_id: previous, leader_commit: committed, entries })
}

/// A vote and what it says were told by a node whose term may be any that can be; `known` is ours.
/// openraft counts on from a term that it is told, and would stop where numbers end.
pub(super) fn check_term(vote: &Vote, known: u64) -> Result<(), DecodeError> {
    let term = vote.leader_id.term;
    if term > known.saturating_add(QUORUM_TERM_STEP).min(QUORUM_NUMBER_MAX) {
        return Err(DecodeError::damaged(MESSAGE, format!("its term {term} cannot be")));
    }
    Ok(())
}

fn log_id(record: Option<LogIdRecord>, vote: &Vote) -> Result<Option<LogId>, DecodeError> {
    let id = record.map(LogId::from);
    check_log_id(id, vote)?;
    Ok(id)
}

/// No log has entries of a later term than its owner is in.
fn check_log_id(id: Option<LogId>, vote: &Vote) -> Result<(), DecodeError> {
    let fits =
        |id: LogId| id.leader_id.term <= vote.leader_id.term && id.index <= QUORUM_NUMBER_MAX;
    if id.is_none_or(fits) {
        return Ok(());
    }
    Err(DecodeError::damaged(MESSAGE, "it names an entry that cannot be"))
}

/// openraft takes it for granted that entries follow each other.
fn check_order(previous: Option<LogId>, entries: &[Entry]) -> Result<(), DecodeError> {
    let mut before = previous;
    for entry in entries {
        let id = entry.log_id;
        let next = before.map_or(Some(0), |before| before.index.checked_add(1));
        if Some(id.index) != next || before.is_some_and(|before| id < before) {
            return Err(DecodeError::damaged("an append", "its entries do not follow each other"));
        }
        before = Some(id);
    }
    Ok(())
}

pub(super) fn encode_append_answer(answer: &AppendEntriesResponse<NodeId>) -> Bytes {
    let answer = match answer {
        AppendEntriesResponse::Success => AppendAnswer { outcome: 1, ..Default::default() },
        AppendEntriesResponse::PartialSuccess(matching) => {
            AppendAnswer { outcome: 2, matching: matching.map(LogIdRecord::from), vote: None }
        }
        AppendEntriesResponse::Conflict => AppendAnswer { outcome: 3, ..Default::default() },
        AppendEntriesResponse::HigherVote(vote) => {
            AppendAnswer { outcome: 4, matching: None, vote: Some(vote.into()) }
        }
    };
    answer.encode_to_vec().into()
}

/// The answer to an append up to `reaches`, by a node in the term `known`.
pub(super) fn decode_append_answer(
    bytes: Bytes,
    reaches: Option<LogId>,
    known: u64,
) -> Result<AppendEntriesResponse<NodeId>, DecodeError> {
    const WHAT: &str = "the answer to an append";
    let answer: AppendAnswer = codec::decode(WHAT, bytes)?;
    match answer.outcome {
        1 => Ok(AppendEntriesResponse::Success),
        2 => {
            let matching = answer.matching.map(LogId::from);
            if matching > reaches {
                return Err(DecodeError::damaged(WHAT, "it has more than was sent"));
            }
            Ok(AppendEntriesResponse::PartialSuccess(matching))
        }
        3 => Ok(AppendEntriesResponse::Conflict),
        4 => {
            let vote = vote(answer.vote)?;
            check_term(&vote, known)?;
            Ok(AppendEntriesResponse::HigherVote(vote))
        }
        _ => Err(DecodeError::damaged(WHAT, "its outcome is not known")),
    }
}

pub(super) fn encode_vote(request: &VoteRequest<NodeId>) -> Bytes {
    let last = request.last_log_id.map(LogIdRecord::from);
    VoteMessage { vote: Some((&request.vote).into()), last }.encode_to_vec().into()
}

pub(super) fn decode_vote(bytes: Bytes) -> Result<VoteRequest<NodeId>, DecodeError> {
    let message: VoteMessage = codec::decode("a request for a vote", bytes)?;
    let vote = vote(message.vote)?;
    let last = log_id(message.last, &vote)?;
    Ok(VoteRequest::new(vote, last))
}

pub(super) fn encode_vote_answer(answer: &VoteResponse<NodeId>) -> Bytes {
    let last = answer.last_log_id.map(LogIdRecord::from);
    let (vote, granted) = (Some((&answer.vote).into()), answer.vote_granted);
    VoteAnswer { vote, granted, last }.encode_to_vec().into()
}

pub(super) fn decode_vote_answer(
    bytes: Bytes,
    known: u64,
) -> Result<VoteResponse<NodeId>, DecodeError> {
    let answer: VoteAnswer = codec::decode("a vote", bytes)?;
    let vote = vote(answer.vote)?;
    check_term(&vote, known)?;
    let last = log_id(answer.last, &vote)?;
    Ok(VoteResponse::new(vote, last, answer.granted))
}

pub(super) fn encode_snapshot(request: InstallSnapshotRequest<Config>) -> Bytes {
    let message = SnapshotMessage {
        vote: Some((&request.vote).into()),
        meta: codec::encode_meta(&request.meta).into(),
        offset: request.offset,
        data: request.data,
        done: request.done,
    };
    message.encode_to_vec().into()
}

pub(super) fn decode_snapshot(bytes: Bytes) -> Result<InstallSnapshotRequest<Config>, DecodeError> {
    const WHAT: &str = "a piece of a snapshot";
    let message: SnapshotMessage = codec::decode(WHAT, bytes)?;
    let end = message.offset.checked_add(message.data.len() as u64);
    if end.is_none_or(|end| end > METADATA_SNAPSHOT_BYTES) {
        return Err(DecodeError::damaged(WHAT, "the snapshot is too long"));
    }
    let vote = vote(message.vote)?;
    let meta = codec::decode_meta(message.meta)?;
    check_log_id(meta.last_log_id, &vote)?;
    Ok(InstallSnapshotRequest {
        vote,
        meta,
        offset: message.offset,
        data: message.data,
        done: message.done,
    })
}

pub(super) fn encode_snapshot_answer(vote: Option<&Vote>) -> Bytes {
    SnapshotAnswer { vote: vote.map(VoteRecord::from) }.encode_to_vec().into()
}

pub(super) fn decode_snapshot_answer(
    bytes: Bytes,
    known: u64,
) -> Result<Option<Vote>, DecodeError> {
    let answer: SnapshotAnswer = codec::decode("the answer to a piece of a snapshot", bytes)?;
    let vote = answer.vote.map(Vote::from);
    vote.as_ref().map_or(Ok(()), |vote| check_term(vote, known))?;
    Ok(vote)
}

fn vote(record: Option<VoteRecord>) -> Result<Vote, DecodeError> {
    record.map(Vote::from).ok_or_else(|| DecodeError::damaged(MESSAGE, "it has no vote"))
}
