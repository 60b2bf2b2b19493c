//! Requests for topics, settings and the cluster.

use super::{
    Schema, array, boolean, int8, int8s, int16, int32, int32s, int64, string, strings, uuid,
};
use kafka_protocol::messages::ApiKey;

pub(super) const REQUESTS: &[Schema] = &[
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
        array(
            "topics",
            &[
                string("name"),
                int32("num_partitions"),
                int16("replication_factor"),
                array("assignments", &[int32("partition_index"), int32s("broker_ids")]),
                array("configs", &[string("name"), string("value").nullable()]),
            ],
        ),
        int32("timeout_ms"),
        boolean("validate_only"),
    ],
);

const DELETE_TOPICS: Schema = Schema::new(
    ApiKey::DeleteTopics,
    Some(4),
    &[
        array("topics", &[string("name").nullable(), uuid("topic_id")]).since(6),
        strings("topic_names").until(5),
        int32("timeout_ms"),
    ],
);

const CREATE_PARTITIONS: Schema = Schema::new(
    ApiKey::CreatePartitions,
    Some(2),
    &[
        array(
            "topics",
            &[
                string("name"),
                int32("count"),
                array("assignments", &[int32s("broker_ids")]).nullable(),
            ],
        ),
        int32("timeout_ms"),
        boolean("validate_only"),
    ],
);

const DELETE_RECORDS: Schema = Schema::new(
    ApiKey::DeleteRecords,
    Some(2),
    &[
        array(
            "topics",
            &[string("name"), array("partitions", &[int32("partition_index"), int64("offset")])],
        ),
        int32("timeout_ms"),
    ],
);

const DESCRIBE_CONFIGS: Schema = Schema::new(
    ApiKey::DescribeConfigs,
    Some(4),
    &[
        array(
            "resources",
            &[
                int8("resource_type"),
                string("resource_name"),
                strings("configuration_keys").nullable(),
            ],
        ),
        boolean("include_synonyms"),
        boolean("include_documentation").since(3),
    ],
);

const ALTER_CONFIGS: Schema = Schema::new(
    ApiKey::AlterConfigs,
    Some(2),
    &[
        array(
            "resources",
            &[
                int8("resource_type"),
                string("resource_name"),
                array("configs", &[string("name"), string("value").nullable()]),
            ],
        ),
        boolean("validate_only"),
    ],
);

const INCREMENTAL_ALTER_CONFIGS: Schema = Schema::new(
    ApiKey::IncrementalAlterConfigs,
    Some(1),
    &[
        array(
            "resources",
            &[
                int8("resource_type"),
                string("resource_name"),
                array(
                    "configs",
                    &[string("name"), int8("config_operation"), string("value").nullable()],
                ),
            ],
        ),
        boolean("validate_only"),
    ],
);

const LIST_CONFIG_RESOURCES: Schema =
    Schema::new(ApiKey::ListConfigResources, Some(0), &[int8s("resource_types").since(1)]);

const DESCRIBE_CLUSTER: Schema = Schema::new(
    ApiKey::DescribeCluster,
    Some(0),
    &[
        boolean("include_cluster_authorized_operations"),
        int8("endpoint_type").since(1),
        boolean("include_fenced_brokers").since(2),
    ],
);

const DESCRIBE_LOG_DIRS: Schema = Schema::new(
    ApiKey::DescribeLogDirs,
    Some(2),
    &[array("topics", &[string("topic"), int32s("partitions")]).nullable()],
);

const DESCRIBE_ACLS: Schema = Schema::new(
    ApiKey::DescribeAcls,
    Some(2),
    &[
        int8("resource_type_filter"),
        string("resource_name_filter").nullable(),
        int8("pattern_type_filter"),
        string("principal_filter").nullable(),
        string("host_filter").nullable(),
        int8("operation"),
        int8("permission_type"),
    ],
);
