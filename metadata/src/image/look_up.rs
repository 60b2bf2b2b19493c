//! What may be asked of an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_common::ids::{BrokerEpoch, BrokerId, GroupId, TopicId, TopicPartition};

use super::{Cluster, Configs, Group, Image, IndexObject, Partition, Registration, Set, Topic};
use crate::ids::Incarnation;

impl Image {
    /// The Raft index of the last entry in it: the birth mark of an attempt that begins now.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.applied
    }

    /// The cluster, if it is formed.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    /// The horizon: nothing with a lower mark is committed any more.
    #[must_use]
    pub fn horizon(&self) -> u64 {
        self.horizon
    }

    /// The registration of an incarnation. One that is not here any more is recovered; see
    /// [`Image::is_recovered`].
    #[must_use]
    pub fn registration(&self, of: Incarnation) -> Option<&Registration> {
        self.registrations.get(&of).map(|registration| &**registration)
    }

    /// All registrations that are kept, by broker and epoch.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.registrations.values().map(|registration| &**registration)
    }

    /// The newest registration of a broker, live or fenced.
    #[must_use]
    pub fn broker(&self, broker: BrokerId) -> Option<&Registration> {
        let first = Incarnation { broker, epoch: BrokerEpoch(0) };
        let last = Incarnation { broker, epoch: BrokerEpoch(u64::MAX) };
        self.registrations.range(first..=last).next_back().map(|(_, newest)| &**newest)
    }

    /// The newest registration of every broker, by broker.
    pub fn brokers(&self) -> impl Iterator<Item = &Registration> {
        self.registrations().filter(|one| {
            self.broker(one.incarnation.broker)
                .is_some_and(|newest| newest.incarnation == one.incarnation)
        })
    }

    /// The brokers that are live, by broker.
    pub fn live_brokers(&self) -> impl Iterator<Item = &Registration> {
        self.registrations().filter(|registration| registration.is_live())
    }

    /// True if `of` may own partitions and commit.
    #[must_use]
    pub fn is_live(&self, of: Incarnation) -> bool {
        self.registration(of).is_some_and(Registration::is_live)
    }

    /// True if every chain of `of` is sealed and nothing is left on it: of its slots only the seals
    /// and what live index objects refer to is still needed (law 4.2).
    ///
    /// An epoch is the index of its registration, which stays until it is recovered. So an epoch
    /// that is applied here and not known, its broker perhaps neither, is over or never was and
    /// never will be; of a later one this image cannot know.
    #[must_use]
    pub fn is_recovered(&self, of: Incarnation) -> bool {
        match self.registration(of) {
            Some(registration) => registration.recovered,
            None => of.epoch.0 <= self.applied,
        }
    }

    /// The topic of this id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id).map(|topic| &**topic)
    }

    /// The topic of this name, one that is being deleted too.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        self.topic_that_collides(name).filter(|topic| *topic.name == *name)
    }

    /// The topic whose name is `name` or differs from it in `.` and `_` only.
    #[must_use]
    pub fn topic_that_collides(&self, name: &str) -> Option<&Topic> {
        self.topic(*self.names.get(collision_key(name).as_str())?)
    }

    /// All topics, by id, those that are being deleted too.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values().map(|topic| &**topic)
    }

    /// A partition.
    #[must_use]
    pub fn partition(&self, partition: TopicPartition) -> Option<&Partition> {
        self.partitions.get(&partition)
    }

    /// The partitions of a topic, by number. Of a topic that is being deleted some may be gone.
    pub fn partitions_of(
        &self,
        topic: TopicId,
    ) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        let first = TopicPartition { topic, partition: i32::MIN };
        let last = TopicPartition { topic, partition: i32::MAX };
        self.partitions.range(first..=last).map(|(at, partition)| (*at, partition))
    }

    /// All partitions, by topic id and number.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.partitions.iter().map(|(at, partition)| (*at, partition))
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.size()
    }

    /// The partitions that an incarnation owns, in order.
    pub fn owned_by(
        &self,
        owner: Incarnation,
    ) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        let owned = self.owned.get(&owner).into_iter().flat_map(Set::iter);
        owned.filter_map(|at| Some((*at, self.partitions.get(at)?)))
    }

    /// A partition group.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// All partition groups.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().map(|(id, group)| (*id, group))
    }

    /// A live index object.
    #[must_use]
    pub fn index_object(&self, name: &str) -> Option<&IndexObject> {
        self.index_objects.get(name)
    }

    /// All live index objects, by name.
    pub fn index_objects(&self) -> impl Iterator<Item = (&Arc<str>, &IndexObject)> {
        self.index_objects.iter()
    }

    /// The live index objects of a group, by name, each with the partitions whose ranges in it
    /// count. Some may be of topics that are deleted.
    pub fn index_objects_of(
        &self,
        group: GroupId,
    ) -> impl Iterator<Item = (&Arc<str>, &Set<TopicPartition>)> {
        self.index_objects
            .iter()
            .filter_map(move |(name, object)| Some((name, object.accepted.get(&group)?)))
    }

    /// The live index objects in which the ranges of one partition count, by name.
    pub fn index_objects_with(
        &self,
        partition: TopicPartition,
    ) -> impl Iterator<Item = (&Arc<str>, &IndexObject)> {
        let group = self.partition(partition).map(|partition| partition.group);
        self.index_objects
            .iter()
            .filter(move |(_, object)| group.is_some_and(|group| object.accepted(group, partition)))
    }

    /// The dynamic settings of a broker, or the cluster-wide ones for none.
    #[must_use]
    pub fn broker_configs(&self, broker: Option<BrokerId>) -> Option<&BTreeMap<String, String>> {
        self.broker_configs.get(&broker).map(|configs: &Configs| &**configs)
    }
}

/// Kafka's metrics write `.` as `_`, so names that differ in that only are the same to them.
pub(crate) fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}
