//! Quorum, replication and quotas.

use super::inert;
use crate::settings::kind::Allowed::{Any, AtLeast};

inert! {
    pub(super) const QUORUM: "The metadata quorum is of another make and measures its own times." {
        "controlled.shutdown.enable" = Boolean(Some("true")), Any, ReadOnly;
        "controller.quorum.append.linger.ms" = Int(Some("25")), AtLeast(0), ReadOnly;
        "controller.quorum.bootstrap.servers" = List(Some("")), Any, ReadOnly;
        "controller.quorum.election.backoff.max.ms" = Int(Some("1000")), AtLeast(0), ReadOnly;
        "controller.quorum.election.timeout.ms" = Int(Some("1000")), AtLeast(0), ReadOnly;
        "controller.quorum.fetch.timeout.ms" = Int(Some("2000")), AtLeast(0), ReadOnly;
        "controller.quorum.request.timeout.ms" = Int(Some("2000")), AtLeast(0), ReadOnly;
        "controller.quorum.retry.backoff.ms" = Int(Some("20")), AtLeast(0), ReadOnly;
        "controller.quota.window.num" = Int(Some("11")), AtLeast(1), ReadOnly;
        "controller.quota.window.size.seconds" = Int(Some("1")), AtLeast(1), ReadOnly;
        "controller.socket.timeout.ms" = Int(Some("30000")), Any, ReadOnly;
        "early.start.listeners" = String(None), Any, ReadOnly;
        "initial.broker.registration.timeout.ms" = Int(Some("60000")), Any, ReadOnly;
        "metadata.log.dir" = String(None), Any, ReadOnly;
        "metadata.log.max.record.bytes.between.snapshots" = Long(Some("20971520")), AtLeast(1), ReadOnly;
        "metadata.log.max.snapshot.interval.ms" = Long(Some("3600000")), AtLeast(0), ReadOnly;
        "metadata.log.segment.bytes" = Int(Some("1073741824")), AtLeast(8388608), ReadOnly;
        "metadata.log.segment.ms" = Long(Some("604800000")), Any, ReadOnly;
        "metadata.max.idle.interval.ms" = Int(Some("500")), AtLeast(0), ReadOnly;
        "metadata.max.retention.bytes" = Long(Some("104857600")), Any, ReadOnly;
        "metadata.max.retention.ms" = Long(Some("604800000")), Any, ReadOnly;
    }
}

inert! {
    pub(super) const REPLICATION: "Brokers do not copy records from one another; durability is the object store's." {
        "leader.imbalance.check.interval.seconds" = Long(Some("300")), AtLeast(1), ReadOnly;
        "min.insync.replicas" = Int(Some("1")), AtLeast(1), ClusterWide;
        "num.replica.alter.log.dirs.threads" = Int(None), Any, ReadOnly;
        "num.replica.fetchers" = Int(Some("1")), Any, ClusterWide;
        "replica.fetch.backoff.ms" = Int(Some("1000")), AtLeast(0), ReadOnly;
        "replica.fetch.max.bytes" = Int(Some("1048576")), AtLeast(0), ReadOnly;
        "replica.fetch.min.bytes" = Int(Some("1")), Any, ReadOnly;
        "replica.fetch.response.max.bytes" = Int(Some("10485760")), AtLeast(0), ReadOnly;
        "replica.fetch.wait.max.ms" = Int(Some("500")), Any, ReadOnly;
        "replica.high.watermark.checkpoint.interval.ms" = Long(Some("5000")), Any, ReadOnly;
        "replica.lag.time.max.ms" = Long(Some("30000")), Any, ReadOnly;
        "replica.selector.class" = String(None), Any, ReadOnly;
        "replica.socket.receive.buffer.bytes" = Int(Some("65536")), Any, ReadOnly;
        "replica.socket.timeout.ms" = Int(Some("30000")), Any, ReadOnly;
        "unclean.leader.election.enable" = Boolean(Some("false")), Any, ClusterWide;
    }
}

inert! {
    pub(super) const QUOTAS: "Quotas are not kept yet." {
        "alter.log.dirs.replication.quota.window.num" = Int(Some("11")), AtLeast(1), ReadOnly;
        "alter.log.dirs.replication.quota.window.size.seconds" = Int(Some("1")), AtLeast(1), ReadOnly;
        "client.quota.callback.class" = Class(None), Any, ReadOnly;
        "quota.window.num" = Int(Some("11")), AtLeast(1), ReadOnly;
        "quota.window.size.seconds" = Int(Some("1")), AtLeast(1), ReadOnly;
        "replication.quota.window.num" = Int(Some("11")), AtLeast(1), ReadOnly;
        "replication.quota.window.size.seconds" = Int(Some("1")), AtLeast(1), ReadOnly;
        "follower.replication.throttled.rate" = Long(Some("9223372036854775807")), AtLeast(0), ClusterWide;
        "leader.replication.throttled.rate" = Long(Some("9223372036854775807")), AtLeast(0), ClusterWide;
        "replica.alter.log.dirs.io.max.bytes.per.second" = Long(Some("9223372036854775807")), AtLeast(0), ClusterWide;
    }
}
