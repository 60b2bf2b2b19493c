//! What came of a seed, as its process tells it and as it is read.

use std::collections::BTreeMap;
use std::fmt;

/// What came of a seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The trace's digest.
    pub trace: String,
    /// Milliseconds simulated.
    pub simulated_ms: u64,
    /// Answers that clients got.
    pub operations: u64,
    /// Faults of its plan that were met.
    pub planned: u64,
    /// How often each kind of fault was met.
    pub faults: BTreeMap<String, u64>,
    /// What was broken.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Reads what a process told; nothing if it did not come to its end.
    pub fn parse(text: &str) -> Option<Self> {
        let mut outcome = Self::default();
        let mut is_whole = false;
        for line in text.lines() {
            let (key, value) = line.split_once(' ')?;
            match key {
                "trace" => value.clone_into(&mut outcome.trace),
                "simulated" => outcome.simulated_ms = value.parse().ok()?,
                "operations" => outcome.operations = value.parse().ok()?,
                "planned" => outcome.planned = value.parse().ok()?,
                "fault" => {
                    let (count, kind) = value.split_once(' ')?;
                    outcome.faults.insert(kind.to_owned(), count.parse().ok()?);
                }
                "violation" => outcome.violations.push(value.to_owned()),
                "end" => is_whole = true,
                _ => return None,
            }
        }
        is_whole.then_some(outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "trace {}", self.trace)?;
        writeln!(f, "simulated {}", self.simulated_ms)?;
        writeln!(f, "operations {}", self.operations)?;
        writeln!(f, "planned {}", self.planned)?;
        for (kind, count) in &self.faults {
            writeln!(f, "fault {count} {kind}")?;
        }
        for violation in &self.violations {
            writeln!(f, "violation {}", violation.replace('\n', " / "))?;
        }
        writeln!(f, "end of seed")
    }
}
