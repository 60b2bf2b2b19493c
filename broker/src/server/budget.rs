//! Budgets of bytes that all connections share. None of them ever waits for another, so a full one
//! slows or ends who fills it and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use odradek_common::limits::REQUEST_SMALL_BYTES;

/// Bytes held by requests that are half read or not yet answered, or by what is left of them.
#[derive(Clone, Debug)]
pub struct RequestBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

/// What one connection holds of a [`RequestBudget`]; given back when dropped.
#[derive(Debug)]
pub struct RequestLease {
    budget: RequestBudget,
    bytes: usize,
}

impl RequestBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// A lease of nothing yet.
    #[must_use]
    pub fn lease(&self) -> RequestLease {
        RequestLease { budget: self.clone(), bytes: 0 }
    }

    /// Bytes leased now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that may be leased.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// True when more than half of the budget is in use.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.used() > self.limit / 2
    }
}

impl RequestLease {
    /// Sets what is held to `bytes`. Growth is refused when the budget is used up: false then,
    /// and what was held stays held. Large requests leave an eighth of it to small ones, so that those
    /// who fill it refuse nothing to those who do not.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        let used = &self.budget.used;
        if bytes <= self.bytes {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
            return true;
        }
        let limit = self.budget.limit;
        let limit = if bytes > REQUEST_SMALL_BYTES { limit - limit / 8 } else { limit };
        let grown = add_within(used, bytes - self.bytes, limit);
        if grown {
            self.bytes = bytes;
        }
        grown
    }
}

/// Adds `more` to `used`, unless that comes to more than `limit`: false then.
fn add_within(used: &AtomicUsize, more: usize, limit: usize) -> bool {
    let fits = |now: usize| now.checked_add(more).filter(|sum| *sum <= limit);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

impl Drop for RequestLease {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of answers that are on their way out. A fetch gets less when much is under way, down to
/// the one batch that it always gets; an answer of another kind is as long as it is, and ends its
/// connection where there is no room for it.
#[derive(Clone, Debug)]
pub struct AnswerBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

/// What an answer may hold; given back when dropped.
#[derive(Debug)]
pub struct AnswerGrant {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl AnswerBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// Grants up to `asked` bytes, at most a quarter of what is left.
    #[must_use]
    pub fn grant(&self, asked: usize) -> AnswerGrant {
        let left = self.limit.saturating_sub(self.used.load(Ordering::Relaxed));
        let bytes = asked.min(left / 4);
        self.used.fetch_add(bytes, Ordering::Relaxed);
        AnswerGrant { used: self.used.clone(), bytes }
    }

    /// Grants exactly `bytes`; `None` if there is no room for them.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<AnswerGrant> {
        add_within(&self.used, bytes, self.limit)
            .then(|| AnswerGrant { used: self.used.clone(), bytes })
    }

    /// True when more than half of the budget is in use.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.used() > self.limit / 2
    }

    /// Bytes granted now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl AnswerGrant {
    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but what the answer turned out to hold.
    pub fn shrink(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for AnswerGrant {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_share_and_give_back() {
        let budget = RequestBudget::new(100);
        let (mut a, mut b) = (budget.lease(), budget.lease());
        assert!(a.resize(60) && !b.resize(41) && b.resize(40));
        assert!(a.resize(10) && b.resize(90));
        drop(b);
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn large_requests_leave_room_to_small_ones() {
        let budget = RequestBudget::new(16 * REQUEST_SMALL_BYTES);
        let (mut large, mut small) = (budget.lease(), budget.lease());
        assert!(!large.resize(14 * REQUEST_SMALL_BYTES + 1));
        assert!(large.resize(14 * REQUEST_SMALL_BYTES));
        assert!(!large.resize(14 * REQUEST_SMALL_BYTES + 1));
        assert!(small.resize(REQUEST_SMALL_BYTES));
    }

    #[test]
    fn grants_shrink_as_the_budget_fills() {
        let budget = AnswerBudget::new(100);
        let mut first = budget.grant(50);
        assert_eq!(first.bytes(), 25);
        assert_eq!(budget.grant(50).bytes(), 18);
        first.shrink(5);
        assert_eq!(budget.used(), 5);
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_does_not_fit_is_not_taken() {
        let budget = AnswerBudget::new(100);
        let taken = budget.take(60).unwrap();
        assert!(budget.take(41).is_none() && budget.is_short());
        assert_eq!(budget.take(40).unwrap().bytes(), 40);
        drop(taken);
        assert!(!budget.is_short());
        assert_eq!(budget.used(), 0);
    }
}
