//! AlterPartitionReassignments (API 45) and ListPartitionReassignments (46), KIP-455 and KIP-860. Replicas
//! say where a partition may be owned: a reassignment that names its owner is complete at once, any
//! other one when the owner has handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    BrokerId as WireBrokerId, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, TopicName,
};
use odradek_common::ids::{BrokerId, TopicPartition};
use odradek_common::limits::{COMMAND_RANGES, REPLICAS};
use odradek_metadata::image::Partition;
use odradek_metadata::{
    AlterReplicas, AssignmentFault, Command, Image, Outcome, PartitionRefusal, ProposeError,
};

use super::text;
use crate::core::Core;
use crate::topics::{Failure, LiveTopics};

/// A partition with its new replicas; none takes a reassignment back.
type Item = (TopicPartition, Option<Vec<BrokerId>>);

/// Serves AlterPartitionReassignments.
pub(super) async fn alter_partition_reassignments(
    core: &Core,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let image = core.image();
    let may_change = request.allow_replication_factor_change;
    let answer = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(may_change)
        .with_error_message(None);
    let (mut items, mut topics) = (Vec::new(), Vec::new());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let item = item(&image, &topic.name, &asked, may_change);
            let place = item.map(|item| {
                items.push(item);
                items.len() - 1
            });
            partitions.push((asked.partition_index, place));
        }
        topics.push((topic.name, partitions));
    }
    let results = match alter(core, &items).await {
        Ok(results) => results,
        Err(error) => {
            // What was altered before it is altered again by who tries again.
            let failure = Failure::from(error);
            return answer
                .with_error_code(failure.code.code())
                .with_error_message(Some(text(failure.message)));
        }
    };
    let responses = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, place)| {
            let result = place.and_then(|place| Ok(results[place]?));
            told(index, result)
        });
        ReassignableTopicResponse::default().with_name(name).with_partitions(partitions.collect())
    });
    answer.with_responses(responses.collect())
}

/// What is to be proposed for one partition.
fn item(
    image: &Arc<Image>,
    name: &TopicName,
    asked: &ReassignablePartition,
    may_change: bool,
) -> Result<Item, Failure> {
    let unknown = |message| Failure::new(ResponseError::UnknownTopicOrPartition, message);
    let topic = image.live_topic_named(name);
    // The name stands in the answer once: it may be long, and the partitions many.
    let topic = topic.ok_or_else(|| unknown("Unable to find the topic."))?;
    let at = TopicPartition { topic: topic.id, partition: asked.partition_index };
    let partition = image.partition(at).ok_or_else(|| unknown("Unable to find the partition."))?;
    let Some(replicas) = &asked.replicas else { return Ok((at, None)) };
    check_count(partition, replicas.len(), may_change)?;
    Ok((at, Some(replicas.iter().map(|replica| BrokerId(replica.0)).collect())))
}

/// So many that a command could not hold them are not proposed.
fn check_count(partition: &Partition, count: usize, may_change: bool) -> Result<(), Failure> {
    if count == 0 {
        let message = "The manual partition assignment includes an empty replica list.";
        return Err(Failure::new(ResponseError::InvalidReplicaAssignment, message));
    }
    if count > REPLICAS {
        return Err(PartitionRefusal::Assignment(AssignmentFault::Count).into());
    }
    let now = partition.replicas.len();
    if !may_change && count != now {
        let message = format!("The replication factor is changed from {now} to {count}");
        return Err(Failure::new(ResponseError::InvalidReplicationFactor, message));
    }
    Ok(())
}

async fn alter(
    core: &Core,
    items: &[Item],
) -> Result<Vec<Result<(), PartitionRefusal>>, ProposeError> {
    let mut results = Vec::with_capacity(items.len());
    for items in items.chunks(COMMAND_RANGES) {
        let command = Command::AlterReplicas(AlterReplicas { items: items.to_vec() });
        match core.propose(command).await? {
            Outcome::ReplicasAltered(altered) => results.extend(altered),
            _ => return Err(ProposeError::Unknown),
        }
    }
    Ok(results)
}

fn told(index: i32, result: Result<(), Failure>) -> ReassignablePartitionResponse {
    let answer = ReassignablePartitionResponse::default()
        .with_partition_index(index)
        .with_error_message(None);
    match result {
        Ok(()) => answer,
        Err(failure) => answer
            .with_error_code(failure.code.code())
            .with_error_message(Some(text(failure.message))),
    }
}

/// Serves ListPartitionReassignments. What is not known is left out, as Kafka does.
pub(super) fn list_partition_reassignments(
    core: &Core,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = core.image();
    let mut topics: BTreeMap<String, Vec<OngoingPartitionReassignment>> = BTreeMap::new();
    let mut add = |name: &str, at: TopicPartition, partition: &Partition| {
        if let Some(ongoing) = ongoing(at, partition) {
            topics.entry(name.to_owned()).or_default().push(ongoing);
        }
    };
    match request.topics {
        None => {
            for topic in image.live_topics() {
                image.partitions_of(topic.id).for_each(|(at, of)| add(&topic.name, at, of));
            }
        }
        Some(asked) => {
            let known = asked.iter().filter_map(|topic| {
                Some((image.live_topic_named(&topic.name)?, &topic.partition_indexes))
            });
            let each = known.flat_map(|(topic, indexes)| {
                indexes
                    .iter()
                    .map(|partition| TopicPartition { topic: topic.id, partition: *partition })
            });
            for at in each.collect::<BTreeSet<_>>() {
                let Some(topic) = image.live_topic(at.topic) else { continue };
                image.partition(at).into_iter().for_each(|of| add(&topic.name, at, of));
            }
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        OngoingTopicReassignment::default()
            .with_name(TopicName(text(name)))
            .with_partitions(partitions)
    });
    ListPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_topics(topics.collect())
}

/// The reassignment that is under way, if one is.
fn ongoing(at: TopicPartition, partition: &Partition) -> Option<OngoingPartitionReassignment> {
    let former = partition.former_replicas.as_ref()?;
    let without = |these: &[BrokerId], those: &[BrokerId]| -> Vec<WireBrokerId> {
        let left = these.iter().filter(|broker| !those.contains(broker));
        left.map(|broker| WireBrokerId(broker.0)).collect()
    };
    let removing = without(former, &partition.replicas);
    let mut replicas = without(&partition.replicas, &[]);
    replicas.extend(&removing);
    let ongoing = OngoingPartitionReassignment::default()
        .with_partition_index(at.partition)
        .with_replicas(replicas)
        .with_adding_replicas(without(&partition.replicas, former))
        .with_removing_replicas(removing);
    Some(ongoing)
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::TopicId;

    use super::*;
    use crate::handlers::testing::partition;

    const AT: TopicPartition = TopicPartition { topic: TopicId::NIL, partition: 3 };

    #[test]
    fn what_is_under_way_names_who_comes_and_who_goes() {
        assert_eq!(ongoing(AT, &partition(1, &[1, 2])), None);
        let former = Some(partition(1, &[1, 2]).replicas);
        let moving = Partition { former_replicas: former, ..partition(1, &[3, 2]) };
        let told = ongoing(AT, &moving).unwrap();
        let ids = |brokers: &[WireBrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!((told.partition_index, ids(&told.replicas)), (3, vec![3, 2, 1]));
        assert_eq!(ids(&told.adding_replicas), [3]);
        assert_eq!(ids(&told.removing_replicas), [1]);
    }

    #[test]
    fn the_number_of_replicas_is_checked_before_anything_is_proposed() {
        let code = |count, may_change| {
            let checked = check_count(&partition(1, &[1, 2]), count, may_change);
            checked.map_err(|failure| failure.code.code())
        };
        assert_eq!(code(2, false), Ok(()));
        assert_eq!(code(3, true), Ok(()));
        assert_eq!(code(3, false), Err(38));
        assert_eq!(code(0, true), Err(39));
        assert_eq!(code(REPLICAS + 1, true), Err(39));
    }
}
