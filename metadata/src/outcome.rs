//! What became of a command.

use odradek_common::ids::{
    BrokerEpoch, BrokerId, GroupId, LeaderEpoch, SlotNumber, TopicId, TopicPartition,
};

use crate::ids::Incarnation;

/// A command was accepted. Commands that are judged by partition have one result for each item,
/// in the command's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cluster has its name.
    Formed,
    /// The broker is registered.
    Registered {
        /// Its new epoch.
        epoch: BrokerEpoch,
    },
    /// The incarnation is fenced.
    Fenced,
    /// The broker is draining, or no more.
    DrainingSet,
    /// The broker is forgotten.
    Unregistered,
    /// The trim point was raised.
    Trimmed,
    /// The incarnation is recovered.
    Recovered,
    /// The topic is there.
    TopicCreated,
    /// The partitions are there.
    PartitionsCreated,
    /// The topic is being deleted.
    DeletionBegun,
    /// What became of each released partition.
    Released(Vec<Result<(), PartitionRefusal>>),
    /// The settings were changed.
    ConfigAltered,
    /// The reserved producer ids are `first .. first + count`.
    ProducerIds {
        /// The first one.
        first: i64,
        /// How many.
        count: u32,
    },
    /// What became of each range.
    Flushed(Vec<Result<(), PartitionRefusal>>),
    /// The new leader epoch of each partition.
    TakenOver(Vec<Result<LeaderEpoch, PartitionRefusal>>),
    /// The new leader epoch of each partition.
    HandedOver(Vec<Result<LeaderEpoch, PartitionRefusal>>),
    /// What became of each target.
    TargetsSet(Vec<Result<(), PartitionRefusal>>),
    /// What became of each list of replicas.
    ReplicasAltered(Vec<Result<(), PartitionRefusal>>),
    /// The manifest was replaced.
    Merged {
        /// The manifest's new version.
        version: u64,
    },
    /// What became of each log start.
    LogStartSet(Vec<Result<(), PartitionRefusal>>),
    /// The horizon was raised.
    HorizonSet,
}

/// Why a command was refused as a whole. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing may happen before the cluster is formed.
    #[error("the cluster is not formed yet")]
    NotFormed,
    /// The metadata is that of another cluster, or was formed with other voters.
    #[error("the metadata was formed as cluster {cluster} with other voters or another id")]
    FormedOtherwise {
        /// The cluster that it belongs to.
        cluster: String,
    },
    /// The attempt began before the horizon: its objects may be collected already.
    #[error("mark {mark} is below the horizon {horizon}")]
    BelowHorizon {
        /// The command's mark.
        mark: u64,
        /// The horizon.
        horizon: u64,
    },
    /// A mark or horizon that nobody can have seen applied.
    #[error("index {index} was not applied when the command came at {at}")]
    AheadOfLog {
        /// The mark or horizon.
        index: u64,
        /// The command's own index.
        at: u64,
    },
    /// The horizon does not go back.
    #[error("the horizon is already {horizon}")]
    HorizonNotRaised {
        /// The horizon.
        horizon: u64,
    },
    /// No such incarnation, or it is recovered and forgotten.
    #[error("{0} is not known")]
    UnknownIncarnation(Incarnation),
    /// The incarnation is fenced.
    #[error("{0} is fenced")]
    Fenced(Incarnation),
    /// The incarnation is not fenced.
    #[error("{0} is not fenced")]
    NotFenced(Incarnation),
    /// The incarnation is recovered.
    #[error("{0} is recovered already")]
    AlreadyRecovered(Incarnation),
    /// The incarnation is not recovered.
    #[error("{0} is not recovered yet")]
    NotRecovered(Incarnation),
    /// The broker's newest epoch is live and the registration does not name it as replaced.
    #[error(
        "broker {broker:?} is live under epoch {epoch:?}: another process with its id must end, or be \
         fenced, before this one takes its place"
    )]
    BrokerIsLive {
        /// The broker.
        broker: BrokerId,
        /// Its live epoch.
        epoch: BrokerEpoch,
    },
    /// Partitions are left on the incarnation.
    #[error("{count} partitions are left on {of}")]
    PartitionsLeft {
        /// The incarnation.
        of: Incarnation,
        /// How many.
        count: usize,
    },
    /// An epoch must be newer than the broker's last one.
    #[error("broker {0:?} was registered at this index already")]
    EpochTaken(BrokerId),
    /// The disk WAL cannot be sealed, so it serves a cluster of one broker only.
    #[error("a disk WAL serves a single broker, and broker {other:?} is there as well")]
    DiskWalIsForOne {
        /// Another broker of the cluster.
        other: BrokerId,
    },
    /// The incarnation has no such chain.
    #[error("{of} has {chains} chains only")]
    UnknownChain {
        /// The incarnation.
        of: Incarnation,
        /// How many it has.
        chains: u32,
    },
    /// A trim point does not go back.
    #[error("the trim point is already {trim_point:?}")]
    TrimNotRaised {
        /// The trim point.
        trim_point: SlotNumber,
    },
    /// The topic is there, or is still being deleted (`TOPIC_ALREADY_EXISTS`).
    #[error("topic '{name}' already exists{}", being_deleted(.deleting))]
    TopicExists {
        /// The name.
        name: String,
        /// True if it is being deleted.
        deleting: bool,
    },
    /// The topic's id is taken.
    #[error("topic id {0} is taken")]
    TopicIdTaken(TopicId),
    /// Not a topic's name (`INVALID_TOPIC_EXCEPTION`).
    #[error("'{name}' is not a topic name: {reason}")]
    InvalidTopicName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Names that differ in `.` and `_` only have the same metrics (`INVALID_TOPIC_EXCEPTION`).
    #[error("topic '{name}' collides with existing topic: {with}")]
    TopicNameCollides {
        /// The name.
        name: String,
        /// The topic that is there.
        with: String,
    },
    /// No such broker.
    #[error("broker {0:?} is not known")]
    UnknownBroker(BrokerId),
    /// No such topic.
    #[error("topic {0} is not known")]
    UnknownTopic(TopicId),
    /// The topic is being deleted.
    #[error("topic {0} is being deleted")]
    TopicBeingDeleted(TopicId),
    /// The number of partitions is not the one that the proposer saw.
    #[error("the topic has {count} partitions")]
    PartitionCount {
        /// How many it has.
        count: i32,
    },
    /// An assignment that cannot be (`INVALID_REPLICA_ASSIGNMENT`).
    #[error("partition {partition} cannot be assigned so: {reason}")]
    InvalidAssignment {
        /// The partition's number.
        partition: i32,
        /// Why.
        reason: AssignmentFault,
    },
    /// Producer ids are used up.
    #[error("no producer ids are left")]
    ProducerIdsExhausted,
    /// The live index object of this name belongs to another attempt.
    #[error("index object '{0}' belongs to another attempt")]
    IndexObjectTaken(String),
    /// No such partition group.
    #[error("partition group {0:?} is not known")]
    UnknownGroup(GroupId),
    /// The manifest was replaced meanwhile.
    #[error("the manifest has version {version}")]
    ManifestVersion {
        /// Its version.
        version: u64,
    },
    /// A new manifest needs a new name.
    #[error("the manifest is named '{0}' already")]
    ManifestNameTaken(String),
    /// A merge takes exactly what was accepted.
    #[error(
        "partition {partition} of index object '{index_object}' was not accepted in this group"
    )]
    NotAccepted {
        /// The index object.
        index_object: String,
        /// The partition.
        partition: TopicPartition,
    },
    /// A value that must not be empty or zero.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// A limit was passed.
    #[error("{what}: at most {limit}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// What is wrong with an assignment of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentFault {
    /// There is none, or there are too many.
    #[error("it must have 1 to {} replicas", odradek_common::limits::REPLICAS)]
    Count,
    /// A broker stands there twice.
    #[error("broker {0:?} is named twice")]
    Twice(BrokerId),
    /// A broker never registered.
    #[error("broker {0:?} is not known")]
    UnknownBroker(BrokerId),
    /// All replicas are fenced, so nobody could own it.
    #[error("no replica is live")]
    NoneLive,
}

/// Why one partition of a command was refused. Nothing of it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionRefusal {
    /// No such partition, or no more.
    #[error("the partition is not known")]
    Unknown,
    /// The topic is being deleted.
    #[error("the topic is being deleted")]
    BeingDeleted,
    /// The topic is not being deleted.
    #[error("the topic is not being deleted")]
    NotBeingDeleted,
    /// Another incarnation owns the partition.
    #[error("the owner is {owner}")]
    NotOwner {
        /// The owner.
        owner: Incarnation,
    },
    /// The leader epoch is another.
    #[error("the leader epoch is {current:?}")]
    LeaderEpoch {
        /// The leader epoch.
        current: LeaderEpoch,
    },
    /// A range begins elsewhere than at the flushed end: a gap or an overlap.
    #[error("the flushed end is {flushed_end}")]
    FlushedEnd {
        /// The flushed end.
        flushed_end: i64,
    },
    /// A range that ends where it begins or before.
    #[error("the range is empty")]
    EmptyRange,
    /// A takeover or handover states an end past the flushed end and names no index object.
    #[error("no index object names the range")]
    NoIndexObject,
    /// A log start does not go back.
    #[error("the log start is {log_start}")]
    LogStartNotRaised {
        /// The log start.
        log_start: i64,
    },
    /// The log would end before it starts: records that were acknowledged are missing.
    #[error("the log start {log_start} is above the stated end")]
    EndBelowLogStart {
        /// The log start.
        log_start: i64,
    },
    /// Nobody can hand over to this broker: it is not known, or fenced, or draining.
    #[error("broker {0:?} is not live, or is draining")]
    NoTarget(BrokerId),
    /// Replicas that cannot be (`INVALID_REPLICA_ASSIGNMENT`).
    #[error("it cannot be assigned so: {0}")]
    Assignment(#[from] AssignmentFault),
    /// There is nothing to take back (`NO_REASSIGNMENT_IN_PROGRESS`).
    #[error("no reassignment is under way")]
    NoReassignment,
    /// The partition's 2^31 leader epochs are used up.
    #[error("no leader epochs are left")]
    LeaderEpochsExhausted,
}

fn being_deleted(deleting: &bool) -> &'static str {
    if *deleting { " and is being deleted" } else { "" }
}
