//! Topics as clients see them: a topic that is being deleted is gone for everybody but its owners.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use odradek_common::ids::TopicId;
use odradek_metadata::image::{Topic, TopicState};
use odradek_metadata::{AssignmentFault, Image, PartitionRefusal, ProposeError, Refusal};

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
        Refusal::UnknownBroker(_) => ResponseError::BrokerIdNotRegistered,
        // Of a broker that is to be unregistered: one that lives has to be stopped first, and what one
        // that does not has left is being taken over.
        Refusal::NotFenced(_) => ResponseError::InvalidRequest,
        Refusal::NotRecovered(_) => ResponseError::RequestTimedOut,
        _ => ResponseError::UnknownServerError,
    }
}

impl From<PartitionRefusal> for Failure {
    fn from(refusal: PartitionRefusal) -> Self {
        let (code, message) = match &refusal {
            PartitionRefusal::Assignment(fault) => {
                (ResponseError::InvalidReplicaAssignment, assignment_message(fault))
            }
            PartitionRefusal::Unknown | PartitionRefusal::BeingDeleted => {
                (ResponseError::UnknownTopicOrPartition, refusal.to_string())
            }
            PartitionRefusal::NoReassignment => {
                (ResponseError::NoReassignmentInProgress, refusal.to_string())
            }
            PartitionRefusal::NoTarget(_) => {
                (ResponseError::PreferredLeaderNotAvailable, refusal.to_string())
            }
            _ => (ResponseError::UnknownServerError, refusal.to_string()),
        };
        Self::new(code, message)
    }
}

/// As Kafka's controller puts it, where it knows the fault.
fn assignment_message(fault: &AssignmentFault) -> String {
    match fault {
        AssignmentFault::UnknownBroker(broker) => format!(
            "The manual partition assignment includes broker {}, but no such broker is registered.",
            broker.0
        ),
        AssignmentFault::Twice(broker) => format!(
            "The manual partition assignment includes the broker {} more than once.",
            broker.0
        ),
        AssignmentFault::Count | AssignmentFault::NoneLive => fault.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::BrokerId;

    use super::*;

    #[test]
    fn refusals_by_partition_have_the_codes_of_kafka() {
        let unknown_broker =
            PartitionRefusal::Assignment(AssignmentFault::UnknownBroker(BrokerId(7)));
        let codes = [
            (PartitionRefusal::Unknown, 3),
            (PartitionRefusal::BeingDeleted, 3),
            (unknown_broker, 39),
            (PartitionRefusal::NoTarget(BrokerId(7)), 80),
            (PartitionRefusal::NoReassignment, 85),
            (PartitionRefusal::LeaderEpochsExhausted, -1),
        ];
        for (refusal, code) in codes {
            assert_eq!(Failure::from(refusal).code.code(), code, "{refusal}");
        }
        let message = Failure::from(unknown_broker).message;
        assert!(message.contains("includes broker 7, but"), "{message}");
    }
}
