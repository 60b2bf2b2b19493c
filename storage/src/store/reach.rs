//! Whether a store answers, by what its requests come to: for those who look at the broker while
//! the store is away.

use std::time::Duration;

use object_store::Error;
use odradek_common::limits::{STORE_AWAY_MS, STORE_SILENT_MS};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::kind::{StoreErrorKind, describe};

/// What keeps a store from answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when no request has had an answer.
    pub since: Instant,
    /// What became of the last one: a sentence for people.
    pub reason: String,
}

/// Whether a store answers. What it refuses for good (access denied, no such bucket) is no answer:
/// nobody gets anything from it.
#[derive(Debug, Default)]
pub struct Reach(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    answered: Option<Instant>,
    trouble: Option<Trouble>,
    /// True if people were told of the trouble.
    told: bool,
}

impl Reach {
    /// What keeps the store from answering, if the last request got no answer.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.lock().trouble.clone()
    }

    /// A request got its answer.
    pub(super) fn answered(&self) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.answered = Some(now);
        let told = std::mem::take(&mut state.told);
        if let Some(trouble) = state.trouble.take()
            && told
        {
            info!(after = ?(now - trouble.since), "the object store answers again");
        }
    }

    /// A request that was last heard of at `heard` came to an error.
    pub(super) fn erred(&self, heard: Instant, kind: &StoreErrorKind, error: &Error) {
        match kind {
            StoreErrorKind::NotFound
            | StoreErrorKind::AlreadyExists
            | StoreErrorKind::InvalidRange => self.answered(),
            StoreErrorKind::Permanent(_) | StoreErrorKind::Transient | StoreErrorKind::Other => {
                self.failed(heard, describe(error));
            }
        }
    }

    /// Somebody gave up waiting for a request that was last heard of at `heard`.
    pub(super) fn given_up(&self, heard: Instant) {
        let waited = heard.elapsed();
        if waited >= Duration::from_millis(STORE_SILENT_MS) {
            self.failed(heard, format!("no answer within {:.1} s", waited.as_secs_f32()));
        }
    }

    fn failed(&self, heard: Instant, reason: String) {
        let mut state = self.0.lock();
        let since = match (&state.trouble, state.answered) {
            (Some(trouble), _) => trouble.since,
            (None, Some(answered)) => heard.max(answered),
            (None, None) => heard,
        };
        if !state.told && since.elapsed() >= Duration::from_millis(STORE_AWAY_MS) {
            state.told = true;
            warn!(lasting = ?since.elapsed(), reason, "the object store does not answer");
        }
        state.trouble = Some(Trouble { since, reason });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};
    use odradek_common::random::SeededRandom;
    use tokio::time::{advance, timeout};

    use super::super::faulty::{Fault, Faults, Faulty, Gate, On, Outage};
    use super::super::{Measured, Operation};
    use super::*;

    fn store() -> (Measured, Faults) {
        let faulty = Faulty::new(Arc::new(InMemory::new()), Arc::new(SeededRandom::from_seed(1)));
        let faults = faulty.faults();
        (Measured::new(Arc::new(faulty)), faults)
    }

    async fn get(store: &Measured) {
        let _ = store.get(&Path::from("a")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_outcome_tells() {
        let (store, faults) = store();
        let reach = store.reach();
        assert_eq!(reach.trouble(), None);
        // No such object is an answer.
        get(&store).await;
        assert_eq!(reach.trouble(), None);
        let begun = Instant::now();
        faults.outage(Outage::Refused);
        for _ in 0..3 {
            get(&store).await;
            advance(Duration::from_secs(3)).await;
        }
        let trouble = reach.trouble().unwrap();
        assert_eq!(trouble.since, begun);
        assert!(trouble.reason.contains("cannot be reached"), "{}", trouble.reason);
        assert!(reach.0.lock().told);
        faults.outage(Outage::None);
        get(&store).await;
        assert_eq!(reach.trouble(), None);
        assert!(!reach.0.lock().told);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_once_is_not_told_to_people() {
        let (store, faults) = store();
        faults.next(On::every(Operation::Get), Fault::Unavailable);
        get(&store).await;
        assert!(store.reach().trouble().is_some() && !store.reach().0.lock().told);
        store.list(None).for_each(|_| async {}).await;
        assert_eq!(store.reach().trouble(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_trouble_once_it_has_lasted() {
        let (store, faults) = store();
        faults.always(On::every(Operation::Get), Fault::HeldBefore(Gate::new()));
        let _ = timeout(Duration::from_millis(100), get(&store)).await;
        assert_eq!(store.reach().trouble(), None, "somebody was in a hurry");
        let begun = Instant::now();
        let _ = timeout(Duration::from_secs(5), get(&store)).await;
        let trouble = store.reach().trouble().unwrap();
        assert_eq!((trouble.since, &*trouble.reason), (begun, "no answer within 5.0 s"));
    }
}
