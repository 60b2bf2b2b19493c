//! When a second put of the same bytes is worth its price: when the first takes longer than nine
//! in ten of its size do, and few hedges were sent of late.

use std::collections::VecDeque;
use std::time::Duration;

use odradek_common::limits::{HEDGE_SHARE, HEDGES_SAVED_MAX, PUT_SAMPLES};
use parking_lot::Mutex;

/// Measured puts of a class of sizes, without which its p90 says nothing.
const SAMPLES_MIN: usize = 10;

#[derive(Debug)]
pub(super) struct Hedging {
    enabled: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the power of four that the size reaches; the last measured of each, oldest first.
    classes: Vec<VecDeque<Duration>>,
    /// Hedges that may be sent.
    saved: f64,
}

impl Hedging {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, state: Mutex::default() }
    }

    /// After how long a put of `length` bytes is slow; `None` while that is not known.
    pub(super) fn slow_after(&self, length: u64) -> Option<Duration> {
        if !self.enabled {
            return None;
        }
        let state = self.state.lock();
        let samples = state.classes.get(class(length))?;
        if samples.len() < SAMPLES_MIN {
            return None;
        }
        let mut sorted: Vec<_> = samples.iter().copied().collect();
        let rank = sorted.len() * 9 / 10;
        Some(*sorted.select_nth_unstable(rank).1)
    }

    /// Takes a hedge out of the budget; false if there is none.
    pub(super) fn take(&self) -> bool {
        let mut state = self.state.lock();
        let may = state.saved >= 1.0;
        if may {
            state.saved -= 1.0;
        }
        may
    }

    /// Takes in how long a put took.
    pub(super) fn measured(&self, length: u64, took: Duration) {
        let mut state = self.state.lock();
        state.saved = (state.saved + HEDGE_SHARE).min(HEDGES_SAVED_MAX);
        let class = class(length);
        if state.classes.len() <= class {
            state.classes.resize_with(class + 1, VecDeque::new);
        }
        let samples = &mut state.classes[class];
        if samples.len() == PUT_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(took);
    }
}

/// At most 32 classes: puts within a factor of four are compared.
fn class(length: u64) -> usize {
    usize::try_from(length.max(1).ilog2() / 2).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_p90_is_that_of_the_size() {
        let hedging = Hedging::new(true);
        for i in 1..=9 {
            hedging.measured(1 << 20, i * MS);
        }
        assert_eq!(hedging.slow_after(1 << 20), None);
        hedging.measured(1 << 20, 10 * MS);
        assert_eq!(hedging.slow_after(1 << 20), Some(10 * MS));
        assert_eq!(hedging.slow_after(8 << 20), None);
        // What is long past is forgotten.
        for _ in 0..PUT_SAMPLES {
            hedging.measured(1 << 20, 100 * MS);
        }
        assert_eq!(hedging.slow_after(1 << 20), Some(100 * MS));
    }

    #[test]
    fn one_in_twenty_may_be_hedged() {
        let hedging = Hedging::new(true);
        let mut hedges = 0;
        for _ in 0..1000 {
            hedging.measured(1, MS);
            hedges += u32::from(hedging.take());
        }
        assert!((49..=50).contains(&hedges), "{hedges}");
        for _ in 0..1000 {
            hedging.measured(1, MS);
        }
        let burst = (0..100).filter(|_| hedging.take()).count();
        assert_eq!(burst, 4);
    }

    #[test]
    fn any_size_has_a_class() {
        assert_eq!((class(0), class(1), class(u64::MAX)), (0, 0, 31));
    }
}
