//! What the writer has to do, in the order in which it was asked.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::names::SlotRef;
use crate::wal::PutError;

use super::DiskError;

/// A slot to be written.
#[derive(Debug)]
pub(super) struct PutJob {
    pub(super) at: SlotRef,
    pub(super) length: u64,
    pub(super) chunks: Vec<Bytes>,
    pub(super) done: oneshot::Sender<Result<(), PutError>>,
}

/// Slots to be deleted.
#[derive(Debug)]
pub(super) struct DeleteJob {
    pub(super) slots: Vec<SlotRef>,
    pub(super) done: oneshot::Sender<Result<(), DiskError>>,
}

#[derive(Debug)]
pub(super) enum Job {
    Put(PutJob),
    Delete(DeleteJob),
}

/// A queue with one taker. It is as long as there are callers who wait for an answer: a window of
/// slots a chain, and a deletion each for trimmer and collector.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// What came out of the queue.
pub(super) enum Taken {
    Job(Job),
    /// Nothing came in time.
    Nothing,
    Closed,
}

impl Queue {
    /// Adds a job; drops it, and with it the asker's hope, if the queue is closed.
    pub(super) fn push(&self, job: Job) {
        let mut state = self.state.lock();
        if !state.closed {
            state.jobs.push_back(job);
            self.changed.notify_one();
        }
    }

    /// The next job; waits for it, at most for `patience` if there is a bound.
    pub(super) fn take(&self, patience: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return Taken::Closed;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Taken::Job(job);
            }
            match patience {
                None => self.changed.wait(&mut state),
                Some(patience) => {
                    if self.changed.wait_for(&mut state, patience).timed_out() {
                        return Taken::Nothing;
                    }
                }
            }
        }
    }

    /// Takes no more, and drops what is there.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.jobs.clear();
        self.changed.notify_all();
    }
}
