//! The log cache of one partition: the batches at the end of its log, as they came from the
//! producer, for the tail's readers and the flush. Contiguous: its first batch begins where what it
//! let go ended.

use std::collections::VecDeque;

use bytes::Bytes;
use odradek_storage::wal::SHARED_BYTES;

/// A batch in memory: its patched header and its records, which share the frame they came in.
#[derive(Clone, Debug)]
pub struct CachedBatch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset after the last record.
    pub next_offset: i64,
    /// The largest timestamp in it, in ms.
    pub max_timestamp: i64,
    /// The 61 bytes of the header.
    pub header: Bytes,
    /// The records, compressed as they came.
    pub records: Bytes,
}

impl CachedBatch {
    /// The batch's size on the wire.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.header.len() + self.records.len()
    }

    /// Bytes of memory that it takes, which for tiny batches is several times their size: its place in a queue that
    /// doubles when it grows, and its buffers.
    fn memory_bytes(&self) -> usize {
        2 * size_of::<Self>() + SHARED_BYTES + self.size_bytes()
    }
}

/// The newest batches of a partition.
#[derive(Debug, Default)]
pub struct LogCache {
    batches: VecDeque<CachedBatch>,
}

impl LogCache {
    /// Adds the next batch.
    pub fn push(&mut self, batch: CachedBatch) {
        debug_assert!(self.batches.back().is_none_or(|b| b.next_offset == batch.base_offset));
        self.batches.push_back(batch);
    }

    /// Gives the records of the batch at `base_offset` memory of their own, where they share that of a
    /// frame of which little else is kept.
    pub fn own(&mut self, base_offset: i64) {
        let at = self.batches.partition_point(|b| b.base_offset < base_offset);
        if let Some(batch) = self.batches.get_mut(at).filter(|b| b.base_offset == base_offset) {
            batch.records = Bytes::copy_from_slice(&batch.records);
        }
    }

    /// Bytes of memory that the batches take which lie wholly within `base_offset..next_offset`.
    #[must_use]
    pub fn memory_bytes(&self, base_offset: i64, next_offset: i64) -> usize {
        let first = self.batches.partition_point(|b| b.base_offset < base_offset);
        let within = self.batches.range(first..).take_while(|b| b.next_offset <= next_offset);
        within.map(CachedBatch::memory_bytes).sum()
    }

    /// Lets go what lies wholly below `offset`; the bytes that were freed.
    pub fn evict_below(&mut self, offset: i64) -> usize {
        let mut freed = 0;
        while self.batches.front().is_some_and(|b| b.next_offset <= offset) {
            freed += self.batches.pop_front().map_or(0, |b| b.size_bytes());
        }
        if self.batches.is_empty() {
            self.batches.shrink_to_fit();
        }
        freed
    }

    /// True if the batch that holds `offset` is here.
    #[must_use]
    pub fn holds(&self, offset: i64) -> bool {
        self.batches.front().is_some_and(|b| b.base_offset <= offset)
            && self.batches.back().is_some_and(|b| offset < b.next_offset)
    }

    /// The batches from the one that holds `offset`, below `end`, as chunks: at most `max_bytes`,
    /// but at least one batch where `min_one`. `None` if `offset` is not in the cache.
    #[must_use]
    pub fn read(
        &self,
        offset: i64,
        end: i64,
        max_bytes: usize,
        min_one: bool,
    ) -> Option<Vec<Bytes>> {
        if !self.holds(offset) {
            return None;
        }
        let mut chunks = Vec::new();
        let mut bytes = 0;
        for batch in self.batches_from(offset).take_while(|b| b.next_offset <= end) {
            bytes += batch.size_bytes();
            if bytes > max_bytes && !(min_one && chunks.is_empty()) {
                break;
            }
            chunks.push(batch.header.clone());
            chunks.push(batch.records.clone());
        }
        Some(chunks)
    }

    /// The batches from the one that holds `offset` on.
    pub fn batches_from(&self, offset: i64) -> impl Iterator<Item = &CachedBatch> {
        let first = self.batches.partition_point(|b| b.next_offset <= offset);
        self.batches.range(first..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> LogCache {
        let mut cache = LogCache::default();
        for i in 0..4 {
            cache.push(CachedBatch {
                base_offset: i * 10,
                next_offset: (i + 1) * 10,
                max_timestamp: 0,
                header: Bytes::from_static(&[1; 61]),
                records: Bytes::from_static(&[2; 39]),
            });
        }
        cache
    }

    #[test]
    fn reads_whole_batches_within_the_bounds() {
        let cache = cache();
        let size =
            |chunks: Option<Vec<Bytes>>| chunks.map(|c| c.iter().map(Bytes::len).sum::<usize>());
        assert_eq!(size(cache.read(15, 40, 1000, false)), Some(300), "from the middle of a batch");
        assert_eq!(size(cache.read(15, 30, 1000, false)), Some(200), "not past the watermark");
        assert_eq!(size(cache.read(0, 40, 199, false)), Some(100));
        assert_eq!(size(cache.read(0, 40, 1, false)), Some(0));
        assert_eq!(size(cache.read(0, 40, 1, true)), Some(100), "the first batch always");
        assert_eq!(size(cache.read(40, 40, 1000, true)), None);
    }

    #[test]
    fn tiny_batches_count_as_what_they_take() {
        let cache = cache();
        let each = cache.memory_bytes(10, 20);
        assert!(each > 300, "{each} bytes for a batch of 100");
        assert_eq!(cache.memory_bytes(10, 30), 2 * each);
        assert_eq!(cache.memory_bytes(0, 100), 4 * each);
        assert_eq!([cache.memory_bytes(5, 15), cache.memory_bytes(40, 50)], [0, 0]);
    }

    #[test]
    fn records_can_be_given_memory_of_their_own() {
        let frame = Bytes::from(vec![3; 1000]);
        let mut cache = LogCache::default();
        for i in 0..3_usize {
            let base_offset = i64::try_from(i).unwrap();
            cache.push(CachedBatch {
                base_offset,
                next_offset: base_offset + 1,
                max_timestamp: 0,
                header: Bytes::from_static(&[1; 61]),
                records: frame.slice(i * 10..i * 10 + 10),
            });
        }
        drop(frame);
        cache.own(7);
        cache.own(1);
        let shares = |i: usize| {
            let records = &cache.batches[i].records;
            assert_eq!(records[..], [3; 10]);
            !records.is_unique()
        };
        assert!(shares(0) && !shares(1) && shares(2));
    }

    #[test]
    fn lets_go_whole_batches_only() {
        let mut cache = cache();
        assert_eq!(cache.evict_below(19), 100);
        assert!(!cache.holds(9) && cache.holds(10));
        assert_eq!(cache.evict_below(40), 300);
        assert!(cache.read(39, 40, 100, true).is_none());
    }
}
