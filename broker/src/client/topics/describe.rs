//! `odradek topic describe`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{BrokerId, DescribeConfigsRequest};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};

use super::not_answered;
use crate::cli::DescribeTopicArgs;
use crate::client::ClientError;
use crate::client::cluster::{Cluster, EARLIEST, LATEST};

/// The type of resource that is a topic (KIP-133).
const TOPIC_RESOURCE: i8 = 2;

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(args: &DescribeTopicArgs, out: &mut impl Write) -> Result<(), ClientError> {
    let mut cluster = Cluster::at(&args.at.bootstrap);
    let mut described = Vec::new();
    for name in &args.names {
        described.push(describe(&mut cluster, name, &args.at.bootstrap).await?);
    }
    if args.json {
        let topics: Vec<Value> = described.iter().map(Description::as_json).collect();
        writeln!(out, "{}", json!(topics))?;
        return Ok(());
    }
    for (index, topic) in described.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        topic.print(out)?;
    }
    Ok(())
}

/// What is known of a topic.
#[derive(Debug)]
struct Description {
    name: String,
    topic: MetadataResponseTopic,
    earliest: BTreeMap<i32, i64>,
    latest: BTreeMap<i32, i64>,
    settings: Vec<DescribeConfigsResourceResult>,
}

async fn describe(
    cluster: &mut Cluster,
    name: &str,
    bootstrap: &str,
) -> Result<Description, ClientError> {
    let topic = match cluster.topic(name, false).await {
        Err(ClientError::Refused { code: ResponseError::UnknownTopicOrPartition, .. }) => {
            return Err(ClientError::NoTopic(name.to_owned()));
        }
        found => found?,
    };
    let led = topic.partitions.iter().map(|at| (at.partition_index, *at.leader_id));
    // The others have no offsets to ask for, which shows in the table.
    let led: Vec<_> = led.filter(|(_, leader)| *leader >= 0).collect();
    let earliest = cluster.offsets(name, &led, EARLIEST).await?;
    let latest = cluster.offsets(name, &led, LATEST).await?;
    let settings = settings(cluster, name, bootstrap).await?;
    Ok(Description { name: name.to_owned(), topic, earliest, latest, settings })
}

async fn settings(
    cluster: &mut Cluster,
    name: &str,
    bootstrap: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, ClientError> {
    let mut answer = cluster.any(&configs_request(name)).await?;
    let Some(mut result) = answer.results.pop() else {
        return Err(not_answered::<DescribeConfigsRequest>(bootstrap, name));
    };
    if let Some(code) = ResponseError::try_from_code(result.error_code) {
        let message = result.error_message.map(|text| text.to_string());
        let what = format!("describe the settings of {name}");
        return Err(ClientError::Refused { what, code, message });
    }
    result.configs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(result.configs)
}

fn configs_request(name: &str) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(StrBytes::from_string(name.to_owned()))
        .with_configuration_keys(None);
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

impl Description {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "topic {}, id {}", self.name, self.topic.topic_id)?;
        writeln!(
            out,
            "  {:>9}  {:>6}  {:>12}  {:>12}  REPLICAS",
            "PARTITION", "LEADER", "BEGINNING", "END"
        )?;
        for at in &self.topic.partitions {
            let offset = |offsets: &BTreeMap<i32, i64>| {
                offsets.get(&at.partition_index).map_or("-".to_owned(), i64::to_string)
            };
            let leader = if *at.leader_id < 0 { "-".to_owned() } else { at.leader_id.to_string() };
            let replicas: Vec<_> = at.replica_nodes.iter().map(|node| node.0.to_string()).collect();
            writeln!(
                out,
                "  {:>9}  {leader:>6}  {:>12}  {:>12}  {}",
                at.partition_index,
                offset(&self.earliest),
                offset(&self.latest),
                replicas.join(",")
            )?;
        }
        for setting in &self.settings {
            let value = setting.value.as_ref().map_or("(hidden)", |value| value.as_str());
            let source = source(setting.config_source);
            writeln!(out, "  {} = {value} ({source})", setting.name)?;
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        let numbers = |nodes: &[BrokerId]| nodes.iter().map(|node| **node).collect::<Vec<i32>>();
        let partitions = self.topic.partitions.iter().map(|at| {
            json!({
                "partition": at.partition_index,
                "leader": (*at.leader_id >= 0).then_some(*at.leader_id),
                "replicas": numbers(&at.replica_nodes),
                "isr": numbers(&at.isr_nodes),
                "beginning": self.earliest.get(&at.partition_index),
                "end": self.latest.get(&at.partition_index),
            })
        });
        let settings = self.settings.iter().map(|setting| {
            let value = setting.value.as_ref().map(|value| value.as_str());
            let shown = json!({"value": value, "source": source(setting.config_source)});
            (setting.name.to_string(), shown)
        });
        json!({
            "name": self.name,
            "id": self.topic.topic_id.to_string(),
            "internal": self.topic.is_internal,
            "partitions": partitions.collect::<Vec<_>>(),
            "settings": settings.collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Where a setting comes from, by the numbers of KIP-226.
fn source(number: i8) -> &'static str {
    match number {
        1 => "topic",
        2..=4 => "broker",
        5 => "default",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::MetadataResponsePartition;

    fn described() -> Description {
        let led = MetadataResponsePartition::default()
            .with_leader_id(1.into())
            .with_replica_nodes(vec![1.into(), 2.into()]);
        let alone = MetadataResponsePartition::default()
            .with_partition_index(1)
            .with_leader_id((-1).into());
        let setting = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str("retention.ms"))
            .with_value(Some(StrBytes::from_static_str("7")))
            .with_config_source(1);
        Description {
            name: "t".into(),
            topic: MetadataResponseTopic::default().with_partitions(vec![led, alone]),
            earliest: BTreeMap::from([(0, 3)]),
            latest: BTreeMap::from([(0, 9)]),
            settings: vec![setting],
        }
    }

    #[test]
    fn a_description_is_a_table() {
        let mut out = Vec::new();
        described().print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["PARTITION", "LEADER", "BEGINNING", "END", "REPLICAS"]);
        assert_eq!(rows[2], ["0", "1", "3", "9", "1,2"]);
        assert_eq!(rows[3], ["1", "-", "-", "-"]);
        assert_eq!(rows[4], ["retention.ms", "=", "7", "(topic)"]);
    }

    #[test]
    fn a_description_is_json() {
        let value = described().as_json();
        assert_eq!(value["partitions"][0]["end"], 9);
        assert_eq!(value["partitions"][1]["leader"], Value::Null);
        assert_eq!(value["settings"]["retention.ms"], json!({"value": "7", "source": "topic"}));
    }

    #[test]
    fn all_settings_of_a_topic_are_asked_for() {
        let request = configs_request("t");
        let resource = &request.resources[0];
        assert_eq!((resource.resource_type, &resource.configuration_keys), (2, &None));
    }
}
