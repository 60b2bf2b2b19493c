//! Requests of group members and for what groups have committed.

use super::{Schema, array, boolean, bytes, int8, int32, int32s, int64, string, strings};
use kafka_protocol::messages::ApiKey;

pub(super) const REQUESTS: &[Schema] = &[
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
    &[string("key").until(3), int8("key_type").since(1), strings("coordinator_keys").since(4)],
);

const JOIN_GROUP: Schema = Schema::new(
    ApiKey::JoinGroup,
    Some(6),
    &[
        string("group_id"),
        int32("session_timeout_ms"),
        int32("rebalance_timeout_ms").since(1),
        string("member_id"),
        string("group_instance_id").since(5).nullable(),
        string("protocol_type"),
        array("protocols", &[string("name"), bytes("metadata")]),
        string("reason").since(8).nullable(),
    ],
);

const SYNC_GROUP: Schema = Schema::new(
    ApiKey::SyncGroup,
    Some(4),
    &[
        string("group_id"),
        int32("generation_id"),
        string("member_id"),
        string("group_instance_id").since(3).nullable(),
        string("protocol_type").since(5).nullable(),
        string("protocol_name").since(5).nullable(),
        array("assignments", &[string("member_id"), bytes("assignment")]),
    ],
);

const HEARTBEAT: Schema = Schema::new(
    ApiKey::Heartbeat,
    Some(4),
    &[
        string("group_id"),
        int32("generation_id"),
        string("member_id"),
        string("group_instance_id").since(3).nullable(),
    ],
);

const LEAVE_GROUP: Schema = Schema::new(
    ApiKey::LeaveGroup,
    Some(4),
    &[
        string("group_id"),
        string("member_id").until(2),
        array(
            "members",
            &[
                string("member_id"),
                string("group_instance_id").nullable(),
                string("reason").since(5).nullable(),
            ],
        )
        .since(3),
    ],
);

const OFFSET_COMMIT: Schema = Schema::new(
    ApiKey::OffsetCommit,
    Some(8),
    &[
        string("group_id"),
        int32("generation_id_or_member_epoch"),
        string("member_id"),
        string("group_instance_id").since(7).nullable(),
        int64("retention_time_ms").until(4),
        array(
            "topics",
            &[
                string("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int64("committed_offset"),
                        int32("committed_leader_epoch").since(6),
                        string("committed_metadata").nullable(),
                    ],
                ),
            ],
        ),
    ],
);

const OFFSET_FETCH: Schema = Schema::new(
    ApiKey::OffsetFetch,
    Some(6),
    &[
        string("group_id").until(7),
        array("topics", &[string("name"), int32s("partition_indexes")]).until(7).nullable_since(2),
        array(
            "groups",
            &[
                string("group_id"),
                string("member_id").since(9).nullable(),
                int32("member_epoch").since(9),
                array("topics", &[string("name"), int32s("partition_indexes")]).nullable(),
            ],
        )
        .since(8),
        boolean("require_stable").since(7),
    ],
);

const OFFSET_DELETE: Schema = Schema::new(
    ApiKey::OffsetDelete,
    None,
    &[
        string("group_id"),
        array("topics", &[string("name"), array("partitions", &[int32("partition_index")])]),
    ],
);

const LIST_GROUPS: Schema = Schema::new(
    ApiKey::ListGroups,
    Some(3),
    &[strings("states_filter").since(4), strings("types_filter").since(5)],
);

const DESCRIBE_GROUPS: Schema = Schema::new(
    ApiKey::DescribeGroups,
    Some(5),
    &[strings("groups"), boolean("include_authorized_operations").since(3)],
);

const DELETE_GROUPS: Schema =
    Schema::new(ApiKey::DeleteGroups, Some(2), &[strings("groups_names")]);
