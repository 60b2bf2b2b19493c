//! Producers that never stop, except between rounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};

use super::Record;
use crate::history::{Event, Guarantee, Place, ValueId};

/// The codec and the guarantee of a producer.
pub type Kind = (&'static str, Guarantee);

/// Records that a producer sends at once, and the pause after them.
const BURST: usize = 5;
const PAUSE: Duration = Duration::from_millis(10);
/// The longest padding of a value.
const PADDING_BYTES: usize = 600;

/// What each producer is promised, by its number.
pub fn guarantees(kinds: &[Kind]) -> impl Iterator<Item = (u32, Guarantee)> {
    (0..).zip(kinds).map(|(number, (_, guarantee))| (number, *guarantee))
}

/// All producers of a life.
#[derive(Debug)]
pub struct Producers {
    switches: Arc<Switches>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Switches {
    paused: AtomicBool,
    stopped: AtomicBool,
}

/// Notes what became of each record.
struct Context(Record);

impl ClientContext for Context {
    /// librdkafka tells here that the broker is gone, which is what this test is about.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<ValueId>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<ValueId>) {
        match result {
            Ok(message) => {
                let offset = Some(message.offset()).filter(|offset| *offset >= 0);
                self.0.note(Event::Acknowledged { id: *id, offset });
            }
            Err((error, _)) => self.0.problem(format!("{id} was not delivered: {error}")),
        }
    }
}

impl Producers {
    /// Starts them, paused.
    pub fn start(
        client: &ClientConfig,
        record: &Record,
        kinds: &[Kind],
        seed: u64,
    ) -> Result<Self> {
        let switches = Arc::new(Switches::default());
        switches.paused.store(true, Ordering::Release);
        let mut threads = Vec::new();
        for (number, &(codec, guarantee)) in (0..).zip(kinds) {
            let idempotent = guarantee == Guarantee::Idempotent;
            let producer: ThreadedProducer<Context> = client
                .clone()
                .set("acks", "all")
                .set("compression.type", codec)
                .set("enable.idempotence", idempotent.to_string())
                .set("linger.ms", "5")
                .set("message.timeout.ms", "300000")
                .create_with_context(Context(record.clone()))?;
            let draw = StdRng::seed_from_u64(seed ^ u64::from(number));
            let one = Producer { number, producer, draw, next: HashMap::new() };
            let (record, switches) = (record.clone(), Arc::clone(&switches));
            threads.push(std::thread::spawn(move || one.run(&record, &switches)));
        }
        Ok(Self { switches, threads })
    }

    /// Lets them send, or holds them.
    pub fn pause(&self, paused: bool) {
        self.switches.paused.store(paused, Ordering::Release);
    }

    /// Ends them; what is in their queues is given up.
    pub fn stop(self) -> Result<()> {
        self.switches.stopped.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a producer panicked"))?;
        }
        Ok(())
    }
}

struct Producer {
    number: u32,
    producer: ThreadedProducer<Context>,
    draw: StdRng,
    /// The next sequence of each partition.
    next: HashMap<Place, u64>,
}

impl Producer {
    fn run(mut self, record: &Record, switches: &Switches) {
        let places = record.places();
        while !switches.stopped.load(Ordering::Acquire) {
            if !switches.paused.load(Ordering::Acquire) {
                for _ in 0..BURST {
                    let place = places[self.draw.random_range(0..places.len())];
                    self.send(place, record);
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn send(&mut self, place: Place, record: &Record) {
        let sequence = *self.next.entry(place).or_default();
        let mut padding = vec![0; self.draw.random_range(0..PADDING_BYTES)];
        self.draw.fill_bytes(&mut padding);
        let id = ValueId { producer: self.number, place, sequence };
        let (value, stamp) = id.encode(&padding);
        // Noted first: its acknowledgement may come before `send` returns.
        record.note(Event::Sent(stamp));
        let message =
            BaseRecord::<(), [u8], _>::with_opaque_to(record.topic_of(place).name, Box::new(id))
                .partition(place.partition)
                .payload(&value);
        match self.producer.send(message) {
            Ok(()) => _ = self.next.insert(place, sequence + 1),
            Err((error, _)) => {
                record.not_sent();
                // A full queue only says that the broker is away.
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    record.problem(format!("{id} was not taken: {error}"));
                }
            }
        }
    }
}
