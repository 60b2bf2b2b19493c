//! CreatePartitions (API 37).

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use odradek_common::ids::BrokerId;
use odradek_common::limits::TOPIC_PARTITIONS;
use odradek_metadata::{Command, CreatePartitions};
use tokio::time::Instant;

use super::{deadline, spread};
use crate::core::Core;
use crate::handlers::text;
use crate::topics::{Failure, LiveTopics, is_internal};

/// Serves CreatePartitions.
pub(in crate::handlers) async fn create_partitions(
    core: &Core,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let deadline = deadline(request.timeout_ms);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &request.topics {
        *counts.entry(topic.name.to_string()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let grown = if counts.get(topic.name.as_str()) == Some(&1) {
            grow(core, &topic, request.validate_only, deadline).await
        } else {
            Err(Failure::new(ResponseError::InvalidRequest, "Duplicate topic in request."))
        };
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        results.push(match grown {
            Ok(()) => result,
            Err(error) => result
                .with_error_code(error.code.code())
                .with_error_message(Some(text(error.message))),
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}

async fn grow(
    core: &Core,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
    deadline: Instant,
) -> Result<(), Failure> {
    let image = core.image();
    let topic = image.live_topic_named(&asked.name).ok_or_else(|| {
        let code = ResponseError::UnknownTopicOrPartition;
        Failure::new(code, code.to_string())
    })?;
    if is_internal(&topic.name) {
        // Who coordinates a group follows from the number of partitions.
        let message = format!("the number of partitions of '{}' is fixed", topic.name);
        return Err(Failure::new(ResponseError::InvalidTopicException, message));
    }
    let now = topic.partition_count;
    if asked.count <= now {
        let message = format!(
            "Topic currently has {now} partitions, which is {} the requested {}.",
            if asked.count == now { "equal to" } else { "higher than" },
            asked.count
        );
        return Err(Failure::new(ResponseError::InvalidPartitions, message));
    }
    let more = asked.count - now;
    if usize::try_from(more).is_ok_and(|more| more > TOPIC_PARTITIONS) {
        let message = "Unable to perform excessively large batch operation.";
        return Err(Failure::new(ResponseError::PolicyViolation, message));
    }
    let partitions = match &asked.assignments {
        Some(assignments) => {
            if i32::try_from(assignments.len()) != Ok(more) {
                let message =
                    format!("{more} partitions are added, {} assigned", assignments.len());
                return Err(Failure::new(ResponseError::InvalidReplicaAssignment, message));
            }
            let brokers = assignments.iter().map(|a| a.broker_ids.iter().map(|b| BrokerId(b.0)));
            brokers.map(Iterator::collect).collect()
        }
        None => {
            let first = image.partitions_of(topic.id).next();
            let factor = first.map_or(1, |(_, p)| p.replicas.len());
            spread(&image, now, asked.count, factor)
        }
    };
    if validate_only {
        return Ok(());
    }
    let command = CreatePartitions { topic: topic.id, from_count: now, partitions };
    core.propose(Command::CreatePartitions(command)).await?;
    core.logs.taken_up(core.me, &core.metadata, topic.id, deadline).await;
    Ok(())
}
