//! DescribeCluster (API 60), UnregisterBroker (64), DescribeLogDirs (35) and DescribeAcls (29).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, DescribeAclsResponse, DescribeClusterRequest,
    DescribeClusterResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};
use odradek_common::ids::{BrokerId, TopicPartition};
use odradek_metadata::{Command, ProposeError, Refusal};
use tracing::warn;

use super::{Context, operations, text};
use crate::core::Core;
use crate::topics::Failure;
use crate::{endpoints, reading};

/// From this version on a request names a type of endpoints.
const ENDPOINT_TYPE_SINCE: i16 = 1;
/// From this version on an answer tells which brokers are fenced.
const FENCED_SINCE: i16 = 2;
/// Endpoint type of brokers; that of controllers is 2 (KIP-919).
const BROKERS: i8 = 1;

/// Serves DescribeCluster.
pub(super) fn describe_cluster(
    core: &Core,
    context: &Context,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let operations = operations::of_cluster(request.include_cluster_authorized_operations);
    let answer = DescribeClusterResponse::default().with_cluster_authorized_operations(operations);
    if context.version >= ENDPOINT_TYPE_SINCE && request.endpoint_type != BROKERS {
        return answer
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(text("this listener is that of brokers")));
    }
    let image = core.image();
    let brokers = image.brokers().filter(|r| r.is_live() || request.include_fenced_brokers);
    let brokers = brokers.filter_map(|r| {
        let listener = endpoints::of(r, &context.listener)?;
        Some(
            DescribeClusterBroker::default()
                .with_broker_id(WireBrokerId(r.incarnation.broker.0))
                .with_host(text(listener.host.clone()))
                .with_port(listener.port.into())
                .with_rack(r.rack.clone().map(text))
                .with_is_fenced(context.version >= FENCED_SINCE && !r.is_live()),
        )
    });
    answer
        .with_cluster_id(text(core.cluster.as_str()))
        .with_controller_id(WireBrokerId(core.controller().0))
        .with_brokers(brokers.collect())
}

/// Serves UnregisterBroker (KIP-631). A broker that lives is refused: it would register again, and what
/// it owns cannot be taken from it.
pub(super) async fn unregister_broker(
    core: &Core,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let broker = BrokerId(request.broker_id.0);
    let answer = UnregisterBrokerResponse::default();
    let Err(error) = core.propose(Command::UnregisterBroker(broker)).await else { return answer };
    let message = match &error {
        ProposeError::Refused(Refusal::UnknownBroker(_)) => {
            format!("Broker ID {} is not currently registered", broker.0)
        }
        ProposeError::Refused(Refusal::NotFenced(_)) => {
            format!("broker {} is live: stop it first", broker.0)
        }
        other => other.to_string(),
    };
    let code = Failure::from(error).code.code();
    answer.with_error_code(code).with_error_message(Some(text(message)))
}

/// Serves DescribeLogDirs: one directory, the store, with the bytes of each partition's durable log.
pub(super) async fn describe_log_dirs(
    core: &Core,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for id in asked(core, request) {
        let Ok(log) = core.owned_log(id) else { continue };
        let bytes = match reading::durable_ranges(core, &log).await {
            Ok(ranges) => i64::try_from(ranges.bytes()).unwrap_or(i64::MAX),
            Err(error) => {
                warn!(topic = %log.topic, partition = id.partition, %error, "size is not known");
                -1
            }
        };
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(id.partition)
            .with_partition_size(bytes);
        topics.entry(log.topic.to_string()).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|p| p.partition_index);
        DescribeLogDirsTopic::default().with_name(TopicName(text(name))).with_partitions(partitions)
    });
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(core.settings().storage_url.to_string()))
        .with_topics(topics.collect())
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

fn asked(core: &Core, request: DescribeLogDirsRequest) -> BTreeSet<TopicPartition> {
    let Some(topics) = request.topics else {
        return core.logs.all().iter().map(|log| log.id).collect();
    };
    let ids = topics.into_iter().filter_map(|t| Some((core.topic_id(&t.topic)?, t.partitions)));
    ids.flat_map(|(topic, partitions)| {
        partitions.into_iter().map(move |partition| TopicPartition { topic, partition })
    })
    .collect()
}

/// Serves DescribeAcls: there is no authorizer.
pub(super) fn describe_acls() -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(text("No Authorizer is configured.")))
}
