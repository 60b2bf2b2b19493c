//! Odradek beside Apache Kafka; `benches/compare` builds what it needs and starts it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use odradek_benches::compare::options::Options;
use odradek_benches::compare::rounds::{commit, report, run};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    match compare(&Options::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            let _ = writeln!(std::io::stderr(), "odradek-compare: {failures} failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "odradek-compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all and gives back how many servers failed in a round.
async fn compare(options: &Options) -> Result<usize> {
    let dir = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&dir).context("the directory for the servers' data")?;
    let dir = std::path::absolute(dir)?;
    tempfile::env::override_temp_dir(&dir).map_err(|before| anyhow!("already {before:?}"))?;

    let tell = |line: String| {
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // The processes end with their handles, so that what was started here does not outlive a signal.
    let outcome = tokio::select! {
        outcome = run(options, &dir, tell) => outcome?,
        _ = terminate.recv() => return Err(anyhow!("terminated")),
        _ = interrupt.recv() => return Err(anyhow!("interrupted")),
    };

    let servers = options.servers();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "commit {}, {} rounds, {} records of {} bytes, {} before them that are not measured, \
         {} partitions, {} cores\n",
        commit(),
        options.rounds,
        options.records,
        options.record_size,
        options.warmup_records,
        options.partitions,
        std::thread::available_parallelism().map_or(0, usize::from),
    )?;
    writeln!(out, "{}", outcome.results.table(&servers))?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report(options, &outcome))?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(outcome.failures.len())
}
