//! The partitions that this broker owns, by id; what lands in a chain finds them here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use odradek_common::ids::{TopicId, TopicPartition};
use odradek_metadata::{Incarnation, Metadata};
use odradek_storage::wal::{LandedSlot, SlotSink};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::partition::PartitionLog;

/// The logs of the partitions that this broker owns.
#[derive(Debug)]
pub struct Logs {
    by_id: RwLock<HashMap<TopicPartition, Arc<PartitionLog>>>,
    /// Counts what was put into `by_id`.
    changes: watch::Sender<u64>,
    cache: CacheBudget,
}

impl Logs {
    /// No logs yet; what is durable of them may fill `cache_bytes` of memory together.
    #[must_use]
    pub fn new(cache_bytes: usize) -> Self {
        let (changes, _) = watch::channel(0);
        Self { by_id: RwLock::default(), changes, cache: CacheBudget::new(cache_bytes) }
    }

    /// The log of `id`, if it is owned here.
    #[must_use]
    pub fn get(&self, id: &TopicPartition) -> Option<Arc<PartitionLog>> {
        self.by_id.read().get(id).cloned()
    }

    /// Takes up a log.
    pub fn insert(&self, log: Arc<PartitionLog>) {
        self.by_id.write().insert(log.id, log);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Tells of every log that is taken up.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Lets a log go; what it had in the cache is freed with it.
    pub fn remove(&self, id: &TopicPartition) -> Option<Arc<PartitionLog>> {
        self.by_id.write().remove(id)
    }

    /// Waits until every partition of `topic` that the metadata gives to `me` is taken up, so that
    /// who made a topic can use it at once; at `deadline` clients have to try again instead.
    pub async fn taken_up(
        &self,
        me: Incarnation,
        metadata: &Metadata,
        topic: TopicId,
        deadline: Instant,
    ) {
        let mut changes = self.changes();
        let taken = changes.wait_for(|_| {
            let image = metadata.image();
            let mut mine = image.partitions_of(topic).filter(|(_, p)| p.owner == me);
            mine.all(|(at, _)| self.get(&at).is_some())
        });
        // Whether in time or not, the metadata has the topic.
        let _ = tokio::time::timeout_at(deadline, taken).await;
    }

    /// All logs, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<PartitionLog>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Bytes of memory that durable batches take here.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.inner.lock().bytes
    }
}

impl SlotSink for Logs {
    fn landed(&self, slot: &LandedSlot) {
        for landed in &slot.ranges {
            // A partition that was deleted meanwhile has nobody left who waits for it.
            let Some(log) = self.get(&landed.partition) else { continue };
            let bytes = log.landed(landed.range);
            self.cache.landed(&log, landed.range.next_offset, bytes);
        }
    }
}

/// Bounds the memory of what is durable in all log caches together: what landed first goes first, whole ranges
/// of a slot at a time, so that the frames they share are freed with them.
#[derive(Debug)]
struct CacheBudget {
    limit: usize,
    inner: Mutex<CacheQueue>,
}

#[derive(Debug, Default)]
struct CacheQueue {
    bytes: usize,
    landed: VecDeque<Landed>,
}

/// What landed at once of a log, the offset after it and its bytes of memory.
type Landed = (Weak<PartitionLog>, i64, usize);

impl CacheBudget {
    fn new(limit: usize) -> Self {
        Self { limit, inner: Mutex::default() }
    }

    fn landed(&self, log: &Arc<PartitionLog>, next_offset: i64, bytes: usize) {
        let bytes = bytes.saturating_add(2 * size_of::<Landed>());
        let mut evicted = Vec::new();
        {
            let mut queue = self.inner.lock();
            queue.bytes = queue.bytes.saturating_add(bytes);
            queue.landed.push_back((Arc::downgrade(log), next_offset, bytes));
            while queue.bytes > self.limit {
                let Some(oldest) = queue.landed.pop_front() else { break };
                queue.bytes -= oldest.2;
                evicted.push(oldest);
            }
        }
        for (log, next_offset, _) in evicted {
            if let Some(log) = log.upgrade() {
                log.evict_below(next_offset);
            }
        }
    }
}
