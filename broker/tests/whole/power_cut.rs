//! Power cuts, and kills, of the whole broker.

use std::path::Path;
use std::time::Duration;

use odradek_common::files::sim::{Op, SimFiles};
use odradek_common::random::{Random, SeededRandom};
use tokio::time::Instant;

use super::life::{Life, settings};
use super::workload::Clients;

/// Which syncs are lies.
pub type Lie = fn(Op, &Path) -> bool;

const CYCLES: u64 = 6;
/// Changes and syncs of files that a start comes to, roughly.
pub const START_STEPS: u64 = 300;
/// How long clients work in one life.
const WORK: Duration = Duration::from_millis(250);

/// Lives and crashes, and the last life in peace; the records acknowledged.
pub fn cycles(seed: u64, wal: &str, lie: Lie, patience: Duration) -> Result<usize, String> {
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let random = SeededRandom::from_seed(seed);
    let mut files = SimFiles::new();
    let mut clients = Clients::new(patience);
    for cycle in 0..=CYCLES {
        let peace = cycle == CYCLES;
        files.lie_where(lie);
        if !peace && random.next_u64().is_multiple_of(4) {
            // Within the start, or soon after.
            files.halt_after(random.next_u64() % START_STEPS);
        } else if !peace && random.next_u64().is_multiple_of(2) {
            files.halt_after(random.next_u64() % 3000);
        }
        match Life::start(settings(&[wal]), &files, None, seed * 100 + cycle) {
            Ok(life) => {
                let worked = client.block_on(live(&mut clients, &files, life.port, peace));
                files.halt_after(0);
                life.crash();
                worked?;
            }
            Err(_) if files.is_halted() => {}
            Err(error) => return Err(format!("no start: {error}")),
        }
        if random.next_u64().is_multiple_of(4) {
            files.heal();
        } else {
            files = files.power_cut(&random);
        }
    }
    Ok(clients.history.acked())
}

/// The first start of all is cut at some of its steps; the next one has to come up.
pub fn first_starts(count: u64, wal: &str, lie: Lie) -> Result<(), String> {
    // Spread over the whole start, the two being prime to each other.
    for step in (1..=count).map(|n| n * 71 % START_STEPS) {
        let random = SeededRandom::from_seed(step);
        let files = SimFiles::new();
        files.lie_where(lie);
        files.halt_after(step);
        if let Ok(life) = Life::start(settings(&[wal]), &files, None, step) {
            files.halt_after(0);
            life.crash();
        }
        let left = files.power_cut(&random);
        let life = Life::start(settings(&[wal]), &left, None, step + 1);
        life.map_err(|error| format!("step {step}: no start: {error}"))?.crash();
    }
    Ok(())
}

async fn live(
    clients: &mut Clients,
    files: &SimFiles,
    port: u16,
    peace: bool,
) -> Result<(), String> {
    let halted = async {
        while !files.is_halted() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let work = async {
        clients.check(port).await?;
        clients.work(port, Instant::now() + WORK).await?;
        if peace {
            clients.settle(port).await?;
            clients.check(port).await?;
        }
        Ok(())
    };
    tokio::select! {
        worked = work => worked,
        () = halted => Ok(()),
    }
}

fn nothing_is_lost(wal: &str) {
    let begun = Instant::now();
    let mut acked = 0;
    for seed in 1..=8 {
        let done = cycles(seed, wal, |_, _| false, Duration::from_secs(20));
        acked += done.unwrap_or_else(|wrong| panic!("{wal}, seed {seed}: {wrong}"));
        if begun.elapsed() > Duration::from_secs(30) {
            break;
        }
    }
    assert!(acked > 100, "only {acked} records were acknowledged");
}

#[test]
fn power_cuts_lose_nothing_with_the_disk_wal() {
    nothing_is_lost("wal.kind=disk");
}

#[test]
fn power_cuts_lose_nothing_with_the_object_wal() {
    nothing_is_lost("wal.kind=object");
}

/// Killed, with all that it wrote still to be read: the next start goes on by itself.
#[test]
fn a_first_start_may_be_killed_anywhere() {
    for step in (0..START_STEPS).step_by(3) {
        let files = SimFiles::new();
        files.halt_after(step);
        if let Ok(life) = Life::start(settings(&["wal.kind=disk"]), &files, None, step) {
            files.halt_after(0);
            life.crash();
        }
        files.heal();
        let life = Life::start(settings(&["wal.kind=disk"]), &files, None, step + 1);
        life.unwrap_or_else(|error| panic!("step {step}: no start: {error}")).crash();
    }
}

#[test]
fn a_first_start_may_be_cut_anywhere() {
    for wal in ["wal.kind=disk", "wal.kind=object"] {
        first_starts(50, wal, |_, _| false).unwrap_or_else(|wrong| panic!("{wal}: {wrong}"));
    }
}
