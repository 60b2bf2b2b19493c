//! `odradek produce`: lines into records.
//!
//! An idempotent producer (KIP-98) with acks=all: one batch a partition is on its way at a time, and
//! what is sent again after an error is the same bytes with the same sequence, so that no record is
//! written twice or in another order.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use odradek_common::clock::{Clock, SystemClock};
use odradek_common::limits::{
    CLIENT_BROKER_WAIT_MS, CLIENT_LINGER_MS, CLIENT_PRODUCE_BATCH_BYTES, CLIENT_PRODUCE_BYTES,
    CLIENT_RETRY_MS, CLIENT_TOPIC_WAIT_MS,
};
use odradek_protocol::records::BatchBuilder;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::cluster::{Cluster, Patience, topic_name};
use super::connection::Spoken;
use super::partitioner::partition_of;
use super::{ClientError, input, note};
use crate::cli::ProduceArgs;

/// Bytes of a batch that are not key and value, at most, if it has one record.
const OVERHEAD_BYTES: usize = 128;

/// Runs the command.
///
/// # Errors
/// See [`ClientError`]; how many records were written before is told.
pub(super) async fn run(args: &ProduceArgs) -> Result<(), ClientError> {
    let unread = |source| ClientError::Input { path: args.file.clone(), source };
    let lines = input::lines(args.file.as_deref()).map_err(unread)?;
    let mut producer = Producer::start(args).await?;
    let done = producer.write_all(args, lines).await;
    let (written, topic) = (producer.written, &args.topic);
    let records = if written == 1 { "record" } else { "records" };
    note(&format!("{written} {records} written to {topic}"));
    done
}

#[derive(Debug)]
struct Producer {
    cluster: Cluster,
    topic: String,
    id: i64,
    epoch: i16,
    /// By index, from 0 without gaps.
    partitions: Vec<Partition>,
    /// The partition that records without a key go to.
    sticky: usize,
    /// Bytes of all open batches.
    gathered_bytes: usize,
    written: u64,
}

#[derive(Debug, Default)]
struct Partition {
    leader: i32,
    next_sequence: i32,
    open: Option<OpenBatch>,
}

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    records: i32,
}

/// A batch that is not acknowledged yet.
#[derive(Debug)]
struct Pending {
    bytes: Bytes,
    records: i32,
}

impl Producer {
    async fn start(args: &ProduceArgs) -> Result<Self, ClientError> {
        let mut cluster = Cluster::at(&args.at.bootstrap);
        // The first call is not repeated: a wrong address shall show at once.
        cluster.metadata(Some(&[]), false).await?;
        let topic = args.topic.clone();
        let leaders = leaders(&mut cluster, &topic, CLIENT_TOPIC_WAIT_MS).await?;
        if let Some(partition) = args.partition
            && !leaders.contains_key(&partition)
        {
            return Err(ClientError::NoPartition { topic, partition, count: leaders.len() });
        }
        let (id, epoch) = producer_id(&mut cluster).await?;
        let partitions =
            leaders.into_values().map(|leader| Partition { leader, ..Partition::default() });
        let partitions = partitions.collect();
        Ok(Self { cluster, topic, id, epoch, partitions, sticky: 0, gathered_bytes: 0, written: 0 })
    }

    /// Writes all lines; those before a line that is wrong too.
    async fn write_all(
        &mut self,
        args: &ProduceArgs,
        mut lines: Receiver<io::Result<Vec<u8>>>,
    ) -> Result<(), ClientError> {
        let linger = Duration::from_millis(CLIENT_LINGER_MS);
        let mut number = 0;
        loop {
            let line = match timeout(linger, lines.recv()).await {
                Ok(line) => line,
                Err(_) => {
                    self.flush().await?;
                    lines.recv().await
                }
            };
            let Some(line) = line else { return self.flush().await };
            number += 1;
            let taken = match line {
                Ok(line) => self.take(args, &line, number).await,
                Err(source) => Err(ClientError::Input { path: args.file.clone(), source }),
            };
            if let Err(error) = taken {
                if matches!(error, ClientError::Line { .. } | ClientError::Input { .. }) {
                    self.flush().await?;
                }
                return Err(error);
            }
        }
    }

    async fn take(
        &mut self,
        args: &ProduceArgs,
        line: &[u8],
        number: u64,
    ) -> Result<(), ClientError> {
        let (key, value) = input::record(line, args.key_separator.as_deref(), number)?;
        if self.gathered_bytes >= CLIENT_PRODUCE_BYTES {
            self.flush().await?;
        }
        let mut index = self.partition(args.partition, key);
        if self.push(index, key, value) {
            return Ok(());
        }
        if args.partition.is_none() && key.is_none() {
            self.sticky = (self.sticky + 1) % self.partitions.len();
            index = self.sticky;
            if self.push(index, key, value) {
                return Ok(());
            }
        }
        self.flush().await?;
        if self.push(index, key, value) {
            return Ok(());
        }
        Err(ClientError::Line { line: number, reason: "it is too long for a batch".to_owned() })
    }

    fn partition(&self, given: Option<i32>, key: Option<&[u8]>) -> usize {
        let count = i32::try_from(self.partitions.len()).unwrap_or(i32::MAX);
        let index = given.or_else(|| key.map(|key| partition_of(key, count)));
        index.and_then(|index| usize::try_from(index).ok()).unwrap_or(self.sticky)
    }

    /// Adds a record to the open batch of its partition; false if that is full.
    fn push(&mut self, index: usize, key: Option<&[u8]>, value: &[u8]) -> bool {
        let (id, epoch) = (self.id, self.epoch);
        let partition = &mut self.partitions[index];
        let sequence = partition.next_sequence;
        let open = partition.open.get_or_insert_with(|| {
            let alone_bytes = key.map_or(0, <[u8]>::len) + value.len() + OVERHEAD_BYTES;
            let builder = BatchBuilder::new(alone_bytes.max(CLIENT_PRODUCE_BATCH_BYTES));
            OpenBatch { builder: builder.producer(id, epoch, sequence), records: 0 }
        });
        let before = if open.records == 0 { 0 } else { open.builder.size_bytes() };
        if open.builder.push(SystemClock.now_ms(), key, Some(value), &[]).is_err() {
            return false;
        }
        open.records += 1;
        self.gathered_bytes += open.builder.size_bytes() - before;
        true
    }

    /// Sends what is gathered and waits until all of it is acknowledged.
    async fn flush(&mut self) -> Result<(), ClientError> {
        let mut pending = self.close_batches();
        let mut patience = Patience::of_ms(CLIENT_RETRY_MS);
        while !pending.is_empty() {
            let Err(error) = self.send(&mut pending).await else { continue };
            patience.bear(error).await?;
            match leaders(&mut self.cluster, &self.topic, 0).await {
                Ok(leaders) => {
                    for (partition, leader) in self.partitions.iter_mut().zip(leaders.values()) {
                        partition.leader = *leader;
                    }
                }
                Err(error) => patience.bear(error).await?,
            }
        }
        Ok(())
    }

    fn close_batches(&mut self) -> BTreeMap<i32, Pending> {
        let mut pending = BTreeMap::new();
        for (index, partition) in (0..).zip(&mut self.partitions) {
            let Some(open) = partition.open.take() else { continue };
            let Some(batch) = open.builder.build() else { continue };
            partition.next_sequence = sequence_after(partition.next_sequence, open.records);
            pending.insert(index, Pending { bytes: batch.bytes, records: open.records });
        }
        self.gathered_bytes = 0;
        self.sticky = (self.sticky + 1) % self.partitions.len().max(1);
        pending
    }

    /// Sends every batch once, and takes out of `pending` what is acknowledged. An error that will
    /// not pass goes before one that may.
    async fn send(&mut self, pending: &mut BTreeMap<i32, Pending>) -> Result<(), ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<PartitionProduceData>> = BTreeMap::new();
        for (index, batch) in &*pending {
            let at = usize::try_from(*index).ok().and_then(|index| self.partitions.get(index));
            let leader = at.map_or(-1, |partition| partition.leader);
            let data = PartitionProduceData::default()
                .with_index(*index)
                .with_records(Some(batch.bytes.clone()));
            by_leader.entry(leader).or_default().push(data);
        }
        let requests =
            by_leader.into_iter().map(|(leader, data)| (leader, request(&self.topic, data)));
        let answers = self.cluster.each(requests.collect(), Duration::ZERO).await;
        let mut failed: Option<ClientError> = None;
        for error in answers.into_iter().filter_map(|(_, answer)| self.settle(answer, pending)) {
            if failed.as_ref().is_none_or(ClientError::is_transient) {
                failed = Some(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None if pending.is_empty() => Ok(()),
            None => Err(ClientError::Malformed {
                address: format!("a leader of {}", self.topic),
                api: ProduceRequest::NAME,
                reason: "a partition is not in it".to_owned(),
            }),
        }
    }

    /// Takes one answer; its worst error.
    fn settle(
        &mut self,
        answer: Result<ProduceResponse, ClientError>,
        pending: &mut BTreeMap<i32, Pending>,
    ) -> Option<ClientError> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Some(error),
        };
        let mut failed: Option<ClientError> = None;
        for partition in answer.responses.into_iter().flat_map(|topic| topic.partition_responses) {
            match outcome(&self.topic, &partition) {
                Ok(()) => {
                    let acknowledged = pending.remove(&partition.index);
                    let records = acknowledged.map_or(0, |batch| batch.records);
                    self.written += u64::from(records.unsigned_abs());
                }
                Err(error) if failed.as_ref().is_none_or(ClientError::is_transient) => {
                    failed = Some(error);
                }
                Err(_) => {}
            }
        }
        failed
    }
}

/// What an answer says of one partition. A sequence that the partition has already is an earlier
/// attempt's whose answer was lost.
fn outcome(topic: &str, partition: &PartitionProduceResponse) -> Result<(), ClientError> {
    match ResponseError::try_from_code(partition.error_code) {
        None | Some(ResponseError::DuplicateSequenceNumber) => Ok(()),
        Some(code) => {
            let said = partition.error_message.as_ref();
            let first = partition.record_errors.iter();
            let first = first.filter_map(|error| error.batch_index_error_message.as_ref()).next();
            Err(ClientError::Refused {
                what: format!("write to {topic}-{}", partition.index),
                code,
                message: said.or(first).map(|text| text.to_string()),
            })
        }
    }
}

fn request(topic: &str, partitions: Vec<PartitionProduceData>) -> ProduceRequest {
    let topic =
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(partitions);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(CLIENT_BROKER_WAIT_MS)
        .with_topic_data(vec![topic])
}

/// Sequences wrap from 2^31-1 to 0.
fn sequence_after(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}

/// The leader of each partition of `topic`, -1 without one; makes the topic if the broker does so,
/// and waits `wait_ms` for it.
async fn leaders(
    cluster: &mut Cluster,
    topic: &str,
    wait_ms: u64,
) -> Result<BTreeMap<i32, i32>, ClientError> {
    let mut patience = Patience::of_ms(wait_ms);
    loop {
        match cluster.topic(topic, true).await {
            Ok(found) if found.partitions.is_empty() => {
                let what = format!("find the partitions of {topic}");
                patience
                    .bear(ClientError::refused(what, ResponseError::LeaderNotAvailable))
                    .await?;
            }
            Ok(found) => {
                let partitions = found.partitions.iter();
                return Ok(partitions.map(|at| (at.partition_index, *at.leader_id)).collect());
            }
            Err(error) => patience.bear(error).await?,
        }
    }
}

async fn producer_id(cluster: &mut Cluster) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let mut patience = Patience::of_ms(CLIENT_RETRY_MS);
    loop {
        let error = match cluster.any(&request).await {
            Ok(answer) => match ResponseError::try_from_code(answer.error_code) {
                None => return Ok((*answer.producer_id, answer.producer_epoch)),
                Some(code) => ClientError::refused("get a producer id", code),
            },
            Err(error) => error,
        };
        patience.bear(error).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odradek_common::batch::Batch;
    use odradek_protocol::records;

    fn producer(partitions: usize) -> Producer {
        Producer {
            cluster: Cluster::at("localhost:9092"),
            topic: "t".into(),
            id: 7,
            epoch: 1,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            sticky: 0,
            gathered_bytes: 0,
            written: 0,
        }
    }

    fn values(pending: &Pending) -> Vec<Bytes> {
        let batch = Batch::split_first(&mut pending.bytes.clone()).unwrap();
        batch.verify().unwrap();
        let records = records::decode(&batch, usize::MAX).unwrap();
        records.map(|record| record.unwrap().value.unwrap()).collect()
    }

    #[test]
    fn batches_carry_the_producer_and_go_on_in_sequence() {
        let mut producer = producer(2);
        assert!(producer.push(1, None, b"a") && producer.push(1, Some(b"k"), b"b"));
        let first = producer.close_batches();
        assert_eq!(first.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(values(&first[&1]), ["a", "b"]);
        assert!(producer.push(1, None, b"c"));
        let second = producer.close_batches();
        let header = Batch::split_first(&mut second[&1].bytes.clone()).unwrap().header;
        let of_producer = (header.producer_id, header.producer_epoch, header.base_sequence);
        assert_eq!(of_producer, (7, 1, 2));
        assert_eq!(producer.gathered_bytes, 0);
    }

    #[test]
    fn a_full_batch_takes_no_more_and_a_large_record_has_one_alone() {
        let mut producer = producer(1);
        let large = vec![b'x'; CLIENT_PRODUCE_BATCH_BYTES * 2];
        assert!(producer.push(0, Some(&large), &large));
        assert!(!producer.push(0, None, &large));
        assert!(producer.gathered_bytes > large.len() * 2);
        assert_eq!(producer.close_batches()[&0].records, 1);
    }

    #[test]
    fn a_record_goes_where_it_is_told_then_to_its_key_then_to_any() {
        let mut producer = producer(3);
        assert_eq!(producer.partition(Some(2), Some(b"21")), 2);
        let of_key = usize::try_from(partition_of(b"21", 3)).unwrap();
        assert_eq!(producer.partition(None, Some(b"21")), of_key);
        assert_eq!(producer.partition(None, None), 0);
        producer.close_batches();
        assert_eq!(producer.partition(None, None), 1);
    }

    #[test]
    fn a_sequence_wraps_to_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
        assert_eq!(sequence_after(5, 2), 7);
    }

    #[test]
    fn an_answer_settles_what_it_acknowledges() {
        let mut producer = producer(3);
        for index in 0..3 {
            assert!(producer.push(index, None, b"a"));
        }
        let mut pending = producer.close_batches();
        let said = |index: i32, code: i16| {
            PartitionProduceResponse::default().with_index(index).with_error_code(code)
        };
        let duplicate = ResponseError::DuplicateSequenceNumber.code();
        let moved = ResponseError::NotLeaderOrFollower.code();
        let topic = kafka_protocol::messages::produce_response::TopicProduceResponse::default()
            .with_partition_responses(vec![said(0, 0), said(1, duplicate), said(2, moved)]);
        let answer = ProduceResponse::default().with_responses(vec![topic]);
        let error = producer.settle(Ok(answer), &mut pending).unwrap();
        assert!(error.is_transient());
        assert_eq!((producer.written, pending.len()), (2, 1));
        assert!(pending.contains_key(&2));
    }

    #[test]
    fn writes_wait_for_all() {
        let request = request("t", vec![PartitionProduceData::default().with_index(4)]);
        assert_eq!((request.acks, request.transactional_id), (-1, None));
        assert_eq!(request.topic_data[0].partition_data[0].index, 4);
    }
}
