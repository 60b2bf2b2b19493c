//! Answers about records, offsets of records and what finds them.

use crate::schema::{
    Schema, array, boolean, bytes, int16, int32, int32s, int64, string, structure, uuid,
};
use kafka_protocol::messages::ApiKey;

pub(super) const RESPONSES: &[Schema] = &[
    PRODUCE,
    FETCH,
    LIST_OFFSETS,
    OFFSET_FOR_LEADER_EPOCH,
    INIT_PRODUCER_ID,
    DESCRIBE_PRODUCERS,
    API_VERSIONS,
    METADATA,
    DESCRIBE_TOPIC_PARTITIONS,
];

const PRODUCE: Schema = Schema::new(
    ApiKey::Produce,
    Some(9),
    &[
        array(
            "responses",
            &[
                string("name").until(12),
                uuid("topic_id").since(13),
                array(
                    "partition_responses",
                    &[
                        int32("index"),
                        int16("error_code"),
                        int64("base_offset"),
                        int64("log_append_time_ms"),
                        int64("log_start_offset").since(5),
                        array(
                            "record_errors",
                            &[int32("batch_index"), string("batch_index_error_message").nullable()],
                        )
                        .since(8),
                        string("error_message").since(8).nullable(),
                        structure("current_leader", &[int32("leader_id"), int32("leader_epoch")])
                            .tagged(0)
                            .since(10),
                    ],
                ),
            ],
        ),
        int32("throttle_time_ms"),
        array(
            "node_endpoints",
            &[int32("node_id"), string("host"), int32("port"), string("rack").nullable()],
        )
        .tagged(0)
        .since(10),
    ],
);

const FETCH: Schema = Schema::new(
    ApiKey::Fetch,
    Some(12),
    &[
        int32("throttle_time_ms"),
        int16("error_code").since(7),
        int32("session_id").since(7),
        array(
            "responses",
            &[
                string("topic").until(12),
                uuid("topic_id").since(13),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        int64("high_watermark"),
                        int64("last_stable_offset"),
                        int64("log_start_offset").since(5),
                        structure("diverging_epoch", &[int32("epoch"), int64("end_offset")])
                            .tagged(0)
                            .since(12),
                        structure("current_leader", &[int32("leader_id"), int32("leader_epoch")])
                            .tagged(1)
                            .since(12),
                        structure("snapshot_id", &[int64("end_offset"), int32("epoch")])
                            .tagged(2)
                            .since(12),
                        array(
                            "aborted_transactions",
                            &[int64("producer_id"), int64("first_offset")],
                        )
                        .nullable(),
                        int32("preferred_read_replica").since(11),
                        bytes("records").nullable(),
                    ],
                ),
            ],
        ),
        array(
            "node_endpoints",
            &[int32("node_id"), string("host"), int32("port"), string("rack").nullable()],
        )
        .tagged(0)
        .since(16),
    ],
);

const LIST_OFFSETS: Schema = Schema::new(
    ApiKey::ListOffsets,
    Some(6),
    &[
        int32("throttle_time_ms").since(2),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        int64("timestamp"),
                        int64("offset"),
                        int32("leader_epoch").since(4),
                    ],
                ),
            ],
        ),
    ],
);

const OFFSET_FOR_LEADER_EPOCH: Schema = Schema::new(
    ApiKey::OffsetForLeaderEpoch,
    Some(4),
    &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                string("topic"),
                array(
                    "partitions",
                    &[
                        int16("error_code"),
                        int32("partition"),
                        int32("leader_epoch"),
                        int64("end_offset"),
                    ],
                ),
            ],
        ),
    ],
);

const INIT_PRODUCER_ID: Schema = Schema::new(
    ApiKey::InitProducerId,
    Some(2),
    &[
        int32("throttle_time_ms"),
        int16("error_code"),
        int64("producer_id"),
        int16("producer_epoch"),
    ],
);

const DESCRIBE_PRODUCERS: Schema = Schema::new(
    ApiKey::DescribeProducers,
    Some(0),
    &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        string("error_message").nullable(),
                        array(
                            "active_producers",
                            &[
                                int64("producer_id"),
                                int32("producer_epoch"),
                                int32("last_sequence"),
                                int64("last_timestamp"),
                                int32("coordinator_epoch"),
                                int64("current_txn_start_offset"),
                            ],
                        ),
                    ],
                ),
            ],
        ),
    ],
);

const API_VERSIONS: Schema = Schema::new(
    ApiKey::ApiVersions,
    Some(3),
    &[
        int16("error_code"),
        array("api_keys", &[int16("api_key"), int16("min_version"), int16("max_version")]),
        int32("throttle_time_ms").since(1),
        array("supported_features", &[string("name"), int16("min_version"), int16("max_version")])
            .tagged(0)
            .since(3),
        int64("finalized_features_epoch").tagged(1).since(3),
        array(
            "finalized_features",
            &[string("name"), int16("max_version_level"), int16("min_version_level")],
        )
        .tagged(2)
        .since(3),
        boolean("zk_migration_ready").tagged(3).since(3),
    ],
);

const METADATA: Schema = Schema::new(
    ApiKey::Metadata,
    Some(9),
    &[
        int32("throttle_time_ms").since(3),
        array(
            "brokers",
            &[int32("node_id"), string("host"), int32("port"), string("rack").since(1).nullable()],
        ),
        string("cluster_id").since(2).nullable(),
        int32("controller_id").since(1),
        array(
            "topics",
            &[
                int16("error_code"),
                string("name").nullable_since(12),
                uuid("topic_id").since(10),
                boolean("is_internal").since(1),
                array(
                    "partitions",
                    &[
                        int16("error_code"),
                        int32("partition_index"),
                        int32("leader_id"),
                        int32("leader_epoch").since(7),
                        int32s("replica_nodes"),
                        int32s("isr_nodes"),
                        int32s("offline_replicas").since(5),
                    ],
                ),
                int32("topic_authorized_operations").since(8),
            ],
        ),
        int32("cluster_authorized_operations").since(8).until(10),
        int16("error_code").since(13),
    ],
);

const DESCRIBE_TOPIC_PARTITIONS: Schema = Schema::new(
    ApiKey::DescribeTopicPartitions,
    Some(0),
    &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                int16("error_code"),
                string("name").nullable(),
                uuid("topic_id"),
                boolean("is_internal"),
                array(
                    "partitions",
                    &[
                        int16("error_code"),
                        int32("partition_index"),
                        int32("leader_id"),
                        int32("leader_epoch"),
                        int32s("replica_nodes"),
                        int32s("isr_nodes"),
                        int32s("eligible_leader_replicas").nullable(),
                        int32s("last_known_elr").nullable(),
                        int32s("offline_replicas"),
                    ],
                ),
                int32("topic_authorized_operations"),
            ],
        ),
        structure("next_cursor", &[string("topic_name"), int32("partition_index")]).nullable(),
    ],
);
