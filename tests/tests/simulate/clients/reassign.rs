//! An operator who moves partitions between brokers, under load and while all else goes wrong.

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, BrokerId};
use odradek_tests::wire::{Failed, name};

use super::calls::missing;
use super::{Common, PARTITIONS, TOPIC};
use crate::node::OFFSETS_PARTITIONS;

/// The topic of the groups, whose coordinators move with it.
const OFFSETS: &str = "__consumer_offsets";

/// What is counted: that it was accepted, which says nothing yet about a handover.
pub const MOVED: &str = "reassignment";
pub const TAKEN_BACK: &str = "reassignment taken back";

/// Of so many reassignments one is taken back at once.
const BACK_ONE_IN: u64 = 3;

/// Reassigns partitions until it is time to wind up. A broker that is alone has nowhere to move them.
pub async fn reassign(common: Arc<Common>) {
    if common.brokers.len() == 1 {
        return;
    }
    while !common.is_winding_up() {
        common.wait_ms(500, 4_000).await;
        // Refused is what is not there yet, or is complete before it is taken back.
        if let Err(failed) = common.reassign_one().await {
            common.bear(&failed).await;
        }
    }
}

impl Common {
    /// Moves one partition, and may think better of it.
    async fn reassign_one(&self) -> Result<(), Failed> {
        let all = u64::from(PARTITIONS.unsigned_abs()) + OFFSETS_PARTITIONS;
        let drawn = i32::try_from(self.below(all)).unwrap_or(0);
        let (topic, index) =
            if drawn < PARTITIONS { (TOPIC, drawn) } else { (OFFSETS, drawn - PARTITIONS) };
        self.alter(topic, index, Some(self.some_brokers())).await?;
        self.notes.count(MOVED);
        if self.below(BACK_ONE_IN) == 0 {
            self.alter(topic, index, None).await?;
            self.notes.count(TAKEN_BACK);
        }
        Ok(())
    }

    /// Asks for these replicas, of which the first is to own the partition; for none, that what is under way
    /// is taken back.
    async fn alter(
        &self,
        topic: &str,
        index: i32,
        replicas: Option<Vec<BrokerId>>,
    ) -> Result<(), Failed> {
        let partition =
            ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
        let topic =
            ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![topic]);
        let mut wire = self.any().await?;
        let answer = self.call(&mut wire, &request, 0).await?;
        Failed::check(answer.error_code)?;
        let mut told = answer.responses.iter().flat_map(|topic| &topic.partitions);
        Failed::check(told.next().ok_or_else(|| missing("partition"))?.error_code)
    }

    /// One of them or more, beginning at any.
    fn some_brokers(&self) -> Vec<BrokerId> {
        let all = self.brokers.len() as u64;
        let (first, count) = (self.below(all), 1 + self.below(all));
        let id = |step| BrokerId(i32::try_from(1 + (first + step) % all).unwrap_or(1));
        (0..count).map(id).collect()
    }
}
