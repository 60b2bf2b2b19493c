//! ListOffsets (API 2) and OffsetForLeaderEpoch (API 23): which offset stands at a time, an end or
//! a change of leader.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use odradek_common::ids::{TopicId, TopicPartition};

use super::once::Once;
use crate::confirmation::Confirmation;
use crate::core::Core;
use crate::partition::PartitionLog;
use crate::{epochs, timestamps};

/// The end of what a consumer may read.
const LATEST: i64 = -1;
/// The log start.
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The start of what lies on a broker's disk (KIP-405): as nothing is tiered, the log start.
const EARLIEST_LOCAL: i64 = -4;
/// The end of what was tiered (KIP-1005): nothing is.
const LATEST_TIERED: i64 = -5;

/// The first version that knows a timestamp with a meaning of its own; `None` if none that is served
/// does, as with -6 of KIP-1023.
fn known_since(timestamp: i64) -> Option<i16> {
    match timestamp {
        LATEST | EARLIEST | 0.. => Some(1),
        MAX_TIMESTAMP => Some(7),
        EARLIEST_LOCAL => Some(8),
        LATEST_TIERED => Some(9),
        _ => None,
    }
}

/// From this version on an answer tells the leader epoch.
const EPOCH_SINCE: i16 = 4;

/// An offset with the timestamp and leader epoch of its record, -1 where there is none.
struct Listed {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

/// Serves ListOffsets.
pub(super) async fn list_offsets(
    core: &Core,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut named = Once::default();
    let mut confirmation = Confirmation::new(core);
    for topic in request.topics {
        let id = core.topic_id(&topic.name);
        let number = named.topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index);
            // As in Kafka, a partition stands in a request once, and a timestamp that the version
            // does not know is refused before the partition is looked for.
            let once = named.is_first(number, partition.partition_index);
            let is_known = known_since(partition.timestamp).is_some_and(|since| version >= since);
            let listed = match (once, is_known) {
                (true, true) => list(core, &mut confirmation, id, &partition).await,
                (false, _) => Err(ResponseError::InvalidRequest),
                (true, false) => Err(ResponseError::UnsupportedVersion),
            };
            partitions.push(match listed {
                Ok(listed) => answer
                    .with_offset(listed.offset)
                    .with_timestamp(listed.timestamp)
                    .with_leader_epoch(if version >= EPOCH_SINCE {
                        listed.leader_epoch
                    } else {
                        -1
                    }),
                Err(code) => answer.with_error_code(code.code()).with_offset(-1).with_timestamp(-1),
            });
        }
        topics.push(
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions),
        );
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn list(
    core: &Core,
    confirmation: &mut Confirmation<'_>,
    topic: Option<TopicId>,
    asked: &ListOffsetsPartition,
) -> Result<Listed, ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let log = core.owned_log(TopicPartition { topic, partition: asked.partition_index })?;
    epochs::check_current(&log, asked.current_leader_epoch)?;
    let at = |offset: i64| Listed {
        offset,
        timestamp: -1,
        leader_epoch: core.leader_epoch_of(&log, offset).map_or(-1, |e| e.0),
    };
    match asked.timestamp {
        LATEST => {
            // Durable state, after the owner is confirmed (law 5.3): a fenced owner would state an end
            // that is behind.
            confirmation.of(&log).await?;
            let end = log.offsets().high_watermark;
            Ok(Listed { leader_epoch: log.leader_epoch.0, ..at(end) })
        }
        EARLIEST | EARLIEST_LOCAL => Ok(at(log.offsets().log_start)),
        LATEST_TIERED => Ok(none()),
        MAX_TIMESTAMP => {
            let found = timestamps::with_max_timestamp(core, &log).await?;
            Ok(found.map_or_else(none, |f| listed(core, &log, f)))
        }
        timestamp => {
            let found = timestamps::at_or_after(core, &log, timestamp).await?;
            Ok(found.map_or_else(none, |f| listed(core, &log, f)))
        }
    }
}

fn none() -> Listed {
    Listed { offset: -1, timestamp: -1, leader_epoch: -1 }
}

fn listed(core: &Core, log: &PartitionLog, found: timestamps::Stamped) -> Listed {
    let epoch = core.leader_epoch_of(log, found.offset).unwrap_or(log.leader_epoch);
    Listed { offset: found.offset, timestamp: found.timestamp, leader_epoch: epoch.0 }
}

/// Serves OffsetForLeaderEpoch (KIP-320): the end of the newest leader epoch that is not above the
/// one asked for.
pub(super) async fn offset_for_leader_epoch(
    core: &Core,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut confirmation = Confirmation::new(core);
    for topic in request.topics {
        let id = core.topic_id(&topic.topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let answer = EpochEndOffset::default().with_partition(partition.partition);
            partitions.push(match end_of_epoch(core, &mut confirmation, id, &partition).await {
                Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Err(code) => {
                    answer.with_error_code(code.code()).with_leader_epoch(-1).with_end_offset(-1)
                }
            });
        }
        topics.push(
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions),
        );
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

async fn end_of_epoch(
    core: &Core,
    confirmation: &mut Confirmation<'_>,
    topic: Option<TopicId>,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let log: Arc<PartitionLog> =
        core.owned_log(TopicPartition { topic, partition: asked.partition })?;
    epochs::check_current(&log, asked.current_leader_epoch)?;
    let end = epochs::end_of(core, confirmation, &log, asked.leader_epoch).await?;
    Ok(end.map_or((-1, -1), |end| (end.epoch, end.end_offset)))
}
