//! SIGTERM under load: what was taken is answered, and nothing is left for a recovery.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::minio::Minio;
use odradek_tests::place::{Place, WalKind};
use tokio::time::Instant;

use crate::load::{Load, kept};

/// Records that are acknowledged before the signal.
const ACKNOWLEDGED: usize = 2_000;
/// From the signal to the end of the process: `shutdown.timeout.ms`, and a moment for the process
/// itself to go.
const END_MAX: Duration = Duration::from_millis(10_500);
/// Lines of the log in which what a start took over is looked for.
const LOG_LINES: usize = 20;

/// The broker stops while a client goes on: each record that it kept was acknowledged, and each that
/// it acknowledged was kept and flushed.
pub async fn under_load(wal: WalKind) -> Result<String> {
    let minio;
    let place = match wal {
        WalKind::Disk => Place::local(),
        WalKind::Object => {
            minio = Minio::start().await?;
            minio.place("stopping")
        }
    };
    let mut broker = Broker::start(BrokerOptions::new(wal, place)).await?;
    let bootstrap = broker.bootstrap().to_string();
    let load = Load::start(&bootstrap).await?;
    load.acknowledges(ACKNOWLEDGED).await?;
    let took = stop(&mut broker).await?;
    let acknowledged: BTreeSet<u64> = load.stop()?.into_iter().collect();

    broker.start_again().await?;
    let left = taken_over(&broker)?;
    ensure!(left == 0, "{left} partitions had something that was not flushed");
    let kept = tokio::task::block_in_place(|| kept(&bootstrap))?;
    let lost = acknowledged.difference(&kept).count();
    ensure!(lost == 0, "{lost} of {} acknowledged records are lost", acknowledged.len());
    let unanswered = kept.difference(&acknowledged).count();
    ensure!(unanswered == 0, "{unanswered} of {} records were kept unanswered", kept.len());
    broker.stop().await?;
    let count = kept.len();
    Ok(format!("{count} records, all answered and flushed; the end took {} ms", took.as_millis()))
}

/// The same while the store is away: then there is no flush, but the end comes in time, and what was
/// acknowledged is there when the store is back.
pub async fn without_store() -> Result<String> {
    let mut minio = Minio::start().await?;
    let mut broker =
        Broker::start(BrokerOptions::new(WalKind::Object, minio.place("stopping"))).await?;
    let bootstrap = broker.bootstrap().to_string();
    let load = Load::start(&bootstrap).await?;
    load.acknowledges(ACKNOWLEDGED).await?;
    minio.kill().await?;
    let took = stop(&mut broker).await?;
    let acknowledged = load.stop()?;

    minio.start_again().await?;
    broker.start_again().await?;
    let left = taken_over(&broker)?;
    let kept = tokio::task::block_in_place(|| kept(&bootstrap))?;
    let lost = acknowledged.iter().filter(|number| !kept.contains(number)).count();
    ensure!(lost == 0, "{lost} of {} acknowledged records are lost", acknowledged.len());
    broker.stop().await?;
    let count = acknowledged.len();
    Ok(format!(
        "{count} records, {left} partitions taken over; the end took {} ms",
        took.as_millis()
    ))
}

/// SIGTERM, and how long the end takes; it must be a good one.
async fn stop(broker: &mut Broker) -> Result<Duration> {
    let began = Instant::now();
    broker.stop().await.with_context(|| broker.log_tail(LOG_LINES))?;
    let took = began.elapsed();
    ensure!(took < END_MAX, "the end took {took:?}\n{}", broker.log_tail(LOG_LINES));
    Ok(took)
}

/// Partitions of which the last start took over something un-flushed, by its log.
fn taken_over(broker: &Broker) -> Result<usize> {
    let log = broker.log_tail(LOG_LINES);
    let line = log.lines().rev().find(|line| line.contains("taken over"));
    let count = line.and_then(|line| line.split("unflushed=").nth(1)?.split(' ').next());
    Ok(count.with_context(|| format!("no line tells what was taken over:\n{log}"))?.parse()?)
}
