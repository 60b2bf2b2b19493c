//! What the state machine of groups is asked and what it answers: Kafka's own messages, with what
//! the machine must not find out by itself (a new id, who asks).

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// A JoinGroup with what belongs to it.
#[derive(Clone, Debug)]
pub struct JoinCall {
    /// The request's version.
    pub version: i16,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where the client is, as Kafka shows it: `/192.0.2.7`.
    pub client_host: Arc<str>,
    /// Makes the member's id unique, if it needs a new one.
    pub unique: Uuid,
    /// The request.
    pub request: JoinGroupRequest,
}

/// An OffsetCommit of topics that were found to be there.
#[derive(Clone, Debug)]
pub struct CommitCall {
    /// The request's version.
    pub version: i16,
    /// The Raft index of the metadata in which they were.
    pub checked_at: u64,
    /// The request.
    pub request: OffsetCommitRequest,
}

/// The offsets that one group's part of an OffsetFetch asks for.
#[derive(Clone, Debug)]
pub struct FetchCall {
    /// The group.
    pub group: GroupId,
    /// Topics and partitions, `None` for all there are.
    pub topics: Option<Vec<(TopicName, Vec<i32>)>>,
}

/// A request to the groups of one partition.
#[derive(Debug)]
pub enum Request {
    /// JoinGroup.
    Join(Box<JoinCall>),
    /// SyncGroup.
    Sync(SyncGroupRequest),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup, of one or many members.
    Leave(GroupId, Vec<MemberIdentity>),
    /// OffsetCommit.
    Commit(CommitCall),
    /// OffsetFetch, one group.
    Fetch(FetchCall),
    /// OffsetDelete.
    DeleteOffsets(OffsetDeleteRequest),
    /// ListGroups: states and types asked for, in lower case; empty for all.
    List(Vec<String>, Vec<String>),
    /// DescribeGroups, with its version.
    Describe(i16, Vec<GroupId>),
    /// DeleteGroups.
    DeleteGroups(Vec<GroupId>),
    /// These topics are gone, as the metadata says at this Raft index, and their offsets with them.
    TopicsDeleted(Arc<[String]>, u64),
    /// Committed offsets, so many at most.
    Committed(usize),
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The group.
    pub group: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset from which the group goes on.
    pub offset: i64,
}

/// The answer to the request of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// JoinGroup.
    Join(Box<JoinGroupResponse>),
    /// SyncGroup.
    Sync(SyncGroupResponse),
    /// Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// LeaveGroup.
    Leave(LeaveGroupResponse),
    /// OffsetCommit.
    Commit(OffsetCommitResponse),
    /// OffsetFetch, one group.
    Fetch(OffsetFetchResponseGroup),
    /// OffsetDelete.
    DeleteOffsets(OffsetDeleteResponse),
    /// ListGroups.
    List(Vec<ListedGroup>),
    /// DescribeGroups.
    Describe(Vec<DescribedGroup>),
    /// DeleteGroups.
    DeleteGroups(Vec<DeletableGroupResult>),
    /// TopicsDeleted.
    TopicsDeleted,
    /// Committed.
    Committed(Vec<CommittedOffset>),
}

/// Bytes of an item of an answer, by and large.
const ITEM: usize = 96;

impl Answer {
    pub(super) fn join_error(member: &str, error: ResponseError) -> Self {
        let response = JoinGroupResponse::default()
            .with_member_id(str_bytes(member))
            .with_error_code(error.code());
        Self::Join(Box::new(response))
    }

    pub(super) fn sync_error(error: ResponseError) -> Self {
        Self::Sync(SyncGroupResponse::default().with_error_code(error.code()))
    }

    /// Bytes that it holds while it waits, by and large.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let held: usize = match self {
            Self::Join(join) => join.members.iter().map(|m| ITEM + m.metadata.len()).sum(),
            Self::Sync(sync) => sync.assignment.len(),
            Self::Leave(leave) => leave.members.len() * ITEM,
            Self::Commit(commit) => {
                commit.topics.iter().map(|t| ITEM + t.partitions.len() * 8).sum()
            }
            Self::Fetch(fetch) => {
                fetch.topics.iter().map(|t| ITEM + t.partitions.len() * ITEM).sum()
            }
            Self::DeleteOffsets(delete) => {
                delete.topics.iter().map(|t| ITEM + t.partitions.len() * 8).sum()
            }
            Self::List(groups) => groups.len() * ITEM,
            Self::Describe(groups) => groups.iter().map(Self::described_bytes).sum(),
            Self::DeleteGroups(groups) => groups.len() * ITEM,
            Self::Committed(offsets) => offsets.len() * ITEM,
            Self::Heartbeat(_) | Self::TopicsDeleted => 0,
        };
        ITEM + held
    }

    /// Bytes that one described group holds, by and large.
    pub(super) fn described_bytes(group: &DescribedGroup) -> usize {
        let member = |m: &DescribedGroupMember| {
            3 * ITEM + m.member_metadata.len() + m.member_assignment.len()
        };
        ITEM + group.members.iter().map(member).sum::<usize>()
    }
}

/// A copy of `text` for a message.
pub(super) fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
