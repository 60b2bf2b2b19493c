//! How brokers and clients of these rounds are set.

use odradek_tests::broker::BrokerOptions;
use odradek_tests::history::Guarantee;
use odradek_tests::load::{Kind, Topic};

/// Tiny files, and everything in the background all the time: a kill then falls into the middle of
/// something.
const BROKER: [(&str, u32); 11] = [
    ("wal.slot.bytes", 65_536),
    ("wal.disk.file.bytes", 1_048_576),
    ("flush.interval.ms", 100),
    ("merge.interval.ms", 200),
    ("collect.interval.ms", 300),
    ("collect.grace.ms", 0),
    ("metadata.snapshot.entries", 20),
    ("log.retention.check.interval.ms", 300),
    ("offsets.topic.num.partitions", 8),
    ("group.initial.rebalance.delay.ms", 50),
    ("group.min.session.timeout.ms", 1_000),
];

/// One topic that keeps everything, and one that is deleted from its beginning all the time.
pub const TOPICS: [Topic; 2] = [
    Topic { name: "kept", partitions: 4, shortened: false },
    Topic { name: "shortened", partitions: 2, shortened: true },
];

/// The producers.
pub const PRODUCERS: [Kind; 5] = [
    ("none", Guarantee::Idempotent),
    ("lz4", Guarantee::Idempotent),
    ("zstd", Guarantee::Idempotent),
    ("gzip", Guarantee::AtLeastOnce),
    ("snappy", Guarantee::AtLeastOnce),
];

/// With the settings of these rounds.
pub fn broker(options: BrokerOptions) -> BrokerOptions {
    BROKER.iter().fold(options, |options, (key, value)| options.set(key, value))
}
