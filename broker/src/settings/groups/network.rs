//! Connections, requests and fetches.

use std::time::Duration;

use crate::settings::kind::Allowed::AtLeast;
use crate::settings::setting::settings;

settings! {
    /// Connections and what they may hold.
    pub struct Network {
        /// Largest request in bytes. A longer one closes its connection before it is read.
        "socket.request.max.bytes" => request_max_bytes: usize =
            Int(Some("104857600")), AtLeast(1), Kafka, ReadOnly;
        /// A connection without a request for this long is closed. Negative: never.
        "connections.max.idle.ms" => max_idle_ms: i64 =
            Long(Some("600000")), AtLeast(-1), Kafka, ReadOnly;
        /// Connections at once, over all listeners; one more is closed at once. Kafka has no limit.
        "max.connections" => max_connections: usize =
            Int(Some("60000")), AtLeast(0), Kafka, ClusterWide;
        /// Connections at once from one address; one more is closed at once.
        "max.connections.per.ip" => max_connections_per_ip: usize =
            Int(Some("2147483647")), AtLeast(0), Kafka, ClusterWide;
        /// Bytes of requests read, half-read or being served, of all connections; at the limit no
        /// more are read. Not below socket.request.max.bytes. Kafka has no limit unless one is set.
        "queued.max.request.bytes" => queued_max_request_bytes: usize =
            Long(Some("268435456")), AtLeast(1), Kafka, ReadOnly;
    }
}

settings! {
    /// Fetch requests.
    pub struct Fetch {
        /// Most bytes that one fetch answer carries, over all partitions; its first batch always goes.
        "fetch.max.bytes" => max_bytes: usize =
            Int(Some("57671680")), AtLeast(1024), Kafka, ReadOnly;
        /// Fetch sessions (KIP-227) kept at once; 0 keeps none.
        "max.incremental.fetch.session.cache.slots" => session_slots: usize =
            Int(Some("1000")), AtLeast(0), Kafka, ReadOnly;
    }
}

impl Network {
    /// How long a connection may be without a request, or `None` if for ever.
    #[must_use]
    pub fn max_idle(&self) -> Option<Duration> {
        u64::try_from(self.max_idle_ms).ok().map(Duration::from_millis)
    }
}
