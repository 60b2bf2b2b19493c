//! Crash rounds: a broker is killed with SIGKILL under several producers, readers, a group and
//! changes, started again, and a checker looks through everything that its clients were told.
//!
//! A kill leaves the page cache as it is, so this says nothing about syncs: power cuts are tested in
//! `broker/tests/whole`.

mod board;
mod changes;
mod life;
mod outage;
mod settings;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use odradek_common::clock::{Clock, SystemClock};
use odradek_common::phases::Phase;
use odradek_tests::broker::BrokerOptions;
use odradek_tests::history::Violation;
use odradek_tests::minio::Minio;
use odradek_tests::place::{Place, StoreKind, WalKind};
use odradek_tests::program::{named, say};

use crate::life::{Life, Round};
use crate::tally::Tally;

/// Rounds on one data directory; then a new one begins.
const ROUNDS_OF_A_LIFE: u64 = 10;

/// Kills brokers and looks what is left.
#[derive(Parser)]
struct Arguments {
    /// Only these kinds of write-ahead log: disk, object.
    #[arg(long, value_delimiter = ',', value_parser = named(WalKind::ALL))]
    wal: Vec<WalKind>,
    /// The store: local or minio. By default the disk WAL has a directory and the object WAL MinIO.
    #[arg(long, value_parser = named(StoreKind::ALL))]
    store: Option<StoreKind>,
    /// Rounds for each kind of write-ahead log.
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Fail unless each phase was cut this often for each kind of write-ahead log.
    #[arg(long, default_value_t = 0)]
    hits: u64,
    /// What is drawn at random follows from it; by default the time.
    #[arg(long)]
    seed: Option<u64>,
    /// A folder in which finished rounds are kept: a run that was interrupted goes on from there.
    #[arg(long)]
    resume: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| SystemClock.now_ms().unsigned_abs());
    say(&format!("seed {seed}"))?;
    let mut minio = Minio::start().await?;
    let (mut passed, mut failed) = (0, 0);
    let mut tallies = Vec::new();
    for wal in WalKind::ALL {
        if !arguments.wal.is_empty() && !arguments.wal.contains(&wal) {
            continue;
        }
        let tally = rounds(wal, &arguments, seed, &minio).await?;
        for beside in
            [forgetting_is_found(wal, seed).await, an_outage_passes(wal, seed, &mut minio).await]
        {
            match beside {
                Ok(()) => passed += 1,
                Err(error) => {
                    failed += 1;
                    say(&format!("{wal}: FAILED: {error:#}"))?;
                }
            }
        }
        let missed =
            Phase::ALL.into_iter().zip(tally.hits).filter(|(_, hit)| *hit < arguments.hits);
        let missed: Vec<&str> = missed.map(|(phase, _)| phase.name()).collect();
        if !missed.is_empty() {
            say(&format!("{wal}: cut less than {} times: {}", arguments.hits, missed.join(", ")))?;
        }
        passed += tally.rounds - tally.failed;
        failed += tally.failed + u64::from(!missed.is_empty());
        tallies.push((wal, tally));
    }
    for (wal, tally) in tallies {
        say(&format!("{wal}: {tally}"))?;
    }
    say(&format!("crash: {passed} passed, {failed} failed"))?;
    Ok(ExitCode::from(u8::from(failed > 0 || passed == 0)))
}

/// All rounds of one kind of write-ahead log.
async fn rounds(wal: WalKind, arguments: &Arguments, seed: u64, minio: &Minio) -> Result<Tally> {
    let by_default = match wal {
        WalKind::Disk => StoreKind::Local,
        WalKind::Object => StoreKind::Minio,
    };
    let store = arguments.store.unwrap_or(by_default);
    let kept = arguments.resume.as_ref().map(|folder| folder.join(format!("{wal}-{store}.json")));
    let mut tally = Tally::read(kept.as_deref())?;
    while tally.rounds < arguments.rounds {
        let place = match store {
            StoreKind::Local => Place::local(),
            StoreKind::Minio => minio.place(&format!("crash-{wal}-{}", tally.rounds)),
        };
        let count = ROUNDS_OF_A_LIFE.min(arguments.rounds - tally.rounds);
        let options = BrokerOptions::new(wal, place);
        let title = format!("{wal}/{store}");
        one_life(&title, options, seed.wrapping_add(tally.rounds), count, &mut tally).await?;
        tally.write(kept.as_deref())?;
    }
    Ok(tally)
}

/// The rounds of one life, up to the first that fails.
async fn one_life(
    title: &str,
    options: BrokerOptions,
    seed: u64,
    rounds: u64,
    tally: &mut Tally,
) -> Result<()> {
    let mut life = Life::begin(options, seed).await?;
    for number in 0..rounds {
        let round = match life.round(number, &mut tally.hits).await {
            Ok(round) => round,
            Err(error) => Round::failed(format!("{error:#}")),
        };
        tally.add(&round);
        say(&format!("{title} round {}: {round}", tally.rounds))?;
        if round.problems.is_empty() {
            continue;
        }
        for problem in &round.problems {
            say(&format!("  {problem}"))?;
        }
        say(&format!("the broker's log:\n{}", life.log_tail()))?;
        say(&format!("what the broker left is in {}", life.keep().display()))?;
        return Ok(());
    }
    life.end().await
}

/// A broker that forgets what it acknowledged does not pass.
async fn forgetting_is_found(wal: WalKind, seed: u64) -> Result<()> {
    let mut life = Life::begin(BrokerOptions::new(wal, Place::local()), seed).await?;
    let found = life.forget().await?;
    let lost = found.iter().filter(|one| matches!(one, Violation::AcknowledgedLost { .. })).count();
    ensure!(lost > 0, "a broker that forgets passes; found was only {found:?}");
    say(&format!("{wal}: of a broker that forgets, {lost} lost records are found"))
}

/// The store is killed under load and comes back; nothing is lost and the broker stays.
async fn an_outage_passes(wal: WalKind, seed: u64, minio: &mut Minio) -> Result<()> {
    let options = BrokerOptions::new(wal, minio.place(&format!("outage-{wal}")));
    let mut life = Life::begin(options, seed).await?;
    let problems = life.outage(wal, minio).await;
    let problems = problems.unwrap_or_else(|error| vec![format!("{error:#}")]);
    ensure!(problems.is_empty(), "{}\nthe broker's log:\n{}", problems.join("\n"), life.log_tail());
    life.end().await?;
    say(&format!("{wal}: the store was away and came back"))
}
