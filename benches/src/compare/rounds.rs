//! All rounds.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::device::fdatasync_ms;
use super::options::Options;
use super::phase::Phases;
use super::results::{Better, Results};
use super::server::{Server, ServerKind};

/// What came of the rounds.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured.
    pub results: Results,
    /// What failed: server, round and why.
    pub failures: Vec<String>,
}

/// Runs all rounds; `tell` is given a line at a time. A server that fails is not measured further in
/// its round, the others are.
///
/// # Errors
/// Of the filesystem itself.
pub async fn run(options: &Options, dir: &Path, tell: impl Fn(String)) -> Result<Outcome> {
    let mut outcome = Outcome { results: Results::default(), failures: Vec::new() };
    for round in 0..options.rounds {
        for kind in options.order(round) {
            device(kind, dir, &mut outcome.results)?;
            tell(format!("round {} of {}: {kind}", round + 1, options.rounds));
            let began = tokio::time::Instant::now();
            if let Err(error) = one(options, kind, &mut outcome.results).await {
                let failure = format!("{kind} in round {}: {error:#}", round + 1);
                tell(format!("FAILED {failure}"));
                outcome.failures.push(failure);
            }
            tell(format!("  done in {:.0} s", began.elapsed().as_secs_f64()));
        }
    }
    Ok(outcome)
}

async fn one(options: &Options, kind: ServerKind, results: &mut Results) -> Result<()> {
    let server = Server::start(kind, &options.set).await.context("start")?;
    let mut phases = Phases { options, server: &server, kind, results };
    let ran = phases.run().await;
    let ran = ran.with_context(|| format!("the server's log:\n{}", server.log_tail()));
    let stopped = server.stop().await.context("stop");
    ran.and(stopped)
}

/// Measures the filesystem before a server runs on it, with nothing of another waiting to be written.
fn device(kind: ServerKind, dir: &Path, results: &mut Results) -> Result<()> {
    rustix::fs::sync();
    for (size, ms) in fdatasync_ms(dir)? {
        let name = match size {
            0x1000 => "4 KiB ms",
            0x1_0000 => "64 KiB ms",
            _ => "1 MiB ms",
        };
        let phase = "write and fdatasync of this filesystem, before each server";
        results.add(kind, phase, name, Better::Lower, ms);
    }
    Ok(())
}

/// The whole outcome, for programs.
#[must_use]
pub fn report(options: &Options, outcome: &Outcome) -> Value {
    let servers = options.servers();
    json!({
        "commit": commit(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "rounds": options.rounds,
        "records": options.records,
        "warmup_records": options.warmup_records,
        "record_size_bytes": options.record_size,
        "partitions": options.partitions,
        "settings": options.set.iter().map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>(),
        "figures": outcome.results.json(&servers),
        "failures": outcome.failures,
    })
}

/// The commit of the checkout, with a plus if files differ from it.
#[must_use]
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(odradek_tests::tools::checkout()).args(arguments);
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let clean = git(&["status", "--porcelain", "-uno"]).is_some_and(|text| text.is_empty());
    if clean { commit } else { commit + "+" }
}
