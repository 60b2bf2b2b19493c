//! The names of all metrics, what each counts, and the description of those of the storage crate.
//! Counters end in `_total`, histograms of durations in `_seconds`.

mod errors;
mod requests;
mod storage;

pub use errors::error_codes;
pub use requests::count_request;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric and what it counts.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it is.
    pub kind: MetricKind,
    /// Its name.
    pub name: &'static str,
    /// What it counts, and its labels.
    pub doc: &'static str,
}

macro_rules! metrics {
    ($($kind:ident $constant:ident = $name:literal, $doc:literal;)+) => {
        $(#[doc = $doc] pub const $constant: &str = $name;)+

        /// The metrics of this crate.
        const OWN: &[Metric] =
            &[$(Metric { kind: MetricKind::$kind, name: $name, doc: $doc },)+];
    };
}

metrics! {
    Gauge BUILD_INFO = "odradek_build_info", "Always 1; label version: the version that runs.";
    Counter REQUESTS = "odradek_requests_total", "Requests answered; label api.";
    Counter REQUEST_ERRORS = "odradek_request_errors_total",
        "Requests answered with an error, once for each error in the answer; labels api, error.";
    Histogram REQUEST_SECONDS = "odradek_request_seconds",
        "Seconds from a request read to its answer ready, waits asked for included; label api.";
    Counter REQUESTS_REFUSED = "odradek_requests_refused_total",
        "Requests that ended their connection; label reason.";
    Gauge REQUESTS_IN_FLIGHT = "odradek_requests_in_flight", "Requests read and not answered.";
    Gauge CONNECTIONS = "odradek_connections", "Open connections.";
    Counter CONNECTIONS_ACCEPTED = "odradek_connections_accepted_total",
        "Connections accepted; label listener.";
    Counter CONNECTIONS_REFUSED = "odradek_connections_refused_total",
        "Connections closed at once because of a limit; label reason.";
    Counter RECEIVED_BYTES = "odradek_received_bytes_total", "Bytes of requests.";
    Counter SENT_BYTES = "odradek_sent_bytes_total", "Bytes of answers.";
    Counter PRODUCED_BYTES = "odradek_produced_bytes_total",
        "Bytes of batches appended, those of the coordinators included.";
    Counter PRODUCED_RECORDS = "odradek_produced_records_total",
        "Records appended, those of the coordinators included.";
    Counter FETCHED_BYTES = "odradek_fetched_bytes_total", "Bytes of batches that fetches answered.";
    Counter LOG_CACHE_HITS = "odradek_log_cache_hits_total", "Reads that the log cache answered.";
    Counter LOG_CACHE_MISSES = "odradek_log_cache_misses_total",
        "Reads that went past the log cache, to slots or segments.";
    Gauge UNFLUSHED_BYTES = "odradek_unflushed_bytes", "Bytes of batches not yet in segments.";
    Gauge UNFLUSHED_LIMIT_BYTES = "odradek_unflushed_limit_bytes",
        "Bytes of batches not yet in segments at which producers wait.";
    Histogram FLUSH_SECONDS = "odradek_flush_seconds", "Seconds that a round of flushing took.";
    Counter FLUSH_FAILED = "odradek_flush_failed_total", "Rounds of flushing that failed.";
    Counter FLUSH_LEFT_OUT = "odradek_flush_left_out_total",
        "Partitions that a round of flushing left out because slots of theirs cannot be read.";
    Counter RETENTION_ADVANCED = "odradek_retention_advanced_total",
        "Times that retention moved the log start of a partition.";
    Gauge TOPICS = "odradek_topics", "Topics of the cluster.";
    Gauge PARTITIONS = "odradek_partitions", "Partitions of the cluster.";
    Gauge PARTITIONS_OWNED = "odradek_partitions_owned", "Partitions that this broker owns.";
    Gauge OFFLINE_PARTITIONS = "odradek_offline_partitions",
        "Partitions that no live broker owns.";
    Gauge GROUPS = "odradek_groups", "Consumer groups coordinated here; label state.";
    Gauge GROUP_MEMBERS = "odradek_group_members", "Members of the groups coordinated here.";
    Counter GROUP_REBALANCES = "odradek_group_rebalances_total",
        "Rebalances completed of the groups coordinated here.";
    Gauge GROUP_LAG = "odradek_group_lag_records",
        "Records between the offset that a group coordinated here has committed and the high \
         watermark, of partitions owned here; labels group, topic, partition.";
    Gauge GROUP_LAG_CUT = "odradek_group_lag_cut",
        "1 if more offsets are committed than odradek_group_lag_records shows at most, else 0.";
    Gauge MEMORY_LIMIT_BYTES = "odradek_memory_limit_bytes", "Bytes a budget allows; label budget.";
    Gauge MEMORY_USED_BYTES = "odradek_memory_used_bytes", "Bytes taken of a budget; label budget.";
    Gauge ACTIVE_CONTROLLER = "odradek_active_controller",
        "1 if this process leads the metadata quorum, else 0.";
    Gauge METADATA_APPLIED_INDEX = "odradek_metadata_applied_index",
        "Index of the newest entry of the metadata log that is applied here.";
    Histogram METADATA_PROPOSE_SECONDS = "odradek_metadata_propose_seconds",
        "Seconds from the proposal of a command to its outcome.";
    Gauge BROKER_EPOCH = "odradek_broker_epoch", "Epoch of this broker's registration.";
}

impl Metric {
    /// The names of its labels, as the description tells them.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        let told = self.doc.split_once("; label").map(|(_, told)| told.trim_start_matches('s'));
        let told = told.and_then(|told| told.split(['.', ':']).next());
        told.into_iter().flat_map(|told| told.split(',')).map(str::trim)
    }
}

/// Every metric of the process.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    OWN.iter().chain(storage::ALL)
}

/// Tells the recorder what each metric counts.
pub fn describe() {
    for metric in all() {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.doc),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.doc),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.doc),
        }
    }
}

/// Begins every counter without labels at 0, so that its first rise is seen as one, and tells the
/// version.
pub fn begin() {
    let counters = all().filter(|metric| metric.kind == MetricKind::Counter);
    for metric in counters.filter(|metric| metric.labels().next().is_none()) {
        metrics::counter!(metric.name).increment(0);
    }
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_tell_their_kind() {
        let names: BTreeSet<&str> = all().map(|metric| metric.name).collect();
        assert_eq!(names.len(), all().count());
        for metric in all() {
            let Metric { kind, name, doc } = *metric;
            assert!(name.starts_with("odradek_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
            assert!(kind != MetricKind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(doc.ends_with('.') && !doc.contains("  "), "{name}: {doc}");
        }
    }

    #[test]
    fn labels_are_those_that_the_description_tells() {
        let labels = |name| all().find(|m| m.name == name).unwrap().labels().collect::<Vec<_>>();
        assert_eq!(labels(GROUP_LAG), ["group", "topic", "partition"]);
        assert_eq!(labels(BUILD_INFO), ["version"]);
        assert_eq!(labels(FETCHED_BYTES), [""; 0]);
    }

    #[test]
    fn every_metric_of_storage_is_described() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../storage/src/metric_names.rs");
        let source = std::fs::read_to_string(source).unwrap();
        let names = source.split('"').filter(|text| text.starts_with("odradek_"));
        let known: BTreeSet<&str> = all().map(|metric| metric.name).collect();
        let missing: Vec<&str> = names.filter(|name| !known.contains(name)).collect();
        assert!(missing.is_empty(), "add to metric_names/storage.rs: {missing:?}");
    }
}
