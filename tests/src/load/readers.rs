//! A reader that follows the end of every partition, and the members of a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;

use super::{Record, consumer};
use crate::history::{Content, Event, Place, Reader};

/// The group of the members.
pub(super) const GROUP: &str = "members";
const MEMBERS: usize = 2;
const COMMIT_EVERY: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(50);

/// The readers of a life.
#[derive(Debug)]
pub struct Readers {
    stopped: Arc<AtomicBool>,
    tail: Positions,
    group: Positions,
    record: Record,
    threads: Vec<JoinHandle<()>>,
}

/// The next offset by partition.
type Positions = Arc<Mutex<BTreeMap<Place, i64>>>;

impl Readers {
    /// Starts them.
    pub fn start(client: &ClientConfig, record: &Record) -> Result<Self> {
        let (tail, group) = (Positions::default(), Positions::default());
        let stopped = Arc::new(AtomicBool::new(false));
        let mut threads = vec![follow(client, record, &tail, &stopped)?];
        for _ in 0..MEMBERS {
            threads.push(join(client, record, &group, &stopped)?);
        }
        Ok(Self { stopped, tail, group, record: record.clone(), threads })
    }

    /// Who has not read to these ends, which some may never: what was deleted was not for them.
    #[must_use]
    pub fn behind(&self, ends: &BTreeMap<Place, i64>) -> Option<String> {
        let missing = |positions: &Positions| {
            let positions = positions.lock();
            let at = |place| positions.get(place).copied().unwrap_or(0);
            let mut all = ends.iter().filter(|(place, _)| !self.record.topic_of(**place).shortened);
            all.find(|(place, end)| at(place) < **end).map(|(place, _)| (*place, at(place)))
        };
        let of = |who, (place, at)| format!("{who} stands at {at} of {place}");
        missing(&self.tail)
            .map(|found| of("the tail reader", found))
            .or_else(|| missing(&self.group).map(|found| of("the group", found)))
    }

    /// The next offset of the tail reader.
    #[must_use]
    pub fn tail(&self, place: Place) -> i64 {
        self.tail.lock().get(&place).copied().unwrap_or(0)
    }

    /// Ends them.
    pub fn stop(self) -> Result<()> {
        self.stopped.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a reader panicked"))?;
        }
        Ok(())
    }
}

/// Starts the reader that follows the ends, without a group.
fn follow(
    client: &ClientConfig,
    record: &Record,
    positions: &Positions,
    stopped: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>> {
    let consumer: BaseConsumer = consumer(client).set("group.id", "none").create()?;
    let mut passes = BTreeMap::new();
    let mut from = TopicPartitionList::new();
    for place in record.places() {
        let pass = record.unique();
        passes.insert(place, pass);
        record.note(Event::PassBegan { pass, place, reader: Reader::Tail });
        from.add_partition_offset(record.topic_of(place).name, place.partition, Offset::Beginning)?;
    }
    consumer.assign(&from)?;
    let (record, positions) = (record.clone(), Arc::clone(positions));
    let stopped = Arc::clone(stopped);
    Ok(std::thread::spawn(move || {
        while !stopped.load(Ordering::Acquire) {
            // Errors say that the broker is away; the client tries again by itself.
            let Some(Ok(message)) = consumer.poll(POLL) else { continue };
            let place = record.place_of(message.topic(), message.partition());
            let Some((place, pass)) = place.and_then(|place| Some((place, *passes.get(&place)?)))
            else {
                record.problem(format!("a record of {}, which nobody asked for", message.topic()));
                continue;
            };
            let (offset, content) = (message.offset(), Content::decode(message.payload()));
            record.note(Event::Read { pass, offset, content });
            positions.lock().insert(place, offset + 1);
        }
    }))
}

/// What a member holds, also in the callbacks of a rebalance.
#[derive(Default)]
struct Held {
    passes: BTreeMap<Place, u64>,
    positions: BTreeMap<Place, i64>,
}

/// The context of a member's consumer.
struct Member {
    record: Record,
    held: Mutex<Held>,
}

impl ClientContext for Member {
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Member {
    /// Before the client looks for the committed offsets, so that those acknowledged by now bind it.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(parts) => {
                let mut held = self.held.lock();
                for part in parts.elements() {
                    let Some(place) = self.record.place_of(part.topic(), part.partition()) else {
                        continue;
                    };
                    let pass = self.record.unique();
                    held.passes.insert(place, pass);
                    let reader = Reader::Group;
                    self.record.note(Event::PassBegan { pass, place, reader });
                }
            }
            Rebalance::Revoke(_) => {
                self.commit(consumer);
                *self.held.lock() = Held::default();
            }
            Rebalance::Error(_) => {}
        }
    }
}

impl Member {
    fn commit(&self, consumer: &BaseConsumer<Self>) {
        let positions = self.held.lock().positions.clone();
        let mut offsets = TopicPartitionList::new();
        for (place, offset) in &positions {
            let (topic, partition) = (self.record.topic_of(*place).name, place.partition);
            if let Err(error) =
                offsets.add_partition_offset(topic, partition, Offset::Offset(*offset))
            {
                self.record.problem(error.to_string());
            }
        }
        if positions.is_empty() {
            return;
        }
        for (&place, &offset) in &positions {
            self.record.note(Event::CommitSent { place, offset });
        }
        // Without an acknowledgement it may have happened or not.
        if consumer.commit(&offsets, CommitMode::Sync).is_ok() {
            for (place, offset) in positions {
                self.record.note(Event::Committed { place, offset });
            }
        }
    }
}

/// Starts a member of the group.
fn join(
    client: &ClientConfig,
    record: &Record,
    positions: &Positions,
    stopped: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>> {
    let member = Member { record: record.clone(), held: Mutex::default() };
    let consumer: BaseConsumer<Member> = consumer(client)
        .set("group.id", GROUP)
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "300")
        .create_with_context(member)?;
    let names: Vec<&str> = record.topics().iter().map(|topic| topic.name).collect();
    consumer.subscribe(&names)?;
    let (record, positions) = (record.clone(), Arc::clone(positions));
    let stopped = Arc::clone(stopped);
    Ok(std::thread::spawn(move || {
        let mut committed_at = Instant::now();
        while !stopped.load(Ordering::Acquire) {
            if let Some(Ok(message)) = consumer.poll(POLL) {
                let mut held = consumer.context().held.lock();
                let place = record.place_of(message.topic(), message.partition());
                let Some((place, pass)) =
                    place.and_then(|place| Some((place, *held.passes.get(&place)?)))
                else {
                    record.problem(format!("a record of {} without a claim", message.topic()));
                    continue;
                };
                let (offset, content) = (message.offset(), Content::decode(message.payload()));
                record.note(Event::Read { pass, offset, content });
                held.positions.insert(place, offset + 1);
                positions.lock().insert(place, offset + 1);
            }
            if committed_at.elapsed() >= COMMIT_EVERY {
                consumer.context().commit(&consumer);
                committed_at = Instant::now();
            }
        }
    }))
}
