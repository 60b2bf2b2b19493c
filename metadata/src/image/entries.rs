//! What the image holds of each thing.

use std::sync::Arc;

use odradek_common::ids::{
    BrokerId, ChainId, ClusterId, GroupId, LeaderEpoch, SlotNumber, TopicId, TopicPartition,
};

use super::{Configs, Map, Set};
use crate::command::{Listener, WalKind};
use crate::ids::{DirectoryId, Incarnation};

/// The cluster, once formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// The data directories of the voters that formed it.
    pub directories: Vec<DirectoryId>,
}

/// One registration of a broker. It is kept until it is recovered, and the newest of each broker until
/// the broker is unregistered: what was registered and is not here *is* recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The broker and its epoch.
    pub incarnation: Incarnation,
    /// The broker's data directory.
    pub directory: DirectoryId,
    /// Its rack.
    pub rack: Option<String>,
    /// Its advertised listeners.
    pub listeners: Vec<Listener>,
    /// Where it writes ahead.
    pub wal: WalKind,
    /// Slots of one chain that may be in flight at once.
    pub window: u32,
    /// Where recovery starts, by chain; as many as there are chains. Frozen by the fence.
    pub trim_points: Vec<SlotNumber>,
    /// The Raft index of the fence, which a seal names; none while the broker is live.
    pub fenced_at: Option<u64>,
    /// True if every chain is sealed and no partition is left.
    pub recovered: bool,
    /// True if others are preferred to it as owners.
    pub draining: bool,
}

impl Registration {
    /// How many chains it writes.
    #[must_use]
    pub fn chains(&self) -> u32 {
        u32::try_from(self.trim_points.len()).unwrap_or(u32::MAX)
    }

    /// The trim point of `chain`, if it is one.
    #[must_use]
    pub fn trim_point(&self, chain: ChainId) -> Option<SlotNumber> {
        self.trim_points.get(usize::try_from(chain.0).ok()?).copied()
    }

    /// True if it may own partitions and commit.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.fenced_at.is_none()
    }

    /// True if partitions may be sent to it: live, and not draining.
    #[must_use]
    pub fn takes_partitions(&self) -> bool {
        self.is_live() && !self.draining
    }
}

/// Whether a topic can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicState {
    /// It can.
    Live,
    /// It is being deleted: its name is taken until every owner has let go.
    Deleting,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions it was given; they are numbered from 0.
    pub partition_count: i32,
    /// Its own settings.
    pub configs: Configs,
    /// Whether it can be used.
    pub state: TopicState,
}

/// Where a leader epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochStart {
    /// The leader epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start_offset: i64,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Who sequences its appends.
    pub owner: Incarnation,
    /// The owner's chain that its records go to.
    pub chain: ChainId,
    /// The present leader epoch: the last of the history.
    pub leader_epoch: LeaderEpoch,
    /// The first offset that was not deleted. It may be above the flushed end.
    pub log_start: i64,
    /// The end of what index objects and the manifest cover. Records from here to the end of the
    /// log stand in the owner's chain only.
    pub flushed_end: i64,
    /// Its partition group.
    pub group: GroupId,
    /// Its replicas, the preferred owner first.
    pub replicas: Arc<[BrokerId]>,
    /// The replicas before the reassignment that is under way (KIP-455): until the owner's broker is
    /// one of `replicas`.
    pub former_replicas: Option<Arc<[BrokerId]>>,
    /// The broker that the owner should hand it over to, if that is live. Each new leader epoch ends
    /// it, but for a reassignment that is not complete with it: that goes on.
    pub target: Option<BrokerId>,
    /// The leader epochs that have records at or after the log start, and the present one, rising
    /// in both fields; never empty.
    pub leader_epochs: Arc<[EpochStart]>,
}

/// A partition group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The name of its manifest; none before the first merge.
    pub manifest: Option<Arc<str>>,
    /// How many times the manifest was replaced.
    pub version: u64,
    /// How many partitions it has.
    pub partition_count: u32,
}

/// A live index object: one of which not everything accepted was merged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexObject {
    /// The birth mark of its attempt.
    pub mark: u64,
    /// The partitions whose ranges were accepted and not merged, by group. Only their ranges
    /// count (law 4.6). No set is empty.
    pub accepted: Map<GroupId, Set<TopicPartition>>,
}

impl IndexObject {
    /// True if the ranges of `partition`, which is of `group`, count.
    #[must_use]
    pub fn accepted(&self, group: GroupId, partition: TopicPartition) -> bool {
        self.accepted.get(&group).is_some_and(|set| set.contains(&partition))
    }
}
