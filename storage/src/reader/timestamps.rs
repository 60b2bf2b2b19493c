//! Finding batches by timestamp: ranges and stretches say what their largest is, so that only
//! those that must hold what is sought are read.

use odradek_common::batch::Batch;

use super::stretch::{Batches, Found};
use super::{LogReader, ReadError};
use crate::range::{PartitionRanges, Range};
use crate::segment::Stretch;

impl LogReader {
    /// The first batch, of those that reach past `from_offset`, whose largest timestamp is at or
    /// after `timestamp` (ms). The caller looks for the record in it and, if that lies below
    /// `from_offset`, asks again from the batch's end on.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn first_batch_at_or_after_timestamp(
        &self,
        ranges: &PartitionRanges,
        from_offset: i64,
        timestamp: i64,
    ) -> Result<Option<Batch>, ReadError> {
        let from_offset = from_offset.max(ranges.start());
        for range in ranges.from_offset(from_offset) {
            if range.max_timestamp < timestamp {
                continue;
            }
            let stretches = self.stretches(range).await?;
            for stretch in &stretches.all()[stretches.find(from_offset)..] {
                if stretch.max_timestamp < timestamp {
                    continue;
                }
                let fits = |found: &Found| {
                    found.header.next_offset() > from_offset
                        && found.header.max_timestamp >= timestamp
                };
                if let Some(batch) = self.first(range, stretch, fits).await? {
                    return Ok(Some(batch));
                }
            }
        }
        Ok(None)
    }

    /// The first batch, of those that reach past `from_offset`, that has the largest timestamp;
    /// `None` if there is no batch. That timestamp may be of a record below `from_offset`: where the
    /// batch begins below it, the caller looks at its records, and asks again from its end on.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn batch_with_max_timestamp(
        &self,
        ranges: &PartitionRanges,
        from_offset: i64,
    ) -> Result<Option<Batch>, ReadError> {
        let start = from_offset.max(ranges.start());
        let mut best: Option<Batch> = None;
        for range in by_timestamp(ranges.from_offset(start), |range| range.max_timestamp) {
            if best.as_ref().is_some_and(|best| best.header.max_timestamp >= range.max_timestamp) {
                break;
            }
            let stretches = self.stretches(range).await?;
            let held = &stretches.all()[stretches.find(start)..];
            for stretch in by_timestamp(held, |stretch| stretch.max_timestamp) {
                let known = best.as_ref().map(|best| best.header.max_timestamp);
                if known.is_some_and(|known| known >= stretch.max_timestamp) {
                    break;
                }
                // What lies below the start may have had the largest of the stretch.
                let highest = self.highest(range, stretch, start).await?;
                if highest.as_ref().map(|batch| batch.header.max_timestamp) > known {
                    best = highest;
                }
            }
        }
        Ok(best)
    }

    /// The first batch of a stretch that fits.
    async fn first(
        &self,
        range: &Range,
        stretch: &Stretch,
        fits: impl Fn(&Found) -> bool,
    ) -> Result<Option<Batch>, ReadError> {
        let _lease = self.lane.lease(stretch.length).await;
        let rope = self.checked(range, std::slice::from_ref(stretch)).await?;
        for found in Batches::new(&rope, range, stretch, stretch) {
            let found = found?;
            if fits(&found) {
                let bytes = rope.slice_to_keep(found.start, found.end);
                return Ok(Some(Batch { header: found.header, bytes }));
            }
        }
        Ok(None)
    }

    /// The first batch with the largest timestamp of those of a stretch that reach past `start`.
    async fn highest(
        &self,
        range: &Range,
        stretch: &Stretch,
        start: i64,
    ) -> Result<Option<Batch>, ReadError> {
        let _lease = self.lane.lease(stretch.length).await;
        let rope = self.checked(range, std::slice::from_ref(stretch)).await?;
        let mut highest: Option<Found> = None;
        for found in Batches::new(&rope, range, stretch, stretch) {
            let found = found?;
            let higher = highest
                .is_none_or(|highest| found.header.max_timestamp > highest.header.max_timestamp);
            if found.header.next_offset() > start && higher {
                highest = Some(found);
            }
        }
        Ok(highest.map(|found| Batch {
            header: found.header,
            bytes: rope.slice_to_keep(found.start, found.end),
        }))
    }
}

/// From the largest timestamp to the smallest; the lower offset first where they are equal.
fn by_timestamp<T>(items: &[T], timestamp: impl Fn(&T) -> i64) -> Vec<&T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_by_key(|item| std::cmp::Reverse(timestamp(item)));
    sorted
}
