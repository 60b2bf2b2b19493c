//! What a connection remembers of the batches of idempotent producers that were refused on it.
//!
//! A partition that does not know a producer lets it begin anywhere, as Kafka does. So where a batch is
//! refused (no log here yet, no room, on its way to another broker) and the next one, which was sent
//! before the refusal was read, finds the log, it would come first. A partition that knows the producer
//! sees the gap itself; for one that does not, the connection does: it remembers the lowest sequence
//! that was refused, and until that one is appended later ones are answered NOT_LEADER_OR_FOLLOWER, so
//! that they are sent again behind it (`docs/decisions/0020-behind-a-refused-batch.md`). So are those that a
//! partition finds out of order for this reason.
//!
//! By connection is enough: when a connection ends, its client takes all that was in flight on it for
//! failed, and sends it again in order.

use std::collections::HashMap;

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_request::TopicProduceData;
use odradek_common::batch::BatchHeader;
use odradek_common::ids::TopicId;
use odradek_common::limits::{REFUSED_BATCH_BYTES, REFUSED_BATCHES};

use super::text;
use crate::server::budget::{RequestBudget, RequestLease};

/// Whose batches: a producer's to a partition, as requests name it. A client names all of its topics
/// either by name or by id, and keeps to that on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    topic: TopicName,
    topic_id: TopicId,
    partition: i32,
    producer_id: i64,
}

/// A batch of an idempotent producer.
#[derive(Clone, Debug)]
pub(super) struct Numbered {
    line: Line,
    epoch: i16,
    sequence: i32,
}

impl Numbered {
    /// Nothing for a batch without a sequence.
    pub(super) fn of(
        topic: &TopicProduceData,
        partition: i32,
        header: &BatchHeader,
    ) -> Option<Self> {
        (header.has_producer() && header.base_sequence >= 0).then(|| Self {
            line: Line {
                topic: topic.name.clone(),
                topic_id: TopicId(topic.topic_id),
                partition,
                producer_id: header.producer_id,
            },
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Lowest {
    epoch: i16,
    sequence: i32,
    /// When it was refused first, by the wall clock.
    refused_ms: i64,
}

/// Of each producer and partition the lowest sequence that was refused on one connection and has not
/// been appended since.
#[derive(Debug)]
pub struct RefusedBatches {
    lowest: HashMap<Line, Lowest>,
    /// What all connections may remember together.
    lease: RequestLease,
    bytes: usize,
}

impl RefusedBatches {
    /// Nothing yet; what there will be counts against `budget`.
    #[must_use]
    pub fn new(budget: &RequestBudget) -> Self {
        Self { lowest: HashMap::new(), lease: budget.lease(), bytes: 0 }
    }

    /// Whether an earlier batch than this was refused and has not come again. What was refused
    /// `expiration_ms` ago or longer is forgotten, as a partition forgets producers: it may have been
    /// appended at another broker, whose partition has forgotten its producer and came back here.
    pub(super) fn is_behind(&mut self, batch: &Numbered, now_ms: i64, expiration_ms: i64) -> bool {
        let Some(lowest) = self.lowest.get(&batch.line) else { return false };
        if now_ms.saturating_sub(lowest.refused_ms) >= expiration_ms {
            self.forget(batch);
            return false;
        }
        lowest.epoch == batch.epoch && is_later(batch.sequence, lowest.sequence)
    }

    /// Takes note of a batch that was refused. False if there is no room for more: the connection has
    /// to be closed then.
    #[must_use]
    pub(super) fn note(&mut self, batch: &Numbered, now_ms: i64) -> bool {
        let noted = Lowest { epoch: batch.epoch, sequence: batch.sequence, refused_ms: now_ms };
        if let Some(lowest) = self.lowest.get_mut(&batch.line) {
            let is_new = lowest.epoch < batch.epoch;
            let is_earlier =
                lowest.epoch == batch.epoch && is_later(lowest.sequence, batch.sequence);
            if is_new || is_earlier {
                *lowest = noted;
            }
            return true;
        }
        let bytes = self.bytes + held_bytes(&batch.line);
        // One connection leaves room for the others.
        if self.lowest.len() >= REFUSED_BATCHES || !self.lease.resize(bytes) {
            return false;
        }
        self.bytes = bytes;
        // The name is a slice of the request's frame, which it would keep in memory.
        let topic = TopicName(text(batch.line.topic.to_string()));
        self.lowest.insert(Line { topic, ..batch.line }, noted);
        true
    }

    /// Forgets what was refused of a batch's producer: the partition knows it now.
    pub(super) fn forget(&mut self, batch: &Numbered) {
        if self.lowest.remove(&batch.line).is_some() {
            if self.lowest.is_empty() {
                self.lowest.shrink_to_fit();
            }
            self.bytes -= held_bytes(&batch.line);
            // To hold less is never refused.
            let _ = self.lease.resize(self.bytes);
        }
    }
}

fn held_bytes(line: &Line) -> usize {
    REFUSED_BATCH_BYTES + line.topic.len()
}

/// True if `sequence` comes after `other`; 0 comes after 2^31-1.
fn is_later(sequence: i32, other: i32) -> bool {
    let ahead = sequence.wrapping_sub(other) & i32::MAX;
    (1..1 << 30).contains(&ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRATION_MS: i64 = 1_000;

    fn batch(producer_id: i64, epoch: i16, sequence: i32) -> Numbered {
        let (topic, topic_id) = (TopicName(text("t")), TopicId::NIL);
        let line = Line { topic, topic_id, partition: 0, producer_id };
        Numbered { line, epoch, sequence }
    }

    fn refused(batches: &[Numbered]) -> RefusedBatches {
        let mut refused = RefusedBatches::new(&RequestBudget::new(10_000));
        assert!(batches.iter().all(|batch| refused.note(batch, 0)));
        refused
    }

    fn is_behind(refused: &mut RefusedBatches, epoch: i16, sequence: i32) -> bool {
        refused.is_behind(&batch(1, epoch, sequence), 0, EXPIRATION_MS)
    }

    #[test]
    fn what_comes_after_the_lowest_that_was_refused_is_behind_it_until_it_is_appended() {
        let mut refused =
            refused(&[batch(1, 0, 5), batch(1, 0, 9), batch(1, 0, 4), batch(1, 0, 6)]);
        let behind = [3, 4, 5, 9].map(|sequence| is_behind(&mut refused, 0, sequence));
        assert_eq!(behind, [false, false, true, true]);
        refused.forget(&batch(1, 0, 4));
        assert!(!is_behind(&mut refused, 0, 5));
    }

    #[test]
    fn sequences_go_round() {
        let mut refused = refused(&[batch(1, 0, 0), batch(1, 0, i32::MAX - 1)]);
        assert!(is_behind(&mut refused, 0, 0) && is_behind(&mut refused, 0, i32::MAX));
        assert!(!is_behind(&mut refused, 0, i32::MAX - 1));
    }

    #[test]
    fn a_new_epoch_is_not_behind_an_old_one() {
        let mut refused = refused(&[batch(1, 0, 5)]);
        assert!(!is_behind(&mut refused, 1, 0) && !is_behind(&mut refused, 1, 7));
        assert!(refused.note(&batch(1, 1, 0), 0));
        assert!(is_behind(&mut refused, 1, 7) && !is_behind(&mut refused, 0, 6));
        // What is still on its way of the old epoch changes nothing.
        assert!(refused.note(&batch(1, 0, 6), 0));
        assert!(is_behind(&mut refused, 1, 7));
    }

    #[test]
    fn producers_and_partitions_are_apart() {
        let mut refused = refused(&[batch(1, 0, 0)]);
        let mut others = [batch(2, 0, 1), batch(1, 0, 1), batch(1, 0, 1), batch(1, 0, 1)];
        others[1].line.partition = 1;
        others[2].line.topic = TopicName(text("u"));
        others[3].line.topic_id = TopicId(uuid::Uuid::from_u128(1));
        assert!(others.iter().all(|other| !refused.is_behind(other, 0, EXPIRATION_MS)));
        assert!(is_behind(&mut refused, 0, 1));
    }

    #[test]
    fn what_was_refused_long_ago_is_forgotten() {
        let mut refused = refused(&[batch(1, 0, 0)]);
        assert!(refused.note(&batch(1, 0, 1), EXPIRATION_MS - 1));
        let later = batch(1, 0, 1);
        assert!(refused.is_behind(&later, EXPIRATION_MS - 1, EXPIRATION_MS));
        assert!(!refused.is_behind(&later, EXPIRATION_MS, EXPIRATION_MS));
        assert_eq!(refused.bytes, 0);
    }

    #[test]
    fn what_is_remembered_has_a_limit_and_is_given_back() {
        let budget = RequestBudget::new(3 * (REFUSED_BATCH_BYTES + 1));
        let mut refused = RefusedBatches::new(&budget);
        let all: Vec<_> = (0..4).map(|producer| batch(producer, 0, 0)).collect();
        let noted: Vec<_> = all.iter().map(|batch| refused.note(batch, 0)).collect();
        assert_eq!(noted, [true, true, true, false]);
        assert!(refused.note(&all[0], 0), "it is remembered already");
        refused.forget(&all[1]);
        refused.forget(&all[1]);
        assert!(refused.note(&all[3], 0));
        assert_eq!(budget.used(), budget.limit());
        drop(refused);
        assert_eq!(budget.used(), 0);
    }
}
