//! What the clients noticed, in one order.

use std::collections::BTreeMap;

use odradek_tests::history::{Event, Guarantee, Setup, check};
use parking_lot::Mutex;

use crate::trace::Trace;

/// The number of the one who writes to topics that come and go; the others are below it.
pub const ADMIN: u32 = 1000;

/// The history of a seed.
pub struct Notes {
    trace: Trace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    problems: Vec<String>,
    unique: u64,
    counts: BTreeMap<&'static str, u64>,
    operations: u64,
}

impl Notes {
    /// None yet.
    pub fn new(trace: Trace) -> Self {
        Self { trace, state: Mutex::default() }
    }

    /// Notes an event.
    pub fn note(&self, event: Event) {
        self.trace.say(&format!("{event:?}"));
        self.state.lock().events.push(event);
    }

    /// Notes what no client should see.
    pub fn problem(&self, text: String) {
        self.state.lock().problems.push(text);
    }

    /// A number that nothing else in this history has.
    pub fn unique(&self) -> u64 {
        let mut state = self.state.lock();
        state.unique += 1;
        state.unique
    }

    /// Counts an answer.
    pub fn answered(&self) {
        self.state.lock().operations += 1;
    }

    /// Counts something.
    pub fn count(&self, what: &'static str) {
        *self.state.lock().counts.entry(what).or_default() += 1;
    }

    /// What was counted.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().counts.clone()
    }

    /// Answers so far.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// What was broken.
    pub fn violations(&self) -> Vec<String> {
        let state = self.state.lock();
        let producer = |number| match number {
            ADMIN => (number, Guarantee::AtLeastOnce),
            _ => (number, Guarantee::Idempotent),
        };
        let producers = (0..super::PRODUCERS).chain([ADMIN]).map(producer).collect();
        let setup = Setup { producers, ..Setup::default() };
        let broken = check(&setup, &state.events);
        state.problems.iter().cloned().chain(broken.iter().map(ToString::to_string)).collect()
    }
}
