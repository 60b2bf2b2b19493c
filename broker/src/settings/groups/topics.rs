//! Topics as they are made, and the broker's defaults for what topics may override.

use std::time::Duration;

use crate::settings::kind::Allowed::{Any, AtLeast, Between, EachOf, OneOf};
use crate::settings::setting::settings;

settings! {
    /// Topics as they are made.
    pub struct Topics {
        /// Partitions of a topic that is made without a number of them.
        "num.partitions" => num_partitions: i32 = Int(Some("1")), AtLeast(1), Kafka, ReadOnly;
        /// Whether a topic that a client asks for is made when it does not exist.
        "auto.create.topics.enable" => auto_create: bool =
            Boolean(Some("true")), Any, Kafka, ReadOnly;
        /// Replication factor of a topic that is made without one. It says how many brokers are
        /// named as replicas; durability is the store's.
        "default.replication.factor" => default_replication_factor: i16 =
            Int(Some("1")), Between(1, 32_767), Kafka, ReadOnly;
        /// Whether topics can be deleted.
        "delete.topic.enable" => delete_enable: bool = Boolean(Some("true")), Any, Kafka, ReadOnly;
        /// Most partitions in one DescribeTopicPartitions answer.
        "max.request.partition.size.limit" => describe_partitions_max: usize =
            Int(Some("2000")), AtLeast(1), Kafka, ReadOnly;
    }
}

settings! {
    /// The broker's defaults for what topics may override; `TopicConfig` holds what they come to.
    pub struct LogDefaults {
        /// Largest record batch in bytes. Default of max.message.bytes.
        "message.max.bytes" => message_max_bytes: usize =
            Int(Some("1048588")), AtLeast(0), Kafka, ClusterWide;
        /// What happens to old records: delete by age and size, compact by key, or both. Default of
        /// cleanup.policy.
        "log.cleanup.policy" => cleanup_policy: Vec<String> =
            List(Some("delete")), EachOf(&["compact", "delete"]), Kafka, ClusterWide;
        /// Records older than this may be deleted; -1: none by age. Default of retention.ms; if not
        /// given, log.retention.minutes counts.
        "log.retention.ms" => retention_ms: Option<i64> = Long(None), Any, Kafka, ClusterWide;
        /// The same in minutes; if not given, log.retention.hours counts.
        "log.retention.minutes" => retention_minutes: Option<i32> = Int(None), Any, Kafka, ReadOnly;
        /// The same in hours.
        "log.retention.hours" => retention_hours: i32 = Int(Some("168")), Any, Kafka, ReadOnly;
        /// A partition's bytes above which its oldest records may be deleted; -1: none by size.
        /// Default of retention.bytes.
        "log.retention.bytes" => retention_bytes: i64 = Long(Some("-1")), Any, Kafka, ClusterWide;
        /// How often retention is looked at.
        "log.retention.check.interval.ms" => retention_check_interval: Duration =
            Long(Some("300000")), AtLeast(1), Kafka, ReadOnly;
        /// Whether a record keeps the time its producer gave it or takes the time of its append.
        /// Default of message.timestamp.type.
        "log.message.timestamp.type" => timestamp_type: String =
            String(Some("CreateTime")), OneOf(&["CreateTime", "LogAppendTime"]), Kafka, ClusterWide;
        /// How far a record's time may lie before the broker's. Default of
        /// message.timestamp.before.max.ms.
        "log.message.timestamp.before.max.ms" => timestamp_before_max_ms: i64 =
            Long(Some("9223372036854775807")), AtLeast(0), Kafka, ClusterWide;
        /// How far a record's time may lie after the broker's. Default of
        /// message.timestamp.after.max.ms.
        "log.message.timestamp.after.max.ms" => timestamp_after_max_ms: i64 =
            Long(Some("3600000")), AtLeast(0), Kafka, ClusterWide;
    }
}
