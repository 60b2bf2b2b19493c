//! `odradek consume`: records onto standard output, without a group and without commits.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use odradek_common::batch::{Batch, BatchError, batches};
use odradek_common::limits::{
    CLIENT_BATCH_BYTES, CLIENT_FETCH_BYTES, CLIENT_FETCH_PARTITION_BYTES, CLIENT_FETCH_WAIT_MS,
    CLIENT_RETRY_MS,
};
use odradek_protocol::records;

use super::cluster::{Cluster, EARLIEST, LATEST, Patience, by_leader, topic_name};
use super::connection::Spoken;
use super::print::Style;
use super::{ClientError, note};
use crate::cli::{ConsumeArgs, StartAt};

/// Runs the command.
///
/// # Errors
/// See [`ClientError`]; [`ClientError::Output`] of the kind `BrokenPipe` if `out` is closed.
pub(super) async fn run(args: &ConsumeArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let mut consumer = Consumer::start(args).await?;
    let mut patience = Patience::of_ms(CLIENT_RETRY_MS);
    while !consumer.is_done() {
        let round = consumer.round(out).await;
        out.flush()?;
        match round {
            Ok(()) => patience = Patience::of_ms(CLIENT_RETRY_MS),
            Err(error) => {
                patience.bear(error).await?;
                if let Err(error) = consumer.locate().await {
                    patience.bear(error).await?;
                }
            }
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Consumer {
    cluster: Cluster,
    topic: String,
    style: Style,
    positions: BTreeMap<i32, Position>,
    /// Records that are still to be printed.
    left: Option<u64>,
    /// Rounds so far: who is asked for first changes with them.
    rounds: usize,
    /// True if the last round had records: then nothing is waited for.
    busy: bool,
}

/// Where the reading of a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    leader: i32,
    /// The next offset to fetch.
    next: i64,
    /// The first offset to print.
    first: i64,
    /// Where it is done, `None` for never.
    end: Option<i64>,
}

impl Position {
    fn new(leader: i32, from: StartAt, earliest: i64, latest: i64, exit: bool) -> Self {
        let (next, first) = match from {
            StartAt::Beginning => (earliest, earliest),
            StartAt::End => (latest, latest),
            // Offsets after the end cannot be fetched yet; they are waited for at the end.
            StartAt::Offset(offset) => (offset.min(latest).max(earliest), offset),
        };
        Self { leader, next, first, end: exit.then_some(latest) }
    }

    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

impl Consumer {
    async fn start(args: &ConsumeArgs) -> Result<Self, ClientError> {
        let mut cluster = Cluster::at(&args.at.bootstrap);
        cluster.metadata(Some(&[]), false).await?;
        let mut patience = Patience::of_ms(CLIENT_RETRY_MS);
        let positions = loop {
            match positions(&mut cluster, args).await {
                Ok(positions) => break positions,
                Err(error) => patience.bear(error).await?,
            }
        };
        let style = match (args.json, args.keys) {
            (true, _) => Style::Json,
            (false, true) => Style::KeyAndValue,
            (false, false) => Style::Value,
        };
        let topic = args.topic.clone();
        Ok(Self { cluster, topic, style, positions, left: args.count, rounds: 0, busy: true })
    }

    fn is_done(&self) -> bool {
        self.left == Some(0) || self.positions.values().all(Position::is_done)
    }

    /// Fetches from every leader once and prints what comes.
    async fn round(&mut self, out: &mut impl Write) -> Result<(), ClientError> {
        // With several leaders, one that has nothing new would hold up the others.
        let wait_ms = if self.busy { 0 } else { CLIENT_FETCH_WAIT_MS };
        let extra = Duration::from_millis(wait_ms.unsigned_abs().into());
        let answers = self.cluster.each(self.requests(wait_ms), extra).await;
        self.rounds = self.rounds.wrapping_add(1);
        self.busy = false;
        let mut failed = None;
        for (_, answer) in answers {
            match answer {
                Ok(answer) => {
                    if let Err(error) = self.take(answer, out).await {
                        if !error.is_transient() {
                            return Err(error);
                        }
                        failed = Some(error);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn requests(&self, wait_ms: i32) -> BTreeMap<i32, FetchRequest> {
        let reading = self.positions.iter().filter(|(_, position)| !position.is_done());
        let leaders: Vec<_> = reading.map(|(index, position)| (*index, position.leader)).collect();
        let requests = by_leader(&leaders).into_iter().map(|(leader, mut indexes)| {
            // The broker fills its answer in this order: nobody is to be the last for ever.
            let shift = self.rounds % indexes.len();
            indexes.rotate_left(shift);
            let at = indexes.iter().filter_map(|index| {
                self.positions.get(index).map(|position| (*index, position.next))
            });
            (leader, request(&self.topic, at, wait_ms))
        });
        requests.collect()
    }

    async fn take(
        &mut self,
        answer: FetchResponse,
        out: &mut impl Write,
    ) -> Result<(), ClientError> {
        if let Some(code) = ResponseError::try_from_code(answer.error_code) {
            return Err(ClientError::refused(format!("read {}", self.topic), code));
        }
        let mut failed = None;
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let index = data.partition_index;
            match ResponseError::try_from_code(data.error_code) {
                None => self.print(data, out)?,
                Some(ResponseError::OffsetOutOfRange) => self.begin_again(index).await?,
                Some(code) => {
                    let what = format!("read {}-{index}", self.topic);
                    failed = Some(ClientError::refused(what, code));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn print(&mut self, data: PartitionData, out: &mut impl Write) -> Result<(), ClientError> {
        let index = data.partition_index;
        let bytes = data.records.unwrap_or_default();
        let Some(position) = self.positions.get_mut(&index) else { return Ok(()) };
        if bytes.is_empty() || position.is_done() {
            return Ok(());
        }
        let malformed = |reason: String| ClientError::Malformed {
            address: format!("the leader of {}-{index}", self.topic),
            api: FetchRequest::NAME,
            reason,
        };
        let before = position.next;
        for batch in batches(bytes) {
            let batch = batch.and_then(checked).map_err(|error| malformed(error.to_string()))?;
            // Control records are no records of a user.
            if !batch.header.is_control() {
                let records = records::decode(&batch, CLIENT_BATCH_BYTES);
                for record in records.map_err(|error| malformed(error.to_string()))? {
                    let record = record.map_err(|error| malformed(error.to_string()))?;
                    // The first batch may begin before what was asked for.
                    if record.offset < position.next.max(position.first) {
                        continue;
                    }
                    if position.end.is_some_and(|end| record.offset >= end) || self.left == Some(0)
                    {
                        break;
                    }
                    self.style.print(&self.topic, index, &record, out)?;
                    self.left = self.left.map(|left| left - 1);
                }
            }
            position.next = position.next.max(batch.header.next_offset());
        }
        if position.next == before {
            return Err(malformed("no whole batch at the offset that was asked for".to_owned()));
        }
        self.busy = true;
        Ok(())
    }

    /// Goes on with the first record there is, if the next has been deleted; or with the end, if
    /// the log is shorter than it was.
    async fn begin_again(&mut self, index: i32) -> Result<(), ClientError> {
        let Some(position) = self.positions.get_mut(&index) else { return Ok(()) };
        let at = [(index, position.leader)];
        let earliest = self.cluster.offsets(&self.topic, &at, EARLIEST).await?[&index];
        let latest = self.cluster.offsets(&self.topic, &at, LATEST).await?[&index];
        let gone = position.next;
        position.next = gone.min(latest).max(earliest);
        let (topic, next) = (&self.topic, position.next);
        if next == gone {
            // The leader takes back what it said, and may do so again: asked later, not at once.
            let what = format!("read {topic}-{index} at {gone}");
            return Err(ClientError::refused(what, ResponseError::OffsetNotAvailable));
        }
        note(&format!("{topic}-{index} has no offset {gone}: it is read from {next} on"));
        Ok(())
    }

    /// Learns anew who leads the partitions.
    async fn locate(&mut self) -> Result<(), ClientError> {
        let topic = self.cluster.topic(&self.topic, false).await?;
        for partition in topic.partitions {
            if let Some(position) = self.positions.get_mut(&partition.partition_index) {
                position.leader = *partition.leader_id;
            }
        }
        Ok(())
    }
}

/// Checks the CRC of a batch, and of one that compaction left whole its records too.
fn checked(batch: Batch) -> Result<Batch, BatchError> {
    match batch.verify() {
        // Compaction leaves fewer records than offsets.
        Ok(()) | Err(BatchError::Count { .. }) => Ok(batch),
        Err(error) => Err(error),
    }
}

/// Where each partition that is asked for begins and ends.
async fn positions(
    cluster: &mut Cluster,
    args: &ConsumeArgs,
) -> Result<BTreeMap<i32, Position>, ClientError> {
    let topic = match cluster.topic(&args.topic, false).await {
        Err(ClientError::Refused { code: ResponseError::UnknownTopicOrPartition, .. }) => {
            return Err(ClientError::NoTopic(args.topic.clone()));
        }
        found => found?,
    };
    let count = topic.partitions.len();
    let wanted = topic.partitions.iter().map(|at| (at.partition_index, *at.leader_id));
    let wanted: Vec<_> = wanted
        .filter(|(index, _)| args.partition.is_none_or(|partition| partition == *index))
        .collect();
    if let Some(partition) = args.partition.filter(|_| wanted.is_empty()) {
        return Err(ClientError::NoPartition { topic: args.topic.clone(), partition, count });
    }
    let earliest = cluster.offsets(&args.topic, &wanted, EARLIEST).await?;
    let latest = cluster.offsets(&args.topic, &wanted, LATEST).await?;
    let position = |(index, leader)| {
        let position =
            Position::new(leader, args.from, earliest[&index], latest[&index], args.exit);
        (index, position)
    };
    Ok(wanted.into_iter().map(position).collect())
}

/// A fetch without a session (KIP-227) of pairs of partition and offset.
fn request(topic: &str, at: impl Iterator<Item = (i32, i64)>, wait_ms: i32) -> FetchRequest {
    let partitions = at.map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(index)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(offset)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(CLIENT_FETCH_PARTITION_BYTES)
    });
    let topic =
        FetchTopic::default().with_topic(topic_name(topic)).with_partitions(partitions.collect());
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(CLIENT_FETCH_BYTES)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

#[cfg(test)]
mod tests;
