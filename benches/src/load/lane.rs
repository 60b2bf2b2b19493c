//! One producer's connection to one leader, with up to five requests in flight.
//!
//! What a leader refuses, and all that is in flight when the connection fails, goes back to its queue
//! with the sequence that it had: a leader that has a batch already says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use odradek_common::clock::{Clock, SystemClock};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::cluster::topic_name;
use super::connection::{Connection, check, decode};
use super::options::Acks;
use super::producer::Producer;
use super::queues::{NO_PRODUCER, Sealed};
use super::routes;

const PRODUCE_VERSION: i16 = 11;
/// Requests in flight, the most that a broker orders for an idempotent producer.
const IN_FLIGHT: usize = 5;

/// A request that is being written or waits for its answer.
#[derive(Debug)]
struct Flight {
    id: i32,
    /// When it has waited too long.
    until: Instant,
    batches: Vec<(i32, Sealed)>,
}

struct Lane<'a> {
    producer: &'a Producer,
    route: &'a routes::Lane,
    in_flight: VecDeque<Flight>,
    /// The partition with which the next request begins.
    from: i32,
}

/// Serves a lane until no partition is left to it, it fails, or the time of the run is over.
pub async fn run(producer: Arc<Producer>, route: routes::Lane) {
    let mut lane = Lane { producer: &producer, route: &route, in_flight: VecDeque::new(), from: 0 };
    let ended = timeout_at(producer.shared.deadline(), lane.life()).await;
    if let Ok(Ok(())) = ended {
        return;
    }
    let mut queues = producer.queues.lock();
    for (partition, batch) in lane.in_flight.drain(..).flat_map(|flight| flight.batches) {
        queues.put_back(partition, batch);
    }
    queues.routes.close(route.node, producer.shared.now_ns());
    drop(queues);
    if let Ok(Err(error)) = ended {
        producer.shared.error(&error);
    }
}

impl Lane<'_> {
    async fn life(&mut self) -> Result<()> {
        let limit = self.producer.options.request_timeout();
        let mut connection = Connection::open(&self.route.address, limit).await?;
        loop {
            while self.in_flight.len() < IN_FLIGHT && self.send(&mut connection).await? {}
            if self.in_flight.is_empty() && self.retires() {
                return Ok(());
            }
            let until = self.in_flight.front().map(|flight| flight.until);
            tokio::select! {
                answer = connection.receive() => self.settle(answer?)?,
                () = self.route.bell.notified(), if self.in_flight.len() < IN_FLIGHT => {}
                () = late(until) => bail!("no answer in time"),
            }
        }
    }

    fn retires(&self) -> bool {
        self.producer.queues.lock().routes.retire(self.route.node)
    }

    /// Sends what is ready; false if nothing is.
    async fn send(&mut self, connection: &mut Connection) -> Result<bool> {
        let batches = self.producer.queues.lock().take(self.route.node, self.from);
        let Some((last, _)) = batches.last() else { return Ok(false) };
        self.from = last + 1;
        let until = Instant::now() + self.producer.options.request_timeout();
        // Before anything can fail or be cut short: what is in flight is put back then.
        self.in_flight.push_back(Flight { id: 0, until, batches });
        let Some(flight) = self.in_flight.back_mut() else { return Ok(false) };
        let request = request(self.producer, &flight.batches)?;
        flight.id = connection.send(&request, PRODUCE_VERSION).await?;
        if self.producer.options.acks == Acks::None
            && let Some(flight) = self.in_flight.pop_back()
        {
            self.done(flight, |_| 0);
        }
        Ok(true)
    }

    fn settle(&mut self, answer: Bytes) -> Result<()> {
        let (id, answer) = decode::<ProduceRequest>(answer, PRODUCE_VERSION)?;
        let asked = self.in_flight.front().is_some_and(|flight| flight.id == id);
        ensure!(asked, "an answer to another request than the oldest");
        let Some(flight) = self.in_flight.pop_front() else { return Ok(()) };
        let said = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let codes: BTreeMap<i32, i16> = said.map(|at| (at.index, at.error_code)).collect();
        self.done(flight, |partition| {
            codes.get(&partition).copied().unwrap_or(ResponseError::UnknownServerError.code())
        });
        Ok(())
    }

    /// Batches are acknowledged or come back, by their partition's error code.
    fn done(&self, flight: Flight, code_of: impl Fn(i32) -> i16) {
        let shared = &self.producer.shared;
        let now_ns = shared.now_ns();
        let mut queues = self.producer.queues.lock();
        for (partition, batch) in flight.batches {
            let code = code_of(partition);
            let duplicate = code == ResponseError::DuplicateSequenceNumber.code();
            match check(code) {
                Err(error) if !duplicate => {
                    queues.put_back(partition, batch);
                    queues.routes.lose(partition, now_ns);
                    shared.error(&error);
                }
                _ => queues.acknowledged(shared, partition, &batch, now_ns),
            }
        }
    }
}

/// Waits until the time, or for ever.
async fn late(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn request(producer: &Producer, batches: &[(i32, Sealed)]) -> Result<ProduceRequest> {
    let mut data = Vec::with_capacity(batches.len());
    for (partition, batch) in batches {
        let identity = batch.identity.unwrap_or((NO_PRODUCER.0, NO_PRODUCER.1, -1));
        let now_ms = SystemClock.now_ms();
        let records = batch.gathered.encode(producer.options.compression, now_ms, identity)?;
        let data_of = PartitionProduceData::default();
        data.push(data_of.with_index(*partition).with_records(Some(records)));
    }
    let topic = TopicProduceData::default()
        .with_name(topic_name(&producer.options.topic))
        .with_partition_data(data);
    Ok(ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(producer.options.acks.code())
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]))
}
