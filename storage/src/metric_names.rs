//! The names of all metrics of this crate.

/// Counter: blocks found in the block cache.
pub const BLOCK_CACHE_HITS: &str = "odradek_block_cache_hits_total";
/// Counter: blocks that had to be read from the store or a slot.
pub const BLOCK_CACHE_MISSES: &str = "odradek_block_cache_misses_total";
/// Counter: bytes read from segments.
pub const READ_BYTES: &str = "odradek_segment_read_bytes_total";
/// Counter: bytes asked for ahead of sequential readers.
pub const READ_AHEAD_BYTES: &str = "odradek_segment_read_ahead_bytes_total";
/// Counter: segments, index objects and manifests that the collector deleted.
pub const COLLECTOR_OBJECTS_DELETED: &str = "odradek_collector_objects_deleted_total";
/// Counter: slots that the collector deleted.
pub const COLLECTOR_SLOTS_DELETED: &str = "odradek_collector_slots_deleted_total";
/// Counter: bytes that the collector deleted.
pub const COLLECTOR_BYTES_DELETED: &str = "odradek_collector_bytes_deleted_total";
/// Counter: deletions that failed and will be tried again.
pub const COLLECTOR_FAILED: &str = "odradek_collector_failed_total";

/// Counter: slots that landed.
pub const WAL_SLOTS_LANDED: &str = "odradek_wal_slots_landed_total";
/// Counter: bytes of batches in slots that landed.
pub const WAL_BYTES_LANDED: &str = "odradek_wal_bytes_landed_total";
/// Histogram: seconds from the cut of a slot to its landing, retries and hedges included.
pub const WAL_PUT_SECONDS: &str = "odradek_wal_put_seconds";
/// Gauge: slots cut and not landed.
pub const WAL_SLOTS_IN_FLIGHT: &str = "odradek_wal_slots_in_flight";
/// Gauge: bytes of memory of the batches appended and not landed.
pub const WAL_UNLANDED_BYTES: &str = "odradek_wal_unlanded_bytes";
/// Gauge: seconds for which the oldest batch waits that has not landed; 0 if none does.
pub const WAL_OLDEST_UNLANDED_SECONDS: &str = "odradek_wal_oldest_unlanded_seconds";
/// Counter: second puts of the same slot, sent because the first was slow.
pub const WAL_HEDGES: &str = "odradek_wal_hedges_total";
/// Counter: puts of slots that were tried again.
pub const WAL_RETRIES: &str = "odradek_wal_retries_total";

/// Counter: requests to the store, attempts counted singly. Labels `operation`, `outcome`.
pub const STORE_REQUESTS: &str = "odradek_store_requests_total";
/// Histogram: seconds that a request to the store took, body included. Label `operation`.
pub const STORE_SECONDS: &str = "odradek_store_request_seconds";
/// Counter: bytes of objects sent to the store.
pub const STORE_SENT_BYTES: &str = "odradek_store_sent_bytes_total";
/// Counter: bytes of objects received from the store.
pub const STORE_RECEIVED_BYTES: &str = "odradek_store_received_bytes_total";
/// Counter: requests to the store that were tried again. Label `operation`.
pub const STORE_RETRIES: &str = "odradek_store_retries_total";
