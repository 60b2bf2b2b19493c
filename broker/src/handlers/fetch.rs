//! Fetch (API 1): whole batches from the cache, the slots or the segments, or a wait until the high
//! watermark rises.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use odradek_common::ids::{TopicId, TopicPartition};
use odradek_protocol::fetch::{EpochEnd, FetchAnswer, NodeEndpoint, PartitionAnswer, TopicAnswer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Answer, Body, Context, text};
use crate::core::Core;
use crate::fetch_sessions::{Begun, Key, SessionRequest, Told, Wanted};
use crate::leaders::Leaders;
use crate::partition::PartitionLog;
use crate::server::budget::AnswerGrant;
use crate::{epochs, metric_names, reading};

/// From this version on a fetch names topics by id (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;
/// From this version on an answer tells who leads what is not led here (KIP-951) ...
const LEADERS_SINCE: i16 = 16;
/// ... with these errors.
const ELSEWHERE: [ResponseError; 2] =
    [ResponseError::NotLeaderOrFollower, ResponseError::FencedLeaderEpoch];

/// One partition's part of the answer.
struct Read {
    error: i16,
    high_watermark: i64,
    log_start: i64,
    parted: Option<EpochEnd>,
    records: Vec<Bytes>,
    bytes: usize,
}

impl Read {
    fn failed(code: ResponseError) -> Self {
        Self {
            error: code.code(),
            high_watermark: -1,
            log_start: -1,
            parted: None,
            records: Vec::new(),
            bytes: 0,
        }
    }

    fn told(&self) -> Told {
        Told {
            error: self.error,
            high_watermark: self.high_watermark,
            log_start: self.log_start,
            has_records: self.bytes > 0,
            parted: self.parted.is_some(),
        }
    }
}

/// Serves Fetch 4 and later.
pub(super) fn fetch(core: &Arc<Core>, context: &Context, request: FetchRequest) -> Answer {
    let core = core.clone();
    let uses_topic_ids = context.version >= TOPIC_IDS_SINCE;
    let names_leaders = context.version >= LEADERS_SINCE;
    let listener = names_leaders.then(|| context.listener.clone());
    Answer::Later(Box::pin(async move {
        let (body, grant) = answer(&core, request, uses_topic_ids, listener).await;
        Body::Fetch(Box::new(body), grant)
    }))
}

async fn answer(
    core: &Core,
    request: FetchRequest,
    uses_topic_ids: bool,
    listener: Option<Arc<str>>,
) -> (FetchAnswer, AnswerGrant) {
    let session = SessionRequest {
        session_id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids,
        wanted: wanted(core, &request.topics, uses_topic_ids),
        forgotten: forgotten(&request.forgotten_topics_data, uses_topic_ids),
    };
    let mut begun = match core.fetch_sessions.begin(session) {
        Ok(begun) => begun,
        Err(code) => {
            let refused = FetchAnswer { error_code: code.code(), ..FetchAnswer::default() };
            return (refused, core.answer_bytes.grant(0));
        }
    };
    if begun.incremental {
        resolve_anew(core, &mut begun.wanted);
    }
    let (reads, grant) = read_or_wait(core, &request, &begun.wanted).await;
    let bytes: usize = reads.iter().map(|read| read.bytes).sum();
    metrics::counter!(metric_names::FETCHED_BYTES).increment(bytes as u64);
    let leaders = listener.map(|listener| Leaders::new(core.image(), listener));
    (respond(core, &begun, reads, leaders), grant)
}

/// Reads until there are `min_bytes`, an error, or `max_wait_ms` is over. Waiters are registered
/// before the state is looked at, so that no rise of a watermark is missed.
async fn read_or_wait(
    core: &Core,
    request: &FetchRequest,
    wanted: &[Wanted],
) -> (Vec<Read>, AnswerGrant) {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait.min(core.limits.fetch_wait_max);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let asked = usize::try_from(request.max_bytes).unwrap_or(0).min(core.limits.fetch_bytes_max);
    let woken = Arc::new(Notify::new());
    loop {
        for log in wanted.iter().filter_map(|w| core.logs.get(&w.id)) {
            log.wake(&woken);
        }
        let mut grant = core.answer_bytes.grant(asked);
        let reads = read_all(core, wanted, grant.bytes()).await;
        let bytes: usize = reads.iter().map(|r| r.bytes).sum();
        grant.shrink(bytes);
        let told = reads.iter().any(|r| r.error != 0 || r.parted.is_some());
        let done = bytes >= min_bytes || wanted.is_empty() || told;
        let over = tokio::select! {
            () = std::future::ready(()), if done => true,
            () = woken.notified() => false,
            () = tokio::time::sleep_until(deadline) => true,
            () = core.draining.cancelled() => true,
        };
        if over {
            return (reads, grant);
        }
    }
}

/// Reads the partitions in their order, within `max_bytes` together; the first that has records
/// gives at least one batch.
async fn read_all(core: &Core, wanted: &[Wanted], max_bytes: usize) -> Vec<Read> {
    let mut left = max_bytes;
    let mut reads = Vec::with_capacity(wanted.len());
    let mut any = false;
    for w in wanted {
        // A session may hold 100,000 partitions: others get their turns in between.
        tokio::task::coop::consume_budget().await;
        let most = usize::try_from(w.max_bytes).unwrap_or(0).min(left);
        let read = read_one(core, w, most, !any).await;
        any |= read.bytes > 0;
        left = left.saturating_sub(read.bytes);
        reads.push(read);
    }
    reads
}

async fn read_one(core: &Core, wanted: &Wanted, max_bytes: usize, min_one: bool) -> Read {
    if wanted.topic.is_empty() {
        return Read::failed(ResponseError::UnknownTopicId);
    }
    let log = match core.owned_log(wanted.id) {
        Ok(log) => log,
        Err(code) => return Read::failed(code),
    };
    match read_log(core, &log, wanted, max_bytes, min_one).await {
        Ok((parted, records)) => {
            let offsets = log.offsets();
            Read {
                error: 0,
                high_watermark: offsets.high_watermark,
                log_start: offsets.log_start,
                parted,
                bytes: records.iter().map(Bytes::len).sum(),
                records,
            }
        }
        Err(code) => Read::failed(code),
    }
}

/// The records, or where the log parted from the client's, which then gets none.
async fn read_log(
    core: &Core,
    log: &PartitionLog,
    wanted: &Wanted,
    max_bytes: usize,
    min_one: bool,
) -> Result<(Option<EpochEnd>, Vec<Bytes>), ResponseError> {
    epochs::check_current(log, wanted.current_leader_epoch)?;
    let (epoch, offset) = (wanted.last_fetched_epoch, wanted.fetch_offset);
    if epoch >= 0
        && let Some(end) = epochs::parted(core, log, epoch, offset).await?
    {
        return Ok((Some(end), Vec::new()));
    }
    let chunks = reading::read(core, log, offset, max_bytes, min_one).await?;
    log.traffic.note(chunks.iter().map(Bytes::len).sum());
    Ok((None, chunks))
}

fn wanted(core: &Core, topics: &[FetchTopic], uses_topic_ids: bool) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for topic in topics {
        let (id, name) = resolve(core, &topic.topic, topic.topic_id, uses_topic_ids);
        wanted.extend(topic.partitions.iter().map(|p| Wanted {
            id: TopicPartition { topic: id, partition: p.partition },
            topic: name.clone(),
            by_id: uses_topic_ids,
            fetch_offset: p.fetch_offset,
            max_bytes: p.partition_max_bytes,
            current_leader_epoch: p.current_leader_epoch,
            last_fetched_epoch: p.last_fetched_epoch,
        }));
    }
    wanted
}

fn forgotten(topics: &[ForgottenTopic], uses_topic_ids: bool) -> Vec<Key> {
    let mut forgotten = Vec::new();
    for topic in topics {
        let name: Arc<str> = Arc::from(topic.topic.as_str());
        forgotten.extend(topic.partitions.iter().map(|partition| match uses_topic_ids {
            true => Key::Id(TopicId(topic.topic_id), *partition),
            false => Key::Name(name.clone(), *partition),
        }));
    }
    forgotten
}

/// What a session names may have been made, deleted, or made again since it was named.
fn resolve_anew(core: &Core, wanted: &mut [Wanted]) {
    let mut last: Option<(Named, Named)> = None;
    for w in wanted {
        let before = (w.id.topic, w.topic.clone());
        let now = match last.take() {
            Some((same, now)) if same == before => now,
            _ => resolve(core, &before.1, before.0.0, w.by_id),
        };
        (w.id.topic, w.topic) = now.clone();
        last = Some((before, now));
    }
}

/// Id and name of a topic.
type Named = (TopicId, Arc<str>);

/// Id and name of a topic as the client gave the one or the other: an unknown name gets the nil
/// id, an unknown id the empty name.
fn resolve(core: &Core, name: &str, id: uuid::Uuid, by_id: bool) -> Named {
    if by_id {
        let id = TopicId(id);
        (id, core.topic_name(id).unwrap_or_else(|| Arc::from("")))
    } else {
        (core.topic_id(name).unwrap_or(TopicId::NIL), Arc::from(name))
    }
}

fn respond(
    core: &Core,
    begun: &Begun,
    reads: Vec<Read>,
    mut leaders: Option<Leaders>,
) -> FetchAnswer {
    let told: Vec<Told> = reads.iter().map(Read::told).collect();
    let answered = core.fetch_sessions.finish(begun, &told);
    let mut topics: Vec<TopicAnswer> = Vec::new();
    for ((wanted, read), answered) in begun.wanted.iter().zip(reads).zip(answered) {
        if !answered {
            continue;
        }
        let elsewhere = ELSEWHERE.iter().any(|code| code.code() == read.error);
        let leaders = leaders.as_mut().filter(|_| elsewhere);
        let partition = PartitionAnswer {
            partition: wanted.id.partition,
            error_code: read.error,
            high_watermark: read.high_watermark,
            // Without transactions everything durable is stable.
            last_stable_offset: read.high_watermark,
            log_start_offset: read.log_start,
            diverging_epoch: read.parted,
            current_leader: leaders.map(|leaders| leaders.name(wanted.id)),
            records: read.records,
            ..PartitionAnswer::default()
        };
        match topics.last_mut() {
            Some(last) if last.id == Some(wanted.id.topic) && *last.name == *wanted.topic => {
                last.partitions.push(partition);
            }
            _ => topics.push(TopicAnswer {
                name: text(&*wanted.topic),
                id: Some(wanted.id.topic),
                partitions: vec![partition],
            }),
        }
    }
    let nodes = leaders.map(Leaders::into_nodes).into_iter().flatten();
    let node_endpoints = nodes.map(|node| NodeEndpoint {
        node_id: node.id,
        host: text(node.host),
        port: node.port.into(),
        rack: node.rack.map(text),
    });
    FetchAnswer {
        session_id: begun.session_id,
        topics,
        node_endpoints: node_endpoints.collect(),
        ..FetchAnswer::default()
    }
}
