//! When each record is to be sent.

/// Nanoseconds of a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A steady rate: record `i` is due at `i` intervals, whatever happens to those before it.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    interval_ns: f64,
}

impl Schedule {
    /// One of so many records a second; `None` for 0, which has no schedule.
    #[must_use]
    pub fn of(records_per_s: f64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a billion is exact")]
        (records_per_s > 0.0).then(|| Self { interval_ns: SECOND_NS as f64 / records_per_s })
    }

    /// Nanoseconds after the start at which record `index` is due.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "exact enough for years of nanoseconds"
    )]
    pub fn due_ns(self, index: u64) -> u64 {
        (index as f64 * self.interval_ns) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_due_whatever_became_of_those_before() {
        let schedule = Schedule::of(1000.0).unwrap();
        assert_eq!(schedule.due_ns(0), 0);
        assert_eq!(schedule.due_ns(1), 1_000_000);
        assert_eq!(schedule.due_ns(3_600_000), 3600 * SECOND_NS);
        assert!(Schedule::of(0.0).is_none());
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let due = Schedule::of(3.0).unwrap().due_ns(3 * 86_400);
        assert!(due.abs_diff(86_400 * SECOND_NS) < 1000, "{due}");
    }
}
