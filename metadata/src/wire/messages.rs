//! The protobuf messages, written by hand with prost's derive macros: no `protoc` is needed. Tag 1
//! of what is versioned is the version.

use prost::{Message, Oneof};

use super::moves::{AlterReplicasRecord, HandOverRecord, SetTargetsRecord, TakeOverRecord};

/// What one Raft entry holds: encoded [`CommandRecord`]s.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryRecord {
    #[prost(message, repeated, tag = "1")]
    pub commands: Vec<CommandRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommandRecord {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(
        oneof = "CommandBody",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23"
    )]
    pub body: Option<CommandBody>,
    /// Who proposed it: a random number of the process. 0 for nobody.
    #[prost(fixed64, tag = "100")]
    pub proposer: u64,
    /// Which of its proposals.
    #[prost(uint64, tag = "101")]
    pub sequence: u64,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum CommandBody {
    #[prost(message, tag = "2")]
    Form(FormRecord),
    #[prost(message, tag = "3")]
    RegisterBroker(RegisterBrokerRecord),
    #[prost(message, tag = "4")]
    FenceBroker(IncarnationRecord),
    #[prost(message, tag = "5")]
    Trim(TrimRecord),
    #[prost(message, tag = "6")]
    MarkRecovered(IncarnationRecord),
    #[prost(message, tag = "7")]
    CreateTopic(CreateTopicRecord),
    #[prost(message, tag = "8")]
    CreatePartitions(CreatePartitionsRecord),
    #[prost(message, tag = "9")]
    DeleteTopic(UuidRecord),
    #[prost(message, tag = "10")]
    ReleasePartitions(ReleasePartitionsRecord),
    #[prost(message, tag = "11")]
    AlterTopicConfig(AlterTopicConfigRecord),
    #[prost(message, tag = "12")]
    AlterBrokerConfig(AlterBrokerConfigRecord),
    #[prost(message, tag = "13")]
    AllocateProducerIds(AllocateProducerIdsRecord),
    #[prost(message, tag = "14")]
    CommitFlush(CommitFlushRecord),
    #[prost(message, tag = "15")]
    TakeOver(TakeOverRecord),
    #[prost(message, tag = "16")]
    Merge(MergeRecord),
    #[prost(message, tag = "17")]
    SetLogStart(SetLogStartRecord),
    #[prost(uint64, tag = "18")]
    SetHorizon(u64),
    #[prost(message, tag = "19")]
    HandOver(HandOverRecord),
    #[prost(message, tag = "20")]
    SetTargets(SetTargetsRecord),
    #[prost(message, tag = "21")]
    AlterReplicas(AlterReplicasRecord),
    #[prost(message, tag = "22")]
    SetDraining(SetDrainingRecord),
    #[prost(int32, tag = "23")]
    UnregisterBroker(i32),
}

/// 16 bytes: a topic's or a directory's id.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct UuidRecord {
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct IncarnationRecord {
    #[prost(int32, tag = "1")]
    pub broker: i32,
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FormRecord {
    #[prost(string, tag = "1")]
    pub cluster: String,
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<UuidRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListenerRecord {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub host: String,
    #[prost(uint32, tag = "3")]
    pub port: u32,
    /// Kafka's id of the security protocol.
    #[prost(uint32, tag = "4")]
    pub security: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RegisterBrokerRecord {
    #[prost(int32, tag = "1")]
    pub broker: i32,
    #[prost(message, optional, tag = "2")]
    pub directory: Option<UuidRecord>,
    #[prost(string, optional, tag = "3")]
    pub rack: Option<String>,
    #[prost(message, repeated, tag = "4")]
    pub listeners: Vec<ListenerRecord>,
    /// 1: object, 2: disk.
    #[prost(uint32, tag = "5")]
    pub wal: u32,
    #[prost(uint32, tag = "6")]
    pub chains: u32,
    #[prost(uint32, tag = "7")]
    pub window: u32,
    #[prost(uint64, optional, tag = "8")]
    pub replaces: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetDrainingRecord {
    #[prost(message, optional, tag = "1")]
    pub broker: Option<IncarnationRecord>,
    #[prost(bool, tag = "2")]
    pub draining: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TrimRecord {
    #[prost(message, optional, tag = "1")]
    pub by: Option<IncarnationRecord>,
    #[prost(uint32, tag = "2")]
    pub chain: u32,
    #[prost(uint64, tag = "3")]
    pub slot: u64,
}

/// The brokers of one partition, the preferred owner first.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReplicasRecord {
    #[prost(int32, repeated, tag = "1")]
    pub brokers: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigRecord {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateTopicRecord {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub id: Option<UuidRecord>,
    #[prost(message, repeated, tag = "3")]
    pub partitions: Vec<ReplicasRecord>,
    #[prost(message, repeated, tag = "4")]
    pub configs: Vec<ConfigRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreatePartitionsRecord {
    #[prost(message, optional, tag = "1")]
    pub topic: Option<UuidRecord>,
    #[prost(int32, tag = "2")]
    pub from_count: i32,
    #[prost(message, repeated, tag = "3")]
    pub partitions: Vec<ReplicasRecord>,
}

/// A partition, and what a command or a snapshot says of it. The four numbers are named by their
/// user; those that it does not use are 0 and take no room.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct PartitionItem {
    #[prost(fixed64, tag = "1")]
    pub topic_high: u64,
    #[prost(fixed64, tag = "2")]
    pub topic_low: u64,
    #[prost(int32, tag = "3")]
    pub partition: i32,
    #[prost(int32, tag = "4")]
    pub leader_epoch: i32,
    /// The range's base, or the expected flushed end, or the log start.
    #[prost(int64, tag = "5")]
    pub from: i64,
    /// The range's next offset, or the end.
    #[prost(int64, tag = "6")]
    pub to: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReleasePartitionsRecord {
    #[prost(message, optional, tag = "1")]
    pub by: Option<IncarnationRecord>,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<PartitionItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigChangeRecord {
    /// True: `configs` stand in place of all; false: `edits` are made.
    #[prost(bool, tag = "1")]
    pub replace: bool,
    #[prost(message, repeated, tag = "2")]
    pub configs: Vec<ConfigRecord>,
    #[prost(message, repeated, tag = "3")]
    pub edits: Vec<ConfigEditRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigEditRecord {
    /// Kafka's `AlterConfigOp`, plus one: 1 set, 2 delete, 3 append, 4 subtract.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(string, tag = "2")]
    pub key: String,
    /// The value or the items.
    #[prost(string, tag = "3")]
    pub value: String,
    #[prost(string, tag = "4")]
    pub default: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlterTopicConfigRecord {
    #[prost(message, optional, tag = "1")]
    pub topic: Option<UuidRecord>,
    #[prost(message, optional, tag = "2")]
    pub change: Option<ConfigChangeRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlterBrokerConfigRecord {
    #[prost(int32, optional, tag = "1")]
    pub broker: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub change: Option<ConfigChangeRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AllocateProducerIdsRecord {
    #[prost(message, optional, tag = "1")]
    pub by: Option<IncarnationRecord>,
    #[prost(uint32, tag = "2")]
    pub count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommitFlushRecord {
    #[prost(uint64, tag = "1")]
    pub mark: u64,
    #[prost(message, optional, tag = "2")]
    pub by: Option<IncarnationRecord>,
    #[prost(string, tag = "3")]
    pub index_object: String,
    #[prost(message, repeated, tag = "4")]
    pub ranges: Vec<PartitionItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TakenRecord {
    #[prost(string, tag = "1")]
    pub index_object: String,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<PartitionItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MergeRecord {
    #[prost(uint64, tag = "1")]
    pub mark: u64,
    #[prost(uint64, tag = "2")]
    pub group: u64,
    #[prost(uint64, tag = "3")]
    pub expected_version: u64,
    #[prost(string, optional, tag = "4")]
    pub manifest: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub taken: Vec<TakenRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetLogStartRecord {
    #[prost(message, optional, tag = "1")]
    pub by: Option<IncarnationRecord>,
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<PartitionItem>,
}

/// One piece of a snapshot, which is a sequence of them, each with its length in front: a head
/// first, a tail last.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SnapshotRecord {
    #[prost(oneof = "SnapshotBody", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub body: Option<SnapshotBody>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum SnapshotBody {
    #[prost(message, tag = "1")]
    Head(HeadRecord),
    #[prost(message, tag = "2")]
    Registration(RegistrationRecord),
    #[prost(message, tag = "3")]
    Topic(TopicRecord),
    #[prost(message, tag = "4")]
    Partition(PartitionRecord),
    #[prost(message, tag = "5")]
    Group(GroupRecord),
    #[prost(message, tag = "6")]
    IndexObject(IndexObjectRecord),
    #[prost(message, tag = "7")]
    BrokerConfig(BrokerConfigRecord),
    /// How many records stand before it.
    #[prost(uint64, tag = "8")]
    Tail(u64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeadRecord {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(uint64, tag = "2")]
    pub applied: u64,
    #[prost(message, optional, tag = "3")]
    pub cluster: Option<FormRecord>,
    #[prost(uint64, tag = "4")]
    pub horizon: u64,
    #[prost(int64, tag = "5")]
    pub next_producer_id: i64,
    #[prost(uint64, tag = "6")]
    pub next_group: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RegistrationRecord {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(message, optional, tag = "2")]
    pub broker: Option<RegisterBrokerRecord>,
    #[prost(uint64, repeated, tag = "3")]
    pub trim_points: Vec<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub fenced_at: Option<u64>,
    #[prost(bool, tag = "5")]
    pub recovered: bool,
    #[prost(bool, tag = "6")]
    pub draining: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TopicRecord {
    #[prost(message, optional, tag = "1")]
    pub id: Option<UuidRecord>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(int32, tag = "3")]
    pub partition_count: i32,
    #[prost(message, repeated, tag = "4")]
    pub configs: Vec<ConfigRecord>,
    #[prost(bool, tag = "5")]
    pub deleting: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartitionRecord {
    /// The partition, its leader epoch, log start (`from`) and flushed end (`to`).
    #[prost(message, optional, tag = "1")]
    pub at: Option<PartitionItem>,
    #[prost(message, optional, tag = "2")]
    pub owner: Option<IncarnationRecord>,
    #[prost(uint32, tag = "3")]
    pub chain: u32,
    #[prost(uint64, tag = "4")]
    pub group: u64,
    #[prost(int32, repeated, tag = "5")]
    pub replicas: Vec<i32>,
    #[prost(int32, repeated, tag = "6")]
    pub epochs: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub epoch_starts: Vec<i64>,
    #[prost(int32, optional, tag = "8")]
    pub target: Option<i32>,
    #[prost(message, optional, tag = "9")]
    pub former_replicas: Option<ReplicasRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GroupRecord {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, optional, tag = "2")]
    pub manifest: Option<String>,
    #[prost(uint64, tag = "3")]
    pub version: u64,
    #[prost(uint32, tag = "4")]
    pub partition_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AcceptedRecord {
    #[prost(uint64, tag = "1")]
    pub group: u64,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<PartitionItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IndexObjectRecord {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub mark: u64,
    #[prost(message, repeated, tag = "3")]
    pub accepted: Vec<AcceptedRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BrokerConfigRecord {
    #[prost(int32, optional, tag = "1")]
    pub broker: Option<i32>,
    #[prost(message, repeated, tag = "2")]
    pub configs: Vec<ConfigRecord>,
}
