//! The pure part of a coordinator: no clock, no I/O, no randomness.

use super::log::{CoordinatorRecord, StoredRecord};

/// The times of one step. The two clocks are never mixed: time-outs run on the monotonic one, what
/// is stored and compared with what was stored on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, ms since the shard began.
    pub mono_ms: u64,
    /// The wall clock, ms since the Unix epoch.
    pub wall_ms: i64,
}

/// A request that waits for its answer. Every token is answered exactly once, by the machine or,
/// when the shard ends, by the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// When an answer may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once: it promises nothing that a crash could take back.
    Now,
    /// When every record appended up to and with this step is durable.
    Durable,
    /// As [`When::Durable`], and the owner has confirmed itself after the request came.
    ///
    /// This makes a read of the state in memory a read of durable state: the answer shows the state
    /// at a position, it leaves only once that position is durable, so it is a state that no crash
    /// takes back; and the confirmation shows that nobody else was the owner when the request came,
    /// so nobody can have acknowledged something newer before.
    Confirmed,
}

/// What a step of the machine wants done: first the records are appended, then the answers leave.
#[derive(Debug)]
pub struct Effects<A> {
    /// Records in order. They may be appended as several batches, so the state must be valid after
    /// each of them.
    pub records: Vec<CoordinatorRecord>,
    /// Answers.
    pub answers: Vec<(Token, A, When)>,
}

impl<A> Default for Effects<A> {
    fn default() -> Self {
        Self { records: Vec::new(), answers: Vec::new() }
    }
}

/// A record that cannot be replayed. The partition is not served until it is loaded anew: to skip
/// the record would be to answer from stale state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplayError(pub String);

/// The state of one internal partition. The state after any sequence of steps is the state that a
/// replay of the records of those steps gives, as far as it is meant to be kept.
pub trait StateMachine: Send + 'static {
    /// What is asked of it.
    type Request: Send + 'static;
    /// What it answers.
    type Answer: Send + 'static;
    /// How far [`StateMachine::rewrite`] has come.
    type Cursor: Send + 'static;

    /// Takes in a record at load.
    ///
    /// # Errors
    /// If the record cannot be understood; the load fails.
    fn replay(&mut self, record: StoredRecord) -> Result<(), ReplayError>;

    /// The load is complete, requests begin.
    fn loaded(&mut self, now: Now) -> Effects<Self::Answer>;

    /// Handles a request, now or by an answer of a later step.
    fn handle(&mut self, now: Now, token: Token, request: Self::Request) -> Effects<Self::Answer>;

    /// Whether a request may need records. While the log takes none, because too much of it has
    /// not landed, such requests are refused, and the others still served.
    fn may_write(request: &Self::Request) -> bool;

    /// Does what is due.
    fn tick(&mut self, now: Now) -> Effects<Self::Answer>;

    /// When [`StateMachine::tick`] is due, in monotonic ms.
    fn next_deadline_ms(&self) -> Option<u64>;

    /// Bytes of the records that would give this state.
    fn live_bytes(&self) -> u64;

    /// The live records behind `after` (`None`: from the first), some `bytes_max` of them, and
    /// where to go on, `None` when these were the last. Keys changed meanwhile may or may not be
    /// among them; keys that were not are, exactly once.
    fn rewrite(
        &self,
        after: Option<Self::Cursor>,
        bytes_max: usize,
    ) -> (Vec<CoordinatorRecord>, Option<Self::Cursor>);

    /// Bytes that an answer holds while it waits.
    fn answer_bytes(answer: &Self::Answer) -> usize;
}
