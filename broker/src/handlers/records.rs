//! DeleteRecords (API 21): raises the log start.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use odradek_common::ids::TopicPartition;
use tokio::time::Instant;

use crate::core::Core;
use crate::log_start;
use crate::topics::{LiveTopics, is_internal};

/// Stands for the high watermark.
const ALL: i64 = -1;

/// Serves DeleteRecords: answered when the new log start is committed.
pub(super) async fn delete_records(
    core: &Core,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let wait = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let id = core.topic_id(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let raised = match id {
                Some(topic) => {
                    let at = TopicPartition { topic, partition: asked.partition_index };
                    let raise = raise(core, at, asked.offset);
                    tokio::time::timeout_at(deadline, raise)
                        .await
                        .unwrap_or(Err(ResponseError::RequestTimedOut))
                }
                None => Err(ResponseError::UnknownTopicOrPartition),
            };
            let result =
                DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            partitions.push(match raised {
                Ok(low) => result.with_low_watermark(low),
                Err(code) => result.with_error_code(code.code()).with_low_watermark(-1),
            });
        }
        topics.push(
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions),
        );
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn raise(core: &Core, at: TopicPartition, offset: i64) -> Result<i64, ResponseError> {
    let log = core.owned_log(at)?;
    if is_internal(&log.topic) {
        return Err(ResponseError::InvalidTopicException);
    }
    let image = core.image();
    let configs = image.live_topic(at.topic).map(|t| t.configs.clone()).unwrap_or_default();
    // Kafka: records of a topic that is only compacted are not to be deleted by offset.
    let config = core.topic_config(&configs);
    if config.compact && !config.delete {
        return Err(ResponseError::PolicyViolation);
    }
    let end = log.offsets().high_watermark;
    let offset = if offset == ALL { end } else { offset };
    if !(0..=end).contains(&offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    log_start::raise(core, &log, offset).await
}
