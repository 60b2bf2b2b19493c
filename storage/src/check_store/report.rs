//! What was found out about a store, as a table for people.

use std::fmt;
use std::time::Duration;

/// How a property was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store has it.
    Passed,
    /// The store does not have it, or could not be asked.
    Failed,
    /// Not looked at, as something before failed.
    Skipped,
}

/// One property of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The property.
    pub what: &'static str,
    /// How it was found.
    pub verdict: Verdict,
    /// A sentence on what was seen.
    pub told: String,
}

/// How long requests of one kind and size took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The kind of request.
    pub operation: &'static str,
    /// The size of the object or range in bytes; 0 where it has none.
    pub bytes: usize,
    /// How many were measured.
    pub count: usize,
    /// Half took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

impl Latency {
    /// Of `samples`, at least one.
    pub(super) fn of(operation: &'static str, bytes: usize, mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1) - 1;
            samples.get(rank).copied().unwrap_or_default()
        };
        Self { operation, bytes, count: samples.len(), p50: at(50), p99: at(99) }
    }
}

/// What was found out about a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which store.
    pub store: String,
    /// Its properties.
    pub lines: Vec<Line>,
    /// How fast it is.
    pub latencies: Vec<Latency>,
}

impl Report {
    /// True if the store has all properties that were looked at.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.lines.iter().all(|line| line.verdict == Verdict::Passed)
    }

    /// Why the store cannot be used: the first thing that it lacks; empty if it has everything.
    #[must_use]
    pub fn reason(&self) -> &str {
        let mut failed = self.lines.iter().filter(|line| line.verdict == Verdict::Failed);
        failed.next().map_or("", |line| &line.told)
    }

    pub(super) fn passes(&mut self, what: &'static str, told: impl Into<String>) {
        self.line(what, Verdict::Passed, told);
    }

    /// Takes down what `found` says; true if the property is there.
    pub(super) fn take(&mut self, what: &'static str, found: Result<String, String>) -> bool {
        let passed = found.is_ok();
        match found {
            Ok(told) => self.passes(what, told),
            Err(told) => self.line(what, Verdict::Failed, told),
        }
        passed
    }

    pub(super) fn line(&mut self, what: &'static str, verdict: Verdict, told: impl Into<String>) {
        self.lines.push(Line { what, verdict, told: told.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.store)?;
        for line in &self.lines {
            let verdict = match line.verdict {
                Verdict::Passed => "ok",
                Verdict::Failed => "FAILED",
                Verdict::Skipped => "skipped",
            };
            writeln!(f, "  {verdict:<8} {:<18} {}", line.what, line.told)?;
        }
        if !self.latencies.is_empty() {
            writeln!(f, "\n  operation       size   count    p50 ms    p99 ms")?;
        }
        for latency in &self.latencies {
            let Latency { operation, bytes, count, p50, p99 } = latency;
            let (p50_ms, p99_ms) = (p50.as_secs_f64() * 1000.0, p99.as_secs_f64() * 1000.0);
            let size = size(*bytes);
            writeln!(f, "  {operation:<10} {size:>9} {count:>7} {p50_ms:>9.1} {p99_ms:>9.1}")?;
        }
        let verdict = if self.passed() { "passed" } else { "this store cannot be used" };
        write!(f, "\n  {verdict}")
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0 => String::new(),
        _ if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples() {
        let samples = (1..=200).map(Duration::from_millis).collect();
        let latency = Latency::of("get", 0, samples);
        assert_eq!(latency.p50, Duration::from_millis(100));
        assert_eq!(latency.p99, Duration::from_millis(198));
        let one = Latency::of("get", 0, vec![Duration::from_millis(3)]);
        assert_eq!((one.p50, one.p99), (one.p99, Duration::from_millis(3)));
    }

    #[test]
    fn it_reads_as_a_table() {
        let mut report =
            Report { store: "s3://b".into(), lines: Vec::new(), latencies: Vec::new() };
        report.passes("reachable", "an object was put and read");
        report.take("put-if-absent", Err("two winners".into()));
        report.line("delete", Verdict::Skipped, "");
        assert_eq!(report.reason(), "two winners");
        let sample = vec![Duration::from_micros(1250)];
        report.latencies.push(Latency::of("put", 64 << 10, sample));
        let expected = "s3://b
  ok       reachable          an object was put and read
  FAILED   put-if-absent      two winners
  skipped  delete             \n
  operation       size   count    p50 ms    p99 ms
  put           64 KiB       1       1.2       1.2

  this store cannot be used";
        assert_eq!(report.to_string(), expected);
        assert!(!report.passed());
    }
}
