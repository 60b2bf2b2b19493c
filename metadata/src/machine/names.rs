//! Kafka's rules for the names of topics (`org.apache.kafka.common.internals.Topic`).

use crate::outcome::Refusal;

/// The longest name, in characters.
const LONGEST: usize = 249;

/// Refuses what Kafka refuses as a topic's name.
pub(super) fn check_topic_name(name: &str) -> Result<(), Refusal> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name == "." || name == ".." {
        "it must not be '.' or '..'"
    } else if name.len() > LONGEST {
        "it is longer than 249 characters"
    } else if !name.bytes().all(is_allowed) {
        "it may hold ASCII letters, digits, '.', '_' and '-' only"
    } else {
        return Ok(());
    };
    // The name comes from outside and may be long.
    let name = name.chars().take(LONGEST).collect();
    Err(Refusal::InvalidTopicName { name, reason })
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
