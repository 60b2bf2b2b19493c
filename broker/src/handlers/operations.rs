//! Authorized operations (KIP-430): without an authorizer a client may do everything that a kind of
//! resource allows, and an answer says so where it was asked. Bit n stands for Kafka's AclOperation n.

use std::ops::RangeInclusive;

/// What an answer says that was not asked.
const NOT_ASKED: i32 = i32::MIN;

/// READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE; DESCRIBE_CONFIGS, ALTER_CONFIGS.
const TOPIC: i32 = bits(3..=8) | bits(10..=11);
/// READ; DELETE; DESCRIBE; DESCRIBE_CONFIGS, ALTER_CONFIGS.
const GROUP: i32 = bits(3..=3) | bits(6..=6) | bits(8..=8) | bits(10..=11);
/// CREATE; ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
const CLUSTER: i32 = bits(5..=5) | bits(7..=12);

const fn bits(operations: RangeInclusive<u32>) -> i32 {
    let mut bits = 0;
    let mut operation = *operations.start();
    while operation <= *operations.end() {
        bits |= 1 << operation;
        operation += 1;
    }
    bits
}

/// Those of a topic.
pub(super) fn of_topic(asked: bool) -> i32 {
    if asked { TOPIC } else { NOT_ASKED }
}

/// Those of a consumer group.
pub(super) fn of_group(asked: bool) -> i32 {
    if asked { GROUP } else { NOT_ASKED }
}

/// Those of the cluster.
pub(super) fn of_cluster(asked: bool) -> i32 {
    if asked { CLUSTER } else { NOT_ASKED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_kafka() {
        assert_eq!((TOPIC, GROUP, CLUSTER), (3_576, 3_400, 8_096));
        assert_eq!(of_topic(false), i32::MIN);
    }
}
