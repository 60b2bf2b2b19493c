//! Requests for the brokers of the cluster, where partitions are, and the metadata quorum.

use super::{Schema, array, boolean, int8, int16, int32, int32s, string, uuid};
use kafka_protocol::messages::ApiKey;

pub(super) const REQUESTS: &[Schema] = &[
    ALTER_PARTITION_REASSIGNMENTS,
    LIST_PARTITION_REASSIGNMENTS,
    ELECT_LEADERS,
    DESCRIBE_QUORUM,
    UNREGISTER_BROKER,
    ADD_RAFT_VOTER,
    REMOVE_RAFT_VOTER,
];

const ALTER_PARTITION_REASSIGNMENTS: Schema = Schema::new(
    ApiKey::AlterPartitionReassignments,
    Some(0),
    &[
        int32("timeout_ms"),
        boolean("allow_replication_factor_change").since(1),
        array(
            "topics",
            &[
                string("name"),
                array("partitions", &[int32("partition_index"), int32s("replicas").nullable()]),
            ],
        ),
    ],
);

const LIST_PARTITION_REASSIGNMENTS: Schema = Schema::new(
    ApiKey::ListPartitionReassignments,
    Some(0),
    &[
        int32("timeout_ms"),
        array("topics", &[string("name"), int32s("partition_indexes")]).nullable(),
    ],
);

const ELECT_LEADERS: Schema = Schema::new(
    ApiKey::ElectLeaders,
    Some(2),
    &[
        int8("election_type").since(1),
        array("topic_partitions", &[string("topic"), int32s("partitions")]).nullable(),
        int32("timeout_ms"),
    ],
);

const DESCRIBE_QUORUM: Schema = Schema::new(
    ApiKey::DescribeQuorum,
    Some(0),
    &[array("topics", &[string("topic_name"), array("partitions", &[int32("partition_index")])])],
);

const UNREGISTER_BROKER: Schema =
    Schema::new(ApiKey::UnregisterBroker, Some(0), &[int32("broker_id")]);

const ADD_RAFT_VOTER: Schema = Schema::new(
    ApiKey::AddRaftVoter,
    Some(0),
    &[
        string("cluster_id").nullable(),
        int32("timeout_ms"),
        int32("voter_id"),
        uuid("voter_directory_id"),
        array("listeners", &[string("name"), string("host"), int16("port")]),
    ],
);

const REMOVE_RAFT_VOTER: Schema = Schema::new(
    ApiKey::RemoveRaftVoter,
    Some(0),
    &[string("cluster_id").nullable(), int32("voter_id"), uuid("voter_directory_id")],
);
