//! Answers about topics, settings and the cluster.

use crate::schema::{Schema, array, boolean, int8, int16, int32, int64, string, uuid};
use kafka_protocol::messages::ApiKey;

pub(super) const RESPONSES: &[Schema] = &[
    CREATE_TOPICS,
    DELETE_TOPICS,
    CREATE_PARTITIONS,
    DELETE_RECORDS,
    DESCRIBE_CONFIGS,
    ALTER_CONFIGS,
    INCREMENTAL_ALTER_CONFIGS,
    LIST_CONFIG_RESOURCES,
    DESCRIBE_CLUSTER,
    DESCRIBE_LOG_DIRS,
    DESCRIBE_ACLS,
];

const CREATE_TOPICS: Schema = Schema::new(
    ApiKey::CreateTopics,
    Some(5),
    &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                string("name"),
                uuid("topic_id").since(7),
                int16("error_code"),
                string("error_message").nullable(),
                int16("topic_config_error_code").tagged(0).since(5),
                int32("num_partitions").since(5),
                int16("replication_factor").since(5),
                array(
                    "configs",
                    &[
                        string("name"),
                        string("value").nullable(),
                        boolean("read_only"),
                        int8("config_source"),
                        boolean("is_sensitive"),
                    ],
                )
                .since(5)
                .nullable(),
            ],
        ),
    ],
);

const DELETE_TOPICS: Schema = Schema::new(
    ApiKey::DeleteTopics,
    Some(4),
    &[
        int32("throttle_time_ms"),
        array(
            "responses",
            &[
                string("name").nullable_since(6),
                uuid("topic_id").since(6),
                int16("error_code"),
                string("error_message").since(5).nullable(),
            ],
        ),
    ],
);

const CREATE_PARTITIONS: Schema = Schema::new(
    ApiKey::CreatePartitions,
    Some(2),
    &[
        int32("throttle_time_ms"),
        array(
            "results",
            &[string("name"), int16("error_code"), string("error_message").nullable()],
        ),
    ],
);

const DELETE_RECORDS: Schema = Schema::new(
    ApiKey::DeleteRecords,
    Some(2),
    &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[int32("partition_index"), int64("low_watermark"), int16("error_code")],
                ),
            ],
        ),
    ],
);

const DESCRIBE_CONFIGS: Schema = Schema::new(
    ApiKey::DescribeConfigs,
    Some(4),
    &[
        int32("throttle_time_ms"),
        array(
            "results",
            &[
                int16("error_code"),
                string("error_message").nullable(),
                int8("resource_type"),
                string("resource_name"),
                array(
                    "configs",
                    &[
                        string("name"),
                        string("value").nullable(),
                        boolean("read_only"),
                        int8("config_source"),
                        boolean("is_sensitive"),
                        array(
                            "synonyms",
                            &[string("name"), string("value").nullable(), int8("source")],
                        ),
                        int8("config_type").since(3),
                        string("documentation").since(3).nullable(),
                    ],
                ),
            ],
        ),
    ],
);

const ALTER_CONFIGS: Schema = Schema::new(
    ApiKey::AlterConfigs,
    Some(2),
    &[
        int32("throttle_time_ms"),
        array(
            "responses",
            &[
                int16("error_code"),
                string("error_message").nullable(),
                int8("resource_type"),
                string("resource_name"),
            ],
        ),
    ],
);

const INCREMENTAL_ALTER_CONFIGS: Schema = Schema::new(
    ApiKey::IncrementalAlterConfigs,
    Some(1),
    &[
        int32("throttle_time_ms"),
        array(
            "responses",
            &[
                int16("error_code"),
                string("error_message").nullable(),
                int8("resource_type"),
                string("resource_name"),
            ],
        ),
    ],
);

const LIST_CONFIG_RESOURCES: Schema = Schema::new(
    ApiKey::ListConfigResources,
    Some(0),
    &[
        int32("throttle_time_ms"),
        int16("error_code"),
        array("config_resources", &[string("resource_name"), int8("resource_type").since(1)]),
    ],
);

const DESCRIBE_CLUSTER: Schema = Schema::new(
    ApiKey::DescribeCluster,
    Some(0),
    &[
        int32("throttle_time_ms"),
        int16("error_code"),
        string("error_message").nullable(),
        int8("endpoint_type").since(1),
        string("cluster_id"),
        int32("controller_id"),
        array(
            "brokers",
            &[
                int32("broker_id"),
                string("host"),
                int32("port"),
                string("rack").nullable(),
                boolean("is_fenced").since(2),
            ],
        ),
        int32("cluster_authorized_operations"),
    ],
);

const DESCRIBE_LOG_DIRS: Schema = Schema::new(
    ApiKey::DescribeLogDirs,
    Some(2),
    &[
        int32("throttle_time_ms"),
        int16("error_code").since(3),
        array(
            "results",
            &[
                int16("error_code"),
                string("log_dir"),
                array(
                    "topics",
                    &[
                        string("name"),
                        array(
                            "partitions",
                            &[
                                int32("partition_index"),
                                int64("partition_size"),
                                int64("offset_lag"),
                                boolean("is_future_key"),
                            ],
                        ),
                    ],
                ),
                int64("total_bytes").since(4),
                int64("usable_bytes").since(4),
            ],
        ),
    ],
);

const DESCRIBE_ACLS: Schema = Schema::new(
    ApiKey::DescribeAcls,
    Some(2),
    &[
        int32("throttle_time_ms"),
        int16("error_code"),
        string("error_message").nullable(),
        array(
            "resources",
            &[
                int8("resource_type"),
                string("resource_name"),
                int8("pattern_type"),
                array(
                    "acls",
                    &[
                        string("principal"),
                        string("host"),
                        int8("operation"),
                        int8("permission_type"),
                    ],
                ),
            ],
        ),
    ],
);
