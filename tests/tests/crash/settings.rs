//! How brokers and clients of these rounds are set.

use odradek_tests::broker::BrokerOptions;
use rdkafka::config::ClientConfig;

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

/// With the settings of these rounds.
pub fn broker(options: BrokerOptions) -> BrokerOptions {
    BROKER.iter().fold(options, |options, (key, value)| options.set(key, value))
}

/// What all clients have in common: they are back soon after the broker is.
pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "200")
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "200")
        // Lines about a broker that is away are no news here.
        .set("log_level", "0");
    config
}

/// A consumer that begins anew at the log start if what it wants is gone, which the checker judges.
pub fn consumer(bootstrap: &str) -> ClientConfig {
    let mut config = client(bootstrap);
    config
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50");
    config
}
