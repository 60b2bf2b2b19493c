//! Topics as clients see them: a topic that is being deleted is gone for everybody but its owners.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use odradek_common::ids::TopicId;
use odradek_metadata::image::{Topic, TopicState};
use odradek_metadata::{Image, ProposeError, Refusal};

/// The topic of the group coordinator's records.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Topics of brokers' own use.
const INTERNAL: [&str; 3] = [OFFSETS_TOPIC, "__transaction_state", "__share_group_state"];

/// True for topics of brokers' own use.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Looks for topics as clients see them.
pub trait LiveTopics {
    /// The live topic of this name.
    fn live_topic_named(&self, name: &str) -> Option<&Topic>;
    /// The live topic of this id.
    fn live_topic(&self, id: TopicId) -> Option<&Topic>;
    /// All live topics.
    fn live_topics(&self) -> impl Iterator<Item = &Topic>;
}

impl LiveTopics for Arc<Image> {
    fn live_topic_named(&self, name: &str) -> Option<&Topic> {
        self.topic_by_name(name).filter(|t| t.state == TopicState::Live)
    }

    fn live_topic(&self, id: TopicId) -> Option<&Topic> {
        self.topic(id).filter(|t| t.state == TopicState::Live)
    }

    fn live_topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics().filter(|t| t.state == TopicState::Live)
    }
}

/// A Kafka error with a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Kafka's code.
    pub code: ResponseError,
    /// What is wrong.
    pub message: String,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(code: ResponseError, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<ProposeError> for Failure {
    fn from(error: ProposeError) -> Self {
        let code = match &error {
            ProposeError::Refused(refusal) => code_of(refusal),
            // It may still be committed: the client looks, or tries again.
            ProposeError::Unknown => ResponseError::RequestTimedOut,
            _ => ResponseError::NotController,
        };
        Self::new(code, error.to_string())
    }
}

fn code_of(refusal: &Refusal) -> ResponseError {
    match refusal {
        Refusal::TopicExists { .. } | Refusal::TopicIdTaken(_) => ResponseError::TopicAlreadyExists,
        Refusal::InvalidTopicName { .. } | Refusal::TopicNameCollides { .. } => {
            ResponseError::InvalidTopicException
        }
        Refusal::UnknownTopic(_) | Refusal::TopicBeingDeleted(_) => {
            ResponseError::UnknownTopicOrPartition
        }
        Refusal::PartitionCount { .. } => ResponseError::InvalidPartitions,
        Refusal::InvalidAssignment { .. } => ResponseError::InvalidReplicaAssignment,
        Refusal::TooMuch { .. } | Refusal::Empty(_) => ResponseError::PolicyViolation,
        _ => ResponseError::UnknownServerError,
    }
}
