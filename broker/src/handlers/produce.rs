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
use odradek_common::batch::{Batch, BatchError, Compression};
use odradek_common::ids::{SlotNumber, TopicId, TopicPartition};
use odradek_storage::wal::ChainError;
use tokio::time::{Instant, timeout_at};

use super::refused::Numbered;
use super::{Answer, Body, Context, RefusedBatches, text};
use crate::broken::Law;
use crate::confirmation::Confirmation;
use crate::core::Core;
use crate::leaders::{Leaders, Node};
use crate::metric_names;
use crate::partition::{AppendError, Appended, PartitionLog};
use crate::topics::is_internal;

/// How long the batches of a request wait together for partitions that come or go: longer than a
/// handover takes, and not as long as a quorum may be away, since what comes behind them on the
/// connection waits too.
const PARKED_MAX: Duration = Duration::from_secs(5);
/// From this version on an answer tells who leads what is not led here.
const LEADERS_SINCE: i16 = 10;
/// From this version on batches may be compressed with zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;

const NOT_SETTLED: &str = "a batch before this one may still come from the leader before";
const NOT_CONFIRMED: &str = "this broker may not lead the partition any more";

/// What became of one batch, before its slot is durable, and the log that it is in.
type Outcome = Result<(Appended, Arc<PartitionLog>), AppendError>;

struct Pending {
    index: i32,
    outcome: Outcome,
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
    refused: &mut RefusedBatches,
    mut request: ProduceRequest,
) -> Answer {
    let acks = request.acks;
    let begun = Instant::now();
    let deadline = begun + timeout(request.timeout_ms);
    let patience = deadline.min(begun + PARKED_MAX);
    let version = context.version;
    let mut produce = Produce { core, refused, version, deadline, patience };
    let invalid = refuse(&request);
    let _ = timeout_at(deadline, core.backlog.slow()).await;
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for mut data in std::mem::take(&mut request.topic_data) {
        let topic = core.topic_named_or_id(&data.name, TopicId(data.topic_id));
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for partition in std::mem::take(&mut data.partition_data) {
            let index = partition.index;
            let batch_bytes = partition.records.as_ref().map_or(0, Bytes::len);
            let outcome = match &invalid {
                Some(error) => Err(error.clone()),
                None => match produce.append(&data, topic, partition).await {
                    Ok(outcome) => outcome,
                    Err(NotNoted) => return Answer::Close,
                },
            };
            partitions.push(Pending { index, outcome, batch_bytes });
        }
        topics.push(PendingTopic { id: topic.unwrap_or(TopicId::NIL), data, partitions });
    }
    own_what_is_kept(&topics, context);
    if acks == 0 {
        let outcomes = topics.iter().flat_map(|t| &t.partitions).map(|p| &p.outcome);
        let errors = outcomes.filter_map(|o| o.as_ref().err()).map(|e| e.code.code()).collect();
        // Others are counted when they are answered.
        metric_names::count_request(ApiKey::Produce, &errors, begun.elapsed());
        return if errors.is_empty() { Answer::Nothing } else { Answer::Close };
    }
    let (core, listener) = (core.clone(), context.listener.clone());
    Answer::Later(Box::pin(async move {
        let ids: Vec<TopicId> = topics.iter().map(|topic| topic.id).collect();
        let mut topics = topics;
        confirm_gaps(&core, &mut topics, deadline).await;
        let mut response = acknowledge(&core, topics, deadline).await;
        if version >= LEADERS_SINCE {
            name_leaders(Leaders::new(core.image(), listener), &ids, &mut response);
        }
        Body::of(response)
    }))
}

/// That a batch is missing, or too old, only the owner knows: one that was fenced and has not heard of it yet
/// lacks what the next owner has, and its word would end the producer (law 5.3). And one that has just taken the
/// partition up may have overtaken the refusal of the batch before by the last owner.
async fn confirm_gaps(core: &Core, topics: &mut [PendingTopic], deadline: Instant) {
    let mut confirmation = Confirmation::new(core);
    for topic in topics {
        for pending in &mut topic.partitions {
            let Err(error) = &mut pending.outcome else { continue };
            if !is_of_the_sequence(error.code) {
                continue;
            }
            let at = TopicPartition { topic: topic.id, partition: pending.index };
            let is_gap = error.code == ResponseError::OutOfOrderSequenceNumber;
            let doubt = match core.logs.get(&at) {
                Some(log) if is_gap && !log.is_settled() => Some(NOT_SETTLED),
                Some(log) => match timeout_at(deadline, confirmation.of(&log)).await {
                    Ok(Ok(())) => None,
                    _ => Some(NOT_CONFIRMED),
                },
                None => Some(NOT_CONFIRMED),
            };
            if let Some(message) = doubt {
                *error = AppendError::new(ResponseError::NotLeaderOrFollower, message);
            }
        }
    }
}

/// Whether it says where the sequence of a producer stands.
fn is_of_the_sequence(code: ResponseError) -> bool {
    matches!(code, ResponseError::OutOfOrderSequenceNumber | ResponseError::InvalidProducerEpoch)
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
/// counts records, not the frames that they came in. Its slots keep the frame until they are durable, which may be
/// long after the answer: until then it counts among the requests.
fn own_what_is_kept(topics: &[PendingTopic], context: &Context) {
    let kept = || topics.iter().flat_map(|t| &t.partitions).filter(|p| p.outcome.is_ok());
    let kept_bytes: usize = kept().map(|p| p.batch_bytes).sum();
    if kept_bytes >= context.frame_bytes / 2 {
        return;
    }
    let mut slots = Vec::new();
    for pending in kept() {
        if let Ok((appended, log)) = &pending.outcome {
            log.own_records(appended.base_offset);
            slots.extend(appended.slot.map(|slot| (Arc::clone(log), slot)));
        }
    }
    if !slots.is_empty() {
        let lease = context.lease.clone();
        tokio::spawn(async move {
            for (log, slot) in slots {
                // It may also have failed: it is gone then.
                let _ = wait(&log, slot).await;
            }
            drop(lease);
        });
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
        // The name stands in the answer once: it may be long, and the partitions many.
        AppendError::new(ResponseError::UnknownTopicOrPartition, "there is no such topic")
    } else {
        let message = format!("there is no topic with the id {}", TopicId(data.topic_id));
        AppendError::new(ResponseError::UnknownTopicId, message)
    }
}

/// A batch was refused, and there is no room to remember that: what comes behind it on the connection
/// must not be read.
struct NotNoted;

/// What the batches of one request have in common.
struct Produce<'a> {
    core: &'a Core,
    /// What was refused on the connection.
    refused: &'a mut RefusedBatches,
    /// Of the request.
    version: i16,
    /// When the request times out.
    deadline: Instant,
    /// When its batches no longer wait for partitions that come or go.
    patience: Instant,
}

impl Produce<'_> {
    /// Appends a batch to a partition of `topic`, which is what the request names by `named`. If it is
    /// refused and may come again, that is noted, so that nothing overtakes it.
    async fn append(
        &mut self,
        named: &TopicProduceData,
        topic: Option<TopicId>,
        data: PartitionProduceData,
    ) -> Result<Outcome, NotNoted> {
        let index = data.index;
        let batch = only_batch(data, self.version);
        let header = batch.as_ref().ok().map(|batch| batch.header);
        let numbered = header.and_then(|header| Numbered::of(named, index, &header));
        let at = topic.map(|topic| TopicPartition { topic, partition: index });
        let outcome = match at {
            Some(at) => self.place(at, batch, numbered.as_ref()).await,
            None => Err(unknown_topic(named)),
        };
        let Some(numbered) = numbered else { return Ok(outcome) };
        match &outcome {
            Ok(_) => self.refused.forget(&numbered),
            Err(error) if comes_again(error.code) => {
                if !self.refused.note(&numbered, self.core.clock.now_ms()) {
                    return Err(NotNoted);
                }
            }
            Err(error) if error.code == ResponseError::OutOfOrderSequenceNumber => {
                if self.is_behind(Some(&numbered)) {
                    return Ok(Err(behind_a_refused()));
                }
            }
            Err(_) => {}
        }
        Ok(outcome)
    }

    /// Whether an earlier batch of the same producer was refused on this connection, and has not come again.
    fn is_behind(&mut self, numbered: Option<&Numbered>) -> bool {
        let (now_ms, expiration_ms) =
            (self.core.clock.now_ms(), self.core.producer_expiration_ms());
        numbered.is_some_and(|batch| self.refused.is_behind(batch, now_ms, expiration_ms))
    }

    /// Finds the log, waits for room and appends.
    async fn place(
        &mut self,
        at: TopicPartition,
        batch: Result<Batch, AppendError>,
        numbered: Option<&Numbered>,
    ) -> Outcome {
        let batch = batch?;
        let log = self.core.owned_log_by(at, self.patience).await;
        let log = log.map_err(|code| AppendError::new(code, code.to_string()))?;
        // What a coordinator cannot read back would keep its partition from loading.
        if is_internal(&log.topic) {
            let message = format!("only the broker itself writes to '{}'", log.topic);
            return Err(AppendError::new(ResponseError::InvalidTopicException, message));
        }
        // A log that knows the producer decides alone: the refused one may have been appended elsewhere.
        if log.is_new_producer(&batch.header) {
            if self.is_behind(numbered) {
                return Err(behind_a_refused());
            }
            // Its first batch may have been refused by the leader before, and not have come here yet.
            if batch.header.base_sequence > 0 && !log.is_settled() {
                return Err(AppendError::new(ResponseError::NotLeaderOrFollower, NOT_SETTLED));
            }
        }
        let room = async {
            self.core.backlog.room().await;
            log.chain().room().await
        };
        match tokio::time::timeout_at(self.deadline, room).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(chain_error(&error)),
            Err(_) => {
                let message =
                    "the store or the quorum does not keep up; nothing was appended, try again";
                return Err(AppendError::new(ResponseError::RequestTimedOut, message));
            }
        }
        let appending = log.append(batch, self.core.clock.now_ms());
        match tokio::time::timeout_at(self.patience, appending).await {
            Ok(appended) => Ok((appended?, log)),
            Err(_) => {
                let message = "the partition is on its way to another broker, or its batches take long to be \
                               looked into; nothing was appended";
                Err(AppendError::new(ResponseError::NotLeaderOrFollower, message))
            }
        }
    }
}

/// The code with which the one before was refused most often, after which clients send both again in order.
/// OUT_OF_ORDER_SEQUENCE_NUMBER would be as true, and librdkafka would take a new epoch for it: what it does not
/// know the fate of at other partitions would then come twice.
fn behind_a_refused() -> AppendError {
    let message = "a batch before this one was refused and has not come again";
    AppendError::new(ResponseError::NotLeaderOrFollower, message)
}

/// Whether a client sends a batch again that was refused so. One that came damaged has no sequence that
/// can be relied on; what is refused for good some clients (aiokafka) leave out and go on behind it.
fn comes_again(code: ResponseError) -> bool {
    code.is_retriable() && code != ResponseError::CorruptMessage
}

/// A request from version 3 on holds exactly one batch a partition, of magic 2.
fn only_batch(data: PartitionProduceData, version: i16) -> Result<Batch, AppendError> {
    let mut bytes = data.records.unwrap_or_default();
    let batch = Batch::split_first(&mut bytes)?;
    if version < ZSTD_SINCE && batch.header.compression() == Ok(Compression::Zstd) {
        return Err(AppendError::new(
            ResponseError::UnsupportedCompressionType,
            format!("Produce {version} does not know zstd, which came with version {ZSTD_SINCE}"),
        ));
    }
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

async fn acknowledge(core: &Core, topics: Vec<PendingTopic>, deadline: Instant) -> ProduceResponse {
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partition_responses = Vec::with_capacity(topic.partitions.len());
        for pending in topic.partitions {
            let outcome = match pending.outcome {
                Ok((appended, _)) if core.broken == Some(Law::DurableFirst) => Ok(appended),
                Ok((appended, log)) => durable(&log, appended, deadline).await,
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
    log: &PartitionLog,
    appended: Appended,
    deadline: Instant,
) -> Result<Appended, AppendError> {
    let Some(slot) = appended.slot else { return Ok(appended) };
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
