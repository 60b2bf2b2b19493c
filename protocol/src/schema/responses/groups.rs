//! Answers to group members and about what groups have committed.

use crate::schema::{Schema, array, boolean, bytes, int16, int32, int64, string};
use kafka_protocol::messages::ApiKey;

pub(super) const RESPONSES: &[Schema] = &[
    FIND_COORDINATOR,
    JOIN_GROUP,
    SYNC_GROUP,
    HEARTBEAT,
    LEAVE_GROUP,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    OFFSET_DELETE,
    LIST_GROUPS,
    DESCRIBE_GROUPS,
    DELETE_GROUPS,
];

const FIND_COORDINATOR: Schema = Schema::new(
    ApiKey::FindCoordinator,
    Some(3),
    &[
        int32("throttle_time_ms").since(1),
        int16("error_code").until(3),
        string("error_message").since(1).until(3).nullable(),
        int32("node_id").until(3),
        string("host").until(3),
        int32("port").until(3),
        array(
            "coordinators",
            &[
                string("key"),
                int32("node_id"),
                string("host"),
                int32("port"),
                int16("error_code"),
                string("error_message").nullable(),
            ],
        )
        .since(4),
    ],
);

const JOIN_GROUP: Schema = Schema::new(
    ApiKey::JoinGroup,
    Some(6),
    &[
        int32("throttle_time_ms").since(2),
        int16("error_code"),
        int32("generation_id"),
        string("protocol_type").since(7).nullable(),
        string("protocol_name").nullable_since(7),
        string("leader"),
        boolean("skip_assignment").since(9),
        string("member_id"),
        array(
            "members",
            &[
                string("member_id"),
                string("group_instance_id").since(5).nullable(),
                bytes("metadata"),
            ],
        ),
    ],
);

const SYNC_GROUP: Schema = Schema::new(
    ApiKey::SyncGroup,
    Some(4),
    &[
        int32("throttle_time_ms").since(1),
        int16("error_code"),
        string("protocol_type").since(5).nullable(),
        string("protocol_name").since(5).nullable(),
        bytes("assignment"),
    ],
);

const HEARTBEAT: Schema = Schema::new(
    ApiKey::Heartbeat,
    Some(4),
    &[int32("throttle_time_ms").since(1), int16("error_code")],
);

const LEAVE_GROUP: Schema = Schema::new(
    ApiKey::LeaveGroup,
    Some(4),
    &[
        int32("throttle_time_ms").since(1),
        int16("error_code"),
        array(
            "members",
            &[string("member_id"), string("group_instance_id").nullable(), int16("error_code")],
        )
        .since(3),
    ],
);

const OFFSET_COMMIT: Schema = Schema::new(
    ApiKey::OffsetCommit,
    Some(8),
    &[
        int32("throttle_time_ms").since(3),
        array(
            "topics",
            &[
                string("name"),
                array("partitions", &[int32("partition_index"), int16("error_code")]),
            ],
        ),
    ],
);

const OFFSET_FETCH: Schema = Schema::new(
    ApiKey::OffsetFetch,
    Some(6),
    &[
        int32("throttle_time_ms").since(3),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int64("committed_offset"),
                        int32("committed_leader_epoch").since(5),
                        string("metadata").nullable(),
                        int16("error_code"),
                    ],
                ),
            ],
        )
        .until(7),
        int16("error_code").since(2).until(7),
        array(
            "groups",
            &[
                string("group_id"),
                array(
                    "topics",
                    &[
                        string("name"),
                        array(
                            "partitions",
                            &[
                                int32("partition_index"),
                                int64("committed_offset"),
                                int32("committed_leader_epoch"),
                                string("metadata").nullable(),
                                int16("error_code"),
                            ],
                        ),
                    ],
                ),
                int16("error_code"),
            ],
        )
        .since(8),
    ],
);

const OFFSET_DELETE: Schema = Schema::new(
    ApiKey::OffsetDelete,
    None,
    &[
        int16("error_code"),
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                string("name"),
                array("partitions", &[int32("partition_index"), int16("error_code")]),
            ],
        ),
    ],
);

const LIST_GROUPS: Schema = Schema::new(
    ApiKey::ListGroups,
    Some(3),
    &[
        int32("throttle_time_ms").since(1),
        int16("error_code"),
        array(
            "groups",
            &[
                string("group_id"),
                string("protocol_type"),
                string("group_state").since(4),
                string("group_type").since(5),
            ],
        ),
    ],
);

const DESCRIBE_GROUPS: Schema = Schema::new(
    ApiKey::DescribeGroups,
    Some(5),
    &[
        int32("throttle_time_ms").since(1),
        array(
            "groups",
            &[
                int16("error_code"),
                string("error_message").since(6).nullable(),
                string("group_id"),
                string("group_state"),
                string("protocol_type"),
                string("protocol_data"),
                array(
                    "members",
                    &[
                        string("member_id"),
                        string("group_instance_id").since(4).nullable(),
                        string("client_id"),
                        string("client_host"),
                        bytes("member_metadata"),
                        bytes("member_assignment"),
                    ],
                ),
                int32("authorized_operations").since(3),
            ],
        ),
    ],
);

const DELETE_GROUPS: Schema = Schema::new(
    ApiKey::DeleteGroups,
    Some(2),
    &[int32("throttle_time_ms"), array("results", &[string("group_id"), int16("error_code")])],
);
