//! What the metrics of the storage crate count.

use odradek_storage::metric_names as names;

use super::Metric;
use super::MetricKind::{Counter, Gauge, Histogram};

const fn metric(kind: super::MetricKind, name: &'static str, doc: &'static str) -> Metric {
    Metric { kind, name, doc }
}

/// The metrics of the storage crate.
pub(super) const ALL: &[Metric] = &[
    metric(Counter, names::BLOCK_CACHE_HITS, "Blocks found in the block cache."),
    metric(
        Counter,
        names::BLOCK_CACHE_MISSES,
        "Blocks that had to be read from the store or a slot.",
    ),
    metric(Counter, names::READ_BYTES, "Bytes read from segments."),
    metric(Counter, names::READ_AHEAD_BYTES, "Bytes asked for ahead of sequential readers."),
    metric(
        Counter,
        names::COLLECTOR_OBJECTS_DELETED,
        "Segments, index objects and manifests that the collector deleted.",
    ),
    metric(Counter, names::COLLECTOR_SLOTS_DELETED, "Slots that the collector deleted."),
    metric(Counter, names::COLLECTOR_BYTES_DELETED, "Bytes that the collector deleted."),
    metric(Counter, names::COLLECTOR_FAILED, "Deletions that failed and will be tried again."),
    metric(Counter, names::WAL_SLOTS_LANDED, "Slots that landed."),
    metric(Counter, names::WAL_BYTES_LANDED, "Bytes of batches in slots that landed."),
    metric(
        Histogram,
        names::WAL_PUT_SECONDS,
        "Seconds from the cut of a slot to its landing, retries and hedges included.",
    ),
    metric(Gauge, names::WAL_SLOTS_IN_FLIGHT, "Slots cut and not landed."),
    metric(Gauge, names::WAL_UNLANDED_BYTES, "Bytes of batches appended and not landed."),
    metric(
        Gauge,
        names::WAL_OLDEST_UNLANDED_SECONDS,
        "Seconds for which the oldest batch waits that has not landed; 0 if none does.",
    ),
    metric(
        Counter,
        names::WAL_HEDGES,
        "Second puts of the same slot, sent because the first was slow.",
    ),
    metric(Counter, names::WAL_RETRIES, "Puts of slots that were tried again."),
    metric(
        Counter,
        names::STORE_REQUESTS,
        "Requests to the store, attempts counted singly; labels operation, outcome.",
    ),
    metric(
        Histogram,
        names::STORE_SECONDS,
        "Seconds that a request to the store took, body included; label operation.",
    ),
    metric(Counter, names::STORE_SENT_BYTES, "Bytes of objects sent to the store."),
    metric(Counter, names::STORE_RECEIVED_BYTES, "Bytes of objects received from the store."),
    metric(
        Counter,
        names::STORE_RETRIES,
        "Requests to the store that were tried again; label operation.",
    ),
];
