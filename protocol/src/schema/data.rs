//! Requests for records, offsets of records and what finds them.

use super::{
    Schema, array, boolean, bytes, int8, int16, int32, int32s, int64, string, structure, uuid,
};
use kafka_protocol::messages::ApiKey;

pub(super) const REQUESTS: &[Schema] = &[
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
        string("transactional_id").nullable(),
        int16("acks"),
        int32("timeout_ms"),
        array(
            "topic_data",
            &[
                string("name").until(12),
                uuid("topic_id").since(13),
                array("partition_data", &[int32("index"), bytes("records").nullable()]),
            ],
        ),
    ],
);

const FETCH: Schema = Schema::new(
    ApiKey::Fetch,
    Some(12),
    &[
        string("cluster_id").tagged(0).since(12).nullable(),
        int32("replica_id").until(14),
        structure("replica_state", &[int32("replica_id"), int64("replica_epoch")])
            .tagged(1)
            .since(15),
        int32("max_wait_ms"),
        int32("min_bytes"),
        int32("max_bytes"),
        int8("isolation_level"),
        int32("session_id").since(7),
        int32("session_epoch").since(7),
        array(
            "topics",
            &[
                string("topic").until(12),
                uuid("topic_id").since(13),
                array(
                    "partitions",
                    &[
                        int32("partition"),
                        int32("current_leader_epoch").since(9),
                        int64("fetch_offset"),
                        int32("last_fetched_epoch").since(12),
                        int64("log_start_offset").since(5),
                        int32("partition_max_bytes"),
                        uuid("replica_directory_id").tagged(0).since(17),
                        int64("high_watermark").tagged(1).since(18),
                    ],
                ),
            ],
        ),
        array(
            "forgotten_topics_data",
            &[string("topic").until(12), uuid("topic_id").since(13), int32s("partitions")],
        )
        .since(7),
        string("rack_id").since(11),
    ],
);

const LIST_OFFSETS: Schema = Schema::new(
    ApiKey::ListOffsets,
    Some(6),
    &[
        int32("replica_id"),
        int8("isolation_level").since(2),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int32("current_leader_epoch").since(4),
                        int64("timestamp"),
                    ],
                ),
            ],
        ),
        int32("timeout_ms").since(10),
    ],
);

const OFFSET_FOR_LEADER_EPOCH: Schema = Schema::new(
    ApiKey::OffsetForLeaderEpoch,
    Some(4),
    &[
        int32("replica_id").since(3),
        array(
            "topics",
            &[
                string("topic"),
                array(
                    "partitions",
                    &[int32("partition"), int32("current_leader_epoch"), int32("leader_epoch")],
                ),
            ],
        ),
    ],
);

const INIT_PRODUCER_ID: Schema = Schema::new(
    ApiKey::InitProducerId,
    Some(2),
    &[
        string("transactional_id").nullable(),
        int32("transaction_timeout_ms"),
        int64("producer_id").since(3),
        int16("producer_epoch").since(3),
    ],
);

const DESCRIBE_PRODUCERS: Schema = Schema::new(
    ApiKey::DescribeProducers,
    Some(0),
    &[array("topics", &[string("name"), int32s("partition_indexes")])],
);

const API_VERSIONS: Schema = Schema::new(
    ApiKey::ApiVersions,
    Some(3),
    &[string("client_software_name").since(3), string("client_software_version").since(3)],
);

const METADATA: Schema = Schema::new(
    ApiKey::Metadata,
    Some(9),
    &[
        array("topics", &[uuid("topic_id").since(10), string("name").nullable_since(10)])
            .nullable_since(1),
        boolean("allow_auto_topic_creation").since(4),
        boolean("include_cluster_authorized_operations").since(8).until(10),
        boolean("include_topic_authorized_operations").since(8),
    ],
);

const DESCRIBE_TOPIC_PARTITIONS: Schema = Schema::new(
    ApiKey::DescribeTopicPartitions,
    Some(0),
    &[
        array("topics", &[string("name")]),
        int32("response_partition_limit"),
        structure("cursor", &[string("topic_name"), int32("partition_index")]).nullable(),
    ],
);
