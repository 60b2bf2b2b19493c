//! The simulation: brokers, network, store, files and clocks in one thread, all chance and all faults
//! drawn from a seed. What a seed does it does each time, so that a violation can be looked at as often
//! as one likes. Clients write down what they are told, and the checker goes through it.
//!
//! Each seed runs in a process of its own: counters of libraries begin anew there, and a panic ends
//! nobody else.

mod broken;
mod child;
mod clients;
mod copies;
mod faults;
mod inside;
mod invariants;
mod node;
mod outcome;
mod parent;
mod sim;
mod stepped;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Simulates clusters under faults and looks for broken promises.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Seeds of the fixed set; all kinds of faults are met in them.
    #[arg(long, default_value_t = 40)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// When the fixed set is done, seeds never tried before are, until so many seconds are over.
    #[arg(long, default_value_t = 0)]
    time_limit: u64,
    /// Runs this seed alone, here, and prints what came of it.
    #[arg(long)]
    child: Option<u64>,
    /// Breaks a promise on purpose, to see that it is noticed.
    #[arg(long, value_enum)]
    broken: Option<broken::Broken>,
    /// Writes down each event of a seed, for a comparison of two runs.
    #[arg(long, requires = "child")]
    trace: Option<PathBuf>,
    /// Shows the brokers' logs, at the level that RUST_LOG says.
    #[arg(long, requires = "child")]
    log: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.child {
        Some(seed) => child::run(seed, &arguments),
        None => parent::run(&arguments),
    }
}
