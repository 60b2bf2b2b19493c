//! FindCoordinator (API 10) and the APIs of classic consumer groups: each fixes its place in its
//! coordinator's order here and is answered when its records are durable.

use futures::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, FindCoordinatorRequest, FindCoordinatorResponse, OffsetFetchRequest,
    RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::once::Once;
use super::{Answer, Body, Context, offsets, operations, text, topics};
use crate::core::Core;
use crate::endpoints;
use crate::group::{Deferred, partition_of};
use crate::topics::{LiveTopics, OFFSETS_TOPIC};

/// The key type of consumer groups.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From this version on a request asks for many keys (KIP-699).
const MANY_SINCE: i16 = 4;

/// Serves the APIs of the group coordinator.
pub(super) async fn handle(core: &Core, context: &Context, request: RequestKind) -> Answer {
    let groups = &core.groups;
    let version = context.version;
    match request {
        RequestKind::JoinGroup(r) => {
            let host = format!("/{}", context.peer.ip());
            later(groups.join(version, &context.client_id, &host, r).await)
        }
        RequestKind::SyncGroup(r) => later(groups.sync(version, r).await),
        RequestKind::Heartbeat(r) => later(groups.heartbeat(r).await),
        RequestKind::LeaveGroup(r) => later(groups.leave(version, r).await),
        RequestKind::OffsetCommit(r) => offsets::commit(core, version, r).await,
        RequestKind::OffsetFetch(r) => now(groups.fetch(version, each_once(r)).await).await,
        RequestKind::OffsetDelete(r) => offsets::delete(core, r).await,
        RequestKind::ListGroups(r) => now(groups.list(version, r).await).await,
        RequestKind::DescribeGroups(r) => {
            let operations = operations::of_group(r.include_authorized_operations);
            let described = groups.describe(version, r).await;
            let described = described.map(move |mut response| {
                for group in response.groups.iter_mut().filter(|group| group.error_code == 0) {
                    group.authorized_operations = operations;
                }
                response
            });
            now(described.boxed()).await
        }
        RequestKind::DeleteGroups(r) => later(groups.delete_groups(r).await),
        // The dispatch sends nothing else here.
        _ => Answer::Close,
    }
}

fn later<T: Into<ResponseKind> + 'static>(answer: Deferred<T>) -> Answer {
    Answer::Later(Box::pin(async move { Body::of(answer.await) }))
}

/// An answer that may be large: the connection takes no further request before it is there, so that
/// no number of them waits for a peer that does not read.
async fn now<T: Into<ResponseKind> + 'static>(answer: Deferred<T>) -> Answer {
    Answer::Ready(Body::of(answer.await))
}

/// With each partition once in what is asked of a group.
fn each_once(mut request: OffsetFetchRequest) -> OffsetFetchRequest {
    let mut named = Once::default();
    for topic in request.topics.iter_mut().flatten() {
        let number = named.topic(&topic.name);
        topic.partition_indexes.retain(|index| named.is_first(number, *index));
    }
    for group in &mut request.groups {
        let mut named = Once::default();
        for topic in group.topics.iter_mut().flatten() {
            let number = named.topic(&topic.name);
            topic.partition_indexes.retain(|index| named.is_first(number, *index));
        }
    }
    request
}

/// Serves FindCoordinator; the topic of the coordinators' records is made when it is first asked
/// for.
pub(super) async fn find_coordinator(
    core: &Core,
    context: &Context,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if context.version >= MANY_SINCE {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(core, context, request.key_type, key).await);
        }
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = find(core, context, request.key_type, request.key).await;
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

async fn find(core: &Core, context: &Context, key_type: i8, key: StrBytes) -> Coordinator {
    let failed = |key: StrBytes, code: ResponseError, message: &str| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(WireBrokerId(-1))
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(Some(text(message)))
    };
    if key_type != GROUP {
        let message = "this release coordinates consumer groups only, no transactions";
        // librdkafka asks again for ever after any other code.
        let code = match key_type {
            TRANSACTION => ResponseError::TransactionalIdAuthorizationFailed,
            _ => ResponseError::InvalidRequest,
        };
        return failed(key, code, message);
    }
    if core.image().live_topic_named(OFFSETS_TOPIC).is_none() {
        let made = topics::auto_create(core, &TopicName(text(OFFSETS_TOPIC))).await;
        if made.is_err() {
            let message = "the topic of the coordinators' records is not there yet";
            return failed(key, ResponseError::CoordinatorNotAvailable, message);
        }
    }
    let image = core.image();
    let owner = image.live_topic_named(OFFSETS_TOPIC).and_then(|topic| {
        let partition = partition_of(&key, topic.partition_count)?;
        let at = odradek_common::ids::TopicPartition { topic: topic.id, partition };
        image.registration(image.partition(at)?.owner).filter(|r| r.is_live())
    });
    let listener = owner.and_then(|owner| endpoints::of(owner, &context.listener));
    match (owner, listener) {
        (Some(owner), Some(listener)) => Coordinator::default()
            .with_key(key)
            .with_node_id(WireBrokerId(owner.incarnation.broker.0))
            .with_host(text(listener.host.clone()))
            .with_port(listener.port.into()),
        _ => {
            failed(key, ResponseError::CoordinatorNotAvailable, "the coordinator has no owner now")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };

    #[test]
    fn a_partition_is_asked_for_once_a_group() {
        let name = || TopicName(text("t"));
        let old = OffsetFetchRequestTopic::default()
            .with_name(name())
            .with_partition_indexes(vec![1, 0, 1]);
        let new = OffsetFetchRequestTopics::default()
            .with_name(name())
            .with_partition_indexes(vec![3, 3, 4]);
        let group = OffsetFetchRequestGroup::default().with_topics(Some(vec![new.clone(), new]));
        let request = OffsetFetchRequest::default()
            .with_topics(Some(vec![old.clone(), old]))
            .with_groups(vec![group.clone(), group]);
        let once = each_once(request);
        let old: Vec<_> = once.topics.unwrap().into_iter().map(|t| t.partition_indexes).collect();
        assert_eq!(old, [vec![1, 0], vec![]]);
        for group in once.groups {
            let new: Vec<_> =
                group.topics.unwrap().into_iter().map(|t| t.partition_indexes).collect();
            assert_eq!(new, [vec![3, 4], vec![]]);
        }
    }
}
