//! What may be asked of the cluster's metadata. A command is proposed, committed, and then applied
//! by every node at the same Raft index, accepted or refused; it may be committed late, so
//! each carries what makes it refused then.
//!
//! **Marks.** A command that brings object names in carries their birth mark: the Raft index
//! that was applied when the attempt began (law 4.3). It is refused below the horizon (law 4.4).

use std::collections::BTreeMap;

use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, ClusterId, GroupId, LeaderEpoch, SlotNumber, TopicId,
    TopicPartition,
};

use crate::ids::{DirectoryId, Incarnation};

/// A change of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Names the cluster. Everything else is refused before.
    Form(Form),
    /// A broker process comes: a new epoch, and the end of the broker's former one.
    RegisterBroker(RegisterBroker),
    /// Ends an incarnation: it commits nothing more, its trim points are frozen (law 2.6).
    FenceBroker(Incarnation),
    /// A broker is to get no partitions, or may again.
    SetDraining(SetDraining),
    /// A broker is gone for good and forgotten (KIP-631): fenced, and recovered.
    UnregisterBroker(BrokerId),
    /// Raises the slot at which recovery of a chain starts (law 4.2).
    Trim(Trim),
    /// Every chain of a fenced incarnation is sealed and no partition is left on it (law 3.4).
    MarkRecovered(Incarnation),
    /// Makes a topic, whole or not at all.
    CreateTopic(CreateTopic),
    /// Gives a topic more partitions, all or none.
    CreatePartitions(CreatePartitions),
    /// Begins the deletion of a topic. The name stays taken until all owners let go (law 3.2).
    DeleteTopic(TopicId),
    /// An owner lets go of partitions of a topic that is being deleted (law 3.2).
    ReleasePartitions(ReleasePartitions),
    /// Changes the settings of a topic.
    AlterTopicConfig(AlterTopicConfig),
    /// Changes the dynamic settings of brokers.
    AlterBrokerConfig(AlterBrokerConfig),
    /// Reserves producer ids for a broker to hand out.
    AllocateProducerIds(AllocateProducerIds),
    /// Ranges of an owner's partitions are flushed and named by an index object.
    CommitFlush(CommitFlush),
    /// Partitions leave a fenced and sealed incarnation (law 3.4).
    TakeOver(TakeOver),
    /// An owner hands partitions over, or takes its word back (law 3.3).
    HandOver(HandOver),
    /// Says where the ownership of partitions should go.
    SetTargets(SetTargets),
    /// Gives partitions other replicas, or their former ones again (KIP-455).
    AlterReplicas(AlterReplicas),
    /// Index objects were merged into a new manifest of a group (law 4.6).
    Merge(Merge),
    /// Raises log starts: retention and `DeleteRecords`.
    SetLogStart(SetLogStart),
    /// Raises the horizon: nothing born before it may be committed any more (law 4.4).
    SetHorizon(u64),
}

/// See [`Command::Form`]. Repeated with the same content it is accepted and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The cluster's id, also in every key of the bucket.
    pub cluster: ClusterId,
    /// The data directories of the voters, as the formation marker names them.
    pub directories: Vec<DirectoryId>,
}

/// How a listener is secured (Kafka's `security.protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// An advertised address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// The listener's name, such as `PLAINTEXT` or `EXTERNAL`.
    pub name: String,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// How it is secured.
    pub security: SecurityProtocol,
}

/// Where a broker writes ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalKind {
    /// Slots in the object store, which can be sealed.
    Object,
    /// A ring of files on the broker's disk. It cannot be sealed, so it serves a single broker.
    Disk,
}

/// See [`Command::RegisterBroker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    /// The broker.
    pub broker: BrokerId,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Its rack (`broker.rack`).
    pub rack: Option<String>,
    /// Its advertised listeners.
    pub listeners: Vec<Listener>,
    /// Where it writes ahead.
    pub wal: WalKind,
    /// How many chains it writes; they are numbered from 0.
    pub chains: u32,
    /// Slots of one chain that may be in flight at once; a sealer counts on it.
    pub window: u32,
    /// The live epoch that ends with this registration: the proposer knows that its process is gone.
    /// A live epoch that is not named here is not replaced.
    pub replaces: Option<BrokerEpoch>,
}

/// See [`Command::SetDraining`]. A broker that registers anew is not draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetDraining {
    /// The broker, under its live epoch.
    pub broker: Incarnation,
    /// Whether others are preferred to it as owners.
    pub draining: bool,
}

/// See [`Command::Trim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The chain's writer.
    pub by: Incarnation,
    /// The chain.
    pub chain: ChainId,
    /// The first slot that recovery still needs.
    pub slot: SlotNumber,
}

/// See [`Command::CreateTopic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    /// The name, by Kafka's rules.
    pub name: String,
    /// A new random id. Nobody may propose it a second time, or a late copy of the command could
    /// bring a deleted topic back: a proposer that asks again takes another id.
    pub id: TopicId,
    /// The replicas of each partition, the preferred owner first.
    pub partitions: Vec<Vec<BrokerId>>,
    /// The topic's own settings, validated by the proposer.
    pub configs: BTreeMap<String, String>,
}

/// See [`Command::CreatePartitions`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    /// The topic.
    pub topic: TopicId,
    /// How many partitions the proposer saw; refused if there are others now.
    pub from_count: i32,
    /// The replicas of each new partition, the preferred owner first.
    pub partitions: Vec<Vec<BrokerId>>,
}

/// See [`Command::ReleasePartitions`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasePartitions {
    /// The owner.
    pub by: Incarnation,
    /// The partitions, each under the leader epoch in which the owner holds it.
    pub partitions: Vec<(TopicPartition, LeaderEpoch)>,
}

/// A change of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// These and no others (`AlterConfigs`).
    Replace(BTreeMap<String, String>),
    /// These edits in their order (`IncrementalAlterConfigs`, KIP-339).
    Edit(Vec<ConfigEdit>),
}

/// One edit of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigEdit {
    /// Sets it.
    Set {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// Removes it, so that the default holds.
    Delete {
        /// The setting.
        key: String,
    },
    /// Adds items to a list that do not stand in it.
    Append {
        /// The setting.
        key: String,
        /// The items, separated by commas.
        items: String,
        /// The list to start from if the setting is not set.
        default: String,
    },
    /// Removes items from a list.
    Subtract {
        /// The setting.
        key: String,
        /// The items, separated by commas.
        items: String,
        /// The list to start from if the setting is not set.
        default: String,
    },
}

/// See [`Command::AlterTopicConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTopicConfig {
    /// The topic.
    pub topic: TopicId,
    /// The change, validated by the proposer.
    pub change: ConfigChange,
}

/// See [`Command::AlterBrokerConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterBrokerConfig {
    /// The broker; none for the cluster-wide default.
    pub broker: Option<BrokerId>,
    /// The change, validated by the proposer.
    pub change: ConfigChange,
}

/// See [`Command::AllocateProducerIds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateProducerIds {
    /// The broker that will hand them out.
    pub by: Incarnation,
    /// How many.
    pub count: u32,
}

/// See [`Command::CommitFlush`]. Accepted or refused by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFlush {
    /// The attempt's birth mark.
    pub mark: u64,
    /// The owner.
    pub by: Incarnation,
    /// The index object that names the ranges. All commands of one round name the same.
    pub index_object: String,
    /// The ranges.
    pub ranges: Vec<FlushedRange>,
}

/// Offsets of one partition that a [`CommitFlush`] covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushedRange {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch in which the proposer owns it.
    pub leader_epoch: LeaderEpoch,
    /// The first offset; must be the flushed end.
    pub base_offset: i64,
    /// The offset after the last; above `base_offset`.
    pub next_offset: i64,
}

/// See [`Command::TakeOver`]. Accepted or refused by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// The attempt's birth mark.
    pub mark: u64,
    /// The incarnation that loses the partitions: fenced, and every chain of it sealed.
    pub from: Incarnation,
    /// The one that gets them: not fenced.
    pub to: Incarnation,
    /// The index object that names what was not flushed; none if there is nothing.
    pub index_object: Option<String>,
    /// The partitions.
    pub items: Vec<HandedPartition>,
}

/// See [`Command::HandOver`]. Accepted or refused by partition. With `to` equal to `by` it is the
/// *cancel* of a handover: it states and names the same, and it too begins a leader epoch, so that
/// of the two only the one that is committed first takes effect (law 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The attempt's birth mark.
    pub mark: u64,
    /// The owner, which has frozen the partitions: not fenced.
    pub by: Incarnation,
    /// The next owner: not fenced.
    pub to: Incarnation,
    /// The index object that names what was not flushed; none if there is nothing.
    pub index_object: Option<String>,
    /// The partitions.
    pub items: Vec<HandedPartition>,
}

/// One partition of a [`HandOver`] or a [`TakeOver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch that ends.
    pub leader_epoch: LeaderEpoch,
    /// The flushed end from which the attempt read; refused if it has moved.
    pub flushed_end: i64,
    /// The end of the durable log: the index object covers from `flushed_end` to here.
    pub end: i64,
}

/// See [`Command::SetTargets`]. Accepted or refused by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTargets {
    /// The partitions, each under its present leader epoch, and the broker that should own it: live
    /// and not draining. None, or the broker that owns it, and it stays where it is.
    pub items: Vec<(TopicPartition, LeaderEpoch, Option<BrokerId>)>,
}

/// See [`Command::AlterReplicas`]. Accepted or refused by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterReplicas {
    /// The partitions and their new replicas, the preferred owner first. None takes a reassignment
    /// back that is under way.
    pub items: Vec<(TopicPartition, Option<Vec<BrokerId>>)>,
}

/// See [`Command::Merge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The attempt's birth mark.
    pub mark: u64,
    /// The partition group.
    pub group: GroupId,
    /// The manifest version on which the attempt is founded.
    pub expected_version: u64,
    /// The new manifest; none if nothing is left to list.
    pub manifest: Option<String>,
    /// What the manifest took in: of each index object the accepted partitions of this group.
    pub taken: Vec<(String, Vec<TopicPartition>)>,
}

/// See [`Command::SetLogStart`]. Accepted or refused by partition.
///
/// A log start may pass the flushed end: `DeleteRecords` goes up to the high watermark, which
/// Raft does not know, and the owner answers for it. What lies between is flushed as if it were
/// there, so that the next range still begins at the flushed end (law 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLogStart {
    /// The owner.
    pub by: Incarnation,
    /// The partitions.
    pub items: Vec<LogStart>,
}

/// One partition of a [`SetLogStart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch in which the proposer owns it.
    pub leader_epoch: LeaderEpoch,
    /// The first offset that is still there; above the present log start.
    pub log_start: i64,
}
