//! The store goes away under load, and comes back: the broker stays, tells it, and recovers.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use odradek_tests::broker::Broker;
use odradek_tests::history::Place;
use odradek_tests::load::{Readers, Record, client, consumer};
use odradek_tests::memory;
use odradek_tests::minio::Minio;
use odradek_tests::place::WalKind;
use odradek_tests::wait::within;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::Offset;
use rdkafka::util::Timeout;
use tokio::time::Instant;

use crate::changes::IMPATIENT;

/// How soon the broker tells of an outage, and how long the load may take to go on.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the impatient producer tries, and how much later it may know.
const PATIENCE_MS: u64 = 3_000;
const LATE: Duration = Duration::from_secs(5);
/// How long a request that needs no store may take.
const QUICK: Duration = Duration::from_secs(3);
/// Records that are acknowledged without the store where the write-ahead log is on disk.
const ACKNOWLEDGED_WITHOUT: u64 = 2_000;
/// Records at the end of a partition that a newcomer reads without the store.
const TAIL_RECORDS: i64 = 50;
/// What the broker may grow by in an outage. The load brings some 10 MiB; the rest is for what the
/// allocator does not give back, and far from what would pile up if each retry kept its bytes.
const GROWTH_BYTES_MAX: u64 = 128 << 20;

/// Takes the store away under load, looks what clients see, and brings it back.
pub async fn outage(
    broker: &mut Broker,
    wal: WalKind,
    minio: &mut Minio,
    record: &Record,
    readers: &Readers,
) -> Result<()> {
    let bootstrap = broker.bootstrap().to_string();
    let id = broker.id().context("the broker has ended")?;
    memory::reset_peak(id)?;
    let before = memory::resident(id)?;
    minio.kill().await?;
    let seen = without_store(broker, &bootstrap, wal, record, readers).await;
    minio.start_again().await?;
    seen?;
    let grown = memory::peak(id)?.saturating_sub(before);
    ensure!(grown < GROWTH_BYTES_MAX, "the outage took {} MiB of memory", grown >> 20);
    ensure!(broker.ended()?.is_none(), "the broker ended in an outage of its store");
    let before = record.acknowledged();
    within(LIMIT, "the load goes on", async || {
        Ok(record.acknowledged() > before + ACKNOWLEDGED_WITHOUT)
    })
    .await
}

async fn without_store(
    broker: &Broker,
    bootstrap: &str,
    wal: WalKind,
    record: &Record,
    readers: &Readers,
) -> Result<()> {
    let before = record.acknowledged();
    let read_before: Vec<i64> = kept(record).map(|place| readers.tail(place)).collect();
    let told = impatient(bootstrap).await?;
    match wal {
        WalKind::Object => {
            ensure!(
                told == Some(RDKafkaErrorCode::MessageTimedOut),
                "an impatient producer is told {told:?}"
            );
            within(LIMIT, "/readyz tells of the outage", async || {
                let (status, body) = broker.readiness().await?;
                ensure!(status == 200, "a broker without its store is not ready: {body}");
                Ok(body.contains("warning write-ahead log:"))
            })
            .await?;
        }
        WalKind::Disk => {
            ensure!(told.is_none(), "without its store, a disk WAL is told {told:?}");
            within(LIMIT, "the disk WAL goes on", async || {
                Ok(record.acknowledged() > before + ACKNOWLEDGED_WITHOUT)
            })
            .await?;
            within(LIMIT, "the tail reader goes on", async || {
                Ok(kept(record)
                    .zip(&read_before)
                    .all(|(place, before)| readers.tail(place) > *before))
            })
            .await?;
        }
    }
    tokio::task::block_in_place(|| {
        quick(bootstrap, record)?;
        kept(record).try_for_each(|place| {
            tail_is_read(bootstrap, record.topic_of(place).name, place, readers.tail(place))
        })
    })
}

/// The partitions whose records all stay.
fn kept(record: &Record) -> impl Iterator<Item = Place> {
    record.places().into_iter().filter(|place| !record.topic_of(*place).shortened)
}

/// A newcomer reads the last records before `end`, which are in the broker's memory.
fn tail_is_read(bootstrap: &str, topic: &str, place: Place, end: i64) -> Result<()> {
    let mut expected = end.saturating_sub(TAIL_RECORDS).max(0);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, place.partition, Offset::Offset(expected))?;
    let consumer: BaseConsumer =
        consumer(&client(bootstrap)).set("group.id", "newcomer").create()?;
    consumer.assign(&from)?;
    while expected < end {
        let Some(polled) = consumer.poll(QUICK) else {
            bail!("{place}: without its store, {expected} of {end} is not read within {QUICK:?}")
        };
        let offset = polled?.offset();
        ensure!(offset == expected, "{place}: {offset} is read, not {expected}");
        expected += 1;
    }
    Ok(())
}

/// Sends one record with little patience; the error if it was not delivered.
async fn impatient(bootstrap: &str) -> Result<Option<RDKafkaErrorCode>> {
    let producer: FutureProducer = client(bootstrap)
        .set("acks", "all")
        .set("request.timeout.ms", "1000")
        .set("message.timeout.ms", PATIENCE_MS.to_string())
        .create()?;
    let began = Instant::now();
    let message = FutureRecord::<(), [u8]>::to(IMPATIENT).partition(0).payload(b"now or never");
    let told = match producer.send(message, Timeout::After(LATE)).await {
        Ok(_) => None,
        Err((KafkaError::MessageProduction(code), _)) => Some(code),
        Err((error, _)) => return Err(error.into()),
    };
    let took = began.elapsed();
    let most = Duration::from_millis(PATIENCE_MS) + LATE;
    ensure!(took < most, "the impatient producer knew after {took:?}");
    Ok(told)
}

/// Metadata and the end of a log need no store: the quorum confirms the owner.
fn quick(bootstrap: &str, record: &Record) -> Result<()> {
    let consumer: BaseConsumer = client(bootstrap).create()?;
    consumer.fetch_metadata(None, QUICK)?;
    for place in kept(record) {
        consumer.fetch_watermarks(record.topic_of(place).name, place.partition, QUICK)?;
    }
    Ok(())
}
