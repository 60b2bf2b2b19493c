//! Trying again, for ever, at a pace; and telling of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::names::SlotRef;
use crate::range::Place;
use crate::store::{StoreErrorKind, classify, describe};

/// How often one operation that keeps failing is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Failures of a kind that passes by itself, before the first is logged.
const QUIET_FAILURES: u32 = 3;

/// How long to wait between attempts.
#[derive(Debug)]
pub(super) struct Pace {
    first: Duration,
    max: Duration,
    random: SharedRandom,
}

impl Pace {
    pub(super) fn new(first: Duration, max: Duration, random: SharedRandom) -> Self {
        Self { first, max, random }
    }

    /// The wait after `failures`, at least one: doubled each time, and jittered down to half.
    fn wait(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let whole = doubled.min(self.max);
        let jitter = u32::try_from(self.random.next_u64() % 512).unwrap_or(0);
        whole - whole * jitter / 1024
    }
}

/// What fails at present, by operation.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<(u64, BTreeMap<u64, Trouble>)>);

#[derive(Debug)]
struct Trouble {
    permanent: bool,
    what: String,
}

impl Troubles {
    /// What an operator should know first: what does not pass by itself, and what lasts longest.
    pub(super) fn worst(&self) -> Option<String> {
        let troubles = self.0.lock();
        let permanent = troubles.1.values().find(|trouble| trouble.permanent);
        permanent.or_else(|| troubles.1.values().next()).map(|trouble| trouble.what.clone())
    }
}

/// One operation that is tried until it works. Dropping it, done or not, ends its trouble.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    pace: &'a Pace,
    troubles: &'a Troubles,
    doing: &'static str,
    at: SlotRef,
    id: Option<u64>,
    failures: u32,
    logged_at: Option<Instant>,
}

impl<'a> Retry<'a> {
    pub(super) fn new(
        pace: &'a Pace,
        troubles: &'a Arc<Troubles>,
        doing: &'static str,
        at: SlotRef,
    ) -> Self {
        Self { pace, troubles, doing, at, id: None, failures: 0, logged_at: None }
    }

    /// How often it failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes note of a failure of which the outcome is not known, and waits.
    pub(super) async fn failed(&mut self, error: &object_store::Error) {
        let permanent = is_permanent(error);
        self.note(permanent, error);
        self.log(permanent, error);
        self.wait().await;
    }

    /// Waits as after a failure.
    pub(super) async fn wait(&mut self) {
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(self.pace.wait(self.failures)).await;
    }

    fn note(&mut self, permanent: bool, error: &object_store::Error) {
        let (doing, place) = (self.doing, Place::Slot(self.at));
        let what = format!("cannot {doing} {place}: {}", describe(error));
        let mut troubles = self.troubles.0.lock();
        let id = *self.id.get_or_insert_with(|| {
            troubles.0 += 1;
            troubles.0
        });
        troubles.1.insert(id, Trouble { permanent, what });
    }

    fn log(&mut self, permanent: bool, error: &object_store::Error) {
        let due = self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if !due || (!permanent && self.failures < QUIET_FAILURES) {
            return;
        }
        self.logged_at = Some(Instant::now());
        let (doing, slot, failures) = (self.doing, Place::Slot(self.at), self.failures);
        let error = describe(error);
        if permanent {
            tracing::error!(
                %error, %slot, failures,
                "the store refuses to {doing} a slot, and will until it is set right; trying on"
            );
        } else {
            tracing::warn!(%error, %slot, failures, "could not {doing} a slot; trying on");
        }
    }
}

impl Drop for Retry<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.troubles.0.lock().1.remove(&id);
        }
    }
}

/// True for what does not pass by itself: rights, credentials, a bucket that is gone.
fn is_permanent(error: &object_store::Error) -> bool {
    // An object cannot be missing for a put, and reads of it do not come here.
    matches!(classify(error), StoreErrorKind::Permanent(_) | StoreErrorKind::NotFound)
}
