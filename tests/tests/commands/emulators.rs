//! Brokers without a disk for records, on what stands in for the clouds' stores.

use anyhow::{Result, ensure};
use odradek_tests::azurite::Azurite;
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::gcs::Gcs;
use odradek_tests::minio::Minio;
use odradek_tests::place::{Place, WalKind};
use tempfile::TempDir;

use crate::odradek::{fed, records, run};
use crate::stores::is_proved;

const RECORDS: usize = 5_000;

/// `az://`, on Azurite.
pub async fn azure_keeps_all() -> Result<String> {
    let azurite = Azurite::start().await?;
    let latency = is_proved(&azurite.place("checked")).await?;
    let kept = keeps_all(azurite.place("kept")).await?;
    Ok(format!("{kept}; {latency}"))
}

/// `gs://`, on MinIO behind a translator.
pub async fn google_keeps_all() -> Result<String> {
    let minio = Minio::start().await?;
    let gcs = Gcs::before(&minio).await?;
    let latency = is_proved(&gcs.place("checked")).await?;
    let kept = keeps_all(gcs.place("kept")).await?;
    Ok(format!("{kept}; {latency}"))
}

/// What was acknowledged is read after a kill, which leaves it to the log in the store, and after a
/// good end, which leaves it in segments.
async fn keeps_all(place: Place) -> Result<String> {
    let folder = TempDir::new()?;
    let here = folder.path();
    let mut broker = Broker::start(BrokerOptions::new(WalKind::Object, place)).await?;
    let bootstrap = broker.bootstrap().to_string();
    let at = ["kept", "--bootstrap", &bootstrap];
    run(here, &[&["topic", "create", "--partitions", "3"], &at[..]].concat()).await?;
    let mut expected: Vec<String> = (0..RECORDS).map(|n| format!("record {n}")).collect();
    fed(here, &[&["produce"], &at[..]].concat(), &(expected.join("\n") + "\n")).await?;
    expected.sort();

    broker.kill().await?;
    broker.start_again().await?;
    ensure!(records(here, &at).await? == expected, "after kill -9, records are not as they were");
    broker.stop().await?;
    broker.start_again().await?;
    ensure!(records(here, &at).await? == expected, "after SIGTERM, records are not as they were");
    broker.stop().await?;
    Ok(format!("{RECORDS} records after kill -9, and after SIGTERM"))
}
