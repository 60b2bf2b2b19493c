//! Real processes of one cluster under faults: three brokers on MinIO, clients that never stop, and a checker
//! that looks through everything that the clients were told.

mod brokers;
mod life;
mod scenario;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use odradek_common::clock::{Clock, SystemClock};
use odradek_tests::minio::Minio;
use odradek_tests::program::{named, say};

use crate::life::{Life, Round};
use crate::scenario::Scenario;

/// Does harm to clusters and looks what is left.
#[derive(Parser)]
struct Arguments {
    /// Only these scenarios: kill-owner, kill-leader, zombie, minio-away, rolling, quorum-away, fourth.
    #[arg(long, value_delimiter = ',', value_parser = named(Scenario::ALL))]
    scenario: Vec<Scenario>,
    /// Rounds of each scenario.
    #[arg(long, default_value_t = 2)]
    rounds: u64,
    /// For how many seconds the quorum is away in quorum-away.
    #[arg(long, default_value_t = 10)]
    away: u64,
    /// What is drawn at random follows from it; by default the time.
    #[arg(long)]
    seed: Option<u64>,
}

/// What became of the rounds of one scenario.
struct Tally {
    scenario: Scenario,
    passed: u64,
    failed: u64,
    waited: Vec<Duration>,
    /// What is wrong, a line each.
    problems: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| SystemClock.now_ms().unsigned_abs());
    say(&format!("seed {seed}"))?;
    let minio = Minio::start().await?;
    let away = Duration::from_secs(arguments.away);
    let mut tallies = Vec::new();
    for scenario in Scenario::ALL {
        if !arguments.scenario.is_empty() && !arguments.scenario.contains(&scenario) {
            continue;
        }
        let mut tally = Tally::new(scenario);
        while tally.rounds() < arguments.rounds {
            let rounds = scenario.rounds_of_a_life().min(arguments.rounds - tally.rounds());
            one_life(rounds, seed, away, &minio, &mut tally).await?;
        }
        tallies.push(tally);
    }
    let (mut passed, mut failed) = (0, 0);
    for tally in &tallies {
        passed += tally.passed;
        failed += tally.failed;
        say(&format!("{}: {tally}", tally.scenario))?;
    }
    // Once more where a reader looks first: logs of brokers stand between.
    for problem in tallies.iter().flat_map(|tally| &tally.problems) {
        say(problem)?;
    }
    say(&format!("cluster: {passed} passed, {failed} failed"))?;
    Ok(ExitCode::from(u8::from(failed > 0 || passed == 0)))
}

/// Rounds with one cluster, up to the first that fails.
async fn one_life(
    rounds: u64,
    seed: u64,
    away: Duration,
    minio: &Minio,
    tally: &mut Tally,
) -> Result<()> {
    let scenario = tally.scenario;
    let prefix = format!("cluster-{scenario}-{}", tally.rounds());
    let seed = seed.wrapping_add(tally.rounds());
    let mut life = match Life::begin(minio, &prefix, seed, away).await {
        Ok(life) => life,
        Err(error) => {
            return tally.fail(format!("{scenario} seed {seed}: FAILED: no cluster: {error:#}"));
        }
    };
    for _ in 0..rounds {
        let round = life.round(scenario, minio).await;
        let number = tally.rounds() + 1;
        tally.add(&round);
        say(&format!("{scenario} round {number}: {round}"))?;
        if round.problems.is_empty() {
            continue;
        }
        for problem in round.problems {
            let line = format!("{scenario} round {number} failed with seed {seed}: {problem}");
            say(&line)?;
            tally.problems.push(line);
        }
        return say(&life.report().await?);
    }
    if let Err(error) = life.end().await {
        tally.fail(format!("{scenario} seed {seed}: FAILED: at the end: {error:#}"))?;
    }
    Ok(())
}

impl Tally {
    fn new(scenario: Scenario) -> Self {
        Self { scenario, passed: 0, failed: 0, waited: Vec::new(), problems: Vec::new() }
    }

    fn rounds(&self) -> u64 {
        self.passed + self.failed
    }

    fn add(&mut self, round: &Round) {
        if round.problems.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.waited.extend(round.waited);
    }

    /// Counts what fails beside the rounds.
    fn fail(&mut self, problem: String) -> Result<()> {
        self.failed += 1;
        say(&problem)?;
        self.problems.push(problem);
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds, {} failed", self.rounds(), self.failed)?;
        let mut waited = self.waited.clone();
        waited.sort();
        let Some(longest) = waited.last() else { return Ok(()) };
        let median = waited[waited.len() / 2];
        write!(
            f,
            "; {}: median {} ms, maximum {} ms",
            self.scenario.measures(),
            median.as_millis(),
            longest.as_millis()
        )
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.problems.is_empty() { "ok" } else { "FAILED" };
        write!(f, "{word}, {} acknowledged", self.acknowledged)?;
        match self.waited {
            Some(waited) => write!(f, ", after {} ms", waited.as_millis()),
            None => Ok(()),
        }
    }
}
