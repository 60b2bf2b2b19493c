//! What happens inside the brokers, as their logs tell it: that the faults of a seed lead to all that
//! brokers do about faults.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::trace::Trace;

/// What every fixed set of seeds has to see.
pub const KINDS: [&str; 8] = [
    "inside: broker starts over",
    "inside: election",
    "inside: fence by connection",
    "inside: fence by session",
    "inside: fence by the store",
    "inside: handover",
    "inside: takeover",
    "inside: balance",
];

/// The count of what happened; clones are the same. What brokers log goes to the trace as well.
#[derive(Clone)]
pub struct Inside {
    state: Arc<Mutex<State>>,
    trace: Trace,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<&'static str, u64>,
    /// The newest term of the quorum that had a leader.
    term: u64,
}

impl Inside {
    /// Nothing yet.
    pub fn new(trace: Trace) -> Self {
        Self { state: Arc::default(), trace }
    }

    /// What happened, and how often.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().counts.clone()
    }
}

impl<S: Subscriber> Layer<S> for Inside {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        self.trace.tell(|| format!("log: {}{}", said.message, said.rest));
        let Some(kind) = said.kind() else { return };
        let mut state = self.state.lock();
        if kind == "inside: election" {
            // Each node tells of it.
            if said.leader.is_empty() || said.term <= state.term {
                return;
            }
            state.term = said.term;
        }
        *state.counts.entry(kind).or_default() += 1;
    }
}

/// What one line of a log says.
#[derive(Default)]
struct Said {
    message: String,
    /// All other fields.
    rest: String,
    reason: String,
    leader: String,
    term: u64,
}

impl Said {
    fn kind(&self) -> Option<&'static str> {
        Some(match self.message.as_str() {
            "a broker is fenced" => match self.reason.as_str() {
                "it was not heard of for a session" => "inside: fence by session",
                "its connection closed and it listens no more" => "inside: fence by connection",
                _ => "inside: fence by the store",
            },
            "this broker was fenced: its partitions go to others" => "inside: broker starts over",
            "the leader of the quorum" => "inside: election",
            "handed over" => "inside: handover",
            "a handover was refused" | "not handed over" => "inside: handover refused",
            "the outcome of a handover is not known; it is taken back" => {
                "inside: handover taken back"
            }
            "taken over" => "inside: takeover",
            "partitions are to move, so that brokers carry alike" => "inside: balance",
            _ => return None,
        })
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A string takes all.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.rest, " {name}={value:?}"),
        };
        if field.name() == "reason" {
            self.reason = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &value);
        if field.name() == "leader" {
            value.clone_into(&mut self.leader);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_debug(field, &value);
        if field.name() == "term" {
            self.term = value;
        }
    }
}
