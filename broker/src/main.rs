//! `odradek`: the command line.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use odradek_broker::cli::{
    self, CheckStoreArgs, Cli, Command, ConfigArgs, GivenSettings, StartArgs,
};
use odradek_broker::process::World;
use odradek_broker::{client, opening, run, telemetry};
use odradek_common::phases::Phases;
use odradek_storage::check_store::{self, Form};

/// The exit code of a command whose words or settings are wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let code = runtime.block_on(command(&cli));
    runtime.shutdown_background();
    code
}

async fn command(cli: &Cli) -> ExitCode {
    match cli.asked() {
        Command::Start(args) => start(&cli.given, &args).await,
        Command::Config(args) => config(&cli.given, &args),
        Command::CheckStore(args) => check(&cli.given, &args).await,
        Command::Topic(command) => done(client::topic(command).await),
        Command::Cluster(command) => done(client::cluster(command).await),
        Command::Quorum(command) => done(client::quorum(command).await),
        Command::Produce(args) => done(client::produce(args).await),
        Command::Consume(args) => done(client::consume(args).await),
        Command::Version => {
            let _ = writeln!(std::io::stdout(), "odradek {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

async fn start(given: &GivenSettings, args: &StartArgs) -> ExitCode {
    let (settings, warnings) = match given.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(USAGE, &error),
    };
    if let Err(error) = telemetry::init(&settings.log_output) {
        return fail(USAGE, &error);
    }
    let mut world = World::of_machine();
    if let Some(path) = &args.phase_board {
        world.phases = match Phases::on_board(&*world.files, path) {
            Ok(phases) => phases,
            Err(error) => return fail(USAGE, &format!("{}: {error}", path.display())),
        };
    }
    done(run::broker(settings, warnings, world).await)
}

fn config(given: &GivenSettings, args: &ConfigArgs) -> ExitCode {
    match given.load() {
        Ok((settings, _)) => done(cli::config::run(args, &settings, &mut std::io::stdout())),
        Err(error) => fail(USAGE, &error),
    }
}

async fn check(given: &GivenSettings, args: &CheckStoreArgs) -> ExitCode {
    let (settings, _) = match given.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(USAGE, &error),
    };
    if let Err(error) = telemetry::init(&settings.log_output) {
        return fail(USAGE, &error);
    }
    let world = World::of_machine();
    let store = match opening::connect(&settings, &world).await {
        Ok(store) => store,
        Err(error) => return fail(1, &error),
    };
    let form = if args.short { Form::Short } else { Form::Full };
    let report = check_store::check(&store, form, &world.random).await;
    let shown = cli::check_store::shown(&report, args.json);
    let _ = writeln!(std::io::stdout(), "{shown}");
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn done<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "odradek: {error}");
    ExitCode::from(code)
}
