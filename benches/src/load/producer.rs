//! One producer: records of its share of the schedule to its share of the partitions, over one
//! connection with up to five requests in flight.
//!
//! After any error all that is unanswered is sent again in order with the sequences that it had, over
//! a new connection: a broker that has a batch already says so. What is not acknowledged in time
//! counts as failed, and the producer begins anew with another id.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use kafka_protocol::protocol::Encodable;
use odradek_common::clock::{Clock, SystemClock};
use tokio::time::{sleep, timeout};

use super::batch::{Gathered, RECORD_OVERHEAD_BYTES};
use super::connection::{CALL_LIMIT, Connection, decode};
use super::options::{Acks, Options};
use super::recorder::Recorder;
use super::run::{Shared, leader_of, topic_name};
use super::schedule::{SECOND_NS, Schedule};

const PRODUCE_VERSION: i16 = 11;
/// Requests in flight, the most that a broker orders for an idempotent producer.
const IN_FLIGHT: usize = 5;
/// Bytes of one request, as Kafka's `max.request.size`.
const REQUEST_BYTES: usize = 1 << 20;
/// Records that are made between two looks at the connection.
const BURST: usize = 1000;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long to rest when nothing is to be done before something comes.
const IDLE: Duration = Duration::from_millis(1);

/// What one producer has seen.
#[derive(Debug)]
pub struct Produced {
    /// Latencies of what was acknowledged.
    pub recorder: Recorder,
    /// Records acknowledged, measured or not.
    pub acked: u64,
    /// Records given up.
    pub failed: u64,
}

#[derive(Debug)]
struct Sealed {
    gathered: Gathered,
    sequence: i32,
    sent: bool,
}

#[derive(Debug)]
struct Partition {
    index: i32,
    next_sequence: i32,
    /// In order; those that were sent stand first.
    unanswered: VecDeque<Sealed>,
}

#[derive(Debug)]
struct Producer<'a> {
    shared: &'a Shared,
    options: &'a Options,
    partitions: Vec<Partition>,
    schedule: Option<Schedule>,
    made: u64,
    open: Gathered,
    open_at_ns: u64,
    sticky: usize,
    unanswered_bytes: usize,
    identity: Option<(i64, i16)>,
    in_flight: VecDeque<(i32, u64)>,
    filler: Vec<u8>,
    produced: Produced,
}

/// Runs producer `number` until the end of the schedule and until all is answered or given up.
///
/// # Errors
/// Only for what no second try can help.
pub async fn run(
    shared: &Shared,
    options: &Options,
    number: u32,
    indexes: Vec<i32>,
) -> Result<Produced> {
    let rate = options.records_per_s()? / f64::from(options.producers);
    let partitions = indexes
        .into_iter()
        .map(|index| Partition { index, next_sequence: 0, unanswered: VecDeque::new() })
        .collect();
    let filler_bytes = options.record_size as usize - 16;
    let mut producer = Producer {
        shared,
        options,
        partitions,
        schedule: Schedule::of(rate),
        made: 0,
        open: Gathered::default(),
        open_at_ns: 0,
        sticky: number as usize,
        unanswered_bytes: 0,
        identity: None,
        in_flight: VecDeque::new(),
        filler: filler(filler_bytes, shared.run),
        produced: Produced { recorder: shared.recorder(), acked: 0, failed: 0 },
    };
    producer.sticky %= producer.partitions.len();
    let mut backoff = BACKOFF_FIRST;
    while !producer.done() {
        let acked = producer.produced.acked;
        if let Err(error) = producer.life().await {
            shared.error(&error);
        }
        producer.give_up(producer.overdue());
        producer.reset();
        backoff = if producer.produced.acked > acked { BACKOFF_FIRST } else { backoff };
        if !producer.done() {
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
    Ok(producer.produced)
}

impl Producer<'_> {
    fn done(&self) -> bool {
        self.ended() && self.unanswered_bytes == 0 && self.open.count() == 0
    }

    /// True when no record is to be made any more.
    fn ended(&self) -> bool {
        let end_ns = self.shared.end_ns;
        match self.schedule {
            Some(schedule) => schedule.due_ns(self.made) >= end_ns,
            None => self.shared.now_ns() >= end_ns,
        }
    }

    /// True when the end has taken as long as it may.
    fn overdue(&self) -> bool {
        self.shared.now_ns() >= self.shared.end_ns + SECOND_NS * self.options.delivery_timeout
    }

    /// One connection's life.
    async fn life(&mut self) -> Result<()> {
        let address =
            leader_of(&self.options.bootstrap, &self.options.topic, self.partitions[0].index);
        let mut connection = Connection::open(&timeout(CALL_LIMIT, address).await??).await?;
        if self.identity.is_none() {
            self.identity = Some(if self.options.idempotence {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(None)
                    .with_transaction_timeout_ms(60_000)
                    .with_producer_id((-1).into())
                    .with_producer_epoch(-1);
                let answer = connection.call(&request, 4).await?;
                check(answer.error_code)?;
                (*answer.producer_id, answer.producer_epoch)
            } else {
                (-1, -1)
            });
        }
        while !self.done() {
            let rests = !self.make();
            self.send(&mut connection).await?;
            let late = self.in_flight.front().is_some_and(|(_, since)| {
                self.shared.now_ns().saturating_sub(*since) > SECOND_NS * CALL_LIMIT.as_secs()
            });
            ensure!(!late, "no answer in time");
            ensure!(!self.overdue(), "not all was acknowledged when the time was over");
            // A burst that was cut short goes on at once, but answers are taken between.
            let wait = if rests { IDLE } else { Duration::ZERO };
            if let Ok(answer) = timeout(wait, connection.receive()).await {
                self.settle(answer?)?;
            }
        }
        Ok(())
    }

    /// Makes what is due; true if more is.
    fn make(&mut self) -> bool {
        let now_ns = self.shared.now_ns();
        for _ in 0..BURST {
            let due_ns = self.schedule.map_or(now_ns, |schedule| schedule.due_ns(self.made));
            if due_ns > now_ns || due_ns >= self.shared.end_ns {
                break;
            }
            if self.unanswered_bytes + self.open.size_bytes() >= self.options.window_bytes {
                return false;
            }
            let record_bytes = self.options.record_size as usize + RECORD_OVERHEAD_BYTES;
            let full = self.open.size_bytes() + record_bytes > self.options.batch_bytes as usize;
            if full && self.open.count() > 0 {
                self.seal();
            }
            if self.open.count() == 0 {
                self.open_at_ns = now_ns;
            }
            self.open.push(self.shared.run, due_ns, &self.filler);
            self.made += 1;
        }
        let due = self.schedule.is_none_or(|schedule| schedule.due_ns(self.made) <= now_ns);
        due && !self.ended()
    }

    /// Closes the open batch; the next goes to the next partition.
    fn seal(&mut self) {
        let gathered = std::mem::take(&mut self.open);
        self.unanswered_bytes += gathered.size_bytes();
        let partition = &mut self.partitions[self.sticky];
        let count = i64::try_from(gathered.count()).unwrap_or(0);
        let after = (i64::from(partition.next_sequence) + count) & i64::from(i32::MAX);
        let sequence = partition.next_sequence;
        partition.next_sequence = i32::try_from(after).unwrap_or(0);
        partition.unanswered.push_back(Sealed { gathered, sequence, sent: false });
        self.sticky = (self.sticky + 1) % self.partitions.len();
    }

    async fn send(&mut self, connection: &mut Connection) -> Result<()> {
        while self.in_flight.len() < IN_FLIGHT {
            let now_ns = self.shared.now_ns();
            let waited = now_ns.saturating_sub(self.open_at_ns);
            if self.open.count() > 0
                && (waited >= self.options.linger_ms * 1_000_000 || self.ended())
            {
                self.seal();
            }
            let Some(request) = self.request()? else {
                return Ok(());
            };
            let id = connection.send(&request, PRODUCE_VERSION).await?;
            self.in_flight.push_back((id, now_ns));
        }
        Ok(())
    }

    /// A request with the next batch of each partition that has one.
    fn request(&mut self) -> Result<Option<ProduceRequest>> {
        let Some((producer_id, epoch)) = self.identity else { return Ok(None) };
        let (mut data, mut bytes) = (Vec::new(), 0);
        for partition in &mut self.partitions {
            let Some(next) = partition.unanswered.iter_mut().find(|batch| !batch.sent) else {
                continue;
            };
            if bytes > 0 && bytes + next.gathered.size_bytes() > REQUEST_BYTES {
                break;
            }
            bytes += next.gathered.size_bytes();
            next.sent = true;
            let sequence = if self.options.idempotence { next.sequence } else { -1 };
            let identity = (producer_id, epoch, sequence);
            let records =
                next.gathered.encode(self.options.compression, SystemClock.now_ms(), identity)?;
            data.push(
                PartitionProduceData::default()
                    .with_index(partition.index)
                    .with_records(Some(records)),
            );
        }
        if data.is_empty() {
            return Ok(None);
        }
        let topic = TopicProduceData::default()
            .with_name(topic_name(&self.options.topic))
            .with_partition_data(data);
        let acks = if self.options.acks == Acks::All { -1 } else { 1 };
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(acks)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic]);
        debug_assert!(request.compute_size(PRODUCE_VERSION).is_ok());
        Ok(Some(request))
    }

    fn settle(&mut self, answer: bytes::Bytes) -> Result<()> {
        let (id, answer) = decode::<ProduceRequest>(answer, PRODUCE_VERSION)?;
        let Some((expected, _)) = self.in_flight.pop_front() else { bail!("an answer to nothing") };
        ensure!(id == expected, "answers out of order");
        let now_ns = self.shared.now_ns();
        let duplicate = ResponseError::DuplicateSequenceNumber.code();
        let mut failure = Ok(());
        for said in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
            if said.error_code != 0 && said.error_code != duplicate {
                failure = check(said.error_code);
                continue;
            }
            let partition = self.partitions.iter_mut().find(|at| at.index == said.index);
            let batch = partition.and_then(|partition| partition.unanswered.pop_front());
            let Some(batch) = batch else { bail!("an answer for a partition that was not asked") };
            self.unanswered_bytes -= batch.gathered.size_bytes();
            self.produced.acked += batch.gathered.count() as u64;
            self.shared.acked(batch.gathered.count() as u64);
            for due_ns in &batch.gathered.due_ns {
                self.produced.recorder.record(*due_ns, now_ns);
            }
        }
        failure
    }

    /// Gives up what is too old, all if `all`: then sequences are missing, and another id is needed.
    fn give_up(&mut self, all: bool) {
        let now_ns = self.shared.now_ns();
        let limit_ns = SECOND_NS * self.options.delivery_timeout;
        let oldest = self.partitions.iter().flat_map(|at| at.unanswered.front());
        let oldest = oldest.filter_map(|batch| batch.gathered.due_ns.first()).min();
        if !all && oldest.is_none_or(|due_ns| now_ns.saturating_sub(*due_ns) < limit_ns) {
            return;
        }
        for partition in &mut self.partitions {
            for batch in partition.unanswered.drain(..) {
                self.produced.failed += batch.gathered.count() as u64;
            }
            partition.next_sequence = 0;
        }
        self.unanswered_bytes = 0;
        self.identity = None;
        if all {
            self.produced.failed += self.open.count() as u64;
            self.open = Gathered::default();
            while let Some(schedule) = self.schedule
                && schedule.due_ns(self.made) < self.shared.end_ns
            {
                self.made += 1;
                self.produced.failed += 1;
            }
        }
    }

    /// Everything unanswered is to be sent again.
    fn reset(&mut self) {
        self.in_flight.clear();
        for batch in self.partitions.iter_mut().flat_map(|at| &mut at.unanswered) {
            batch.sent = false;
        }
    }
}

/// Capital letters, as Kafka's own driver sends.
fn filler(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let letter = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'A' + (state >> 33).to_le_bytes()[0] % 26
    };
    (0..length).map(letter).collect()
}

fn check(code: i16) -> Result<()> {
    match ResponseError::try_from_code(code) {
        None if code == 0 => Ok(()),
        Some(error) => Err(anyhow!("{error:?}")),
        None => Err(anyhow!("error {code}")),
    }
}
