//! What several commands do with partitions.

use std::sync::Arc;

use odradek_common::ids::{BrokerId, ChainId, GroupId, LeaderEpoch, TopicId, TopicPartition};
use odradek_common::limits::{
    GROUP_PARTITIONS, INDEX_OBJECTS_LIVE, LEADER_EPOCHS_KEPT, PARTITIONS, REPLICAS,
    TOPIC_PARTITIONS,
};

use super::check_limit;
use crate::ids::Incarnation;
use crate::image::{
    EpochStart, Group, Image, IndexObject, Map, Partition, Registration, Set, TopicState,
};
use crate::outcome::{AssignmentFault, PartitionRefusal, Refusal};

impl Image {
    pub(super) fn is_being_deleted(&self, topic: TopicId) -> bool {
        self.topic(topic).is_some_and(|topic| topic.state == TopicState::Deleting)
    }

    /// The partition, if its topic is live, `owner` owns it and its leader epoch is `epoch`.
    pub(super) fn held(
        &self,
        at: TopicPartition,
        owner: Incarnation,
        epoch: LeaderEpoch,
    ) -> Result<&Partition, PartitionRefusal> {
        let partition = self.of_live_topic(at)?;
        partition.check_held(owner, epoch)?;
        Ok(partition)
    }

    /// The partition, if its topic is live.
    pub(super) fn of_live_topic(&self, at: TopicPartition) -> Result<&Partition, PartitionRefusal> {
        let partition = self.partition(at).ok_or(PartitionRefusal::Unknown)?;
        if self.is_being_deleted(at.topic) {
            return Err(PartitionRefusal::BeingDeleted);
        }
        Ok(partition)
    }

    /// Gives a topic partitions, from number `first` on. Checks all before it makes any.
    pub(super) fn add_partitions(
        &mut self,
        topic: TopicId,
        first: i32,
        assignments: &[Vec<BrokerId>],
    ) -> Result<(), Refusal> {
        if assignments.is_empty() {
            return Err(Refusal::Empty("the list of partitions"));
        }
        check_limit("new partitions of a topic", assignments.len(), TOPIC_PARTITIONS)?;
        check_limit("partitions", self.partition_count() + assignments.len(), PARTITIONS)?;
        // Shared, as most partitions never have another.
        let leader_epochs: Arc<[_]> =
            [EpochStart { epoch: LeaderEpoch(0), start_offset: 0 }].into();
        for (number, replicas) in (first..).zip(assignments) {
            let owner = self
                .preferred_live(replicas)
                .map_err(|reason| Refusal::InvalidAssignment { partition: number, reason })?;
            let at = TopicPartition { topic, partition: number };
            let group = self.group_with_room();
            self.put_partition(
                at,
                Partition {
                    owner,
                    chain: self.chain_for(at, owner),
                    leader_epoch: LeaderEpoch(0),
                    log_start: 0,
                    flushed_end: 0,
                    group,
                    replicas: replicas.as_slice().into(),
                    former_replicas: None,
                    target: None,
                    leader_epochs: Arc::clone(&leader_epochs),
                },
            );
        }
        Ok(())
    }

    /// The replica to begin with: live, as an owner must not be fenced (law 3.4).
    pub(super) fn preferred_live(
        &self,
        replicas: &[BrokerId],
    ) -> Result<Incarnation, AssignmentFault> {
        if replicas.is_empty() || replicas.len() > REPLICAS {
            return Err(AssignmentFault::Count);
        }
        for (i, replica) in replicas.iter().enumerate() {
            if replicas[..i].contains(replica) {
                return Err(AssignmentFault::Twice(*replica));
            }
            if !self.knows_broker(*replica) {
                return Err(AssignmentFault::UnknownBroker(*replica));
            }
        }
        let first = self.first_live(replicas).ok_or(AssignmentFault::NoneLive)?;
        Ok(first.incarnation)
    }

    /// The first of `replicas` that is live and not draining, else the first that is live.
    pub(super) fn first_live(&self, replicas: &[BrokerId]) -> Option<&Registration> {
        let live = || {
            let newest = replicas.iter().filter_map(|replica| self.broker(*replica));
            newest.filter(|registration| registration.is_live())
        };
        live().find(|registration| !registration.draining).or_else(|| live().next())
    }

    /// The chain of `owner` that a partition is pinned to: spread by topic and number.
    pub(super) fn chain_for(&self, at: TopicPartition, owner: Incarnation) -> ChainId {
        let chains = self.registration(owner).map_or(1, |owner| u128::from(owner.chains().max(1)));
        let spread = u128::from_be_bytes(*at.topic.as_bytes()) % chains;
        let number = u128::from(at.partition.unsigned_abs());
        ChainId(u32::try_from((spread + number) % chains).unwrap_or(0))
    }

    /// The newest group while it has room, else a new one; its count is raised.
    fn group_with_room(&mut self) -> GroupId {
        let newest = self.groups.last().map(|(id, group)| (*id, group.clone()));
        let (id, mut group) = match newest {
            Some((id, group)) if group.partition_count < GROUP_PARTITIONS => (id, group),
            _ => {
                let id = GroupId(self.next_group);
                self.next_group += 1;
                (id, Group::default())
            }
        };
        group.partition_count += 1;
        self.groups.insert_mut(id, group);
        id
    }

    /// Puts a partition in place of what stood there, and into the list of its owner.
    pub(crate) fn put_partition(&mut self, at: TopicPartition, partition: Partition) {
        let former = self.partitions.get(&at).map(|former| former.owner);
        if former != Some(partition.owner) {
            if let Some(former) = former {
                self.disown(former, at);
            }
            if !self.owned.contains_key(&partition.owner) {
                self.owned.insert_mut(partition.owner, Set::default());
            }
            if let Some(owned) = self.owned.get_mut(&partition.owner) {
                owned.insert_mut(at);
            }
        }
        self.partitions.insert_mut(at, partition);
    }

    fn disown(&mut self, owner: Incarnation, at: TopicPartition) {
        if let Some(owned) = self.owned.get_mut(&owner) {
            owned.remove_mut(&at);
            if owned.is_empty() {
                self.owned.remove_mut(&owner);
            }
        }
    }

    /// Removes a partition, its topic with the last one, and its group if nothing is left of that.
    pub(super) fn remove_partition(&mut self, at: TopicPartition) {
        let Some(partition) = self.partitions.get(&at) else { return };
        let (owner, group) = (partition.owner, partition.group);
        self.disown(owner, at);
        self.partitions.remove_mut(&at);
        if let Some(group) = self.groups.get_mut(&group) {
            group.partition_count = group.partition_count.saturating_sub(1);
        }
        self.forget_group_if_empty(group);
        if self.partitions_of(at.topic).next().is_none() {
            self.remove_topic(at.topic);
        }
    }

    /// A group without partitions goes once no manifest and no index object speaks of it. Its id
    /// is not given again, so that a late merge finds nothing.
    pub(super) fn forget_group_if_empty(&mut self, id: GroupId) {
        let is_empty = self
            .groups
            .get(&id)
            .is_some_and(|group| group.partition_count == 0 && group.manifest.is_none());
        if is_empty && self.index_objects_of(id).next().is_none() {
            self.groups.remove_mut(&id);
        }
    }

    /// Records that the ranges of `at` in an index object count (law 4.6).
    pub(super) fn accept(
        &mut self,
        name: &Arc<str>,
        mark: u64,
        group: GroupId,
        at: TopicPartition,
    ) {
        if !self.index_objects.contains_key(name) {
            let object = IndexObject { mark, accepted: Map::default() };
            self.index_objects.insert_mut(Arc::clone(name), object);
        }
        let Some(object) = self.index_objects.get_mut(name) else { return };
        if !object.accepted.contains_key(&group) {
            object.accepted.insert_mut(group, Set::default());
        }
        if let Some(accepted) = object.accepted.get_mut(&group) {
            accepted.insert_mut(at);
        }
    }

    /// A name that is live must be of the same attempt: names are never used twice (law 4.3).
    pub(super) fn check_index_object(&self, name: &str, mark: u64) -> Result<(), Refusal> {
        super::check_object_name(name)?;
        match self.index_object(name) {
            Some(object) if object.mark != mark => Err(Refusal::IndexObjectTaken(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// Flushes wait when merging lags so far behind that reads would have to open that many.
    pub(super) fn check_room_for_index_object(&self, name: &str) -> Result<(), Refusal> {
        let is_new = self.index_object(name).is_none();
        let count = self.index_objects.size() + usize::from(is_new);
        check_limit("live index objects", count, INDEX_OBJECTS_LIVE)
    }
}

impl Partition {
    /// Refuses another owner and another leader epoch.
    pub(super) fn check_held(
        &self,
        owner: Incarnation,
        epoch: LeaderEpoch,
    ) -> Result<(), PartitionRefusal> {
        if self.owner != owner {
            return Err(PartitionRefusal::NotOwner { owner: self.owner });
        }
        self.check_leader_epoch(epoch)
    }

    /// Refuses another leader epoch.
    pub(super) fn check_leader_epoch(&self, epoch: LeaderEpoch) -> Result<(), PartitionRefusal> {
        let current = self.leader_epoch;
        if current == epoch { Ok(()) } else { Err(PartitionRefusal::LeaderEpoch { current }) }
    }

    /// Begins the next leader epoch at `start_offset`. Epochs that came to nothing are dropped, as
    /// Kafka's cache of leader epochs does.
    pub(super) fn begin_leader_epoch(&mut self, epoch: LeaderEpoch, start_offset: i64) {
        let mut history: Vec<_> = self.leader_epochs.to_vec();
        while history.last().is_some_and(|last| last.start_offset >= start_offset) {
            history.pop();
        }
        history.push(EpochStart { epoch, start_offset });
        // An epoch older than all that are kept is answered with the first kept start, which is
        // not below its true end.
        let surplus = history.len().saturating_sub(LEADER_EPOCHS_KEPT);
        self.leader_epochs = history[surplus..].into();
        self.leader_epoch = epoch;
    }

    /// Drops the leader epochs that end at or before the log start.
    pub(super) fn drop_old_leader_epochs(&mut self) {
        let old =
            self.leader_epochs.windows(2).take_while(|two| two[1].start_offset <= self.log_start);
        let old = old.count();
        if old > 0 {
            self.leader_epochs = self.leader_epochs[old..].into();
        }
    }
}
