//! `odradek start`: one broker, until a signal or a failure ends it.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::clock::SystemClock;
use odradek_common::files::RealFiles;
use odradek_common::net::RealNetwork;
use odradek_common::phases::Phases;
use odradek_common::random::SeededRandom;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::cli::program;
use crate::process::{PartEnded, Process, StartError, World};
use crate::settings::{Settings, Warning};

/// Why a broker ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// A part of it failed while it ran.
    #[error("{0}")]
    Ended(#[from] PartEnded),
    /// Signals cannot be waited for, or the program cannot be started anew.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl World {
    /// The machine's own clock, randomness and files.
    #[must_use]
    pub fn of_machine() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SeededRandom::from_os()),
            files: Arc::new(RealFiles),
            network: Arc::new(RealNetwork),
            phases: Phases::none(),
            store: None,
            broken: None,
        }
    }
}

/// Before a fenced broker starts over: two that fence each other do not do so without end and pause.
pub const START_OVER_PAUSE: Duration = Duration::from_secs(1);

/// Runs a broker until SIGTERM or SIGINT; a second signal ends it at once.
///
/// # Errors
/// It did not start, or a part of it failed.
pub async fn broker(
    settings: Settings,
    warnings: Vec<Warning>,
    world: World,
) -> Result<(), RunError> {
    for warning in warnings {
        warn!("{warning}");
    }
    raise_file_limit();
    let limit = settings.process.shutdown_timeout;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let starting = Process::start(settings.clone(), world);
    let mut process = tokio::select! {
        started = starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    welcome(&settings, &process);
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = process.failed() => Some(ended),
    };
    if let Some(ended) = failed.as_ref().filter(|ended| ended.is_fenced) {
        warn!(%ended, "this broker was fenced and starts over");
        tokio::time::sleep(START_OVER_PAUSE).await;
        return Err(start_over().into());
    }
    if let Some(ended) = failed {
        error!(%ended, "the broker ends: what was acknowledged is safe, and found at the next start");
        return Err(ended.into());
    }
    info!("stopping");
    tokio::select! {
        () = process.stop(limit) => {}
        _ = terminate.recv() => warn!("a second signal: stopped at once"),
        _ = interrupt.recv() => warn!("a second signal: stopped at once"),
    }
    Ok(())
}

/// The same program in the same process, from its beginning: nothing is left of the broker that was fenced.
/// Returns only if that is not possible.
fn start_over() -> std::io::Error {
    use std::os::unix::process::CommandExt;
    let mut arguments = std::env::args_os();
    // What was there at the start may have been replaced meanwhile, by a newer one under its name.
    let name = arguments.next().unwrap_or_default();
    let here = std::env::current_exe().ok().filter(|program| program.exists());
    let program = here.unwrap_or_else(|| name.into());
    std::process::Command::new(program).args(arguments).exec()
}

/// Tells a person where things are and what to try. Nobody may be there to read it.
fn welcome(settings: &Settings, process: &Process) {
    let mut out = std::io::stdout().lock();
    let core = &process.core;
    let _ = writeln!(out, "Odradek {} · cluster {}", env!("CARGO_PKG_VERSION"), core.cluster);
    for (name, host, port) in &process.listening {
        let _ = writeln!(out, "  listens    {name} at {host}:{port}");
    }
    if let Some(admin) = &process.admin {
        let _ = writeln!(out, "  admin      http://{admin} (/livez, /readyz, /metrics)");
    }
    let _ = writeln!(out, "  records    {}", core.store);
    let _ = writeln!(
        out,
        "  data       {} (metadata{})",
        settings.node.data_dir.display(),
        if settings.wal_kind == crate::settings::WalKind::Disk { ", write-ahead log" } else { "" }
    );
    let (odradek, to) = (program::typed(), bootstrap(&process.listening));
    let _ = writeln!(out, "  try        {odradek} topic create hello --partitions 3{to}");
    let _ = writeln!(out, "             echo 'first record' | {odradek} produce hello{to}");
    let _ = writeln!(out, "             {odradek} consume hello --from beginning{to}");
    let _ = out.flush();
}

/// What the commands have to be told to find this broker.
fn bootstrap(listening: &[(String, String, u16)]) -> String {
    let Some((_, host, port)) = listening.first() else { return String::new() };
    let host = match host.as_str() {
        "" | "0.0.0.0" => "localhost",
        host => host,
    };
    match (host, port) {
        ("localhost", 9092) => String::new(),
        _ => format!(" -b {host}:{port}"),
    }
}

/// Connections and segments take file descriptors: as many as the system lets us have.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        warn!(%error, ?current, ?maximum, "could not raise the limit of open files");
    }
}
