//! The table of all settings of topics: names, types, defaults, bounds and broker synonyms as Apache
//! Kafka 4.1.1 states them.

use crate::settings::kind::Allowed::{
    self, Any, AtLeast, Between, BetweenOr, EachOf, OneOf, RealBetween, ThrottledReplicas,
};
use crate::settings::kind::Kind::{self, Boolean, Double, Int, List, Long, String};

/// One setting of topics.
#[derive(Clone, Debug)]
pub struct TopicSetting {
    /// Its key.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its value where neither topic nor broker has one.
    pub default: &'static str,
    /// What it may be.
    pub allowed: Allowed,
    /// The broker's settings that are its default: the first that is given counts. With each, how
    /// many of the topic setting's units are in one of the broker's.
    pub broker: &'static [(&'static str, i64)],
    /// Whether it has an effect here.
    pub in_effect: bool,
    /// What it means.
    pub doc: &'static str,
}

/// A value that is accepted so that tools of Kafka's own tests work, and is never described.
pub(super) const HIDDEN: &str = "internal.segment.bytes";

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const MAX: &str = "9223372036854775807";
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// The setting of this key.
#[must_use]
pub fn find(name: &str) -> Option<&'static TopicSetting> {
    ALL.iter().find(|setting| setting.name == name)
}

macro_rules! rows {
    ($($doc:literal $name:literal = $kind:ident($default:expr), $allowed:expr, $effect:literal,
        [$($broker:literal $(* $factor:expr)?),*];)+) => {
        &[$(TopicSetting {
            name: $name,
            kind: $kind,
            default: $default,
            allowed: $allowed,
            broker: &[$(($broker, 1 $(* $factor)?)),*],
            in_effect: $effect,
            doc: $doc,
        },)+]
    };
}

/// All of them, in the order of their names.
pub const ALL: &[TopicSetting] = rows! {
    "What happens to old records: delete by age and size, compact by key, both, or (empty) nothing. \
     Compaction is accepted: null keys are refused, and age and size delete nothing unless delete \
     is named too; older values of a key are not removed yet."
    "cleanup.policy" = List("delete"), EachOf(&["compact", "delete"]), true,
        ["log.cleanup.policy"];
    "Level of gzip where the broker compresses. Records keep the compression of their producer."
    "compression.gzip.level" = Int("-1"), BetweenOr(1, 9, -1), false, ["compression.gzip.level"];
    "Level of lz4 where the broker compresses. Records keep the compression of their producer."
    "compression.lz4.level" = Int("9"), Between(1, 17), false, ["compression.lz4.level"];
    "Codec of the stored records. Whatever is set, records keep the compression of their producer; \
     each batch names its own, so that every consumer reads it."
    "compression.type" = String("producer"), OneOf(CODECS), false, ["compression.type"];
    "Level of zstd where the broker compresses. Records keep the compression of their producer."
    "compression.zstd.level" = Int("3"), Between(-131_072, 22), false, ["compression.zstd.level"];
    "How long the marker of a deleted key stays after compaction. Compaction is not done yet."
    "delete.retention.ms" = Long("86400000"), AtLeast(0), false,
        ["log.cleaner.delete.retention.ms"];
    "How long a file stays after its deletion. collect.grace.ms of the broker takes its place."
    "file.delete.delay.ms" = Long("60000"), AtLeast(0), false, ["log.segment.delete.delay.ms"];
    "Records after which a log is synced. Every record is durable before it is acknowledged."
    "flush.messages" = Long(MAX), AtLeast(1), false, ["log.flush.interval.messages"];
    "Time after which a log is synced. Every record is durable before it is acknowledged."
    "flush.ms" = Long(MAX), AtLeast(0), false,
        ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    "Replicas that copy with a limit as followers. Brokers do not copy records from one another."
    "follower.replication.throttled.replicas" = List(""), ThrottledReplicas, false, [];
    "Bytes of records between two entries of a segment's index, which has its own measure here."
    "index.interval.bytes" = Int("4096"), AtLeast(0), false, ["log.index.interval.bytes"];
    "Replicas that are copied with a limit from leaders. Brokers do not copy records from one \
     another."
    "leader.replication.throttled.replicas" = List(""), ThrottledReplicas, false, [];
    "Bytes kept on the broker before the remote tier. All records are in the object store."
    "local.retention.bytes" = Long("-2"), AtLeast(-2), false, ["log.local.retention.bytes"];
    "Time records are kept on the broker before the remote tier. All records are in the object store."
    "local.retention.ms" = Long("-2"), AtLeast(-2), false, ["log.local.retention.ms"];
    "Longest time that a record stays uncompacted. Compaction is not done yet."
    "max.compaction.lag.ms" = Long(MAX), AtLeast(1), false, ["log.cleaner.max.compaction.lag.ms"];
    "Largest record batch in bytes, compressed as it comes."
    "max.message.bytes" = Int("1048588"), AtLeast(0), true, ["message.max.bytes"];
    "How far a record's time may lie after the broker's, with CreateTime. Of a compressed batch, the \
     largest time that its header states counts, unless another setting has it opened."
    "message.timestamp.after.max.ms" = Long("3600000"), AtLeast(0), true,
        ["log.message.timestamp.after.max.ms"];
    "How far a record's time may lie before the broker's, with CreateTime. Less than the default has \
     compressed batches opened, as their headers do not state the smallest time."
    "message.timestamp.before.max.ms" = Long(MAX), AtLeast(0), true,
        ["log.message.timestamp.before.max.ms"];
    "Whether a record keeps the time its producer gave it or takes the time of its append."
    "message.timestamp.type" = String("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), true,
        ["log.message.timestamp.type"];
    "Share of uncompacted records at which compaction begins. Compaction is not done yet."
    "min.cleanable.dirty.ratio" = Double("0.5"), RealBetween(0.0, 1.0), false,
        ["log.cleaner.min.cleanable.ratio"];
    "Shortest time that a record stays uncompacted. Compaction is not done yet."
    "min.compaction.lag.ms" = Long("0"), AtLeast(0), false, ["log.cleaner.min.compaction.lag.ms"];
    "Replicas that must have a record before it is acknowledged. It is shown and does not count: an \
     acknowledged record is durable in the store, whatever brokers live."
    "min.insync.replicas" = Int("1"), AtLeast(1), false, ["min.insync.replicas"];
    "Whether the file of a segment is given its whole size at once. Segments are objects."
    "preallocate" = Boolean("false"), Any, false, ["log.preallocate"];
    "Whether copying to the remote tier stops. All records are in the object store."
    "remote.log.copy.disable" = Boolean("false"), Any, false, [];
    "Whether records in the remote tier go when it is switched off. There is no second tier."
    "remote.log.delete.on.disable" = Boolean("false"), Any, false, [];
    "Whether the topic uses a remote tier. All records are in the object store already; true is \
     refused, as by a Kafka broker without tiered storage."
    "remote.storage.enable" = Boolean("false"), Any, false, [];
    "A partition's bytes above which its oldest records may be deleted, with cleanup.policy delete; \
     negative: none by size."
    "retention.bytes" = Long("-1"), Any, true, ["log.retention.bytes"];
    "Records older than this may be deleted, with cleanup.policy delete; -1: none by age."
    "retention.ms" = Long("604800000"), AtLeast(-1), true,
        ["log.retention.ms", "log.retention.minutes" * MINUTE_MS, "log.retention.hours" * HOUR_MS];
    "Bytes of a segment. Segments are objects that the broker cuts by its own measure."
    "segment.bytes" = Int("1073741824"), AtLeast(1_048_576), false, ["log.segment.bytes"];
    "Bytes of a segment's index. Segments are objects that carry their own."
    "segment.index.bytes" = Int("10485760"), AtLeast(4), false, ["log.index.size.max.bytes"];
    "Spread of the times at which segments are cut. The broker cuts them by its own measure."
    "segment.jitter.ms" = Long("0"), AtLeast(0), false,
        ["log.roll.jitter.ms", "log.roll.jitter.hours" * HOUR_MS];
    "Age at which a segment is cut. The broker cuts segments by its own measure."
    "segment.ms" = Long("604800000"), AtLeast(1), false,
        ["log.roll.ms", "log.roll.hours" * HOUR_MS];
    "Whether a replica that lags may become leader, with loss. No owner here ever lacks a record."
    "unclean.leader.election.enable" = Boolean("false"), Any, false,
        ["unclean.leader.election.enable"];
};
