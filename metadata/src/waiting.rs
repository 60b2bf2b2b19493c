//! The proposals of this process that wait for their outcome. Outcomes are not sent: each command
//! says who proposed it, and whoever applies it here completes the proposal.

use std::collections::HashMap;
use std::sync::Arc;

use odradek_common::random::SharedRandom;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::handle::ProposeError;
use crate::machine::Judged;
use crate::wire::Origin;

/// What a proposal comes to.
pub(crate) type Answer = Result<Judged, ProposeError>;

/// Who waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    proposer: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    answers: HashMap<u64, Waits>,
}

#[derive(Debug)]
struct Waits {
    answer: oneshot::Sender<Answer>,
    /// Whether it may have left this process, or been appended here.
    is_sent: bool,
}

impl Waiting {
    /// Nobody, under a number of this process that no other has.
    pub(crate) fn new(random: &SharedRandom) -> Self {
        Self { proposer: random.next_u64().max(1), state: Mutex::default() }
    }

    /// Notes a proposal that is about to be made.
    pub(crate) fn register(self: &Arc<Self>) -> Ticket {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state.lock();
        state.last += 1;
        let sequence = state.last;
        state.answers.insert(sequence, Waits { answer, is_sent: false });
        let origin = Origin { proposer: self.proposer, sequence };
        Ticket { origin, answered, leaves: Leaves { waiting: Arc::clone(self), sequence } }
    }

    /// Notes that a proposal is about to be sent; false if nobody waits for it any more.
    pub(crate) fn note_sent(&self, sequence: u64) -> bool {
        let mut state = self.state.lock();
        let waits = state.answers.get_mut(&sequence);
        waits.map(|waits| waits.is_sent = true).is_some()
    }

    /// True if somebody still waits for the proposal.
    pub(crate) fn is_waited_for(&self, sequence: u64) -> bool {
        self.state.lock().answers.contains_key(&sequence)
    }

    /// Answers a proposal of this process that has not been answered.
    pub(crate) fn answer(&self, sequence: u64, answer: Answer) {
        let waits = self.state.lock().answers.remove(&sequence);
        if let Some(waits) = waits {
            // Who went away needs no answer.
            let _ = waits.answer.send(answer);
        }
    }

    /// Answers the proposals of this process among those that were applied.
    pub(crate) fn applied(&self, outcomes: impl IntoIterator<Item = (Origin, Judged)>) {
        for (origin, judged) in outcomes {
            if origin.proposer == self.proposer {
                self.answer(origin.sequence, Ok(judged));
            }
        }
    }

    /// All that waits is told that its outcome is not known.
    pub(crate) fn give_up_all(&self) {
        let answers = std::mem::take(&mut self.state.lock().answers);
        for (_, waits) in answers {
            let _ = waits.answer.send(Err(ProposeError::Unknown));
        }
    }
}

/// A proposal that waits for its outcome.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// How its command is marked.
    pub(crate) origin: Origin,
    /// Its outcome.
    pub(crate) answered: oneshot::Receiver<Answer>,
    leaves: Leaves,
}

impl Ticket {
    /// Takes the proposal back if it was not sent yet; false if it may have been.
    pub(crate) fn take_back(&self) -> bool {
        let Leaves { waiting, sequence } = &self.leaves;
        let mut state = waiting.state.lock();
        let is_sent = state.answers.get(sequence).is_none_or(|waits| waits.is_sent);
        state.answers.remove(sequence);
        !is_sent
    }
}

/// Takes a proposal off the list when nobody waits any more.
#[derive(Debug)]
struct Leaves {
    waiting: Arc<Waiting>,
    sequence: u64,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.waiting.state.lock().answers.remove(&self.sequence);
    }
}
