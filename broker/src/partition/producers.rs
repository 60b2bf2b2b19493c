//! What a partition knows of its idempotent producers (KIP-98): the last five batches of each, by
//! which duplicates and gaps are told apart.

use std::collections::{HashMap, VecDeque};

use kafka_protocol::ResponseError;
use odradek_common::batch::BatchHeader;
use odradek_common::ids::SlotNumber;
use odradek_common::limits::{PRODUCER_BATCHES_KEPT, PRODUCER_IDLE_MS, PRODUCER_WINDOW_BATCHES};
use odradek_storage::wal::ProducerBatch;

/// One batch of an idempotent producer, as a log holds it; `None` for a batch without producer.
#[must_use]
pub fn produced(header: &BatchHeader) -> Option<ProducerBatch> {
    header.has_producer().then(|| ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
    })
}

/// What a partition has to do with a batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequenced {
    /// It comes next: append it.
    Next,
    /// It stands in the log already: answer its offset once its slot is durable.
    Duplicate {
        /// Offset of the first record of the original.
        base_offset: i64,
        /// The largest timestamp of the original.
        timestamp: i64,
        /// The slot of the original; `None` if it was durable before this owner began.
        slot: Option<SlotNumber>,
    },
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: i16,
    /// When its newest batch was appended, by the wall clock of the owner; where that is not known,
    /// after a crash, when it was found. Not the records' time, which may be as old as one likes.
    seen_ms: i64,
    window: VecDeque<Remembered>,
}

/// When it was seen is how long it is remembered, not part of the state.
impl PartialEq for Producer {
    fn eq(&self, other: &Self) -> bool {
        (self.epoch, &self.window) == (other.epoch, &other.window)
    }
}

impl Eq for Producer {}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    batch: ProducerBatch,
    slot: Option<SlotNumber>,
}

/// Where a batch lies is how this owner came to know it, not part of the state.
impl PartialEq for Remembered {
    fn eq(&self, other: &Self) -> bool {
        self.batch == other.batch
    }
}

impl Eq for Remembered {}

/// The producers of one partition. Equal after the same batches, live or replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Of all windows together.
    batches: usize,
}

impl Producers {
    /// Judges a batch that wants to be appended, as Kafka's `ProducerStateManager` does.
    ///
    /// # Errors
    /// `InvalidProducerEpoch` for an old epoch, `OutOfOrderSequenceNumber` for a gap,
    /// `DuplicateSequenceNumber` never: what left the window counts as out of order, as in Kafka.
    pub fn check(&self, batch: &ProducerBatch) -> Result<Sequenced, ResponseError> {
        let Some(known) = self.by_id.get(&batch.producer_id) else {
            return Ok(Sequenced::Next);
        };
        if batch.producer_epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if batch.producer_epoch > known.epoch {
            return if batch.first_sequence == 0 {
                Ok(Sequenced::Next)
            } else {
                Err(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        let twin = known.window.iter().find(|seen| {
            seen.batch.first_sequence == batch.first_sequence
                && seen.batch.last_sequence == batch.last_sequence
        });
        if let Some(seen) = twin {
            return Ok(Sequenced::Duplicate {
                base_offset: seen.batch.base_offset,
                timestamp: seen.batch.max_timestamp,
                slot: seen.slot,
            });
        }
        match known.window.back() {
            Some(last) if !follows(last.batch.last_sequence, batch.first_sequence) => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            _ => Ok(Sequenced::Next),
        }
    }

    /// Takes in a batch that was appended at `seen_ms` (or is replayed, then without a slot).
    pub fn append(&mut self, batch: ProducerBatch, slot: Option<SlotNumber>, seen_ms: i64) {
        let producer = self.by_id.entry(batch.producer_id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch,
            seen_ms,
            window: VecDeque::with_capacity(1),
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            self.batches -= producer.window.len();
            producer.window.clear();
        }
        if producer.window.len() == PRODUCER_WINDOW_BATCHES {
            producer.window.pop_front();
            self.batches -= 1;
        }
        producer.seen_ms = seen_ms;
        producer.window.push_back(Remembered { batch, slot });
        self.batches += 1;
        if self.batches > PRODUCER_BATCHES_KEPT {
            // Some more than needed, so that it is not done with each batch.
            self.shorten_to(PRODUCER_BATCHES_KEPT - PRODUCER_BATCHES_KEPT / 8);
        }
    }

    /// Forgets producers that were idle for `expiration_ms`.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        let batches = &mut self.batches;
        self.by_id.retain(|_, p| {
            let is_kept = now_ms.saturating_sub(p.seen_ms) < expiration_ms;
            *batches -= if is_kept { 0 } else { p.window.len() };
            is_kept
        });
    }

    /// Forgets until at most `batches` are left.
    ///
    /// Producers that are idle are forgotten, those that were seen longest ago first. Where that is not
    /// enough, of the others only the newest batch is kept, by which gaps are still found, and then some
    /// of them are forgotten too. Kafka has no such bound, and its brokers run out of memory over clients
    /// that take a new producer id for each record (KIP-936).
    pub fn shorten_to(&mut self, batches: usize) {
        if self.batches <= batches {
            return;
        }
        let age =
            |p: &Producer| (p.seen_ms, p.window.back().map(|newest| newest.batch.base_offset));
        let mut oldest: Vec<_> = self.by_id.iter().map(|(id, p)| (age(p), *id)).collect();
        oldest.sort_unstable();
        let newest_ms = oldest.last().map_or(0, |((seen_ms, _), _)| *seen_ms);
        let is_idle = |seen_ms: i64| newest_ms.saturating_sub(seen_ms) >= PRODUCER_IDLE_MS;
        for ((seen_ms, _), id) in &oldest {
            if self.batches <= batches || !is_idle(*seen_ms) {
                break;
            }
            self.batches -= self.by_id.remove(id).map_or(0, |producer| producer.window.len());
        }
        for (_, id) in &oldest {
            if self.batches <= batches {
                return;
            }
            if let Some(producer) = self.by_id.get_mut(id) {
                self.batches -= producer.window.len().saturating_sub(1);
                producer.window.drain(..producer.window.len().saturating_sub(1));
                producer.window.shrink_to_fit();
            }
        }
        for (_, id) in &oldest {
            if self.batches <= batches {
                return;
            }
            self.batches -= self.by_id.remove(id).map_or(0, |producer| producer.window.len());
        }
    }

    /// Every remembered batch, by producer in the order of their ids, the oldest first, with the time
    /// at which the producer was seen last.
    pub fn batches(&self) -> impl Iterator<Item = (&ProducerBatch, i64)> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().flat_map(|id| {
            let producer = &self.by_id[&id];
            producer.window.iter().map(|seen| (&seen.batch, producer.seen_ms))
        })
    }

    /// The newest batch of each producer, in no order.
    pub fn newest(&self) -> impl Iterator<Item = &ProducerBatch> {
        self.by_id.values().filter_map(|p| p.window.back().map(|seen| &seen.batch))
    }

    /// Number of batches remembered, of all producers together.
    #[must_use]
    pub fn batch_count(&self) -> usize {
        self.batches
    }

    /// Number of producers remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether something is remembered of a producer.
    #[must_use]
    pub fn knows(&self, producer_id: i64) -> bool {
        self.by_id.contains_key(&producer_id)
    }

    /// True if no producer is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// True if `next` comes right after `last`, 0 after 2^31-1.
fn follows(last: i32, next: i32) -> bool {
    next == last.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(epoch: i16, first: i32, count: i32, base_offset: i64) -> ProducerBatch {
        let last = i64::from(first) + i64::from(count) - 1;
        ProducerBatch {
            producer_id: 1,
            producer_epoch: epoch,
            first_sequence: first,
            last_sequence: i32::try_from(last & i64::from(i32::MAX)).unwrap(),
            base_offset,
            last_offset: base_offset + i64::from(count) - 1,
            max_timestamp: 100,
        }
    }

    #[test]
    fn a_duplicate_within_the_window_names_the_original() {
        let mut producers = Producers::default();
        for i in 0..6 {
            let next = batch(0, i * 10, 10, i64::from(i) * 10);
            assert_eq!(producers.check(&next), Ok(Sequenced::Next));
            producers.append(next, Some(SlotNumber(7)), 100);
        }
        assert_eq!(
            producers.check(&batch(0, 10, 10, 999)),
            Ok(Sequenced::Duplicate { base_offset: 10, timestamp: 100, slot: Some(SlotNumber(7)) })
        );
        // The sixth-last left the window: not known any more, and not next either.
        assert_eq!(
            producers.check(&batch(0, 0, 10, 999)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
    }

    #[test]
    fn gaps_and_old_epochs_are_refused_and_a_new_epoch_starts_at_zero() {
        let mut producers = Producers::default();
        producers.append(batch(3, 0, 1, 0), None, 100);
        assert_eq!(
            producers.check(&batch(3, 2, 1, 1)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(producers.check(&batch(2, 1, 1, 1)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(
            producers.check(&batch(4, 1, 1, 1)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(producers.check(&batch(4, 0, 1, 1)), Ok(Sequenced::Next));
        producers.append(batch(4, 0, 1, 1), None, 100);
        assert_eq!(producers.check(&batch(3, 0, 1, 2)), Err(ResponseError::InvalidProducerEpoch));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut producers = Producers::default();
        producers.append(batch(0, i32::MAX - 1, 2, 0), None, 100);
        assert_eq!(producers.check(&batch(0, 0, 1, 2)), Ok(Sequenced::Next));
        let mut producers = Producers::default();
        producers.append(batch(0, i32::MAX, 3, 0), None, 100);
        assert_eq!(producers.check(&batch(0, 2, 1, 3)), Ok(Sequenced::Next));
    }

    #[test]
    fn idle_producers_expire() {
        let mut producers = Producers::default();
        producers.append(batch(0, 0, 1, 0), None, 100);
        producers.expire(199, 100);
        assert_eq!(producers.len(), 1);
        producers.expire(200, 100);
        assert!(producers.is_empty());
        // As in Kafka, a producer that is not known may go on where it stands.
        assert_eq!(producers.check(&batch(0, 5, 1, 1)), Ok(Sequenced::Next));
    }

    #[test]
    fn who_is_idle_is_forgotten_before_others_lose_anything() {
        let of = |id: i64, first: i32| ProducerBatch { producer_id: id, ..batch(0, first, 1, id) };
        let kept = i64::try_from(PRODUCER_BATCHES_KEPT).unwrap();
        let mut producers = Producers::default();
        // One more than there may be, of which the last quarter is busy, one with a whole window.
        (1..=kept - 4).for_each(|id| {
            let seen_ms = if id < kept / 4 * 3 { id } else { PRODUCER_IDLE_MS + kept };
            producers.append(of(id, 0), None, seen_ms);
        });
        (0..6).for_each(|first| producers.append(of(0, first), None, PRODUCER_IDLE_MS + kept));
        assert_eq!(producers.batches().count(), PRODUCER_BATCHES_KEPT / 8 * 7);
        assert!(matches!(producers.check(&of(0, 1)), Ok(Sequenced::Duplicate { .. })));
        assert!(!producers.knows(1) && producers.knows(kept / 4 * 3));
    }

    #[test]
    fn the_longest_idle_are_shortened_first_and_then_forgotten() {
        let of = |id: i64, first: i32| ProducerBatch { producer_id: id, ..batch(0, first, 1, 0) };
        let kept = i64::try_from(PRODUCER_BATCHES_KEPT).unwrap();
        let mut producers = Producers::default();
        // One with a whole window is seen first, then others with one batch each, up to the bound.
        (0..5).for_each(|first| producers.append(of(0, first), None, 1));
        (1..=kept - 5).for_each(|id| producers.append(of(id, 0), None, 1 + id));
        assert_eq!(producers.batches().count(), PRODUCER_BATCHES_KEPT);
        assert!(matches!(producers.check(&of(0, 2)), Ok(Sequenced::Duplicate { .. })));
        producers.append(of(kept, 0), None, kept + 1);
        assert_eq!(producers.batches().count(), PRODUCER_BATCHES_KEPT / 8 * 7);
        assert_eq!(producers.len(), PRODUCER_BATCHES_KEPT / 8 * 7);
        assert!(!producers.knows(0) && !producers.knows(2), "seen longest ago");
        assert!(producers.knows(kept) && producers.knows(kept - 5));
    }

    #[test]
    fn a_shortened_window_still_knows_what_comes_next() {
        let of = |id: i64, first: i32| ProducerBatch { producer_id: id, ..batch(0, first, 1, 0) };
        let mut producers = Producers::default();
        for id in 0..i64::try_from(PRODUCER_BATCHES_KEPT).unwrap() / 5 + 1 {
            (0..5).for_each(|first| producers.append(of(id, first), None, id));
        }
        assert!(producers.batches().count() <= PRODUCER_BATCHES_KEPT);
        assert_eq!(producers.check(&of(0, 5)), Ok(Sequenced::Next));
        assert!(matches!(producers.check(&of(0, 4)), Ok(Sequenced::Duplicate { .. })));
        let out_of_order = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!([3, 6].map(|first| producers.check(&of(0, first))), [out_of_order; 2]);
    }

    proptest! {
        #[test]
        fn replaying_the_window_gives_an_equal_state(
            steps in proptest::collection::vec((0..4i64, 0..3i16, 1..5i32), 1..80)
        ) {
            let mut live = Producers::default();
            let mut next: HashMap<(i64, i16), i32> = HashMap::new();
            for (i, (id, epoch, count)) in steps.into_iter().enumerate() {
                let first = *next.get(&(id, epoch)).unwrap_or(&0);
                let mut b = batch(epoch, first, count, i64::try_from(i).unwrap() * 10);
                b.producer_id = id;
                if live.check(&b) == Ok(Sequenced::Next) {
                    live.append(b, Some(SlotNumber(1)), 100);
                    next.insert((id, epoch), first + count);
                }
            }
            let mut replayed = Producers::default();
            live.batches().for_each(|(b, seen_ms)| replayed.append(*b, None, seen_ms));
            prop_assert_eq!(live, replayed);
        }
    }
}
