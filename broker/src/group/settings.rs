//! What an operator can set.

use std::time::Duration;

/// The coordinator's settings, under Kafka's names and with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`: how long a group that was empty waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of one group.
    pub group_members_max: usize,
    /// `offset.metadata.max.bytes`: length of the text that goes with a committed offset, in UTF-16
    /// units as in Kafka.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check: Duration,
    /// `offsets.commit.timeout.ms`: how long a caller waits for a place in the shard's order, and
    /// for the answer to a request that does not itself wait for other members.
    pub commit_timeout: Duration,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            group_members_max: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            offset_metadata_max: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check: Duration::from_secs(10 * 60),
            commit_timeout: Duration::from_secs(5),
        }
    }
}
