//! The state that Raft keeps, as one immutable image: cheap to copy, safe to hold, never changed
//! under its reader. The maps are persistent, so that a new image shares with the one before all
//! that a command did not touch.

mod entries;
mod look_up;

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_common::ids::{BrokerId, GroupId, TopicId, TopicPartition};

pub use entries::{
    Cluster, EpochStart, Group, IndexObject, Partition, Registration, Topic, TopicState,
};
pub(crate) use look_up::collision_key;

use crate::ids::Incarnation;

/// A persistent map in the order of its keys.
pub type Map<K, V> = rpds::RedBlackTreeMapSync<K, V>;
/// A persistent set in order.
pub type Set<T> = rpds::RedBlackTreeSetSync<T>;
/// Settings, shared until they are changed.
pub type Configs = Arc<BTreeMap<String, String>>;

/// All metadata as of one Raft index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub(crate) applied: u64,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) horizon: u64,
    pub(crate) next_producer_id: i64,
    pub(crate) next_group: u64,
    pub(crate) registrations: Map<Incarnation, Arc<Registration>>,
    pub(crate) topics: Map<TopicId, Arc<Topic>>,
    pub(crate) partitions: Map<TopicPartition, Partition>,
    pub(crate) groups: Map<GroupId, Group>,
    pub(crate) index_objects: Map<Arc<str>, IndexObject>,
    pub(crate) broker_configs: Map<Option<BrokerId>, Configs>,
    /// Derived: topics by name with `.` written as `_`, since such names may not differ in it.
    pub(crate) names: Map<Arc<str>, TopicId>,
    /// Derived: partitions by owner.
    pub(crate) owned: Map<Incarnation, Set<TopicPartition>>,
}
