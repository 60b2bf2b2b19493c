//! Groups and transactions.

use super::inert;
use crate::settings::kind::Allowed::{Any, AtLeast, Between, EachOf, OneOfAnyCase};

inert! {
    pub(super) const NEXT_GROUPS: "The consumer group protocol of KIP-848 is not served yet, and the classic one has no threads, buffers or files of its own." {
        "group.consumer.assignors" = List(Some("uniform,range")), Any, ReadOnly;
        "group.consumer.heartbeat.interval.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "group.consumer.max.heartbeat.interval.ms" = Int(Some("15000")), AtLeast(1), ReadOnly;
        "group.consumer.max.session.timeout.ms" = Int(Some("60000")), AtLeast(1), ReadOnly;
        "group.consumer.max.size" = Int(Some("2147483647")), AtLeast(1), ReadOnly;
        "group.consumer.migration.policy" = String(Some("bidirectional")), OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly;
        "group.consumer.min.heartbeat.interval.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "group.consumer.min.session.timeout.ms" = Int(Some("45000")), AtLeast(1), ReadOnly;
        "group.consumer.session.timeout.ms" = Int(Some("45000")), AtLeast(1), ReadOnly;
        "group.coordinator.append.linger.ms" = Int(Some("5")), AtLeast(0), ReadOnly;
        "group.coordinator.rebalance.protocols" = List(Some("classic,consumer,streams")), EachOf(&["consumer", "classic", "share", "streams"]), ReadOnly;
        "group.coordinator.threads" = Int(Some("4")), AtLeast(1), ReadOnly;
        "offsets.load.buffer.size" = Int(Some("5242880")), AtLeast(1), ReadOnly;
        "offsets.topic.compression.codec" = Int(Some("0")), Any, ReadOnly;
        "offsets.topic.segment.bytes" = Int(Some("104857600")), AtLeast(1), ReadOnly;
    }
}

inert! {
    pub(super) const SHARE_GROUPS: "Share groups are not served yet." {
        "group.share.assignors" = List(Some("simple")), Any, ReadOnly;
        "group.share.delivery.count.limit" = Int(Some("5")), Between(2, 10), ReadOnly;
        "group.share.heartbeat.interval.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "group.share.max.heartbeat.interval.ms" = Int(Some("15000")), AtLeast(1), ReadOnly;
        "group.share.max.record.lock.duration.ms" = Int(Some("60000")), Between(30_000, 3_600_000), ReadOnly;
        "group.share.max.session.timeout.ms" = Int(Some("60000")), AtLeast(1), ReadOnly;
        "group.share.max.share.sessions" = Int(Some("2000")), AtLeast(1), ReadOnly;
        "group.share.max.size" = Int(Some("200")), Between(1, 1000), ReadOnly;
        "group.share.min.heartbeat.interval.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "group.share.min.record.lock.duration.ms" = Int(Some("15000")), Between(1000, 30_000), ReadOnly;
        "group.share.min.session.timeout.ms" = Int(Some("45000")), AtLeast(1), ReadOnly;
        "group.share.partition.max.record.locks" = Int(Some("2000")), Between(100, 10_000), ReadOnly;
        "group.share.record.lock.duration.ms" = Int(Some("30000")), Between(1000, 3_600_000), ReadOnly;
        "group.share.session.timeout.ms" = Int(Some("45000")), AtLeast(1), ReadOnly;
        "share.coordinator.append.linger.ms" = Int(Some("5")), AtLeast(0), ReadOnly;
        "share.coordinator.load.buffer.size" = Int(Some("5242880")), AtLeast(1), ReadOnly;
        "share.coordinator.snapshot.update.records.per.snapshot" = Int(Some("500")), AtLeast(0), ReadOnly;
        "share.coordinator.state.topic.compression.codec" = Int(Some("0")), Any, ReadOnly;
        "share.coordinator.state.topic.min.isr" = Short(Some("2")), AtLeast(1), ReadOnly;
        "share.coordinator.state.topic.num.partitions" = Int(Some("50")), AtLeast(1), ReadOnly;
        "share.coordinator.state.topic.replication.factor" = Short(Some("3")), AtLeast(1), ReadOnly;
        "share.coordinator.state.topic.segment.bytes" = Int(Some("104857600")), AtLeast(1), ReadOnly;
        "share.coordinator.threads" = Int(Some("1")), AtLeast(1), ReadOnly;
        "share.coordinator.write.timeout.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "share.fetch.purgatory.purge.interval.requests" = Int(Some("1000")), Any, ReadOnly;
    }
}

inert! {
    pub(super) const STREAMS_GROUPS: "Streams groups are not served." {
        "group.streams.heartbeat.interval.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "group.streams.max.heartbeat.interval.ms" = Int(Some("15000")), AtLeast(1), ReadOnly;
        "group.streams.max.session.timeout.ms" = Int(Some("60000")), AtLeast(1), ReadOnly;
        "group.streams.max.size" = Int(Some("2147483647")), AtLeast(1), ReadOnly;
        "group.streams.max.standby.replicas" = Int(Some("2")), AtLeast(0), ReadOnly;
        "group.streams.min.heartbeat.interval.ms" = Int(Some("5000")), AtLeast(1), ReadOnly;
        "group.streams.min.session.timeout.ms" = Int(Some("45000")), AtLeast(1), ReadOnly;
        "group.streams.num.standby.replicas" = Int(Some("0")), AtLeast(0), ReadOnly;
        "group.streams.session.timeout.ms" = Int(Some("45000")), AtLeast(1), ReadOnly;
    }
}

inert! {
    pub(super) const TRANSACTIONS: "Transactions are not served yet." {
        "add.partitions.to.txn.retry.backoff.max.ms" = Int(Some("100")), AtLeast(0), ReadOnly;
        "add.partitions.to.txn.retry.backoff.ms" = Int(Some("20")), AtLeast(1), ReadOnly;
        "transaction.abort.timed.out.transaction.cleanup.interval.ms" = Int(Some("10000")), AtLeast(1), ReadOnly;
        "transaction.max.timeout.ms" = Int(Some("900000")), AtLeast(1), ReadOnly;
        "transaction.partition.verification.enable" = Boolean(Some("true")), Any, ClusterWide;
        "transaction.remove.expired.transaction.cleanup.interval.ms" = Int(Some("3600000")), AtLeast(1), ReadOnly;
        "transaction.state.log.load.buffer.size" = Int(Some("5242880")), AtLeast(1), ReadOnly;
        "transaction.state.log.min.isr" = Int(Some("2")), AtLeast(1), ReadOnly;
        "transaction.state.log.num.partitions" = Int(Some("50")), AtLeast(1), ReadOnly;
        "transaction.state.log.replication.factor" = Short(Some("3")), AtLeast(1), ReadOnly;
        "transaction.state.log.segment.bytes" = Int(Some("104857600")), AtLeast(1), ReadOnly;
        "transaction.two.phase.commit.enable" = Boolean(Some("false")), Any, ReadOnly;
        "transactional.id.expiration.ms" = Int(Some("604800000")), AtLeast(1), ReadOnly;
    }
}
