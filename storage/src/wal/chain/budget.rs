//! The budget of puts: a token bucket that bounds the bill.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens gather at a rate, up to a second's worth. A full slot is never held back and may leave a
/// debt, of a second's worth at most, which the slots cut for their linger then pay off.
#[derive(Debug)]
pub(super) struct Budget {
    per_second: f64,
    tokens: f64,
    counted_at: Instant,
}

impl Budget {
    pub(super) fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, tokens: per_second.max(1.0), counted_at: now }
    }

    /// When a token is there, at the earliest `now`.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        if self.per_second.is_infinite() {
            return now;
        }
        self.refill(now);
        let missing = (1.0 - self.tokens).max(0.0);
        // A rate of nothing at all waits, but never for longer than can be reckoned with.
        let seconds = (missing / self.per_second).min(3600.0);
        now + Duration::from_secs_f64(seconds)
    }

    /// Spends a token, also one that is not there.
    pub(super) fn spend(&mut self, now: Instant) {
        if self.per_second.is_finite() {
            self.refill(now);
            self.tokens = (self.tokens - 1.0).max(-self.per_second.max(1.0));
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second.max(1.0));
        self.counted_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_a_second_is_ten_a_second() {
        let start = Instant::now();
        let mut budget = Budget::new(10.0, start);
        let mut now = start;
        for _ in 0..110 {
            now = budget.ready_at(now);
            budget.spend(now);
        }
        // The first ten were saved up.
        let seconds = (now - start).as_secs_f64();
        assert!((9.9..10.2).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_is_paid_off_and_no_larger_than_a_second() {
        let start = Instant::now();
        let mut budget = Budget::new(10.0, start);
        for _ in 0..1000 {
            budget.spend(start);
        }
        let wait = budget.ready_at(start) - start;
        assert!((1.0..1.2).contains(&wait.as_secs_f64()), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nothing_waits() {
        let start = Instant::now();
        let mut budget = Budget::new(f64::INFINITY, start);
        for _ in 0..1000 {
            budget.spend(start);
            assert_eq!(budget.ready_at(start), start);
        }
    }
}
