//! Which requests meet which faults, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::Result;
use object_store::client::HttpErrorKind;
use object_store::path::Path;
use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::broken;
use crate::store::operation::Operation;

/// The requests that a fault is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On {
    /// The kind of request.
    pub operation: Operation,
    /// What its key contains; empty for every key.
    pub key_part: String,
}

impl On {
    /// Requests of this kind, whatever their key.
    #[must_use]
    pub fn every(operation: Operation) -> Self {
        Self { operation, key_part: String::new() }
    }

    /// Requests of this kind whose key contains `key_part`.
    #[must_use]
    pub fn key(operation: Operation, key_part: impl Into<String>) -> Self {
        Self { operation, key_part: key_part.into() }
    }
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 503: nothing has happened.
    Unavailable,
    /// S3's 409 among simultaneous creates: nothing has happened.
    Conflict,
    /// The connection breaks: nothing has happened.
    Disconnected,
    /// 403: nothing has happened.
    Denied,
    /// 404, whatever is there: nothing has happened.
    Missing,
    /// It happens, as far as it can, and then the answer is lost.
    AnswerLost,
    /// A put lands, and the answer is that the object exists already, as after a retry inside.
    OwnAlreadyExists,
    /// Of what is read only the first so many bytes come; of what is listed so many names, and then
    /// the connection breaks.
    Truncated(usize),
    /// Of what is read the byte at this position (modulo the length) is wrong.
    Corrupted(usize),
    /// It waits before it happens.
    HeldBefore(Gate),
    /// It happens, and the answer waits.
    HeldAfter(Gate),
    /// It takes longer.
    Slow(Duration),
}

/// Where requests wait until a test lets them go. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<GateState>>);

#[derive(Clone, Copy, Debug, Default)]
struct GateState {
    open: bool,
    arrived: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(GateState::default())))
    }

    /// Lets all go that wait or come.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// Waits until `count` requests have arrived at the gate since it was made.
    pub async fn arrived(&self, count: usize) {
        self.until(|state| state.arrived >= count).await;
    }

    pub(super) async fn pass(&self) {
        self.0.send_modify(|state| state.arrived += 1);
        self.until(|state| state.open).await;
    }

    async fn until(&self, condition: impl FnMut(&GateState) -> bool) {
        // The sender is ours, so the channel does not close.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

/// Whether the store can be reached at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// It can.
    #[default]
    None,
    /// Connections are refused.
    Refused,
    /// Requests get no answer, and do not happen, until the outage ends.
    Silent,
}

/// The plan of a [`Faulty`](super::Faulty) store. Clones are the same plan.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    random: SharedRandom,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<BTreeMap<Operation, u64>>,
    outage: watch::Sender<Outage>,
}

#[derive(Debug)]
struct Rule {
    on: On,
    fault: Fault,
    /// How often it is met yet; none for ever.
    left: Option<u64>,
    /// In how many of a thousand cases.
    per_mille: u64,
}

impl Faults {
    pub(super) fn new(random: SharedRandom) -> Self {
        let (rules, requests) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Plan { random, rules, requests, outage: watch::Sender::default() }))
    }

    /// The next such request meets `fault`.
    pub fn next(&self, on: On, fault: Fault) {
        self.times(1, on, fault);
    }

    /// The next `times` such requests meet `fault`.
    pub fn times(&self, times: u64, on: On, fault: Fault) {
        self.0.rules.lock().push(Rule { on, fault, left: Some(times), per_mille: 1000 });
    }

    /// Every such request meets `fault`.
    pub fn always(&self, on: On, fault: Fault) {
        self.chance(1000, on, fault);
    }

    /// So many of a thousand such requests meet `fault`.
    pub fn chance(&self, per_mille: u64, on: On, fault: Fault) {
        self.0.rules.lock().push(Rule { on, fault, left: None, per_mille });
    }

    /// Takes back all that is planned, the outage too. What waits at a gate goes on waiting.
    pub fn clear(&self) {
        self.0.rules.lock().clear();
        self.outage(Outage::None);
    }

    /// Begins or ends an outage.
    pub fn outage(&self, outage: Outage) {
        self.0.outage.send_replace(outage);
    }

    /// How many requests of this kind have come, each delete of a stream counted singly.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        self.0.requests.lock().get(&operation).copied().unwrap_or(0)
    }

    /// Counts a request and gives the fault that it meets.
    pub(super) async fn meet(&self, operation: Operation, key: &Path) -> Result<Option<Fault>> {
        *self.0.requests.lock().entry(operation).or_insert(0) += 1;
        if *self.0.outage.borrow() == Outage::Refused {
            return Err(broken(HttpErrorKind::Connect));
        }
        // The sender is ours, so the channel does not close.
        let _ = self.0.outage.subscribe().wait_for(|outage| *outage != Outage::Silent).await;
        Ok(self.take(operation, key))
    }

    fn take(&self, operation: Operation, key: &Path) -> Option<Fault> {
        let mut rules = self.0.rules.lock();
        let met = rules.iter_mut().find(|rule| {
            rule.on.operation == operation
                && key.as_ref().contains(&rule.on.key_part)
                && rule.left != Some(0)
                && (rule.per_mille >= 1000 || self.0.random.next_u64() % 1000 < rule.per_mille)
        })?;
        met.left = met.left.map(|left| left - 1);
        let fault = met.fault.clone();
        rules.retain(|rule| rule.left != Some(0));
        Some(fault)
    }
}
