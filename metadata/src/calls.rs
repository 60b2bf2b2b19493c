//! What nodes ask of the leader, and of any member, beside what Raft itself does: protobuf.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::limits::METADATA_MEMBERSHIP_BYTES;
use prost::Message;

use crate::ids::{ReplicaKey, Voter};
use crate::peer::{Refusal, ReplicaKeyRecord, VoterRecord};
use crate::quorum::{Leadership, MemberView, Progress};

/// The answer to a confirmation.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Confirmed {
    /// All that was committed before is at or below this index.
    #[prost(uint64, tag = "1")]
    pub(crate) index: u64,
}

/// What a follower wants.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FollowRequest {
    /// The index of the entry that it needs next.
    #[prost(uint64, tag = "1")]
    pub(crate) next: u64,
    /// It has the beginning of the snapshot at this index ...
    #[prost(uint64, optional, tag = "2")]
    pub(crate) snapshot: Option<u64>,
    /// ... up to this byte.
    #[prost(uint64, tag = "3")]
    pub(crate) snapshot_offset: u64,
}

/// What there is for it: entries, a piece of a snapshot, or nothing yet.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FollowAnswer {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    leader: Option<VoterRecord>,
    /// Stored entries, as [`crate::quorum::bundle`] puts them together.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) entries: Bytes,
    /// The index of the snapshot.
    #[prost(uint64, optional, tag = "4")]
    pub(crate) snapshot: Option<u64>,
    /// Bytes of its file.
    #[prost(uint64, tag = "5")]
    pub(crate) snapshot_bytes: u64,
    /// Where in it the piece begins.
    #[prost(uint64, tag = "6")]
    pub(crate) snapshot_offset: u64,
    /// The piece.
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) piece: Bytes,
}

impl FollowAnswer {
    /// Nothing, but who leads.
    pub(crate) fn of(leadership: &Leadership) -> Self {
        let leader = leadership.leader.as_ref().map(VoterRecord::from);
        Self { term: leadership.term, leader, ..Self::default() }
    }

    /// Who leads.
    pub(crate) fn leadership(&self) -> Leadership {
        let leader = self.leader.clone().and_then(VoterRecord::voter);
        Leadership { term: self.term, leader }
    }
}

/// What is to be copied.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct CopiedRequest {
    /// All up to this index.
    #[prost(uint64, tag = "1")]
    pub(crate) index: u64,
}

/// A voter to be.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AddVoterRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) voter: Option<VoterRecord>,
}

/// A voter to be no more.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct RemoveVoterRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) key: Option<ReplicaKeyRecord>,
}

/// What a member knows of the quorum, and of who follows it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DescribeAnswer {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    leader: Option<VoterRecord>,
    #[prost(uint64, tag = "3")]
    committed: u64,
    #[prost(message, repeated, tag = "4")]
    members: Vec<ProgressRecord>,
    #[prost(message, repeated, tag = "5")]
    followers: Vec<ProgressRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct ProgressRecord {
    #[prost(message, optional, tag = "1")]
    replica: Option<VoterRecord>,
    #[prost(bool, tag = "2")]
    votes: bool,
    #[prost(uint64, optional, tag = "3")]
    last: Option<u64>,
    /// Milliseconds ago.
    #[prost(uint64, optional, tag = "4")]
    heard: Option<u64>,
    /// Milliseconds ago.
    #[prost(uint64, optional, tag = "5")]
    caught_up: Option<u64>,
}

impl DescribeAnswer {
    /// What is known, and who follows.
    pub(crate) fn new(view: &MemberView, followers: &[Progress]) -> Self {
        let member =
            |one: &Progress| ProgressRecord::new(one, view.voters.contains(&one.replica.key));
        Self {
            term: view.leadership.term,
            leader: view.leadership.leader.as_ref().map(VoterRecord::from),
            committed: view.committed,
            members: view.members.iter().map(member).collect(),
            followers: followers.iter().map(|one| ProgressRecord::new(one, false)).collect(),
        }
    }

    /// The same back.
    pub(crate) fn view(self) -> (MemberView, Vec<Progress>) {
        let leader = self.leader.and_then(VoterRecord::voter);
        let leadership = Leadership { term: self.term, leader };
        let mut voters = BTreeSet::<ReplicaKey>::new();
        let mut members = Vec::new();
        for record in self.members {
            let votes = record.votes;
            if let Some(progress) = record.progress() {
                if votes {
                    voters.insert(progress.replica.key);
                }
                members.push(progress);
            }
        }
        let followers = self.followers.into_iter().filter_map(ProgressRecord::progress).collect();
        (MemberView { leadership, committed: self.committed, members, voters }, followers)
    }
}

impl ProgressRecord {
    fn new(progress: &Progress, votes: bool) -> Self {
        let ago = |time: Option<Duration>| {
            time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        Self {
            replica: Some((&progress.replica).into()),
            votes,
            last: progress.last,
            heard: ago(progress.heard),
            caught_up: ago(progress.caught_up),
        }
    }

    fn progress(self) -> Option<Progress> {
        let replica: Voter = self.replica?.voter()?;
        let heard = self.heard.map(Duration::from_millis);
        let caught_up = self.caught_up.map(Duration::from_millis);
        Some(Progress { replica, last: self.last, heard, caught_up })
    }
}

/// A request that is short by nature.
pub(crate) fn decode_short<M: Message + Default>(bytes: Bytes) -> Result<M, Refusal> {
    if bytes.len() > METADATA_MEMBERSHIP_BYTES {
        return Err(Refusal::invalid("the request is too long"));
    }
    M::decode(bytes).map_err(Refusal::invalid)
}
