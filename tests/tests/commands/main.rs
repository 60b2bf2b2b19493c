//! What a newcomer and an operator do, with the real binary: the defaults and every command, a start
//! and its figures, the proof of a store, the topology of `minio-compose.yml`, and SIGTERM under
//! load. Ends with `commands: N passed, N failed`.

mod compose;
mod defaults;
mod emulators;
mod load;
mod odradek;
mod starting;
mod stopping;
mod stores;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use futures::future::LocalBoxFuture;
use odradek_tests::place::WalKind;
use odradek_tests::program::say;
use tokio::time::Instant;

/// How long one case may take; together they take a minute.
const CASE_LIMIT: Duration = Duration::from_secs(90);

/// Runs the cases.
#[derive(Parser)]
struct Arguments {
    /// Only the cases whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// One case; it answers what is worth telling.
struct Case {
    name: &'static str,
    run: fn() -> LocalBoxFuture<'static, Result<String>>,
}

/// All cases, one after the other: two of them want the default ports.
fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run };
    vec![
        case("defaults", || Box::pin(defaults::every_command_works())),
        case("starting", || Box::pin(starting::soon_and_small())),
        case("store.directory", || Box::pin(stores::a_directory_passes())),
        case("store.minio", || Box::pin(stores::minio_passes())),
        case("store.azure", || Box::pin(emulators::azure_keeps_all())),
        case("store.google", || Box::pin(emulators::google_keeps_all())),
        case("store.refusals", || Box::pin(stores::what_is_wrong_is_said())),
        case("compose", || Box::pin(compose::the_topology_works())),
        case("stop.disk", || Box::pin(stopping::under_load(WalKind::Disk))),
        case("stop.object", || Box::pin(stopping::under_load(WalKind::Object))),
        case("stop.without-store", || Box::pin(stopping::without_store())),
    ]
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut cases = cases();
    if !arguments.only.is_empty() {
        cases.retain(|case| arguments.only.iter().any(|part| case.name.contains(part)));
    }
    if cases.is_empty() {
        bail!("no case's name contains one of {:?}", arguments.only);
    }
    let (mut passed, mut failed) = (0, 0);
    for case in cases {
        let began = Instant::now();
        let ended = match tokio::time::timeout(CASE_LIMIT, (case.run)()).await {
            Ok(ended) => ended.map_err(|error| format!("{error:#}")),
            Err(_) => Err(format!("not over within {CASE_LIMIT:?}")),
        };
        let (word, told) = match &ended {
            Ok(told) => ("ok", told),
            Err(error) => ("FAILED", error),
        };
        let seconds = began.elapsed().as_secs_f64();
        say(&format!(
            "{:18} {word:6} {seconds:5.1} s  {}",
            case.name,
            told.replace('\n', "\n    ")
        ))?;
        match ended {
            Ok(_) => passed += 1,
            Err(_) => failed += 1,
        }
    }
    say(&format!("commands: {passed} passed, {failed} failed"))?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}
