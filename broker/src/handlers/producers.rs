//! InitProducerId (API 22) without a transactional id, and DescribeProducers (API 61).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId,
};
use odradek_common::ids::TopicPartition;
use odradek_storage::wal::ProducerBatch;

use super::once::Once;
use super::text;
use crate::core::Core;

/// Serves InitProducerId: a producer id that no other producer has, from epoch 0. A client that
/// names its old id and epoch (KIP-360) gets a new id as well: without a transactional id nothing
/// tells that it is still the only one to use the old.
pub(super) async fn init_producer_id(
    core: &Core,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |code: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        return refused(ResponseError::InvalidRequest);
    }
    match core.producer_ids.next(&core.metadata).await {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(code) => refused(code),
    }
}

/// Serves DescribeProducers (KIP-664). A partition that is asked for twice is described once.
pub(super) async fn describe_producers(
    core: &Core,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut named = Once::default();
    for topic in request.topics {
        let (id, number) = (core.topic_id(&topic.name), named.topic(&topic.name));
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in topic.partition_indexes {
            if !named.is_first(number, index) {
                continue;
            }
            let answer = PartitionResponse::default().with_partition_index(index);
            let log = match id {
                Some(topic) => core.owned_log(TopicPartition { topic, partition: index }),
                None => Err(ResponseError::UnknownTopicOrPartition),
            };
            partitions.push(match log {
                Ok(log) => {
                    let active = log.describe_producers().iter().map(state).collect();
                    answer.with_active_producers(active)
                }
                Err(code) => answer
                    .with_error_code(code.code())
                    .with_error_message(Some(text(code.to_string()))),
            });
        }
        topics.push(TopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    DescribeProducersResponse::default().with_topics(topics)
}

fn state(newest: &ProducerBatch) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(newest.producer_id))
        .with_producer_epoch(newest.producer_epoch.into())
        .with_last_sequence(newest.last_sequence)
        .with_last_timestamp(newest.max_timestamp)
        .with_coordinator_epoch(-1)
        .with_current_txn_start_offset(-1)
}
