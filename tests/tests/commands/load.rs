//! A producer that never tries again, and a look at what its broker kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use odradek_tests::wait::within;
use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};
use rdkafka::topic_partition_list::Offset;

const TOPIC: &str = "load";
const PARTITIONS: i32 = 3;
/// How long an answer may take, and how long until enough is acknowledged.
const LIMIT: Duration = Duration::from_secs(30);
/// Records that are sent at once, and the pause after them.
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(2);

/// The records that were acknowledged, by their numbers.
type Acknowledged = Arc<Mutex<Vec<u64>>>;

/// A running producer. Each record has a number, and is sent once whatever becomes of it.
pub struct Load {
    acknowledged: Acknowledged,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Notes what is acknowledged.
struct Context(Acknowledged);

impl ClientContext for Context {
    /// The end of the broker is what this is about.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        if result.is_ok() {
            self.0.lock().push(*number);
        }
    }
}

impl Load {
    /// Makes the topic and begins.
    pub async fn start(bootstrap: &str) -> Result<Self> {
        let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        for made in admin.create_topics([&topic], &AdminOptions::new()).await? {
            made.map_err(|(topic, code)| anyhow!("{topic} is not created: {code}"))?;
        }
        let acknowledged = Acknowledged::default();
        let producer: ThreadedProducer<Context> = config(bootstrap)
            .set("acks", "all")
            .set("retries", "0")
            .set("linger.ms", "1")
            .create_with_context(Context(Arc::clone(&acknowledged)))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || send(&producer, &told));
        Ok(Self { acknowledged, stopped, thread })
    }

    /// Waits until so many more are acknowledged.
    pub async fn acknowledges(&self, more: usize) -> Result<()> {
        let enough = self.acknowledged.lock().len() + more;
        let what = format!("{enough} records are acknowledged");
        within(LIMIT, &what, async || Ok(self.acknowledged.lock().len() >= enough)).await
    }

    /// Ends the producer, which forgets what it has not sent; what was acknowledged, sorted.
    pub fn stop(self) -> Result<Vec<u64>> {
        self.stopped.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the producer panicked"))?;
        let mut acknowledged = std::mem::take(&mut *self.acknowledged.lock());
        acknowledged.sort_unstable();
        Ok(acknowledged)
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "0");
    config
}

fn send(producer: &ThreadedProducer<Context>, stopped: &AtomicBool) {
    let mut numbers = 0..;
    while !stopped.load(Ordering::Acquire) {
        for number in numbers.by_ref().take(BURST) {
            let value: [u8; 8] = u64::to_be_bytes(number);
            let record = BaseRecord::<(), [u8], _>::with_opaque_to(TOPIC, Box::new(number));
            // A full queue says that the broker is gone: the number is left out.
            let _ = producer.send(record.payload(&value));
        }
        std::thread::sleep(PAUSE);
    }
    producer.purge(PurgeConfig::default().queue().inflight());
    // Takes what was answered before.
    let _ = producer.flush(LIMIT);
}

/// The numbers of the records in the topic, of which none may be there twice.
pub fn kept(bootstrap: &str) -> Result<BTreeSet<u64>> {
    let consumer: BaseConsumer = config(bootstrap).set("group.id", "none").create()?;
    let (mut from, mut left) = (TopicPartitionList::new(), 0);
    for partition in 0..PARTITIONS {
        let (start, end) = consumer.fetch_watermarks(TOPIC, partition, LIMIT)?;
        from.add_partition_offset(TOPIC, partition, Offset::Offset(start))?;
        left += end - start;
    }
    consumer.assign(&from)?;
    let mut kept = BTreeSet::new();
    while left > 0 {
        let message = consumer.poll(LIMIT).with_context(|| format!("{left} are not read"))??;
        let value = message.payload().and_then(|value| value.try_into().ok());
        let number = u64::from_be_bytes(value.context("not a number")?);
        ensure!(kept.insert(number), "record {number} is there twice");
        left -= 1;
    }
    Ok(kept)
}
