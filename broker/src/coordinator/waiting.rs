//! Answers that wait for durability and, some, for a confirmation of the owner.

use std::collections::VecDeque;

use super::log::AppendPosition;
use super::machine::{Token, When};

struct Answer<A> {
    position: AppendPosition,
    /// The confirmation that it needs, counted from 1; 0 for none.
    round: u64,
    bytes: usize,
    token: Token,
    answer: A,
}

/// The answers of one shard that may not leave yet.
///
/// Confirmations go in rounds. An answer needs the first round that begins after it was put here,
/// and so after its request came; one round serves all that wait for it.
pub(super) struct Waiting<A> {
    /// In order of position.
    durable: VecDeque<Answer<A>>,
    /// In order of position and round.
    confirmed: VecDeque<Answer<A>>,
    durable_to: Option<AppendPosition>,
    rounds_begun: u64,
    rounds_done: u64,
    bytes: usize,
}

impl<A> Waiting<A> {
    pub(super) fn new() -> Self {
        Self {
            durable: VecDeque::new(),
            confirmed: VecDeque::new(),
            durable_to: None,
            rounds_begun: 0,
            rounds_done: 0,
            bytes: 0,
        }
    }

    /// Adds an answer that depends on everything before `position`.
    pub(super) fn push(
        &mut self,
        position: AppendPosition,
        when: When,
        bytes: usize,
        token: Token,
        answer: A,
    ) {
        self.bytes += bytes;
        if when == When::Confirmed {
            let round = self.rounds_begun + 1;
            self.confirmed.push_back(Answer { position, round, bytes, token, answer });
        } else {
            self.durable.push_back(Answer { position, round: 0, bytes, token, answer });
        }
    }

    /// How many answers wait.
    pub(super) fn len(&self) -> usize {
        self.durable.len() + self.confirmed.len()
    }

    /// Bytes that they hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of the answers that `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Token) -> bool) {
        for queue in [&mut self.durable, &mut self.confirmed] {
            queue.retain(|a| keep(a.token));
        }
        self.bytes = self.durable.iter().chain(&self.confirmed).map(|a| a.bytes).sum();
    }

    /// Everything before this is known to be durable.
    pub(super) fn is_durable(&self, position: AppendPosition) -> bool {
        self.durable_to.is_some_and(|to| to >= position)
    }

    /// Everything before `to` is durable.
    pub(super) fn landed(&mut self, to: AppendPosition) {
        self.durable_to = self.durable_to.max(Some(to));
    }

    /// The first position that an answer waits for.
    pub(super) fn next_position(&self) -> Option<AppendPosition> {
        let first = |queue: &VecDeque<Answer<A>>| queue.front().map(|a| a.position);
        [first(&self.durable), first(&self.confirmed)]
            .into_iter()
            .flatten()
            .filter(|position| !self.is_durable(*position))
            .min()
    }

    /// Whether an answer waits for a round that has not begun.
    pub(super) fn wants_confirmation(&self) -> bool {
        self.confirmed.back().is_some_and(|a| a.round > self.rounds_begun)
    }

    /// A round begins; the one before has ended.
    pub(super) fn begin_round(&mut self) {
        debug_assert_eq!(self.rounds_begun, self.rounds_done, "one confirmation at a time");
        self.rounds_begun += 1;
    }

    /// The round that began last has confirmed the owner.
    pub(super) fn end_round(&mut self) {
        self.rounds_done = self.rounds_begun;
    }

    /// Takes out the next answer that may leave.
    pub(super) fn pop(&mut self) -> Option<(Token, A)> {
        let ready = |waits: Option<&Answer<A>>| {
            waits.is_some_and(|a| self.is_durable(a.position) && a.round <= self.rounds_done)
        };
        let answer = if ready(self.durable.front()) {
            self.durable.pop_front()?
        } else if ready(self.confirmed.front()) {
            self.confirmed.pop_front()?
        } else {
            return None;
        };
        self.bytes -= answer.bytes;
        Some((answer.token, answer.answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(waiting: &mut Waiting<u8>) -> Vec<u8> {
        std::iter::from_fn(|| waiting.pop().map(|(_, answer)| answer)).collect()
    }

    #[test]
    fn durable_answers_leave_in_order_as_the_log_lands() {
        let mut waiting = Waiting::new();
        for (at, answer) in [(1, 1), (3, 2), (3, 3), (5, 4)] {
            waiting.push(AppendPosition(at), When::Durable, 10, Token(0), answer);
        }
        assert_eq!(popped(&mut waiting), Vec::<u8>::new());
        assert_eq!(waiting.next_position(), Some(AppendPosition(1)));
        waiting.landed(AppendPosition(4));
        assert_eq!(popped(&mut waiting), vec![1, 2, 3]);
        assert_eq!(waiting.next_position(), Some(AppendPosition(5)));
        assert_eq!(waiting.bytes(), 10);
        waiting.landed(AppendPosition(2));
        assert!(waiting.is_durable(AppendPosition(4)), "durability does not go back");
    }

    #[test]
    fn a_confirmation_serves_only_those_who_came_before_it_began() {
        let mut waiting = Waiting::new();
        waiting.landed(AppendPosition(9));
        waiting.push(AppendPosition(9), When::Confirmed, 1, Token(0), 1);
        assert!(waiting.wants_confirmation());
        waiting.begin_round();
        assert!(!waiting.wants_confirmation());
        waiting.push(AppendPosition(9), When::Confirmed, 1, Token(0), 2);
        assert!(waiting.wants_confirmation());
        waiting.end_round();
        assert_eq!(popped(&mut waiting), vec![1]);
        waiting.begin_round();
        waiting.end_round();
        assert_eq!(popped(&mut waiting), vec![2]);
    }

    #[test]
    fn a_confirmed_answer_waits_for_durability_too() {
        let mut waiting = Waiting::new();
        waiting.push(AppendPosition(2), When::Confirmed, 1, Token(0), 1);
        waiting.begin_round();
        waiting.end_round();
        assert_eq!(popped(&mut waiting), Vec::<u8>::new());
        waiting.landed(AppendPosition(2));
        assert_eq!(popped(&mut waiting), vec![1]);
    }
}
