//! The moment of a kill, chosen by the broker's phase board, and what it cut.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use odradek_common::phases::{BOARD_BYTES, Phase, decode};
use odradek_tests::process::signal;
use rustix::process::Signal;
use tokio::time::Instant;

/// How long a phase is waited for, before the kill falls wherever it falls.
const PHASE_LIMIT: Duration = Duration::from_secs(4);

/// When a kill falls.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// As soon as this phase is under way.
    In(Phase),
    /// After this time.
    After(Duration),
}

/// Which phases kills have cut, in the order of [`Phase::ALL`].
pub type Hits = [u64; Phase::ALL.len()];

/// Kills the process `id` at the moment. A thread of its own looks at the board in a loop: a phase
/// may take but some ten microseconds.
pub async fn strike(board: PathBuf, id: u32, moment: Moment) -> Result<()> {
    tokio::task::spawn_blocking(move || {
        match moment {
            Moment::In(phase) => watch(&board, phase)?,
            Moment::After(time) => std::thread::sleep(time),
        }
        signal(id, Signal::KILL)
    })
    .await?
}

fn watch(board: &Path, phase: Phase) -> Result<()> {
    let file = File::open(board).with_context(|| format!("the board {}", board.display()))?;
    let index = Phase::ALL.iter().position(|one| *one == phase).context("no such phase")?;
    let until = Instant::now() + PHASE_LIMIT;
    let mut bytes = [0; BOARD_BYTES];
    while Instant::now() < until {
        file.read_exact_at(&mut bytes, 0)?;
        if decode(&bytes)[index].is_under_way() {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// The phases that were under way when the process ended.
pub fn cut(board: &Path) -> Result<Vec<Phase>> {
    // One that was killed before it had a board was in no phase.
    let Ok(bytes) = std::fs::read(board) else { return Ok(Vec::new()) };
    let Ok(bytes) = <[u8; BOARD_BYTES]>::try_from(bytes) else { return Ok(Vec::new()) };
    let counts = decode(&bytes);
    let cut = Phase::ALL.into_iter().zip(counts).filter(|(_, count)| count.is_under_way());
    Ok(cut.map(|(phase, _)| phase).collect())
}

/// Adds what was cut.
pub fn add(hits: &mut Hits, cut: &[Phase]) {
    for (hit, phase) in hits.iter_mut().zip(Phase::ALL) {
        *hit += u64::from(cut.contains(&phase));
    }
}

/// The phase that was cut least often.
pub fn least_hit(hits: &Hits) -> Phase {
    let least = hits.iter().zip(Phase::ALL).min_by_key(|(hits, _)| **hits);
    least.map_or(Phase::WalWrite, |(_, phase)| phase)
}

/// The counts with the names, for people.
pub fn told(hits: &Hits) -> String {
    let each: Vec<String> = Phase::ALL
        .into_iter()
        .zip(hits)
        .map(|(phase, hits)| format!("{} {hits}", phase.name()))
        .collect();
    each.join(", ")
}
