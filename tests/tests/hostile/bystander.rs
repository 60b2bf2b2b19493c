//! Clients that do nothing wrong while others do: they must not notice.
//!
//! One speaks the wire by itself, on a connection that stays and on new ones: Metadata, Produce,
//! Fetch, each record read back. The other is librdkafka, a producer and a consumer. Both run on
//! threads of their own, so that what the attackers take of this process delays them little.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest};
use odradek_common::batch::batches;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::Instant;

use crate::batch::{Maker, produce};
use crate::wire::{Peer, name};

/// Between two rounds of a client.
const PAUSE: Duration = Duration::from_millis(20);
/// The topic of the client that speaks the wire.
pub const RAW_TOPIC: &str = "bystander";
/// The topic of librdkafka.
pub const RDKAFKA_TOPIC: &str = "bystander-rdkafka";

/// What the bystanders saw in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Rounds completed, of both.
    pub raw_rounds: usize,
    /// Records that librdkafka had acknowledged and read back.
    pub rdkafka_rounds: usize,
    /// The slowest request.
    pub slowest: Duration,
    /// What went wrong.
    pub failures: Vec<String>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    stop: AtomicBool,
}

impl Shared {
    fn timed(&self, since: Instant) {
        let mut seen = self.seen.lock();
        seen.slowest = seen.slowest.max(since.elapsed());
    }

    fn failed(&self, who: &str, error: impl std::fmt::Display) {
        let mut seen = self.seen.lock();
        if seen.failures.len() < 5 {
            seen.failures.push(format!("{who}: {error:#}"));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The bystanders, running.
pub struct Bystanders {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Bystanders {
    /// Sets them going; their topics are there.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for rdkafka in [false, true] {
            let shared = Arc::clone(&shared);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            threads.push(std::thread::spawn(move || {
                let ended = if rdkafka {
                    runtime.block_on(librdkafka(address, &shared))
                } else {
                    runtime.block_on(wire(address, &shared))
                };
                if let Err(error) = ended {
                    shared.failed("ended", format!("{error:#}"));
                }
            }));
        }
        Ok(Self { shared, threads })
    }

    /// What was seen since the last call.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut self.shared.seen.lock())
    }

    /// Rounds since the last [`Self::take`], of the slower of the two.
    pub fn rounds(&self) -> usize {
        let seen = self.shared.seen.lock();
        seen.raw_rounds.min(seen.rdkafka_rounds)
    }

    /// Ends them.
    pub fn stop(self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if thread.join().is_err() {
                bail!("a bystander panicked");
            }
        }
        Ok(())
    }
}

/// Rounds until the end. An error is noted, and the next round has a connection of its own.
async fn wire(address: SocketAddr, shared: &Shared) -> Result<()> {
    let mut peer = None;
    let mut next_offset = None;
    while !shared.stopped() {
        let round = wire_round(address, shared, &mut peer, &mut next_offset).await;
        match round {
            Ok(()) => shared.seen.lock().raw_rounds += 1,
            Err(error) => {
                shared.failed("wire", format!("{error:#}"));
                (peer, next_offset) = (None, None);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn wire_round(
    address: SocketAddr,
    shared: &Shared,
    peer: &mut Option<Peer>,
    next_offset: &mut Option<i64>,
) -> Result<()> {
    let since = Instant::now();
    let mut fresh = Peer::open(address).await.context("a new connection")?;
    let versions = fresh.call(&ApiVersionsRequest::default(), 0).await.context("ApiVersions")?;
    shared.timed(since);
    ensure!(versions.error_code == 0 && !versions.api_keys.is_empty(), "ApiVersions");
    let peer = peer.get_or_insert(fresh);

    let since = Instant::now();
    let topic = MetadataRequestTopic::default().with_name(Some(name(RAW_TOPIC)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let metadata = peer.call(&request, 12).await.context("Metadata")?;
    shared.timed(since);
    ensure!(metadata.topics[0].error_code == 0, "Metadata: {}", metadata.topics[0].error_code);

    let since = Instant::now();
    let value = format!("{next_offset:?}");
    let batch = Maker::of(&[(None, value.as_bytes())]).build();
    let appended = produce(peer, RAW_TOPIC, batch).await.context("Produce")?;
    shared.timed(since);
    ensure!(appended.error_code == 0, "Produce: {}", appended.error_code);
    let offset = appended.base_offset;
    ensure!(next_offset.is_none_or(|next| next == offset), "offset {offset}, not {next_offset:?}");

    let since = Instant::now();
    let fetched = peer.call(&fetch(RAW_TOPIC, offset), 12).await.context("Fetch")?;
    shared.timed(since);
    let partition = &fetched.responses[0].partitions[0];
    ensure!(partition.error_code == 0, "Fetch: {}", partition.error_code);
    let records = partition.records.clone().unwrap_or_default();
    let batch = batches(records).next().context("no batch")??;
    ensure!(batch.header.base_offset == offset, "another batch was fetched");
    ensure!(
        batch.records().windows(value.len()).any(|part| part == value.as_bytes()),
        "another record was fetched"
    );
    *next_offset = Some(offset + 1);
    Ok(())
}

/// A fetch of one partition from an offset on, without a session.
pub fn fetch(topic: &str, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(1_000)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// librdkafka tells what goes wrong on its connections here.
struct Told(Arc<Shared>);

impl ClientContext for Told {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.failed("rdkafka", format!("{error}: {reason}"));
    }
}

impl ConsumerContext for Told {}

async fn librdkafka(address: SocketAddr, shared: &Arc<Shared>) -> Result<()> {
    let told = || Told(Arc::clone(shared));
    let servers = address.to_string();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &servers).set("topic.metadata.refresh.interval.ms", "1000");
    let producer: FutureProducer<Told> = config
        .clone()
        .set("linger.ms", "0")
        .set("enable.idempotence", "true")
        .create_with_context(told())?;
    let consumer: StreamConsumer<Told> = config
        .set("group.id", "bystander")
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "500")
        .create_with_context(told())?;
    consumer.subscribe(&[RDKAFKA_TOPIC])?;
    let mut next = 0;
    while !shared.stopped() {
        match rdkafka_round(&producer, &consumer, shared, next).await {
            Ok(()) => {
                next += 1;
                let mut seen = shared.seen.lock();
                seen.rdkafka_rounds += 1;
            }
            Err(error) => bail!("rdkafka, record {next}: {error:#}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// One record out and back. The first waits for the group to form.
async fn rdkafka_round(
    producer: &FutureProducer<Told>,
    consumer: &StreamConsumer<Told>,
    shared: &Shared,
    next: i64,
) -> Result<()> {
    let value = next.to_string();
    let record = FutureRecord::<(), _>::to(RDKAFKA_TOPIC).payload(&value);
    let since = Instant::now();
    let sent = producer.send(record, Duration::from_secs(10)).await;
    let delivery = sent.map_err(|(error, _)| error).context("Produce")?;
    if next > 0 {
        shared.timed(since);
    }
    ensure!(delivery.offset == next, "acknowledged at {}", delivery.offset);
    let since = Instant::now();
    let received = tokio::time::timeout(Duration::from_secs(20), consumer.recv()).await;
    let received = received.context("nothing was consumed")??;
    if next > 0 {
        shared.timed(since);
    }
    ensure!(received.offset() == next, "consumed offset {}", received.offset());
    ensure!(received.payload() == Some(value.as_bytes()), "consumed another value");
    Ok(())
}
