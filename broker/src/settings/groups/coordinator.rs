//! Consumer groups, their offsets, and producers.

use std::time::Duration;

use crate::settings::kind::Allowed::{AtLeast, Between};
use crate::settings::setting::settings;

settings! {
    /// Consumer groups of the classic protocol and their offsets.
    pub struct Groups {
        /// How long the first rebalance of an empty group waits for more members.
        "group.initial.rebalance.delay.ms" => initial_rebalance_delay: Duration =
            Int(Some("3000")), AtLeast(0), Kafka, ReadOnly;
        /// Shortest session time-out that a member may ask for.
        "group.min.session.timeout.ms" => min_session_timeout: Duration =
            Int(Some("6000")), AtLeast(0), Kafka, ReadOnly;
        /// Longest session time-out that a member may ask for.
        "group.max.session.timeout.ms" => max_session_timeout: Duration =
            Int(Some("1800000")), AtLeast(0), Kafka, ReadOnly;
        /// Most members of a group.
        "group.max.size" => max_size: usize = Int(Some("2147483647")), AtLeast(1), Kafka, ReadOnly;
        /// Most bytes of the metadata in an offset commit.
        "offset.metadata.max.bytes" => offset_metadata_max_bytes: usize =
            Int(Some("4096")), AtLeast(0), Kafka, ReadOnly;
        /// An offset expires this many minutes after its group became empty, or after its commit
        /// where there is no subscription.
        "offsets.retention.minutes" => offsets_retention_minutes: i32 =
            Int(Some("10080")), AtLeast(1), Kafka, ReadOnly;
        /// How often expired offsets are looked for.
        "offsets.retention.check.interval.ms" => offsets_retention_check_interval: Duration =
            Long(Some("600000")), AtLeast(1), Kafka, ReadOnly;
        /// How long a commit of offsets waits to become durable before it is answered with an error.
        "offsets.commit.timeout.ms" => offsets_commit_timeout: Duration =
            Int(Some("5000")), AtLeast(1), Kafka, ReadOnly;
        /// Partitions of __consumer_offsets. It counts when the topic is made.
        "offsets.topic.num.partitions" => offsets_topic_partitions: i32 =
            Int(Some("50")), AtLeast(1), Kafka, ReadOnly;
        /// Replication factor of __consumer_offsets. It counts when the topic is made.
        "offsets.topic.replication.factor" => offsets_topic_replication_factor: i16 =
            Short(Some("3")), AtLeast(1), Kafka, ReadOnly;
    }
}

settings! {
    /// Idempotent producers.
    pub struct Producers {
        /// A producer is forgotten this long after its last batch in a partition.
        "producer.id.expiration.ms" => id_expiration: Duration =
            Int(Some("86400000")), AtLeast(1), Kafka, ClusterWide;
        /// How often producers to forget are looked for.
        "producer.id.expiration.check.interval.ms" => id_expiration_check_interval: Duration =
            Int(Some("600000")), Between(1, 86_400_000), Kafka, ReadOnly;
        /// Bytes of memory in which all partitions together remember their producers. Beyond it those partitions
        /// that have the most forget producers that are idle, then the older ones of five batches, then the
        /// producers seen longest ago.
        "producer.state.max.bytes" => state_max_bytes: usize =
            Long(Some("268435456")), AtLeast(1_048_576), Own, ReadOnly;
    }
}

impl Groups {
    /// How long the offsets of an empty group are kept.
    #[must_use]
    pub fn offsets_retention(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.offsets_retention_minutes).unwrap_or(0) * 60)
    }
}
