//! The ranges of one partition between two offsets, none missing and none twice.

use bytes::Bytes;
use odradek_common::ids::TopicPartition;

use super::{BadRange, Place, Range};

/// Why ranges do not make up a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    /// Offsets that no range holds.
    #[error(
        "{partition}: no range holds the offsets {from}..{to} (after {after:?}, before {before:?})"
    )]
    Hole {
        /// The partition.
        partition: TopicPartition,
        /// First offset missing.
        from: i64,
        /// Offset after the last one missing.
        to: i64,
        /// Where the range in front of the hole lies.
        after: Option<Place>,
        /// Where the range behind the hole lies.
        before: Option<Place>,
    },
    /// Offsets that two ranges hold.
    #[error("{partition}: {first} holds the log up to offset {to}, {second} from {from} on")]
    Overlap {
        /// The partition.
        partition: TopicPartition,
        /// First offset of the second.
        from: i64,
        /// End of the first.
        to: i64,
        /// One of the two.
        first: Place,
        /// The other one.
        second: Place,
    },
    /// A range that reaches past the end of the log.
    #[error("{partition}: {place} holds offsets up to {next_offset}, the log ends at {end}")]
    PastTheEnd {
        /// The partition.
        partition: TopicPartition,
        /// Where the range lies.
        place: Place,
        /// Its end.
        next_offset: i64,
        /// The end of the log.
        end: i64,
    },
    /// A range that cannot be.
    #[error("{partition}: {source}")]
    Bad {
        /// The partition.
        partition: TopicPartition,
        /// What is wrong.
        source: BadRange,
    },
}

/// Ranges of one partition that hold every offset between `start` and `end` exactly once, in
/// order. The first may begin below `start` (the log start may stand within a range).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRanges {
    partition: TopicPartition,
    start: i64,
    end: i64,
    ranges: Vec<Range>,
    checkpoint: Bytes,
    bytes: u64,
}

impl PartitionRanges {
    /// Puts `ranges` in order, leaves out those wholly below `start`, and checks that the rest
    /// holds every offset of `start..end` once and none past `end`. If `start` is at or past
    /// `end` nothing is left and nothing is missing. `checkpoint` is the state at `end`.
    ///
    /// # Errors
    /// A hole, an overlap, an offset past the end, or a range that cannot be.
    pub fn new(
        partition: TopicPartition,
        start: i64,
        end: i64,
        mut ranges: Vec<Range>,
        checkpoint: Bytes,
    ) -> Result<Self, CoverageError> {
        for range in &ranges {
            range.check().map_err(|source| CoverageError::Bad { partition, source })?;
            if range.next_offset > end {
                let (place, next_offset) = (range.place, range.next_offset);
                return Err(CoverageError::PastTheEnd { partition, place, next_offset, end });
            }
        }
        ranges.retain(|range| range.next_offset > start);
        ranges.sort_by_key(|range| range.base_offset);
        check_coverage(partition, start, end, &ranges)?;
        let bytes = ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.length));
        Ok(Self { partition, start, end, ranges, checkpoint, bytes })
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// First offset that may be read.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Offset after the last one.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The ranges in order.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The state of the partition's producers at [`Self::end`], as it was committed.
    #[must_use]
    pub fn checkpoint(&self) -> &Bytes {
        &self.checkpoint
    }

    /// Bytes of batches in all ranges.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The ranges from the one that holds `offset` on; none if it is outside.
    #[must_use]
    pub fn from_offset(&self, offset: i64) -> &[Range] {
        if offset < self.start || offset >= self.end {
            return &[];
        }
        let first = self.ranges.partition_point(|range| range.next_offset <= offset);
        self.ranges.get(first..).unwrap_or_default()
    }
}

fn check_coverage(
    partition: TopicPartition,
    start: i64,
    end: i64,
    ranges: &[Range],
) -> Result<(), CoverageError> {
    let mut covered = start;
    let mut last: Option<&Range> = None;
    for range in ranges {
        let hole = range.base_offset > covered;
        match last {
            Some(last) if range.base_offset < covered => {
                return Err(CoverageError::Overlap {
                    partition,
                    from: range.base_offset,
                    to: covered,
                    first: last.place,
                    second: range.place,
                });
            }
            _ if hole => {
                return Err(CoverageError::Hole {
                    partition,
                    from: covered,
                    to: range.base_offset,
                    after: last.map(|last| last.place),
                    before: Some(range.place),
                });
            }
            _ => {}
        }
        covered = range.next_offset;
        last = Some(range);
    }
    if covered < end {
        let after = last.map(|last| last.place);
        return Err(CoverageError::Hole { partition, from: covered, to: end, after, before: None });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, LeaderEpoch, SlotNumber, TopicId};
    use proptest::prelude::*;

    use super::*;
    use crate::names::ChainRef;

    const PARTITION: TopicPartition = TopicPartition { topic: TopicId::NIL, partition: 3 };

    fn range(base_offset: i64, next_offset: i64) -> Range {
        let chain = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(2), chain: ChainId(0) };
        Range {
            base_offset,
            next_offset,
            leader_epoch: LeaderEpoch(0),
            max_timestamp: 0,
            place: Place::Slot(chain.slot(SlotNumber(base_offset.unsigned_abs()))),
            position: 0,
            length: 100,
            crc: 0,
            index: (0, 0),
        }
    }

    fn of(start: i64, end: i64, ranges: &[(i64, i64)]) -> Result<PartitionRanges, CoverageError> {
        let ranges = ranges.iter().map(|(base, next)| range(*base, *next)).collect();
        PartitionRanges::new(PARTITION, start, end, ranges, Bytes::new())
    }

    #[test]
    fn what_lies_below_the_log_start_is_left_out() {
        let ranges = of(15, 30, &[(20, 30), (0, 10), (10, 20)]).unwrap();
        let bases: Vec<i64> = ranges.ranges().iter().map(|range| range.base_offset).collect();
        assert_eq!(bases, [10, 20]);
        assert_eq!(ranges.bytes(), 200);
        assert_eq!(ranges.from_offset(20).len(), 1);
        assert_eq!(ranges.from_offset(19).len(), 2);
        assert!(ranges.from_offset(14).is_empty() && ranges.from_offset(30).is_empty());
    }

    #[test]
    fn holes_and_overlaps_are_loud() {
        assert!(matches!(of(0, 30, &[(0, 10), (20, 30)]), Err(CoverageError::Hole { .. })));
        assert!(matches!(of(0, 30, &[(5, 30)]), Err(CoverageError::Hole { .. })));
        assert!(matches!(of(0, 30, &[(0, 20)]), Err(CoverageError::Hole { .. })));
        assert!(matches!(of(0, 20, &[(0, 12), (10, 20)]), Err(CoverageError::Overlap { .. })));
        assert!(matches!(of(0, 20, &[(0, 20), (0, 20)]), Err(CoverageError::Overlap { .. })));
        assert!(matches!(of(0, 20, &[(0, 21)]), Err(CoverageError::PastTheEnd { .. })));
        assert!(matches!(of(0, 20, &[(9, 4)]), Err(CoverageError::Bad { .. })));
    }

    #[test]
    fn a_log_start_at_or_past_the_end_needs_nothing() {
        assert_eq!(of(20, 20, &[(0, 10), (10, 20)]).unwrap().ranges(), []);
        assert_eq!(of(25, 20, &[]).unwrap().ranges(), []);
        assert_eq!(of(0, 0, &[]).unwrap().bytes(), 0);
    }

    proptest! {
        #[test]
        fn any_cut_of_a_log_covers_it_and_no_part_of_one_does(
            mut cuts in proptest::collection::btree_set(1i64..200, 1..12),
            start in 0i64..200,
            drop in any::<prop::sample::Index>(),
        ) {
            cuts.insert(0);
            let cuts: Vec<i64> = cuts.into_iter().collect();
            let end = *cuts.last().unwrap();
            let mut pairs: Vec<(i64, i64)> = cuts.windows(2).map(|w| (w[0], w[1])).collect();
            prop_assert!(of(start, end, &pairs).is_ok());
            let dropped = pairs.remove(drop.index(pairs.len()));
            prop_assert_eq!(of(start, end, &pairs).is_ok(), dropped.1 <= start);
        }
    }
}
