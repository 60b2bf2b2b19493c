//! Where partitions should be: targets of their owners, and replicas.

use odradek_common::ids::{BrokerId, LeaderEpoch, TopicPartition};
use odradek_common::limits::METADATA_ITEMS;

use super::{Judged, check_limit};
use crate::command::{AlterReplicas, SetTargets};
use crate::image::{Image, Partition, Registration};
use crate::outcome::{Outcome, PartitionRefusal};

impl Image {
    pub(super) fn set_targets(&mut self, set: &SetTargets) -> Judged {
        check_limit("partitions of a command", set.items.len(), METADATA_ITEMS)?;
        let set_one = |(at, epoch, target): &(_, _, _)| self.set_target(*at, *epoch, *target);
        Ok(Outcome::TargetsSet(set.items.iter().map(set_one).collect()))
    }

    /// Moves nothing: the owner sees it and hands over (law 3.2).
    fn set_target(
        &mut self,
        at: TopicPartition,
        epoch: LeaderEpoch,
        target: Option<BrokerId>,
    ) -> Result<(), PartitionRefusal> {
        let mut partition = self.of_live_topic(at)?.clone();
        partition.check_leader_epoch(epoch)?;
        let target = target.filter(|target| *target != partition.owner.broker);
        if let Some(target) = target
            && !self.broker(target).is_some_and(Registration::takes_partitions)
        {
            return Err(PartitionRefusal::NoTarget(target));
        }
        partition.target = target;
        self.put_partition(at, partition);
        Ok(())
    }

    pub(super) fn alter_replicas(&mut self, alter: &AlterReplicas) -> Judged {
        check_limit("partitions of a command", alter.items.len(), METADATA_ITEMS)?;
        let alter_one = |(at, replicas): &(TopicPartition, Option<Vec<BrokerId>>)| match replicas {
            Some(replicas) => self.reassign(*at, replicas),
            None => self.take_reassignment_back(*at),
        };
        Ok(Outcome::ReplicasAltered(alter.items.iter().map(alter_one).collect()))
    }

    /// KIP-455: one that comes while another is under way takes its place, and what can be taken
    /// back to are the replicas before the first.
    fn reassign(
        &mut self,
        at: TopicPartition,
        replicas: &[BrokerId],
    ) -> Result<(), PartitionRefusal> {
        let mut partition = self.of_live_topic(at)?.clone();
        self.preferred_live(replicas)?;
        let former = std::mem::replace(&mut partition.replicas, replicas.into());
        partition.former_replicas.get_or_insert(former);
        self.go_on_with_reassignment(&mut partition);
        self.put_partition(at, partition);
        Ok(())
    }

    fn take_reassignment_back(&mut self, at: TopicPartition) -> Result<(), PartitionRefusal> {
        let mut partition = self.of_live_topic(at)?.clone();
        partition.replicas =
            partition.former_replicas.take().ok_or(PartitionRefusal::NoReassignment)?;
        partition.target = None;
        self.put_partition(at, partition);
        Ok(())
    }

    /// A reassignment is complete once the owner is one of the new replicas; until then their first
    /// live one is the target. Without one, the target is reached or given up.
    pub(super) fn go_on_with_reassignment(&self, partition: &mut Partition) {
        if partition.replicas.contains(&partition.owner.broker) {
            partition.former_replicas = None;
        }
        partition.target = match &partition.former_replicas {
            Some(_) => self.first_live(&partition.replicas).map(|first| first.incarnation.broker),
            None => None,
        };
    }
}
