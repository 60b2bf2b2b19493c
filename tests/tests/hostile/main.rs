//! Hostile input against the real broker: peers that lie, stall, flood and never read, each attack
//! beside clients that do nothing wrong. Ends with a table and `hostile: N passed, N failed`.
//!
//! An attack passes if it got what Apache Kafka would answer or a closed connection, the broker's
//! memory stayed below [`PEAK_BYTES_MAX`] and fell below [`KEPT_BYTES_MAX`], the bystanders had no
//! error and no request slower than [`SLOWEST_MAX`], and its connections are closed at its end.

mod attacks;
mod batch;
mod bomb;
mod bystander;
mod target;
mod wire;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use futures::future::LocalBoxFuture;
use odradek_tests::wait::within;
use tokio::time::Instant;

use crate::bystander::{Bystanders, RAW_TOPIC, RDKAFKA_TOPIC};
use crate::target::Target;

/// The most memory that the broker may take at any moment of any attack: what its budgets come to
/// for requests (`queued.max.request.bytes`, 256 MiB), answers (512 MiB) and the log cache
/// (`cache.bytes`, 256 MiB). The rest of it, some 100 MiB, has to fit in where these are not full at
/// the same time.
const PEAK_BYTES_MAX: u64 = 1 << 30;
/// The most that it may keep after an attack: the log cache (256 MiB), the block cache
/// (`cache.block.bytes`, 128 MiB), a million partitions of fetch sessions (some 200 MiB), and the same
/// again for topics, groups and what the allocator does not give back.
const KEPT_BYTES_MAX: u64 = 768 << 20;
/// The longest that a bystander may wait for an answer: some ten times what was seen on two cores that
/// also run the attackers.
const SLOWEST_MAX: Duration = Duration::from_secs(3);
/// How long one attack may take.
const ATTACK_LIMIT: Duration = Duration::from_secs(60);
/// Rounds that each bystander must complete within an attack and right after it.
const ROUNDS: usize = 2;
/// How long the bystanders may take for them.
const ROUNDS_LIMIT: Duration = Duration::from_secs(20);

/// Runs the attacks.
#[derive(Parser)]
struct Arguments {
    /// Only the attacks whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Prints the broker's last lines at the end.
    #[arg(long)]
    log: bool,
}

/// One attack.
struct Attack {
    name: &'static str,
    run: for<'a> fn(&'a Target) -> LocalBoxFuture<'a, Result<String>>,
}

/// How an attack went.
struct Row {
    name: &'static str,
    took: Duration,
    peak: u64,
    after: u64,
    slowest: Duration,
    rounds: usize,
    note: String,
    failures: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut attacks = attacks::all();
    if !arguments.only.is_empty() {
        attacks.retain(|attack| arguments.only.iter().any(|part| attack.name.contains(part)));
    }
    if attacks.is_empty() {
        bail!("no attack's name contains one of {:?}", arguments.only);
    }
    let mut target = Target::start().await?;
    for topic in [RAW_TOPIC, RDKAFKA_TOPIC] {
        target.create(topic, 1, &[]).await?;
    }
    let bystanders = Bystanders::start(target.kafka)?;
    rounds(&bystanders).await?;
    bystanders.take();
    let idle = target.resident()?;

    let mut rows = Vec::new();
    for attack in attacks {
        let row = run(&attack, &target, &bystanders).await?;
        say(&described(&row))?;
        rows.push(row);
        if let Some(status) = target.broker.ended()? {
            say(&format!("the broker ended: {status}\n{}", target.broker.log_tail(40)))?;
            break;
        }
    }
    let stopped = match bystanders.stop() {
        Ok(()) => target.broker.stop().await,
        Err(error) => Err(error),
    };
    if let Err(error) = &stopped {
        say(&format!("the end: FAILED: {error:#}"))?;
    }
    if arguments.log || rows.iter().any(|row| !row.failures.is_empty()) {
        say(&format!("the broker's log:\n{}", target.broker.log_tail(30)))?;
    }
    report(idle, &rows, stopped.is_ok())
}

/// A line of the report: the harness of the standard library is not used.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// Waits until both bystanders have completed some rounds.
async fn rounds(bystanders: &Bystanders) -> Result<()> {
    let done = async || Ok(bystanders.rounds() >= ROUNDS);
    within(ROUNDS_LIMIT, "the bystanders are served", done).await
}

async fn run(attack: &Attack, target: &Target, bystanders: &Bystanders) -> Result<Row> {
    let started = Instant::now();
    let descriptors = target.descriptors()?;
    target.reset_peak()?;
    bystanders.take();
    let mut failures = Vec::new();
    let note = match tokio::time::timeout(ATTACK_LIMIT, (attack.run)(target)).await {
        Ok(Ok(note)) => note,
        Ok(Err(error)) => {
            failures.push(format!("{error:#}"));
            String::new()
        }
        Err(_) => {
            failures.push(format!("not over within {ATTACK_LIMIT:?}"));
            String::new()
        }
    };
    let seen = bystanders.take();
    if let Err(error) = rounds(bystanders).await {
        failures.push(format!("after the attack: {error:#}"));
    }
    let peak = target.peak().unwrap_or(0);
    if let Err(error) = target.settled(descriptors).await {
        failures.push(format!("{error:#}"));
    }
    let after = bystanders.take();
    failures.extend(seen.failures.into_iter().chain(after.failures));
    let slowest = seen.slowest.max(after.slowest);
    if slowest > SLOWEST_MAX {
        failures.push(format!("a bystander waited {slowest:?}, more than {SLOWEST_MAX:?}"));
    }
    if peak == 0 || peak > PEAK_BYTES_MAX {
        failures.push(format!("{} MiB at the peak of {}", peak >> 20, PEAK_BYTES_MAX >> 20));
    }
    let kept = target.resident().unwrap_or(u64::MAX);
    if kept > KEPT_BYTES_MAX {
        failures.push(format!("{} MiB are kept, more than {}", kept >> 20, KEPT_BYTES_MAX >> 20));
    }
    Ok(Row {
        name: attack.name,
        took: started.elapsed(),
        peak,
        after: kept,
        slowest,
        rounds: seen.raw_rounds.min(seen.rdkafka_rounds),
        note,
        failures,
    })
}

fn described(row: &Row) -> String {
    let word = if row.failures.is_empty() { "ok" } else { "FAILED" };
    let mut line = format!(
        "{:24} {word:6} {:5.1} s  peak {:5} MiB  after {:5} MiB  bystanders {:4} rounds, slowest {:4} ms  {}",
        row.name,
        row.took.as_secs_f64(),
        row.peak >> 20,
        row.after >> 20,
        row.rounds,
        row.slowest.as_millis(),
        row.note,
    );
    for failure in &row.failures {
        line.push_str(&format!("\n    {}", failure.replace('\n', "\n      ")));
    }
    line
}

/// Prints the table and the counts.
fn report(idle: u64, rows: &[Row], stopped: bool) -> Result<ExitCode> {
    let peak = rows.iter().map(|row| row.peak).max().unwrap_or(0);
    let slowest = rows.iter().map(|row| row.slowest).max().unwrap_or_default();
    say(&format!(
        "\nbefore {} MiB, most {} MiB of {} allowed, slowest answer to a bystander {} ms of {} allowed",
        idle >> 20,
        peak >> 20,
        PEAK_BYTES_MAX >> 20,
        slowest.as_millis(),
        SLOWEST_MAX.as_millis()
    ))?;
    let failed = rows.iter().filter(|row| !row.failures.is_empty()).count() + usize::from(!stopped);
    let passed = rows.iter().filter(|row| row.failures.is_empty()).count() + usize::from(stopped);
    say(&format!("hostile: {passed} passed, {failed} failed"))?;
    Ok(ExitCode::from(u8::from(failed > 0 || rows.is_empty())))
}
