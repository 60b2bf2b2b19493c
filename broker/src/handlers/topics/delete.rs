//! DeleteTopics (API 20).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use odradek_common::ids::TopicId;
use odradek_metadata::Command;
use tokio::time::Instant;

use super::deadline;
use crate::core::Core;
use crate::handlers::text;
use crate::topics::{Failure, LiveTopics};

/// From this version on DeleteTopics knows TOPIC_DELETION_DISABLED.
const DELETION_DISABLED_SINCE: i16 = 3;

/// Serves DeleteTopics: answered when the names may be used again, or the time is over.
pub(in crate::handlers) async fn delete_topics(
    core: &Core,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let deadline = deadline(request.timeout_ms);
    let by_name = |name: TopicName| DeleteTopicState::default().with_name(Some(name));
    let asked = request.topics.into_iter().chain(request.topic_names.into_iter().map(by_name));
    let mut responses = Vec::new();
    for topic in asked {
        let found = find(core, version, &topic);
        let name = match &found {
            Ok((_, name)) => Some(TopicName(text(name.clone()))),
            Err(_) => topic.name,
        };
        let id = found.as_ref().map_or(topic.topic_id, |(id, _)| id.0);
        let deleted = match found {
            Ok((id, _)) => delete(core, id, deadline).await,
            Err(failure) => Err(failure),
        };
        let response = DeletableTopicResult::default().with_name(name).with_topic_id(id);
        responses.push(match deleted {
            Ok(()) => response,
            Err(failure) => response
                .with_error_code(failure.code.code())
                .with_error_message(Some(text(failure.message))),
        });
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

fn find(core: &Core, version: i16, topic: &DeleteTopicState) -> Result<(TopicId, String), Failure> {
    if !core.settings().topics.delete_enable {
        let code = if version >= DELETION_DISABLED_SINCE {
            ResponseError::TopicDeletionDisabled
        } else {
            ResponseError::InvalidRequest
        };
        return Err(Failure::new(code, "delete.topic.enable is false"));
    }
    let image = core.image();
    let found = match &topic.name {
        Some(name) => image.live_topic_named(name).ok_or(ResponseError::UnknownTopicOrPartition),
        None => image.live_topic(TopicId(topic.topic_id)).ok_or(ResponseError::UnknownTopicId),
    };
    match found {
        Ok(topic) => Ok((topic.id, topic.name.to_string())),
        Err(code) => Err(Failure::new(code, code.to_string())),
    }
}

async fn delete(core: &Core, id: TopicId, deadline: Instant) -> Result<(), Failure> {
    core.propose(Command::DeleteTopic(id)).await?;
    let mut images = core.metadata.subscribe();
    let gone = images.wait_for(|image| image.topic(id).is_none());
    match tokio::time::timeout_at(deadline, gone).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Failure::new(ResponseError::NotController, "shutting down")),
        Err(_) => {
            let message = "the topic is being deleted; its name is not free yet";
            Err(Failure::new(ResponseError::RequestTimedOut, message))
        }
    }
}
