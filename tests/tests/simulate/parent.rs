//! Runs seeds in processes of their own, and says what came of them.

use std::collections::BTreeMap;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use odradek_common::clock::{Clock, SystemClock};
use odradek_tests::program::say;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::Arguments;
use crate::broken::Broken;
use crate::outcome::Outcome;
use crate::{clients, copies, faults, inside};

/// Seeds that failed once, run with each fixed set.
const ONCE_FAILED: [u64; 1] = [
    // A fenced broker told a producer that batches were missing which the next owner had.
    1423,
];

/// A seed that takes longer hangs.
const SEED_LIMIT: Duration = Duration::from_secs(120);

/// What else has to be met, by the clients or at the end.
const OF_CLIENTS: [&str; 5] = [
    "topic made again",
    "generation of a group",
    clients::MOVED,
    clients::TAKEN_BACK,
    copies::COMPARED,
];

/// Seeds that are run twice: two of them or three have several brokers.
const SAME_AGAIN: usize = 3;

/// Seeds among which one has to notice what is broken on purpose.
const BROKEN_SEEDS: u64 = 24;

/// What is known of all seeds so far.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    simulated_ms: u64,
    operations: u64,
    /// The fewest planned faults, and answers, of a seed.
    least: Option<(u64, u64)>,
    faults: BTreeMap<String, u64>,
}

/// Runs all that is asked for.
#[tokio::main(flavor = "current_thread")]
pub async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    let mut tally = Tally::default();
    for seed in (arguments.from..).take(SAME_AGAIN) {
        let what = format!("seed {seed} does the same again");
        tally.judge(&what, same_again(seed, arguments).await)?;
    }
    if arguments.broken.is_none() {
        for broken in Broken::ALL {
            tally.judge(&format!("{broken:?} is noticed"), noticed(broken, arguments).await)?;
        }
    }
    let fixed = arguments.from..arguments.from + arguments.seeds;
    tally.run(arguments, fixed, None).await?;
    let once_failed = ONCE_FAILED.into_iter().filter(|_| arguments.seeds > 0);
    tally.run(arguments, once_failed, None).await?;
    if arguments.seeds > 0 {
        let missing: Vec<&str> = faults::KINDS
            .into_iter()
            .chain(inside::KINDS)
            .chain(OF_CLIENTS)
            .filter(|kind| !tally.faults.contains_key(*kind))
            .collect();
        let all = if missing.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{missing:?}")) };
        tally.judge("each kind of fault is met", all)?;
    }
    let until = begun + Duration::from_secs(arguments.time_limit);
    let fresh = SystemClock.now_ms().unsigned_abs();
    tally.run(arguments, fresh..u64::MAX, Some(until)).await?;
    for (kind, count) in &tally.faults {
        say(&format!("{count:>8} {kind}"))?;
    }
    if let Some((faults, answers)) = tally.least {
        say(&format!("no seed with less than {faults} planned faults and {answers} answers"))?;
    }
    say(&format!(
        "{} s of {} answers simulated in {} s",
        tally.simulated_ms / 1000,
        tally.operations,
        begun.elapsed().as_secs()
    ))?;
    say(&format!("simulate: {} passed, {} failed", tally.passed, tally.failed))?;
    Ok(ExitCode::from(u8::from(tally.failed > 0 || tally.passed == 0)))
}

impl Tally {
    fn judge(&mut self, what: &str, result: Result<()>) -> Result<()> {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.failed += 1;
                say(&format!("FAILED: {what}: {error:#}"))?;
            }
        }
        Ok(())
    }

    /// Runs seeds, as many at once as there are processors; no new one after `until`.
    async fn run(
        &mut self,
        arguments: &Arguments,
        mut seeds: impl Iterator<Item = u64>,
        until: Option<Instant>,
    ) -> Result<()> {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let mut running = JoinSet::new();
        loop {
            while running.len() < most && until.is_none_or(|until| Instant::now() < until) {
                let Some(seed) = seeds.next() else { break };
                let outcome = one(seed, arguments);
                running.spawn(async move { (seed, outcome.await) });
            }
            let Some(done) = running.join_next().await else { return Ok(()) };
            let (seed, outcome) = done?;
            self.take(seed, outcome)?;
        }
    }

    fn take(&mut self, seed: u64, outcome: Result<Outcome>) -> Result<()> {
        let violations = match outcome {
            Ok(outcome) => {
                self.simulated_ms += outcome.simulated_ms;
                self.operations += outcome.operations;
                let (faults, answers) = self.least.unwrap_or((u64::MAX, u64::MAX));
                self.least = Some((faults.min(outcome.planned), answers.min(outcome.operations)));
                for (kind, count) in outcome.faults {
                    *self.faults.entry(kind).or_default() += count;
                }
                outcome.violations
            }
            Err(error) => vec![format!("{error:#}")],
        };
        if violations.is_empty() {
            self.passed += 1;
            return Ok(());
        }
        self.failed += 1;
        say(&format!("seed {seed}: FAILED, again with --child {seed}"))?;
        violations.iter().try_for_each(|violation| say(&format!("  {violation}")))
    }
}

/// Runs a seed in a process of its own.
fn one(seed: u64, arguments: &Arguments) -> impl Future<Output = Result<Outcome>> + use<> {
    let program = std::env::current_exe();
    let broken = arguments.broken;
    async move {
        let mut command = Command::new(program?);
        command.args(["--child", &seed.to_string()]);
        if let Some(broken) = broken.as_ref().and_then(clap::ValueEnum::to_possible_value) {
            command.args(["--broken", broken.get_name()]);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(SEED_LIMIT, command.output()).await.context("it hangs")??;
        let told = String::from_utf8_lossy(&output.stdout);
        Outcome::parse(&told).with_context(|| {
            format!("it came to no end: {told}{}", String::from_utf8_lossy(&output.stderr))
        })
    }
}

async fn same_again(seed: u64, arguments: &Arguments) -> Result<()> {
    let (first, second) = tokio::join!(one(seed, arguments), one(seed, arguments));
    let (first, second) = (first?, second?);
    if first != second {
        bail!("{} and {}", first.trace, second.trace);
    }
    Ok(())
}

/// What is broken on purpose does not pass.
async fn noticed(broken: Broken, arguments: &Arguments) -> Result<()> {
    let arguments = Arguments { broken: Some(broken), trace: None, ..*arguments };
    for seed in 1..=BROKEN_SEEDS {
        let violations = one(seed, &arguments).await?.violations;
        let is_symptom = |told: &String| broken.symptoms().iter().any(|one| told.starts_with(one));
        if violations.iter().any(is_symptom) {
            return Ok(());
        }
    }
    bail!("nobody noticed it in {BROKEN_SEEDS} seeds")
}
