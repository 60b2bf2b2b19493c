//! CreateTopics (API 19); DeleteTopics and CreatePartitions are in the files below.

mod delete;
mod grow;

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use odradek_common::ids::{BrokerId, TopicId};
use odradek_common::limits::TOPIC_PARTITIONS;
use odradek_metadata::image::Registration;
use odradek_metadata::{Command, CreateTopic, Image};
use tokio::time::Instant;

use super::text;
use crate::core::Core;
use crate::topic_settings;
use crate::topics::{Failure, OFFSETS_TOPIC};

pub(super) use delete::delete_topics;
pub(super) use grow::create_partitions;

/// From this version on an answer to CreateTopics tells what was made.
const TELLS_SINCE: i16 = 5;
/// The longest name, as Kafka has it.
const NAME_LENGTH_MAX: usize = 249;

/// True if `name` may be that of a topic.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.bytes().all(fits)
        && !matches!(name, "." | "..")
}

/// Serves CreateTopics.
pub(super) async fn create_topics(
    core: &Core,
    version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let deadline = deadline(request.timeout_ms);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &request.topics {
        *counts.entry(topic.name.to_string()).or_default() += 1;
    }
    let default_count = core.settings().topics.num_partitions;
    let excessive = total_partitions(&request.topics, default_count) > TOPIC_PARTITIONS;
    let mut results = Vec::with_capacity(request.topics.len());
    let mut any_made = false;
    for topic in request.topics {
        let once = counts.get(topic.name.as_str()) == Some(&1);
        let made = if excessive {
            let message = "Excessively large number of partitions per request.";
            Err(Failure::new(ResponseError::PolicyViolation, message))
        } else if once {
            create(core, &topic, request.validate_only, deadline).await
        } else {
            Err(Failure::new(ResponseError::InvalidRequest, "Duplicate topic name."))
        };
        any_made |= made.is_ok() && !request.validate_only;
        let result = CreatableTopicResult::default().with_name(topic.name);
        results.push(match made {
            Ok(made) if version >= TELLS_SINCE => told(core, result, made),
            Ok(made) => result.with_topic_id(made.id.0),
            Err(error) => result
                .with_error_code(error.code.code())
                .with_error_message(Some(text(error.message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    if any_made && let Err(late) = copied(core, deadline).await {
        for result in results.iter_mut().filter(|result| result.error_code == 0) {
            result.error_code = late.code.code();
            result.error_message = Some(text(late.message.clone()));
        }
    }
    CreateTopicsResponse::default().with_topics(results)
}

/// A topic's records may come as soon as it is answered for, and must find it if the cluster is brought back
/// from the bucket alone: its entry has to be there.
async fn copied(core: &Core, deadline: Instant) -> Result<(), Failure> {
    let index = core.image().applied_index();
    let why = match tokio::time::timeout_at(deadline, core.copied(index)).await {
        Ok(copied) => return copied.map_err(|late| timed_out(late.to_string())),
        Err(_) => "the copy of the metadata in the store does not come on in time",
    };
    Err(timed_out(why.to_owned()))
}

fn timed_out(message: String) -> Failure {
    Failure::new(ResponseError::RequestTimedOut, message)
}

/// Partitions that a request asks for, of all its topics together.
fn total_partitions(topics: &[CreatableTopic], default_count: i32) -> usize {
    let of = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => usize::try_from(default_count).unwrap_or(0),
        count => usize::try_from(count).unwrap_or(0),
    };
    topics.iter().map(of).fold(0, usize::saturating_add)
}

/// A topic that was made, or would be.
struct Made {
    id: TopicId,
    partitions: usize,
    replicas: usize,
    configs: BTreeMap<String, String>,
}

fn told(core: &Core, result: CreatableTopicResult, made: Made) -> CreatableTopicResult {
    let settings = core.settings();
    let configs = topic_settings::describe(&made.configs, &settings).map(|c| {
        CreatableTopicConfigs::default()
            .with_name(text(c.name))
            .with_value(c.value.map(text))
            .with_read_only(c.read_only)
            .with_config_source(c.source.code())
            .with_is_sensitive(c.sensitive)
    });
    result
        .with_topic_id(made.id.0)
        .with_num_partitions(i32::try_from(made.partitions).unwrap_or(i32::MAX))
        .with_replication_factor(i16::try_from(made.replicas).unwrap_or(i16::MAX))
        .with_configs(Some(configs.collect()))
}

async fn create(
    core: &Core,
    topic: &CreatableTopic,
    validate_only: bool,
    deadline: Instant,
) -> Result<Made, Failure> {
    let image = core.image();
    if !is_name(&topic.name) {
        let message = format!(
            "Topic name '{}' is illegal: 1 to {NAME_LENGTH_MAX} of letters, digits, '.', '_', '-'",
            topic.name.as_str()
        );
        return Err(Failure::new(ResponseError::InvalidTopicException, message));
    }
    if image.topic_by_name(&topic.name).is_some() {
        let message = format!("Topic '{}' already exists.", topic.name.as_str());
        return Err(Failure::new(ResponseError::TopicAlreadyExists, message));
    }
    let configs = configs(topic)?;
    let partitions = assign(core, &image, topic)?;
    let made = Made {
        id: TopicId(core.random.next_uuid()),
        partitions: partitions.len(),
        replicas: partitions.first().map_or(0, Vec::len),
        configs: configs.clone(),
    };
    if validate_only {
        return Ok(Made { id: TopicId::NIL, ..made });
    }
    let name = topic.name.to_string();
    let command = CreateTopic { name, id: made.id, partitions, configs };
    core.propose(Command::CreateTopic(command)).await?;
    core.logs.taken_up(core.me, &core.metadata, made.id, deadline).await;
    Ok(made)
}

fn configs(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, Failure> {
    let given: Vec<(&str, Option<&str>)> =
        topic.configs.iter().map(|c| (c.name.as_str(), c.value.as_deref())).collect();
    Ok(topic_settings::created(&given)?)
}

/// The replicas of each partition, the preferred owner first. A replication factor above the
/// number of brokers is taken: durability is the store's, and more brokers may come.
fn assign(
    core: &Core,
    image: &Image,
    topic: &CreatableTopic,
) -> Result<Vec<Vec<BrokerId>>, Failure> {
    if !topic.assignments.is_empty() {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            return Err(Failure::new(
                ResponseError::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions or \
                 replicationFactor was not set to -1.",
            ));
        }
        return manual(topic);
    }
    let count = match topic.num_partitions {
        -1 => core.settings().topics.num_partitions,
        count if count >= 1 => count,
        count => {
            let message = format!("Number of partitions was set to an invalid {count}.");
            return Err(Failure::new(ResponseError::InvalidPartitions, message));
        }
    };
    let factor = match topic.replication_factor {
        -1 => core.settings().topics.default_replication_factor,
        factor if factor >= 1 => factor,
        _ => {
            return Err(Failure::new(
                ResponseError::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
    };
    Ok(spread(image, 0, count, usize::try_from(factor).unwrap_or(1)))
}

fn manual(topic: &CreatableTopic) -> Result<Vec<Vec<BrokerId>>, Failure> {
    let mut by_index: BTreeMap<i32, Vec<BrokerId>> = BTreeMap::new();
    for assignment in &topic.assignments {
        let brokers = assignment.broker_ids.iter().map(|b| BrokerId(b.0)).collect();
        if by_index.insert(assignment.partition_index, brokers).is_some() {
            let message = format!("Partition {} is assigned twice.", assignment.partition_index);
            return Err(Failure::new(ResponseError::InvalidReplicaAssignment, message));
        }
    }
    if by_index.keys().copied().eq(0..i32::try_from(by_index.len()).unwrap_or(-1)) {
        return Ok(by_index.into_values().collect());
    }
    let message = "partitions should be a consecutive 0-based integer sequence";
    Err(Failure::new(ResponseError::InvalidReplicaAssignment, message))
}

/// Replicas for the partitions `from..to`, in turn over the live brokers, as long as there are others
/// without those that are to be empty.
fn spread(image: &Image, from: i32, to: i32, factor: usize) -> Vec<Vec<BrokerId>> {
    let broker = |r: &Registration| r.incarnation.broker;
    let takers = image.live_brokers().filter(|r| r.takes_partitions()).map(broker);
    let mut brokers: Vec<BrokerId> = takers.collect();
    if brokers.is_empty() {
        brokers.extend(image.live_brokers().map(broker));
    }
    let replicas = factor.min(brokers.len());
    // Topics of one partition do not all begin with the same broker.
    let turn = image.partition_count();
    let of = |partition: i32| {
        let first = turn + usize::try_from(partition).unwrap_or(0);
        brokers.iter().copied().cycle().skip(first % brokers.len().max(1)).take(replicas).collect()
    };
    (from..to).map(of).collect()
}

/// Makes a topic because a client asked for it by name, with the defaults of the cluster.
///
/// # Errors
/// The code for the client; a topic that is there meanwhile is none.
pub(super) async fn auto_create(core: &Core, name: &TopicName) -> Result<(), ResponseError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let topic = if name.as_str() == OFFSETS_TOPIC {
        offsets_topic(core)
    } else {
        CreatableTopic::default()
            .with_name(name.clone())
            .with_num_partitions(-1)
            .with_replication_factor(-1)
    };
    let made = match create(core, &topic, false, deadline).await {
        Ok(_) => copied(core, deadline).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => Ok(()),
        Err(error) if error.code == ResponseError::TopicAlreadyExists => Ok(()),
        // Java's clients ask again soon for those codes only that are about metadata.
        Err(Failure {
            code: ResponseError::NotController | ResponseError::RequestTimedOut,
            ..
        }) => Err(ResponseError::LeaderNotAvailable),
        Err(error) => Err(error.code),
    }
}

fn offsets_topic(core: &Core) -> CreatableTopic {
    use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
    let config = |name: &'static str, value: &'static str| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    };
    let settings = core.settings();
    let groups = &settings.groups;
    CreatableTopic::default()
        .with_name(TopicName(text(OFFSETS_TOPIC)))
        .with_num_partitions(groups.offsets_topic_partitions)
        .with_replication_factor(groups.offsets_topic_replication_factor)
        .with_configs(vec![
            config("cleanup.policy", "compact"),
            config("compression.type", "producer"),
            config("segment.bytes", "104857600"),
        ])
}

/// Until when a client waits for what it asks.
pub(super) fn deadline(timeout_ms: i32) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kafka_takes() {
        assert!(is_name("a.b_c-1") && is_name(&"x".repeat(249)));
        assert!(!is_name("") && !is_name(".") && !is_name("..") && !is_name("a b"));
        assert!(!is_name(&"x".repeat(250)));
    }
    #[test]
    fn partitions_of_a_request_are_counted_together() {
        let of = |count: i32| CreatableTopic::default().with_num_partitions(count);
        let assigned = CreatableTopic::default()
            .with_num_partitions(-1)
            .with_assignments(vec![Default::default(); 3]);
        assert_eq!(total_partitions(&[of(5), of(-1), of(-7), of(0), assigned], 6), 14);
        let most = total_partitions(&[of(i32::MAX), of(i32::MAX)], 1);
        assert_eq!(most, 2 * (i32::MAX as usize));
    }
}
