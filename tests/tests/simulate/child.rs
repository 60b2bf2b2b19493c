//! One seed, in this process.

use std::io::Write;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use odradek_storage::store::sim::Fate;
use parking_lot::Mutex;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::Arguments;
use crate::inside::Inside;
use crate::outcome::Outcome;
use crate::sim::Sim;
use crate::trace::Trace;

/// Brokers of a cluster,
const SEVERAL: usize = 3;

/// but for one seed in so many, whose broker is alone: nobody may fence that.
const ALONE_ONE_IN: u64 = 4;

/// Runs `seed` and prints what came of it.
pub fn run(seed: u64, arguments: &Arguments) -> Result<ExitCode> {
    odradek_determinism::take_over(seed);
    // A thread of its own: what it draws for itself is drawn after that.
    let run = || simulate(seed, arguments);
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

fn simulate(seed: u64, arguments: &Arguments) -> Result<ExitCode> {
    let trace = Trace::new(arguments.trace.as_deref())?;
    let inside = Inside::new(trace.clone());
    let log = arguments.log.then(|| {
        let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        layer.with_filter(EnvFilter::from_default_env())
    });
    let ours = Targets::new().with_target("odradek", LevelFilter::INFO);
    tracing_subscriber::registry().with(inside.clone().with_filter(ours)).with(log).init();
    let panics = watch_panics();
    let nodes = if seed.is_multiple_of(ALONE_ONE_IN) { 1 } else { SEVERAL };
    let mut sim = Sim::new(seed, nodes, arguments.broken, trace)?;
    sim.run()?;
    let outcome = outcome(&sim, &inside, &panics.lock());
    write!(std::io::stdout().lock(), "{outcome}")?;
    Ok(ExitCode::from(u8::from(!outcome.violations.is_empty())))
}

/// A panic of a task is told to whoever waits for it, if anyone does; here it counts always.
fn watch_panics() -> Arc<Mutex<Vec<String>>> {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = panics.clone();
    std::panic::set_hook(Box::new(move |panic| seen.lock().push(panic.to_string())));
    panics
}

fn outcome(sim: &Sim, inside: &Inside, panics: &[String]) -> Outcome {
    let notes = sim.clients().notes();
    let (digest, events) = sim.trace.digest();
    let mut outcome = Outcome {
        trace: format!("{digest:016x} {events}"),
        simulated_ms: sim.now_ms(),
        operations: notes.operations(),
        planned: sim.plan().counts().values().sum(),
        ..Outcome::default()
    };
    let counts = sim.plan().counts().iter().map(|(kind, count)| (*kind, *count));
    let store = sim.shared.store.met().into_iter().filter_map(|(fate, n)| Some((kind(fate)?, n)));
    for (kind, count) in counts.chain(store).chain(notes.counts()).chain(inside.counts()) {
        outcome.faults.insert(kind.to_owned(), count);
    }
    let panics = panics.iter().map(|panic| format!("panic: {panic}"));
    outcome.violations = panics.chain(sim.problems.iter().cloned()).collect();
    outcome.violations.extend(notes.violations());
    outcome
}

fn kind(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Slow => Some("store: slow"),
        Fate::Unavailable => Some("store: request failed"),
        Fate::AnswerLost => Some("store: answer lost"),
        Fate::Late => Some("store: late"),
        Fate::Fair | Fate::Away => None,
    }
}
