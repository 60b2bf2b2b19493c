//! Kafka's settings that are known and described but have no effect here: names, types, defaults
//! and bounds as Apache Kafka 4.1.1 states them. Giving one is a warning, not an error.

mod cluster;
mod coordinators;
mod process;
mod records;
mod security;

use super::setting::Setting;

/// Writes down settings that have no effect for one reason, which is their documentation.
macro_rules! inert {
    (
        pub(super) const $name:ident: $reason:literal {
            $($key:literal = $kind:ident($default:expr), $allowed:expr, $update:ident;)+
        }
    ) => {
        pub(super) const $name: &[$crate::settings::setting::Setting] = &[
            $($crate::settings::setting::Setting {
                name: $key,
                kind: $crate::settings::kind::Kind::$kind,
                default: $default,
                allowed: $allowed,
                effect: $crate::settings::setting::Effect::Inert,
                update: $crate::settings::setting::Update::$update,
                doc: concat!("No effect here. ", $reason),
            },)+
        ];
    };
}
use inert;

/// All of them, by reason.
pub(super) const TABLES: &[&[Setting]] = &[
    security::TLS,
    security::SASL,
    security::AUTHORIZATION,
    records::TIERED,
    records::COMPACTION,
    records::DIRECTORIES,
    records::LOCAL_LOG,
    records::COMPRESSION,
    cluster::QUORUM,
    cluster::REPLICATION,
    cluster::QUOTAS,
    coordinators::NEXT_GROUPS,
    coordinators::SHARE_GROUPS,
    coordinators::STREAMS_GROUPS,
    coordinators::TRANSACTIONS,
    process::THREADS,
    process::SOCKETS,
    process::QUEUES,
    process::METRICS,
    process::POLICIES,
    process::OTHER,
];

/// Settings that Kafka itself hides: known, so that none is an error, and not described.
pub(super) const HIDDEN: &[&str] = &[
    "controller.performance.always.log.threshold.ms",
    "controller.performance.sample.period.ms",
    "group.consumer.regex.refresh.interval.ms",
    "group.share.enable",
    "group.share.persister.class.name",
    "internal.metadata.delete.delay.millis",
    "internal.metadata.log.segment.bytes",
    "internal.metadata.max.batch.size.in.bytes",
    "internal.metadata.max.fetch.size.in.bytes",
    "log.initial.task.delay.ms",
    "remote.log.manager.task.retry.backoff.max.ms",
    "remote.log.manager.task.retry.backoff.ms",
    "remote.log.manager.task.retry.jitter",
    "server.max.startup.time.ms",
    "share.coordinator.cold.partition.snapshot.interval.ms",
    "share.coordinator.state.topic.prune.interval.ms",
    "unclean.leader.election.interval.ms",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
];

/// What the keys of settings begin with that Kafka takes for a listener or a plug-in.
pub(super) const PREFIXES: &[&str] =
    &["listener.name.", "rsm.config.", "rlmm.config.", "config.providers"];
