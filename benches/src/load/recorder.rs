//! Latencies of one worker, merged at the end.

use hdrhistogram::Histogram;

use super::schedule::SECOND_NS;

/// What is shown of a second.
const SECOND_DIGITS: u8 = 2;
/// What is shown of the whole.
const TOTAL_DIGITS: u8 = 3;
/// Seconds of which a line over time is kept.
const SECONDS_MAX: usize = 100_000;

/// Latencies in microseconds: all together, and by the second in which a record was to be sent.
#[derive(Clone, Debug)]
pub struct Recorder {
    from_ns: u64,
    until_ns: u64,
    total: Histogram<u64>,
    seconds: Vec<Histogram<u64>>,
}

impl Recorder {
    /// Takes records that were to be sent from one time to another, in ns after the start.
    #[must_use]
    pub fn new(from_ns: u64, until_ns: u64) -> Self {
        Self { from_ns, until_ns, total: histogram(TOTAL_DIGITS), seconds: Vec::new() }
    }

    /// Takes a record that was to be sent at `due_ns` and was done at `done_ns`.
    pub fn record(&mut self, due_ns: u64, done_ns: u64) {
        if due_ns < self.from_ns || due_ns >= self.until_ns {
            return;
        }
        let latency_us = done_ns.saturating_sub(due_ns) / 1000;
        take(&mut self.total, latency_us);
        let second = usize::try_from((due_ns - self.from_ns) / SECOND_NS).unwrap_or(usize::MAX);
        if second < SECONDS_MAX {
            while self.seconds.len() <= second {
                self.seconds.push(histogram(SECOND_DIGITS));
            }
            take(&mut self.seconds[second], latency_us);
        }
    }

    /// Adds what another has taken.
    pub fn merge(&mut self, other: &Self) {
        // A histogram that grows by itself holds whatever another of its kind holds.
        let _ = self.total.add(&other.total);
        while self.seconds.len() < other.seconds.len() {
            self.seconds.push(histogram(SECOND_DIGITS));
        }
        for (own, other) in self.seconds.iter_mut().zip(&other.seconds) {
            let _ = own.add(other);
        }
    }

    /// Records taken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total.len()
    }

    /// Milliseconds that so many percent of the records stay below; 0 without records.
    #[must_use]
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        ms(self.total.value_at_percentile(percent))
    }

    /// The slowest in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        ms(self.total.max())
    }

    /// For each second its median, 99th percentile and slowest in ms; `None` where none was due.
    #[must_use]
    pub fn over_time(&self) -> Vec<Option<[f64; 3]>> {
        let point = |at: &Histogram<u64>| {
            let [p50, p99] = [50.0, 99.0].map(|percent| ms(at.value_at_percentile(percent)));
            (!at.is_empty()).then(|| [p50, p99, ms(at.max())])
        };
        self.seconds.iter().map(point).collect()
    }
}

#[expect(clippy::expect_used, reason = "the number of digits is a constant within 0 to 5")]
fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new(digits).expect("a valid number of digits")
}

/// Takes a value, whatever its size: `saturating_record` would not let the histogram grow, and would
/// count what is slow as fast.
fn take(histogram: &mut Histogram<u64>, latency_us: u64) {
    // It fails only where a bucket's index does not fit the machine's word.
    let _ = histogram.record(latency_us);
}

#[expect(clippy::cast_precision_loss, reason = "microseconds below 2^52")]
fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_due_in_time_counts() {
        let mut recorder = Recorder::new(SECOND_NS, 3 * SECOND_NS);
        recorder.record(SECOND_NS - 1, 2 * SECOND_NS);
        recorder.record(3 * SECOND_NS, 3 * SECOND_NS + 1);
        assert_eq!((recorder.count(), recorder.max_ms()), (0, 0.0));
        recorder.record(2 * SECOND_NS, 2 * SECOND_NS + 5_000_000);
        assert_eq!(recorder.count(), 1);
        let seconds = recorder.over_time();
        assert_eq!((seconds.len(), seconds[0]), (2, None));
        assert!(seconds[1].is_some());
    }

    #[test]
    fn what_is_slow_is_shown_as_slow() {
        let mut recorder = Recorder::new(0, SECOND_NS);
        for latency_ms in 1..=1000 {
            recorder.record(0, latency_ms * 1_000_000);
        }
        recorder.record(0, 3600 * SECOND_NS);
        for (percent, expected) in [(50.0, 501.0), (99.0, 991.0)] {
            let shown = recorder.percentile_ms(percent);
            assert!((shown / expected - 1.0).abs() < 0.01, "{percent}: {shown}");
        }
        assert!((recorder.max_ms() / 3_600_000.0 - 1.0).abs() < 0.01);
        let [p50, _, max] = recorder.over_time()[0].unwrap();
        assert!((p50 / 501.0 - 1.0).abs() < 0.02 && max > 3_500_000.0, "{p50} {max}");
    }

    #[test]
    fn merged_is_as_if_taken_by_one() {
        let [mut one, mut two] = [Recorder::new(0, SECOND_NS), Recorder::new(0, SECOND_NS)];
        one.record(0, 1_000_000);
        two.record(0, 9_000_000);
        one.merge(&two);
        assert_eq!(one.count(), 2);
        assert!((one.max_ms() - 9.0).abs() < 0.1);
    }
}
