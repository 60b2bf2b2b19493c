//! `odradek topic`: create, list, describe and delete.

mod describe;

use std::io::Write;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};
use kafka_protocol::protocol::StrBytes;
use odradek_common::limits::CLIENT_BROKER_WAIT_MS;
use serde_json::json;

use super::cluster::{Cluster, topic_name};
use super::connection::Spoken;
use super::{ClientError, note};
use crate::cli::{CreateTopicArgs, DeleteTopicArgs, ListTopicsArgs, TopicCommand};

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(command: TopicCommand, out: &mut impl Write) -> Result<(), ClientError> {
    match command {
        TopicCommand::Create(args) => create(&args, out).await,
        TopicCommand::List(args) => list(&args, out).await,
        TopicCommand::Describe(args) => describe::run(&args, out).await,
        TopicCommand::Delete(args) => delete(&args, out).await,
    }
}

async fn create(args: &CreateTopicArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let answer = Cluster::at(&args.at.bootstrap).any(&create_request(args)).await?;
    let name = &args.name;
    let Some(topic) = answer.topics.into_iter().find(|topic| topic.name.as_str() == name) else {
        return Err(not_answered::<CreateTopicsRequest>(&args.at.bootstrap, name));
    };
    match ResponseError::try_from_code(topic.error_code) {
        None if topic.num_partitions > 0 => {
            writeln!(out, "topic {name} created, partitions: {}", topic.num_partitions)?;
        }
        None => writeln!(out, "topic {name} created")?,
        Some(ResponseError::TopicAlreadyExists) if args.if_not_exists => {
            writeln!(out, "topic {name} is there already")?;
        }
        Some(code) => {
            let message = topic.error_message.map(|text| text.to_string());
            return Err(ClientError::Refused {
                what: format!("create topic {name}"),
                code,
                message,
            });
        }
    }
    Ok(())
}

fn create_request(args: &CreateTopicArgs) -> CreateTopicsRequest {
    let configs = args.configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(key.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    // -1 asks for the broker's own defaults (KIP-464).
    let topic = CreatableTopic::default()
        .with_name(topic_name(&args.name))
        .with_num_partitions(args.partitions.unwrap_or(-1))
        .with_replication_factor(args.replication_factor.unwrap_or(-1))
        .with_configs(configs.collect());
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(CLIENT_BROKER_WAIT_MS)
}

async fn list(args: &ListTopicsArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let answer = Cluster::at(&args.at.bootstrap).metadata(None, false).await?;
    let topics = answer.topics.into_iter().filter(|topic| args.internal || !topic.is_internal);
    let mut names: Vec<String> =
        topics.filter_map(|topic| topic.name.map(|name| name.to_string())).collect();
    names.sort_unstable();
    if args.json {
        writeln!(out, "{}", json!(names))?;
        return Ok(());
    }
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

async fn delete(args: &DeleteTopicArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let answer = Cluster::at(&args.at.bootstrap).any(&delete_request(&args.names)).await?;
    let mut failed = None;
    for name in &args.names {
        let found = answer
            .responses
            .iter()
            .find(|topic| topic.name.as_ref().is_some_and(|found| found.as_str() == name));
        let error = match found {
            None => not_answered::<DeleteTopicsRequest>(&args.at.bootstrap, name),
            Some(topic) => match ResponseError::try_from_code(topic.error_code) {
                None => {
                    writeln!(out, "topic {name} deleted")?;
                    continue;
                }
                Some(ResponseError::UnknownTopicOrPartition) if args.if_exists => {
                    writeln!(out, "topic {name} is not there")?;
                    continue;
                }
                Some(ResponseError::UnknownTopicOrPartition) => ClientError::NoTopic(name.clone()),
                Some(code) => {
                    let message = topic.error_message.as_ref().map(|text| text.to_string());
                    ClientError::Refused { what: format!("delete topic {name}"), code, message }
                }
            },
        };
        // The last error is the command's; those before it are told here.
        if let Some(earlier) = failed.replace(error) {
            note(&earlier.to_string());
        }
    }
    failed.map_or(Ok(()), Err)
}

fn delete_request(names: &[String]) -> DeleteTopicsRequest {
    let topics =
        names.iter().map(|name| DeleteTopicState::default().with_name(Some(topic_name(name))));
    DeleteTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(CLIENT_BROKER_WAIT_MS)
}

fn not_answered<R: Spoken>(address: &str, name: &str) -> ClientError {
    let reason = format!("topic {name} is not in it");
    ClientError::Malformed { address: address.to_owned(), api: R::NAME, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn command(line: &str) -> TopicCommand {
        match Cli::try_parse_from(line.split(' ')).unwrap().asked() {
            Command::Topic(command) => command,
            other => panic!("{other:?}"),
        }
    }

    fn creates(line: &str) -> CreatableTopic {
        let TopicCommand::Create(args) = command(line) else { panic!("{line}") };
        create_request(&args).topics.remove(0)
    }

    #[test]
    fn what_is_not_given_is_left_to_the_broker() {
        let topic = creates("odradek topic create a");
        assert_eq!((topic.num_partitions, topic.replication_factor), (-1, -1));
        assert_eq!(topic.name, topic_name("a"));
        assert!(topic.configs.is_empty() && topic.assignments.is_empty());
    }

    #[test]
    fn what_is_given_is_asked_for() {
        let topic = creates(
            "odradek topic create a -p 6 --replication-factor 3 --topic-config retention.ms=1",
        );
        assert_eq!((topic.num_partitions, topic.replication_factor), (6, 3));
        let config = &topic.configs[0];
        assert_eq!(config.name.as_str(), "retention.ms");
        assert_eq!(config.value.as_ref().unwrap().as_str(), "1");
    }

    #[test]
    fn topics_are_deleted_by_name() {
        let TopicCommand::Delete(args) = command("odradek topic delete a b") else { panic!() };
        let request = delete_request(&args.names);
        let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        assert_eq!(names, [Some(topic_name("a")), Some(topic_name("b"))]);
        assert!(request.topics.iter().all(|topic| topic.topic_id.is_nil()));
    }
}
