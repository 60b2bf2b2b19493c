//! The one table of what this broker serves, kept by hand: from the floor of KIP-896 to the newest
//! version that is stable in Apache Kafka 4.1 (ListOffsets 11, OffsetCommit 10, OffsetFetch 10 and
//! InitProducerId 6 are not). Only what stands here is advertised, decoded or answered.

use kafka_protocol::messages::ApiKey;

/// The versions of one API that are served, and those that are advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The API.
    pub api: ApiKey,
    /// The oldest version served.
    pub min: i16,
    /// The newest version served and advertised.
    pub max: i16,
    /// The oldest version advertised: `min`, but for [`PRODUCE_ADVERTISED_MIN`].
    pub advertised_min: i16,
}

/// Produce is advertised from 0 though it is served from 3, as Apache Kafka does (KAFKA-18659):
/// releases of librdkafka judge by Produce 0 what a broker can do, but never send it.
pub const PRODUCE_ADVERTISED_MIN: i16 = 0;

const fn served(api: ApiKey, min: i16, max: i16) -> Served {
    Served { api, min, max, advertised_min: min }
}

/// Every API that is served, in the order of the API keys.
pub const SERVED: &[Served] = &[
    Served { api: ApiKey::Produce, min: 3, max: 13, advertised_min: PRODUCE_ADVERTISED_MIN },
    served(ApiKey::Fetch, 4, 18),
    served(ApiKey::ListOffsets, 1, 10),
    served(ApiKey::Metadata, 0, 13),
    served(ApiKey::OffsetCommit, 2, 9),
    served(ApiKey::OffsetFetch, 1, 9),
    served(ApiKey::FindCoordinator, 0, 6),
    served(ApiKey::JoinGroup, 0, 9),
    served(ApiKey::Heartbeat, 0, 4),
    served(ApiKey::LeaveGroup, 0, 5),
    served(ApiKey::SyncGroup, 0, 5),
    served(ApiKey::DescribeGroups, 0, 6),
    served(ApiKey::ListGroups, 0, 5),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DeleteRecords, 0, 2),
    served(ApiKey::InitProducerId, 0, 5),
    served(ApiKey::OffsetForLeaderEpoch, 2, 4),
    served(ApiKey::DescribeAcls, 1, 3),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::DescribeLogDirs, 1, 4),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::DeleteGroups, 0, 2),
    served(ApiKey::ElectLeaders, 0, 2),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::AlterPartitionReassignments, 0, 1),
    served(ApiKey::ListPartitionReassignments, 0, 0),
    served(ApiKey::OffsetDelete, 0, 0),
    served(ApiKey::DescribeQuorum, 0, 2),
    served(ApiKey::DescribeCluster, 0, 2),
    served(ApiKey::DescribeProducers, 0, 0),
    served(ApiKey::UnregisterBroker, 0, 0),
    served(ApiKey::ListConfigResources, 0, 1),
    served(ApiKey::DescribeTopicPartitions, 0, 0),
    served(ApiKey::AddRaftVoter, 0, 0),
    served(ApiKey::RemoveRaftVoter, 0, 0),
];

/// The row of `api`, `None` if it is not served.
#[must_use]
pub fn find(api: ApiKey) -> Option<&'static Served> {
    SERVED.iter().find(|row| row.api == api)
}

/// True if `api` is served at `version`.
#[must_use]
pub fn is_served(api: ApiKey, version: i16) -> bool {
    find(api).is_some_and(|row| (row.min..=row.max).contains(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_once() {
        let keys: Vec<_> = SERVED.iter().map(|row| row.api as i16).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert!(SERVED.iter().all(|row| row.min <= row.max && row.advertised_min <= row.min));
    }

    #[test]
    fn produce_alone_is_advertised_below_what_is_served() {
        let exceptions: Vec<_> =
            SERVED.iter().filter(|row| row.advertised_min != row.min).map(|row| row.api).collect();
        assert_eq!(exceptions, [ApiKey::Produce]);
        assert!(!is_served(ApiKey::Produce, 2));
    }

    #[test]
    fn unstable_versions_are_not_served() {
        for (api, unstable) in [
            (ApiKey::ListOffsets, 11),
            (ApiKey::OffsetCommit, 10),
            (ApiKey::OffsetFetch, 10),
            (ApiKey::InitProducerId, 6),
        ] {
            assert!(is_served(api, unstable - 1) && !is_served(api, unstable), "{api:?}");
        }
        assert!(find(ApiKey::Vote).is_none());
    }
}
