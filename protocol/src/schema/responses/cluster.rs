//! Answers about the brokers of the cluster, where partitions are, and the metadata quorum.

use crate::schema::{Field, Schema, array, boolean, int16, int32, int32s, int64, string, uuid};
use kafka_protocol::messages::ApiKey;

pub(super) const RESPONSES: &[Schema] = &[
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
        int32("throttle_time_ms"),
        boolean("allow_replication_factor_change").since(1),
        int16("error_code"),
        string("error_message").nullable(),
        array(
            "responses",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        string("error_message").nullable(),
                    ],
                ),
            ],
        ),
    ],
);

const LIST_PARTITION_REASSIGNMENTS: Schema = Schema::new(
    ApiKey::ListPartitionReassignments,
    Some(0),
    &[
        int32("throttle_time_ms"),
        int16("error_code"),
        string("error_message").nullable(),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int32s("replicas"),
                        int32s("adding_replicas"),
                        int32s("removing_replicas"),
                    ],
                ),
            ],
        ),
    ],
);

const ELECT_LEADERS: Schema = Schema::new(
    ApiKey::ElectLeaders,
    Some(2),
    &[
        int32("throttle_time_ms"),
        int16("error_code").since(1),
        array(
            "replica_election_results",
            &[
                string("topic"),
                array(
                    "partition_result",
                    &[
                        int32("partition_id"),
                        int16("error_code"),
                        string("error_message").nullable(),
                    ],
                ),
            ],
        ),
    ],
);

const REPLICA_STATE: &[Field] = &[
    int32("replica_id"),
    uuid("replica_directory_id").since(2),
    int64("log_end_offset"),
    int64("last_fetch_timestamp").since(1),
    int64("last_caught_up_timestamp").since(1),
];

const DESCRIBE_QUORUM: Schema = Schema::new(
    ApiKey::DescribeQuorum,
    Some(0),
    &[
        int16("error_code"),
        string("error_message").since(2).nullable(),
        array(
            "topics",
            &[
                string("topic_name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        string("error_message").since(2).nullable(),
                        int32("leader_id"),
                        int32("leader_epoch"),
                        int64("high_watermark"),
                        array("current_voters", REPLICA_STATE),
                        array("observers", REPLICA_STATE),
                    ],
                ),
            ],
        ),
        array(
            "nodes",
            &[
                int32("node_id"),
                array("listeners", &[string("name"), string("host"), int16("port")]),
            ],
        )
        .since(2),
    ],
);

/// An answer that says nothing but whether it was done.
const DONE: &[Field] =
    &[int32("throttle_time_ms"), int16("error_code"), string("error_message").nullable()];

const UNREGISTER_BROKER: Schema = Schema::new(ApiKey::UnregisterBroker, Some(0), DONE);

const ADD_RAFT_VOTER: Schema = Schema::new(ApiKey::AddRaftVoter, Some(0), DONE);

const REMOVE_RAFT_VOTER: Schema = Schema::new(ApiKey::RemoveRaftVoter, Some(0), DONE);
