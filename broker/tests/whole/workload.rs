//! What clients do while a broker lives, and what they look at when it lives again.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, GroupId, InitProducerIdRequest, MetadataRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::history::{History, PARTITIONS, value};
use super::wire::{Failed, Wire, batch, name, produce_request};

pub const TOPIC: &str = "events";
/// Kafka's code for a name that is taken, also by a topic that is being deleted.
pub const TOPIC_ALREADY_EXISTS: i16 = 36;
/// Requests of the producer in flight, as many as Kafka's idempotence bears.
const IN_FLIGHT: usize = 5;

/// A batch that is not acknowledged yet.
#[derive(Debug)]
struct Pending {
    partition: i32,
    first: u64,
    count: u64,
    bytes: Bytes,
}

/// The clients; they outlive brokers.
#[derive(Debug)]
pub struct Clients {
    pub history: History,
    /// How long what may pass is tried again.
    patience: Duration,
    producer: Option<i64>,
    pending: VecDeque<Pending>,
    round: u64,
}

impl Clients {
    pub fn new(patience: Duration) -> Self {
        let (history, pending) = (History::default(), VecDeque::new());
        Self { history, patience, producer: None, pending, round: 0 }
    }

    /// Reads everything and compares it with what was promised.
    pub async fn check(&mut self, port: u16) -> Result<(), String> {
        let until = Instant::now() + self.patience;
        loop {
            match self.check_once(port).await {
                Ok(checked) => return checked,
                Err(failed) if Instant::now() > until => return Err(failed.to_string()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn check_once(&mut self, port: u16) -> Result<Result<(), String>, Failed> {
        let mut wire = Wire::open(port).await?;
        let all = topics(&mut wire).await?;
        let there = |topic: &str| all.iter().any(|name| name == topic);
        for (topic, exists) in &self.history.topics {
            if there(topic) != *exists {
                return Ok(Err(format!("topic {topic}: {exists} expected")));
            }
        }
        if there(TOPIC) {
            for partition in 0..PARTITIONS {
                let read = wire.read(TOPIC, partition, 0, 0).await?;
                if let Err(wrong) = self.history.check(partition, &read) {
                    return Ok(Err(wrong));
                }
            }
        }
        if self.history.committed.0 > 0 {
            let found = fetch_offset(&mut wire, TOPIC).await?;
            let (acked, sent) = self.history.committed;
            if !(acked..=sent).contains(&found) {
                return Ok(Err(format!("offset {found} of {acked} to {sent}")));
            }
        }
        Ok(Ok(()))
    }

    /// Works until `until`, or until the broker is gone; a violation is an error.
    pub async fn work(&mut self, port: u16, until: Instant) -> Result<(), String> {
        while Instant::now() < until {
            match tokio::time::timeout_at(until, self.work_once(port)).await {
                Err(_) => return Ok(()),
                Ok(Ok(done)) => done?,
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        Ok(())
    }

    /// Works without end of its own until everything sent is acknowledged.
    pub async fn settle(&mut self, port: u16) -> Result<(), String> {
        let until = Instant::now() + self.patience;
        while !self.pending.is_empty() {
            if Instant::now() > until {
                return Err(format!("{} batches are not taken", self.pending.len()));
            }
            let Ok(mut wire) = Wire::open(port).await else { continue };
            match self.produce(&mut wire, 0).await {
                Ok(done) => done?,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        Ok(())
    }

    async fn work_once(&mut self, port: u16) -> Result<Result<(), String>, Failed> {
        let mut wire = Wire::open(port).await?;
        make(&mut wire, TOPIC, PARTITIONS).await?;
        self.history.topics.insert(TOPIC.to_owned(), true);
        if self.producer.is_none() {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            let answer = wire.call(&request, 4).await?;
            if answer.error_code != 0 {
                return Err(Failed::Code(answer.error_code));
            }
            self.producer = Some(*answer.producer_id);
        }
        loop {
            if let Err(wrong) = self.produce(&mut wire, 12).await? {
                return Ok(Err(wrong));
            }
            let partition = i32::try_from(self.round % 2).unwrap();
            let next = self.history.next_seen(partition);
            let read = wire.read(TOPIC, partition, next, 1).await?;
            if let Err(wrong) = self.history.see(partition, &read) {
                return Ok(Err(wrong));
            }
            match self.round % 4 {
                1 => self.commit(&mut wire).await?,
                3 => self.other_topics(&mut wire).await?,
                _ => {}
            }
            self.round += 1;
        }
    }

    /// Sends what is pending again, then `more` batches, five in flight.
    async fn produce(&mut self, wire: &mut Wire, more: u64) -> Result<Result<(), String>, Failed> {
        let mut more = more;
        let mut in_flight = 0;
        loop {
            while in_flight < IN_FLIGHT && (in_flight < self.pending.len() || more > 0) {
                if in_flight == self.pending.len() {
                    self.gather(more);
                    more -= 1;
                }
                let next = &self.pending[in_flight];
                let request = produce_request(TOPIC, next.partition, next.bytes.clone(), 5_000);
                wire.send(&request, 11).await?;
                in_flight += 1;
            }
            if in_flight == 0 {
                return Ok(Ok(()));
            }
            let answer = wire.receive::<ProduceRequest>(11).await?;
            let answer = &answer.responses[0].partition_responses[0];
            match answer.error_code {
                0 => {}
                // Out of order, duplicate, unknown producer, corrupt: not for the oldest one.
                code @ (45 | 46 | 59 | 2 | 47) => {
                    return Ok(Err(format!("code {code} for the oldest batch that is pending")));
                }
                code => return Err(Failed::Code(code)),
            }
            let done = self.pending.pop_front().unwrap();
            in_flight -= 1;
            let acked =
                self.history.ack(done.partition, answer.base_offset, done.first, done.count);
            if acked.is_err() {
                return Ok(acked);
            }
        }
    }

    fn gather(&mut self, salt: u64) {
        let partition = i32::try_from((self.round + salt) % 2).unwrap();
        let count = 1 + (self.round + salt) % 3;
        let first = self.history.send(partition, count);
        let values: Vec<_> = (first..first + count).map(|n| value(partition, n)).collect();
        let sequence = i32::try_from(first).unwrap();
        let bytes = batch(self.producer.unwrap(), sequence, &values);
        self.pending.push_back(Pending { partition, first, count, bytes });
    }

    async fn commit(&mut self, wire: &mut Wire) -> Result<(), Failed> {
        self.history.committed.1 += 1;
        let offset = self.history.committed.1;
        commit_offset(wire, TOPIC, offset).await?;
        self.history.committed.0 = offset;
        Ok(())
    }

    /// Makes a topic, or deletes one that was made. Until it is answered, both may be.
    async fn other_topics(&mut self, wire: &mut Wire) -> Result<(), Failed> {
        let topic = format!("other-{}", self.round / 4 % 3);
        if self.history.topics.remove(&topic) == Some(true) {
            delete_topic(wire, &topic, 10_000).await?;
            self.history.topics.insert(topic, false);
        } else {
            make(wire, &topic, 1).await?;
            self.history.topics.insert(topic, true);
        }
        Ok(())
    }
}

/// Makes a topic. A name that is there may still be that of a topic which is being deleted.
async fn make(wire: &mut Wire, topic: &str, partitions: i32) -> Result<(), Failed> {
    match wire.create(topic, partitions).await {
        Err(Failed::Code(TOPIC_ALREADY_EXISTS)) => match topics(wire).await? {
            all if all.iter().any(|name| name == topic) => Ok(()),
            _ => Err(Failed::Code(TOPIC_ALREADY_EXISTS)),
        },
        made => made,
    }
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("group"))
}

pub async fn find_coordinator(wire: &mut Wire) -> Result<(), Failed> {
    let request = FindCoordinatorRequest::default()
        .with_coordinator_keys(vec![StrBytes::from_static_str("group")]);
    match wire.call(&request, 4).await?.coordinators[0].error_code {
        0 => Ok(()),
        code => Err(Failed::Code(code)),
    }
}

/// What the group has committed for the first partition; -1 for nothing.
pub async fn fetch_offset(wire: &mut Wire, topic: &str) -> Result<i64, Failed> {
    find_coordinator(wire).await?;
    let topic =
        OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
    let answer = wire.call(&request, 7).await?;
    match answer.error_code {
        0 => Ok(answer.topics[0].partitions[0].committed_offset),
        code => Err(Failed::Code(code)),
    }
}

/// Commits an offset of the first partition.
pub async fn commit_offset(wire: &mut Wire, topic: &str, offset: i64) -> Result<(), Failed> {
    find_coordinator(wire).await?;
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(StrBytes::from_static_str("")));
    let topic =
        OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    match wire.call(&request, 8).await?.topics[0].partitions[0].error_code {
        0 => Ok(()),
        code => Err(Failed::Code(code)),
    }
}

/// Deletes a topic, and waits `wait_ms` until it is gone.
pub async fn delete_topic(wire: &mut Wire, topic: &str, wait_ms: i32) -> Result<(), Failed> {
    let state = DeleteTopicState::default().with_name(Some(name(topic)));
    let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(wait_ms);
    match wire.call(&request, 6).await?.responses[0].error_code {
        0 => Ok(()),
        code => Err(Failed::Code(code)),
    }
}

/// The names of all topics.
pub async fn topics(wire: &mut Wire) -> Result<Vec<String>, Failed> {
    let answer = wire.call(&MetadataRequest::default().with_topics(None), 12).await?;
    Ok(answer.topics.iter().filter_map(|t| Some(t.name.as_ref()?.to_string())).collect())
}
