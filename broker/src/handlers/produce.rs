//! Produce (API 0): appends first, in the order of the connection, and answers when the slots that
//! hold the appended batches are durable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse};
use odradek_common::batch::{Batch, BatchError};
use odradek_common::ids::{SlotNumber, TopicId, TopicPartition};
use odradek_storage::wal::ChainError;
use tokio::time::Instant;

use super::{Answer, Body, Context, text};
use crate::core::Core;
use crate::leaders::{Leaders, Node};
use crate::metric_names;
use crate::partition::{AppendError, Appended, PartitionLog};
use crate::topics::is_internal;

/// How long a batch waits for a partition that comes or goes: longer than a handover takes, and not as
/// long as a quorum may be away, since what comes behind it on the connection waits too.
const PARKED_MAX: Duration = Duration::from_secs(5);
/// From this version on an answer tells who leads what is not led here.
const LEADERS_SINCE: i16 = 10;

/// What became of one partition's batch, before its slot is durable.
struct Pending {
    index: i32,
    outcome: Result<Appended, AppendError>,
    log: Option<Arc<PartitionLog>>,
    /// Bytes of the batch.
    batch_bytes: usize,
}

struct PendingTopic {
    /// Nil where there is no such topic.
    id: TopicId,
    data: TopicProduceData,
    partitions: Vec<Pending>,
}

/// Serves Produce 3 and later. With `acks=0` nothing is answered, and an error closes the
/// connection, as that is all a client of this kind can notice.
pub(super) async fn produce(
    core: &Arc<Core>,
    context: &Context,
    mut request: ProduceRequest,
) -> Answer {
    let acks = request.acks;
    let begun = Instant::now();
    let deadline = begun + timeout(request.timeout_ms);
    let refused = refuse(&request);
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for mut data in std::mem::take(&mut request.topic_data) {
        let topic = core.topic_named_or_id(&data.name, TopicId(data.topic_id));
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for partition in std::mem::take(&mut data.partition_data) {
            let index = partition.index;
            let batch_bytes = partition.records.as_ref().map_or(0, Bytes::len);
            let (outcome, log) = match (&refused, &topic) {
                (Some(error), _) => (Err(error.clone()), None),
                (None, None) => (Err(unknown_topic(&data)), None),
                (None, Some(topic)) => {
                    let id = TopicPartition { topic: *topic, partition: index };
                    match append(core, id, partition, deadline).await {
                        Ok(appended) => appended,
                        Err(WouldLeaveHole) => return Answer::Close,
                    }
                }
            };
            partitions.push(Pending { index, outcome, log, batch_bytes });
        }
        topics.push(PendingTopic { id: topic.unwrap_or(TopicId::NIL), data, partitions });
    }
    own_what_is_kept(&topics, context.frame_bytes);
    if acks == 0 {
        let outcomes = topics.iter().flat_map(|t| &t.partitions).map(|p| &p.outcome);
        let errors = outcomes.filter_map(|o| o.as_ref().err()).map(|e| e.code.code()).collect();
        // Others are counted when they are answered.
        metric_names::count_request(ApiKey::Produce, &errors, begun.elapsed());
        return if errors.is_empty() { Answer::Nothing } else { Answer::Close };
    }
    let (core, version, listener) = (core.clone(), context.version, context.listener.clone());
    Answer::Later(Box::pin(async move {
        let ids: Vec<TopicId> = topics.iter().map(|topic| topic.id).collect();
        let mut response = acknowledge(topics, deadline).await;
        if version >= LEADERS_SINCE {
            name_leaders(Leaders::new(core.image(), listener), &ids, &mut response);
        }
        Body::of(response)
    }))
}

/// Tells who leads the partitions that are not led here (KIP-951); `ids` are those of the topics.
fn name_leaders(mut leaders: Leaders, ids: &[TopicId], response: &mut ProduceResponse) {
    let elsewhere = ResponseError::NotLeaderOrFollower.code();
    for (id, topic) in ids.iter().zip(&mut response.responses) {
        let partitions = &mut topic.partition_responses;
        for partition in partitions.iter_mut().filter(|p| p.error_code == elsewhere) {
            let at = TopicPartition { topic: *id, partition: partition.index };
            let leader = leaders.name(at);
            partition.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(leader.leader_id.into())
                .with_leader_epoch(leader.leader_epoch);
        }
    }
    let endpoint = |node: Node| {
        NodeEndpoint::default()
            .with_node_id(node.id.into())
            .with_host(text(node.host))
            .with_port(node.port.into())
            .with_rack(node.rack.map(text))
    };
    response.node_endpoints = leaders.into_nodes().into_iter().map(endpoint).collect();
}

/// Where most of a frame was refused, what the log cache keeps of it gets memory of its own: the cache
/// counts records, not the frames that they came in.
fn own_what_is_kept(topics: &[PendingTopic], frame_bytes: usize) {
    let kept = || topics.iter().flat_map(|t| &t.partitions).filter(|p| p.outcome.is_ok());
    let kept_bytes: usize = kept().map(|p| p.batch_bytes).sum();
    if kept_bytes >= frame_bytes / 2 {
        return;
    }
    for pending in kept() {
        if let (Ok(appended), Some(log)) = (&pending.outcome, &pending.log) {
            log.own_records(appended.base_offset);
        }
    }
}

/// What is wrong with the request as a whole.
fn refuse(request: &ProduceRequest) -> Option<AppendError> {
    if !(-1..=1).contains(&request.acks) {
        let message = format!("acks={} is not one of -1, 0, 1", request.acks);
        return Some(AppendError::new(ResponseError::InvalidRequiredAcks, message));
    }
    request.transactional_id.is_some().then(|| {
        AppendError::new(ResponseError::InvalidTxnState, "this release does not serve transactions")
    })
}

fn unknown_topic(data: &TopicProduceData) -> AppendError {
    if data.topic_id.is_nil() {
        let message = format!("there is no topic '{}'", data.name.as_str());
        AppendError::new(ResponseError::UnknownTopicOrPartition, message)
    } else {
        let message = format!("there is no topic with the id {}", TopicId(data.topic_id));
        AppendError::new(ResponseError::UnknownTopicId, message)
    }
}

/// There was no room for a batch of a producer that is new to the partition, or the partition left
/// while it waited. Whatever sequence comes next would be taken for its first, so what is already on
/// its way behind this batch must not be read: the connection ends, and the producer sends all of it
/// again.
struct WouldLeaveHole;

async fn append(
    core: &Core,
    id: TopicPartition,
    data: PartitionProduceData,
    deadline: Instant,
) -> Result<(Result<Appended, AppendError>, Option<Arc<PartitionLog>>), WouldLeaveHole> {
    let batch = match only_batch(data) {
        Ok(batch) => batch,
        Err(error) => return Ok((Err(error), None)),
    };
    let patience = deadline.min(Instant::now() + PARKED_MAX);
    let log = match core.owned_log_by(id, patience).await {
        Ok(log) => log,
        Err(code) => return Ok((Err(AppendError::new(code, code.to_string())), None)),
    };
    // What a coordinator cannot read back would keep its partition from loading.
    if is_internal(&log.topic) {
        let message = format!("only the broker itself writes to '{}'", log.topic);
        return Ok((Err(AppendError::new(ResponseError::InvalidTopicException, message)), None));
    }
    match tokio::time::timeout_at(deadline, log.chain().room()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Ok((Err(chain_error(&error)), None)),
        Err(_) if log.is_new_producer(&batch.header) => return Err(WouldLeaveHole),
        Err(_) => {
            let message = "the store does not keep up; nothing was appended, try again";
            return Ok((Err(AppendError::new(ResponseError::RequestTimedOut, message)), None));
        }
    }
    let is_new = log.is_new_producer(&batch.header);
    match tokio::time::timeout_at(patience, log.append(batch, core.clock.now_ms())).await {
        Ok(Err(error)) if is_new && error.code == ResponseError::NotLeaderOrFollower => {
            Err(WouldLeaveHole)
        }
        Ok(appended) => Ok((appended, Some(log))),
        Err(_) if is_new => Err(WouldLeaveHole),
        Err(_) => {
            let message = "the partition is on its way to another broker; nothing was appended";
            Ok((Err(AppendError::new(ResponseError::NotLeaderOrFollower, message)), None))
        }
    }
}

/// A request from version 3 on holds exactly one batch a partition, of magic 2.
fn only_batch(data: PartitionProduceData) -> Result<Batch, AppendError> {
    let mut bytes = data.records.unwrap_or_default();
    let batch = Batch::split_first(&mut bytes)?;
    match Batch::split_first(&mut bytes) {
        // As in Kafka, what is left over and is no whole batch is passed over.
        Err(BatchError::Truncated { .. }) => Ok(batch),
        Err(error) => Err(error.into()),
        Ok(_) => Err(AppendError::new(
            ResponseError::InvalidRecord,
            "a produce request holds exactly one record batch a partition",
        )),
    }
}

async fn acknowledge(topics: Vec<PendingTopic>, deadline: Instant) -> ProduceResponse {
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partition_responses = Vec::with_capacity(topic.partitions.len());
        for pending in topic.partitions {
            let outcome = match pending.outcome {
                Ok(appended) => durable(pending.log.as_deref(), appended, deadline).await,
                Err(error) => Err(error),
            };
            partition_responses.push(answer(pending.index, outcome));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.data.name)
                .with_topic_id(topic.data.topic_id)
                .with_partition_responses(partition_responses),
        );
    }
    ProduceResponse::default().with_responses(responses)
}

/// Waits until the append is durable. A time-out says nothing about its fate: the client tries
/// again, and an idempotent one gets the original's offset.
async fn durable(
    log: Option<&PartitionLog>,
    appended: Appended,
    deadline: Instant,
) -> Result<Appended, AppendError> {
    let (Some(slot), Some(log)) = (appended.slot, log) else { return Ok(appended) };
    match tokio::time::timeout_at(deadline, wait(log, slot)).await {
        Ok(Ok(())) => Ok(appended),
        Ok(Err(error)) => Err(chain_error(&error)),
        Err(_) => Err(AppendError::new(
            ResponseError::RequestTimedOut,
            "the append is not durable yet; it may still become so",
        )),
    }
}

async fn wait(log: &PartitionLog, slot: SlotNumber) -> Result<(), ChainError> {
    log.chain().durable(slot).await
}

fn chain_error(error: &ChainError) -> AppendError {
    AppendError::new(ResponseError::NotLeaderOrFollower, error.to_string())
}

fn answer(index: i32, outcome: Result<Appended, AppendError>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match outcome {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.timestamp_ms)
            .with_log_start_offset(appended.log_start),
        Err(error) => response
            .with_error_code(error.code.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_error_message(Some(text(error.message))),
    }
}

fn timeout(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
