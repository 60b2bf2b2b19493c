//! The matrix client × WAL × store: every real client does all its steps on every kind of broker.
//!
//! Without filters all cells run, and a cell without a result fails. With `--bootstrap` the clients
//! run against that broker, whatever it is, and nothing is started.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use odradek_common::clock::{Clock, SystemClock};
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::clients::{Client, Outcome};
use odradek_tests::minio::Minio;
use odradek_tests::place::{Place, StoreKind, WalKind};
use odradek_tests::program::{named, say};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Clients that run at once: each broker then sees two, and two cores are busy.
const AT_ONCE: usize = 2;

/// Runs the real clients.
#[derive(Parser)]
struct Arguments {
    /// Only these clients, by name.
    #[arg(long, value_delimiter = ',', value_parser = named(Client::ALL))]
    client: Vec<Client>,
    /// Only these kinds of write-ahead log: disk, object.
    #[arg(long, value_delimiter = ',', value_parser = named(WalKind::ALL))]
    wal: Vec<WalKind>,
    /// Only these stores: local, minio.
    #[arg(long, value_delimiter = ',', value_parser = named(StoreKind::ALL))]
    store: Vec<StoreKind>,
    /// The address of a broker that is there, instead of one that is started.
    #[arg(long)]
    bootstrap: Option<String>,
}

/// A kind of broker: what stands above a column of the matrix.
struct Column {
    title: String,
    /// Of the clients in order; none where the filters left the cell out.
    cells: Vec<Option<Cell>>,
    /// Why the broker did not end well.
    broken: Option<String>,
}

struct Cell {
    passed: bool,
    took: Duration,
}

impl Cell {
    /// Of a client that found no broker.
    const FAILED: Self = Self { passed: false, took: Duration::ZERO };
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let clients = if arguments.client.is_empty() { Client::ALL.to_vec() } else { arguments.client };
    let mut columns = Vec::new();
    if let Some(bootstrap) = arguments.bootstrap {
        columns.push(run_column(bootstrap.clone(), &bootstrap, &clients).await?);
    } else {
        let minio = Minio::start().await?;
        for wal in WalKind::ALL {
            for store in StoreKind::ALL {
                let chosen = (arguments.wal.is_empty() || arguments.wal.contains(&wal))
                    && (arguments.store.is_empty() || arguments.store.contains(&store));
                if chosen {
                    columns.push(run_broker(wal, store, &minio, &clients).await?);
                }
            }
        }
    }
    report(&columns, clients.len())
}

/// Starts a broker, runs the clients against it, and stops it.
async fn run_broker(
    wal: WalKind,
    store: StoreKind,
    minio: &Minio,
    clients: &[Client],
) -> Result<Column> {
    let title = format!("{wal}/{store}");
    let place = match store {
        StoreKind::Local => Place::local(),
        StoreKind::Minio => minio.place(&format!("clients-{wal}")),
    };
    let options = BrokerOptions::new(wal, place)
        .set("num.partitions", 6)
        .set("group.initial.rebalance.delay.ms", 100);
    let mut broker = match Broker::start(options).await {
        Ok(broker) => broker,
        Err(error) => {
            say(&format!("{title}: {error:#}"))?;
            let failed = |client| clients.contains(&client).then_some(Cell::FAILED);
            return Ok(Column { title, cells: Client::ALL.map(failed).into(), broken: None });
        }
    };
    let mut column = run_column(title, &broker.bootstrap().to_string(), clients).await?;
    if let Err(error) = broker.stop().await {
        column.broken = Some(format!("{error:#}"));
    }
    if column.broken.is_some() || column.cells.iter().flatten().any(|cell| !cell.passed) {
        say(&format!("the log of {}:\n{}", column.title, broker.log_tail(60)))?;
    }
    Ok(column)
}

/// Runs the clients against the broker at `bootstrap`.
async fn run_column(title: String, bootstrap: &str, clients: &[Client]) -> Result<Column> {
    let dir = TempDir::new()?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for client in clients.iter().copied() {
        let (places, bootstrap) = (Arc::clone(&places), bootstrap.to_owned());
        let log = dir.path().join(client.to_string());
        runs.spawn(async move {
            let _place = places.acquire_owned().await;
            (client, run_client(client, &bootstrap, &log).await)
        });
    }
    let mut cells: Vec<Option<Cell>> = Client::ALL.map(|_| None).into();
    while let Some(run) = runs.join_next().await {
        let (client, outcome) = run?;
        let passed = outcome.failures.is_empty();
        let word = if passed { "ok" } else { "FAILED" };
        let seconds = outcome.took.as_secs_f64();
        say(&format!("{title} {client}: {word}, {} steps in {seconds:.1} s", outcome.steps))?;
        for failure in &outcome.failures {
            say(&format!("  {}", failure.replace('\n', "\n    ")))?;
        }
        let index = Client::ALL.iter().position(|one| *one == client);
        cells[index.context("an unknown client")?] = Some(Cell { passed, took: outcome.took });
    }
    Ok(Column { title, cells, broken: None })
}

async fn run_client(client: Client, bootstrap: &str, log: &Path) -> Outcome {
    let name = format!("{client}-{}", SystemClock.now_ms());
    client.run(bootstrap, &name, log).await.unwrap_or_else(|error| Outcome {
        steps: 0,
        failures: vec![format!("{error:#}")],
        took: Duration::ZERO,
    })
}

/// Prints the matrix and the counts. A broker that did not end well counts as one failure beside its
/// cells, and so does every cell that should have a result and has none.
fn report(columns: &[Column], clients: usize) -> Result<ExitCode> {
    if columns.is_empty() {
        bail!("no cell was chosen");
    }
    let titles: String = columns.iter().map(|column| format!("  {:>14}", column.title)).collect();
    say(&format!("{:10}{titles}", "client"))?;
    for (row, client) in Client::ALL.iter().enumerate() {
        let mut line = format!("{client:10}");
        for column in columns {
            let text = match &column.cells[row] {
                Some(cell) if cell.passed => format!("ok {:.1} s", cell.took.as_secs_f64()),
                Some(_) => "FAILED".to_owned(),
                None => "-".to_owned(),
            };
            line.push_str(&format!("  {text:>14}"));
        }
        say(&line)?;
    }
    for column in columns {
        if let Some(broken) = &column.broken {
            say(&format!("broker {}: FAILED: {broken}", column.title))?;
        }
    }
    let cells = || columns.iter().flat_map(|column| column.cells.iter().flatten());
    let broken = columns.iter().filter(|column| column.broken.is_some()).count();
    let passed = cells().filter(|cell| cell.passed).count();
    let empty = clients * columns.len() - cells().count();
    let failed = cells().filter(|cell| !cell.passed).count() + broken + empty;
    say(&format!("clients: {passed} passed, {failed} failed"))?;
    Ok(ExitCode::from(u8::from(failed > 0 || passed == 0)))
}
