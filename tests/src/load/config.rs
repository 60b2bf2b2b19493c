//! How the clients of a load are set.

use rdkafka::config::ClientConfig;

/// What all clients have in common: they are back soon after the broker is.
#[must_use]
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
#[must_use]
pub fn consumer(client: &ClientConfig) -> ClientConfig {
    let mut config = client.clone();
    config
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50");
    config
}
