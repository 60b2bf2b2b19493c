//! The store goes away under load, and comes back: the broker stays, tells it, and recovers.

use std::time::Duration;

use anyhow::{Result, ensure};
use odradek_tests::broker::Broker;
use odradek_tests::minio::Minio;
use odradek_tests::place::WalKind;
use odradek_tests::wait::within;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use tokio::time::Instant;

use crate::changes::IMPATIENT;
use crate::record::Record;
use crate::settings;

/// How soon the broker tells of an outage, and how long the load may take to go on.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the impatient producer tries, and how much later it may know.
const PATIENCE_MS: u64 = 3_000;
const LATE: Duration = Duration::from_secs(5);
/// How long a request that needs no store may take.
const QUICK: Duration = Duration::from_secs(3);
/// Records that are acknowledged without the store where the write-ahead log is on disk.
const ACKNOWLEDGED_WITHOUT: u64 = 2_000;

/// Takes the store away under load, looks what clients see, and brings it back.
pub async fn outage(
    broker: &mut Broker,
    wal: WalKind,
    minio: &mut Minio,
    record: &Record,
) -> Result<()> {
    let bootstrap = broker.bootstrap().to_string();
    minio.kill().await?;
    let seen = without_store(broker, &bootstrap, wal, record).await;
    minio.start_again().await?;
    seen?;
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
) -> Result<()> {
    let before = record.acknowledged();
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
        }
    }
    quick(bootstrap)
}

/// Sends one record with little patience; the error if it was not delivered.
async fn impatient(bootstrap: &str) -> Result<Option<RDKafkaErrorCode>> {
    let producer: FutureProducer = settings::client(bootstrap)
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

/// Metadata needs no store. (The end of a log does: its owner confirms itself by a slot.)
fn quick(bootstrap: &str) -> Result<()> {
    let consumer: BaseConsumer = settings::client(bootstrap).create()?;
    tokio::task::block_in_place(|| consumer.fetch_metadata(None, QUICK))?;
    Ok(())
}
