//! Why a command that is a client of a broker fails.

use std::io;
use std::path::PathBuf;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

/// Why a command that is a client of a broker fails.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection to be had.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Where the broker was looked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection ended during a call.
    #[error("lost the connection to {address} during {api}: {source}")]
    Lost {
        /// Where the broker is.
        address: String,
        /// The call.
        api: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No answer came in time.
    #[error("{address} did not answer {api} within {wait_ms} ms")]
    Timeout {
        /// Where the broker is.
        address: String,
        /// The call.
        api: &'static str,
        /// What it was given.
        wait_ms: u128,
    },
    /// What came is no answer to what was asked.
    #[error("{address} answered {api} with what is no answer to it: {reason}")]
    Malformed {
        /// Where the broker is, or which partition it was asked for.
        address: String,
        /// The call.
        api: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The request cannot be put into bytes.
    #[error("cannot encode {api}: {reason}")]
    Request {
        /// The call.
        api: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The broker says no.
    #[error("cannot {what}: {}{}", kafka_name(*code), detail(message.as_deref()))]
    Refused {
        /// What was to be done.
        what: String,
        /// The error that the broker names.
        code: ResponseError,
        /// What it says about it.
        message: Option<String>,
    },
    /// The topic is not there.
    #[error("there is no topic {0}")]
    NoTopic(String),
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {count}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: i32,
        /// How many there are, from 0.
        count: usize,
    },
    /// The input cannot be read.
    #[error("cannot read {}: {source}", input(path.as_ref()))]
    Input {
        /// The file, `None` for standard input.
        path: Option<PathBuf>,
        /// Why.
        source: io::Error,
    },
    /// A line that is no record.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// Why not.
        reason: String,
    },
    /// Partitions were to move, and did not in time. They may yet.
    #[error("{what}: {count} partitions are not there yet")]
    NotMoved {
        /// What was asked for.
        what: String,
        /// How many partitions are left.
        count: usize,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// A refusal of what `what` names.
    pub(super) fn refused(what: impl Into<String>, code: ResponseError) -> Self {
        Self::Refused { what: what.into(), code, message: None }
    }

    /// Looks at a code of an answer about what `what` names.
    ///
    /// # Errors
    /// [`Self::Refused`], unless it is 0.
    pub(super) fn check(
        what: impl Into<String>,
        code: i16,
        message: Option<&StrBytes>,
    ) -> Result<(), Self> {
        match ResponseError::try_from_code(code) {
            None => Ok(()),
            Some(code) => {
                let message = message.map(|text| text.to_string());
                Err(Self::Refused { what: what.into(), code, message })
            }
        }
    }

    /// True for what may be gone at the next attempt.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::Timeout { .. }
            | Self::NotMoved { .. } => true,
            Self::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }
}

/// The name of an error as Apache Kafka's documentation has it, such as `TOPIC_ALREADY_EXISTS`.
fn kafka_name(code: ResponseError) -> String {
    if let ResponseError::Unknown(code) = code {
        return format!("error {code}");
    }
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn detail(message: Option<&str>) -> String {
    message.filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default()
}

fn input(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_kafka() {
        let error = ClientError::Refused {
            what: "create topic a".into(),
            code: ResponseError::TopicAlreadyExists,
            message: Some("Topic 'a' already exists.".into()),
        };
        let text = "cannot create topic a: TOPIC_ALREADY_EXISTS: Topic 'a' already exists.";
        assert_eq!(error.to_string(), text);
        assert_eq!(kafka_name(ResponseError::NotLeaderOrFollower), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(kafka_name(ResponseError::Unknown(999)), "error 999");
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let refused = |code| ClientError::refused("write", code).is_transient();
        assert!(refused(ResponseError::NotLeaderOrFollower));
        assert!(!refused(ResponseError::MessageTooLarge));
        assert!(!ClientError::NoTopic("a".into()).is_transient());
    }
}
