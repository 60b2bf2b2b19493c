//! How far the other members are, as the leader sees it from their answers.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Metrics, NodeId};

/// What is known of each member since this node last began to lead.
#[derive(Debug, Default)]
pub(super) struct ProgressBoard {
    seen: Mutex<BTreeMap<NodeId, Seen>>,
    /// Of this node; there is none before Raft runs.
    metrics: Mutex<Option<watch::Receiver<Metrics>>>,
}

/// When a member was heard of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When what it answered was sent.
    pub(super) at: Instant,
    /// The last time that it had all that the leader had when that was sent.
    pub(super) caught_up: Option<Instant>,
}

impl ProgressBoard {
    /// Where it is seen how far this node is.
    pub(super) fn watch(&self, metrics: watch::Receiver<Metrics>) {
        *self.metrics.lock() = Some(metrics);
    }

    /// A member answered what was `sent`, and has the entries up to `reached`.
    pub(super) fn heard(&self, key: NodeId, sent: Instant, reached: Option<u64>) {
        let last = self.metrics.lock().as_ref().and_then(|m| m.borrow().last_log_index);
        let has_all = reached.is_some() && reached >= last;
        let mut seen = self.seen.lock();
        let before = seen.get(&key).and_then(|seen| seen.caught_up);
        let caught_up = if has_all { Some(sent) } else { before };
        seen.insert(key, Seen { at: sent, caught_up });
    }

    /// The term of this node.
    pub(super) fn term(&self) -> u64 {
        self.metrics.lock().as_ref().map_or(0, |metrics| metrics.borrow().current_term)
    }

    /// What is known of a member.
    pub(super) fn seen(&self, key: &NodeId) -> Option<Seen> {
        self.seen.lock().get(key).copied()
    }

    /// Forgets all but `members`.
    pub(super) fn retain(&self, is_member: impl Fn(&NodeId) -> bool) {
        self.seen.lock().retain(|key, _| is_member(key));
    }
}
