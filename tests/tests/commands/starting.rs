//! How soon a broker serves, and how much memory it takes when nobody uses it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_tests::broker::odradek;
use odradek_tests::memory;
use odradek_tests::net::free_address;
use odradek_tests::process::Process;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::odradek::stop;

/// Starts that are measured.
const STARTS: usize = 5;
/// From the start of the process on an empty folder to the first answer to Metadata.
const FIRST_ANSWER_MAX: Duration = Duration::from_millis(500);
/// The most memory of an idle broker without topics, at any moment since its start.
const RESIDENT_BYTES_MAX: u64 = 64 << 20;
/// How long an answer is waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Both as figures; the median of the starts counts.
pub async fn soon_and_small() -> Result<String> {
    let mut starts = Vec::new();
    let mut resident = 0;
    for _ in 0..STARTS {
        let (took, bytes) = one().await?;
        starts.push(took);
        resident = resident.max(bytes);
    }
    starts.sort_unstable();
    let (median, slowest) = (starts[STARTS / 2], starts[STARTS - 1]);
    let figures = format!(
        "first Metadata answer after {} ms (median of {STARTS}, slowest {} ms), {:.1} MiB resident",
        median.as_millis(),
        slowest.as_millis(),
        resident as f64 / f64::from(1 << 20)
    );
    ensure!(median < FIRST_ANSWER_MAX, "{figures}: not within {FIRST_ANSWER_MAX:?}");
    ensure!(resident < RESIDENT_BYTES_MAX, "{figures}: not within {RESIDENT_BYTES_MAX} bytes");
    Ok(figures)
}

/// One start on an empty folder: until the answer, and the peak of its memory by then.
async fn one() -> Result<(Duration, u64)> {
    let folder = TempDir::new()?;
    let (kafka, admin) = (free_address()?, free_address()?);
    let mut command = odradek()?;
    command.current_dir(folder.path());
    command.args(["--set", &format!("listeners=PLAINTEXT://{kafka}")]);
    command.args(["--set", &format!("admin.listen={admin}")]);
    let began = Instant::now();
    let process = Process::spawn("odradek", command, &folder.path().join("log"))?;
    first_answer(kafka).await.with_context(|| process.log_tail(20))?;
    let took = began.elapsed();
    let bytes = memory::peak(process.id().context("the broker has ended")?)?;
    stop(process).await?;
    Ok((took, bytes))
}

/// A client would wait longer and longer between its attempts to connect; so the port is looked at
/// first. It is bound before the broker serves, which the client's request then waits for.
async fn first_answer(kafka: SocketAddr) -> Result<()> {
    let until = Instant::now() + ANSWER_LIMIT;
    while TcpStream::connect(kafka).await.is_err() {
        ensure!(Instant::now() < until, "nobody listens at {kafka}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.to_string()).set("log_level", "0");
    let client: BaseConsumer = config.create()?;
    let answer = tokio::task::block_in_place(|| client.fetch_metadata(None, ANSWER_LIMIT))?;
    ensure!(answer.brokers().len() == 1, "{} brokers", answer.brokers().len());
    Ok(())
}
