//! What became of the rounds of one kind of write-ahead log.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::board::{Hits, told};
use crate::life::Round;

/// Counts over all rounds.
#[derive(Default, Serialize, Deserialize)]
pub struct Tally {
    /// Rounds that came to an end.
    pub rounds: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Kills by the phases that they cut.
    pub hits: Hits,
    /// The longest time from a start after a kill to readiness.
    pub slowest_ms: u128,
}

impl Tally {
    /// What an earlier run has left, if a file is given and there.
    pub fn read(kept: Option<&Path>) -> Result<Self> {
        let Some(path) = kept else { return Ok(Self::default()) };
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Keeps it, if a file is given.
    pub fn write(&self, kept: Option<&Path>) -> Result<()> {
        let Some(path) = kept else { return Ok(()) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec(self)?)?;
        Ok(())
    }

    /// Adds a round, whose hits are counted already.
    pub fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.failed += u64::from(!round.problems.is_empty());
        self.acknowledged += round.acknowledged;
        self.slowest_ms = self.slowest_ms.max(round.recovery.as_millis());
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, failed, acknowledged, hits, slowest_ms } = self;
        let hits = told(hits);
        write!(
            f,
            "{rounds} rounds, {failed} failed; {acknowledged} records acknowledged; cut: {hits}; \
             slowest start {slowest_ms} ms"
        )
    }
}

impl Round {
    /// A round that did not get to its end.
    pub fn failed(problem: String) -> Self {
        Self { acknowledged: 0, cut: Vec::new(), recovery: Duration::ZERO, problems: vec![problem] }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.problems.is_empty() { "ok" } else { "FAILED" };
        let cut: Vec<&str> = self.cut.iter().map(|phase| phase.name()).collect();
        let cut = if cut.is_empty() { "nothing".to_owned() } else { cut.join(", ") };
        let Self { acknowledged, recovery, .. } = self;
        write!(f, "{word}, {acknowledged} acknowledged, cut {cut}, ready after {recovery:?}")
    }
}
