//! Whether a log takes appends: a handover stops them, and only what is committed about it, or that
//! nothing was proposed, lets them go on (law 3.3).
//!
//! ```text
//!        freeze           leave
//!  open ────────▶ frozen ───────▶ left ────▶ closed: an entry about it was committed
//!       ◀────────                  │
//!         thaw                     │
//!       ◀──────────────────────────┘
//!         stay: it was not proposed, or is read as refused
//! ```
//! A cancel is a committed entry too: it closes this log, and the owner goes on with another one under
//! the next leader epoch.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::{PartitionLog, State};

/// Whether appends are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// They are.
    Open,
    /// They wait: the partition is to leave this owner.
    Frozen,
    /// They wait, and a proposal about the partition may be committed: this owner cannot tell
    /// whether it still is one.
    Left,
    /// They are refused: the partition is not this owner's any more, or not in this leader epoch.
    Closed,
}

impl PartitionLog {
    /// Stops appends, which wait from now on; false if they were stopped already.
    #[must_use]
    pub fn freeze(&self) -> bool {
        let mut state = self.state.lock();
        let is_open = state.gate == Gate::Open;
        if is_open {
            state.gate = Gate::Frozen;
        }
        is_open
    }

    /// Lets appends go on, unless a proposal about the partition is on its way.
    pub fn thaw(&self) {
        let mut state = self.state.lock();
        if state.gate == Gate::Frozen {
            state.gate = Gate::Open;
            state.wake_all();
        }
    }

    /// Takes note that a proposal about the partition is on its way: there is no way back but by a
    /// committed entry. False if the log was closed meanwhile, and nothing is to be proposed.
    #[must_use]
    pub fn leave(&self) -> bool {
        let mut state = self.state.lock();
        let may_leave = matches!(state.gate, Gate::Frozen | Gate::Left);
        if may_leave {
            state.gate = Gate::Left;
        }
        may_leave
    }

    /// Lets appends go on after a proposal of which nothing came: it was not sent, or was refused.
    pub fn stay(&self) {
        let mut state = self.state.lock();
        if state.gate == Gate::Left {
            state.gate = Gate::Open;
            state.wake_all();
        }
    }

    /// Whether a proposal about the partition is on its way or was accepted, so that a slot of the
    /// chain says nothing about who owns it (law 5.3).
    #[must_use]
    pub fn has_left(&self) -> bool {
        matches!(self.state.lock().gate, Gate::Left | Gate::Closed)
    }

    /// Ends the log here: nothing is appended any more, all that waits is woken.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.gate = Gate::Closed;
        state.wake_all();
    }

    /// True once [`Self::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().gate == Gate::Closed
    }

    /// Waits while appends wait: until they are taken, or refused.
    pub(super) async fn decided(&self) {
        let woken = Arc::new(Notify::new());
        loop {
            self.wake(&woken);
            if matches!(self.state.lock().gate, Gate::Open | Gate::Closed) {
                return;
            }
            woken.notified().await;
        }
    }
}

impl State {
    pub(super) fn wake_all(&mut self) {
        let waiters = std::mem::take(&mut self.waiters);
        waiters.iter().filter_map(Weak::upgrade).for_each(|waiter| waiter.notify_one());
    }
}
