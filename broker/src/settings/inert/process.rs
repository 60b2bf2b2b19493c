//! Threads, metrics and the rest.

use super::inert;
use crate::settings::kind::Allowed::{Any, AtLeast};

inert! {
    pub(super) const THREADS: "Work is not bound to threads of its own, and waits need no purge." {
        "delete.records.purgatory.purge.interval.requests" = Int(Some("1")), Any, ReadOnly;
        "fetch.purgatory.purge.interval.requests" = Int(Some("1000")), Any, ReadOnly;
        "num.io.threads" = Int(Some("8")), AtLeast(1), ClusterWide;
        "num.network.threads" = Int(Some("3")), AtLeast(1), ClusterWide;
        "producer.purgatory.purge.interval.requests" = Int(Some("1000")), Any, ReadOnly;
    }
}

inert! {
    pub(super) const SOCKETS: "The system sizes the buffers of sockets by itself, and 4,096 connections may wait to be accepted, or as many as the system allows." {
        "socket.listen.backlog.size" = Int(Some("50")), AtLeast(1), ReadOnly;
        "socket.receive.buffer.bytes" = Int(Some("102400")), Any, ReadOnly;
        "socket.send.buffer.bytes" = Int(Some("102400")), Any, ReadOnly;
    }
}

inert! {
    pub(super) const QUEUES: "Requests are bounded by their bytes, of which queued.max.request.bytes tells, and by connection." {
        "queued.max.requests" = Int(Some("500")), AtLeast(1), ReadOnly;
    }
}

inert! {
    pub(super) const METRICS: "Metrics are served at admin.listen; there are no reporters to load." {
        "kafka.metrics.polling.interval.secs" = Int(Some("10")), AtLeast(1), ReadOnly;
        "kafka.metrics.reporters" = List(Some("")), Any, ReadOnly;
        "metric.reporters" = List(Some("org.apache.kafka.common.metrics.JmxReporter")), Any, ClusterWide;
        "metrics.num.samples" = Int(Some("2")), AtLeast(1), ReadOnly;
        "metrics.recording.level" = String(Some("INFO")), Any, ReadOnly;
        "metrics.sample.window.ms" = Long(Some("30000")), AtLeast(1), ReadOnly;
        "telemetry.max.bytes" = Int(Some("1048576")), AtLeast(1), ReadOnly;
    }
}

inert! {
    pub(super) const POLICIES: "There is no Java here to load a policy with." {
        "alter.config.policy.class.name" = Class(None), Any, ReadOnly;
        "create.topic.policy.class.name" = Class(None), Any, ReadOnly;
    }
}

inert! {
    pub(super) const OTHER: "Nothing here corresponds to it." {
        "max.connection.creation.rate" = Int(Some("2147483647")), AtLeast(0), ClusterWide;
        "max.connections.per.ip.overrides" = String(Some("")), Any, ClusterWide;
        "request.timeout.ms" = Int(Some("30000")), Any, ReadOnly;
        "socket.connection.setup.timeout.max.ms" = Long(Some("30000")), Any, ReadOnly;
        "socket.connection.setup.timeout.ms" = Long(Some("10000")), Any, ReadOnly;
    }
}
