//! DescribeConfigs (API 32), AlterConfigs (33), IncrementalAlterConfigs (44, KIP-339) and
//! ListConfigResources (74, KIP-1142).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Replaced;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse,
};
use odradek_common::ids::{BrokerId, TopicId};
use odradek_metadata::{AlterBrokerConfig, AlterTopicConfig, Command, ConfigChange, ConfigEdit};

use super::text;
use crate::core::Core;
use crate::settings::alter::{Alteration, ConfigError, Level, Operation};
use crate::settings::{Described, table};
use crate::topic_settings;
use crate::topics::{Failure, LiveTopics};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// From this version on the request says which types of resources it wants.
const TYPES_SINCE: i16 = 1;

type Stored = BTreeMap<String, String>;

/// A thing that has settings.
enum Resource {
    Topic(TopicId, Stored),
    /// One broker, or all of them.
    Broker(Option<BrokerId>, Stored),
}

fn find(core: &Core, kind: i8, name: &str) -> Result<Resource, Failure> {
    let image = core.image();
    match kind {
        TOPIC => match image.live_topic_named(name) {
            Some(topic) => Ok(Resource::Topic(topic.id, (*topic.configs).clone())),
            None if super::topics::is_name(name) => {
                let code = ResponseError::UnknownTopicOrPartition;
                Err(Failure::new(code, format!("The topic '{name}' does not exist.")))
            }
            None => {
                let message = format!("'{name}' is not a topic name");
                Err(Failure::new(ResponseError::InvalidTopicException, message))
            }
        },
        BROKER => {
            let broker = match name {
                "" => None,
                id => Some(BrokerId(id.parse().map_err(|_| {
                    let message = format!("Node id must be an integer, but it is: {id}");
                    Failure::new(ResponseError::InvalidRequest, message)
                })?)),
            };
            if broker.is_some_and(|id| image.broker(id).is_none()) {
                let message = format!("there is no broker {name}");
                return Err(Failure::new(ResponseError::InvalidRequest, message));
            }
            let stored = image.broker_configs(broker).cloned().unwrap_or_default();
            Ok(Resource::Broker(broker, stored))
        }
        other => {
            let message = format!("settings of resources of type {other} are not served");
            Err(Failure::new(ResponseError::InvalidRequest, message))
        }
    }
}

/// Serves DescribeConfigs. What is asked for several times is told once: a broker's settings with
/// all there is to say of them are a thousand times longer than the question.
pub(super) fn describe_configs(
    core: &Core,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let (synonyms, docs) = (request.include_synonyms, request.include_documentation);
    let mut seen = BTreeSet::new();
    let resources = request
        .resources
        .into_iter()
        .filter(|r| seen.insert((r.resource_type, r.resource_name.to_string())));
    let results = resources.map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match described(core, &resource) {
            Ok(described) => {
                let configs = described.into_iter().map(|one| config(one, synonyms, docs));
                result.with_configs(configs.collect())
            }
            Err(failure) => result
                .with_error_code(failure.code.code())
                .with_error_message(Some(text(failure.message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn described(core: &Core, asked: &DescribeConfigsResource) -> Result<Vec<Described>, Failure> {
    let settings = core.settings();
    let mut all: Vec<Described> = match find(core, asked.resource_type, &asked.resource_name)? {
        Resource::Topic(_, stored) => topic_settings::describe(&stored, &settings).collect(),
        Resource::Broker(None, _) => settings.describe_altered_for_all().collect(),
        Resource::Broker(Some(id), _) if id == core.me.broker => settings.describe().collect(),
        Resource::Broker(Some(id), _) => {
            let message = format!("ask broker {} for its settings", id.0);
            return Err(Failure::new(ResponseError::InvalidRequest, message));
        }
    };
    // None are all, as in Kafka.
    if let Some(keys) = asked.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        let keys: BTreeSet<&str> = keys.iter().map(|k| k.as_str()).collect();
        all.retain(|one| keys.contains(one.name));
    }
    Ok(all)
}

fn config(one: Described, synonyms: bool, docs: bool) -> DescribeConfigsResourceResult {
    let result = DescribeConfigsResourceResult::default()
        .with_name(text(one.name))
        .with_value(one.value.map(text))
        .with_read_only(one.read_only)
        .with_config_source(one.source.code())
        .with_is_sensitive(one.sensitive)
        .with_config_type(one.kind.code())
        .with_documentation(docs.then(|| text(one.doc)));
    if !synonyms {
        return result;
    }
    let synonyms = one.synonyms.into_iter().map(|s| {
        DescribeConfigsSynonym::default()
            .with_name(text(s.name))
            .with_value(s.value.map(text))
            .with_source(s.source.code())
    });
    result.with_synonyms(synonyms.collect())
}

/// Serves AlterConfigs, which replaces all settings of a resource.
pub(super) async fn alter_configs(
    core: &Core,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let given: Vec<(&str, Option<&str>)> =
            resource.configs.iter().map(|c| (c.name.as_str(), c.value.as_deref())).collect();
        let replaced = replace(core, resource.resource_type, &resource.resource_name, &given);
        let done = commit(core, replaced, request.validate_only).await;
        let (code, message) = parts(done);
        responses.push(
            Replaced::default()
                .with_error_code(code)
                .with_error_message(message.map(text))
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name),
        );
    }
    AlterConfigsResponse::default().with_responses(responses)
}

fn replace(
    core: &Core,
    kind: i8,
    name: &str,
    given: &[(&str, Option<&str>)],
) -> Result<Command, Failure> {
    Ok(match find(core, kind, name)? {
        Resource::Topic(topic, _) => {
            let change = ConfigChange::Replace(topic_settings::replaced(given)?);
            Command::AlterTopicConfig(AlterTopicConfig { topic, change })
        }
        Resource::Broker(broker, _) => {
            let change = ConfigChange::Replace(core.settings().replaced(level(broker), given)?);
            Command::AlterBrokerConfig(AlterBrokerConfig { broker, change })
        }
    })
}

/// Serves IncrementalAlterConfigs.
pub(super) async fn incremental_alter_configs(
    core: &Core,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let done = commit(core, edit(core, &resource), request.validate_only).await;
        let (code, message) = parts(done);
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(message.map(text))
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name),
        );
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

/// The outcome is checked here, the edits are applied in the order of Raft, so that two clients
/// that alter different settings at once both succeed.
fn edit(core: &Core, resource: &AlterConfigsResource) -> Result<Command, Failure> {
    let mut alterations = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let operation = Operation::from_code(config.config_operation)?;
        let value = config.value.as_deref();
        alterations.push(Alteration { name: config.name.as_str(), operation, value });
    }
    Ok(match find(core, resource.resource_type, &resource.resource_name)? {
        Resource::Topic(topic, stored) => {
            topic_settings::altered(&stored, &alterations)?;
            let default = |name: &str| topic_settings::table::find(name).map(|s| s.default);
            let change = ConfigChange::Edit(edits(&alterations, default));
            Command::AlterTopicConfig(AlterTopicConfig { topic, change })
        }
        Resource::Broker(broker, stored) => {
            core.settings().altered(level(broker), &stored, &alterations)?;
            let default = |name: &str| table::find(name).and_then(|s| s.default);
            let change = ConfigChange::Edit(edits(&alterations, default));
            Command::AlterBrokerConfig(AlterBrokerConfig { broker, change })
        }
    })
}

fn edits(
    alterations: &[Alteration<'_>],
    default: impl Fn(&str) -> Option<&'static str>,
) -> Vec<ConfigEdit> {
    let edit = |one: &Alteration<'_>| {
        let key = one.name.to_owned();
        let value = one.value.unwrap_or_default().to_owned();
        let default = || default(one.name).unwrap_or_default().to_owned();
        match one.operation {
            Operation::Set => ConfigEdit::Set { key, value },
            Operation::Delete => ConfigEdit::Delete { key },
            Operation::Append => ConfigEdit::Append { key, items: value, default: default() },
            Operation::Subtract => ConfigEdit::Subtract { key, items: value, default: default() },
        }
    };
    alterations.iter().map(edit).collect()
}

fn level(broker: Option<BrokerId>) -> Level {
    if broker.is_some() { Level::Broker } else { Level::Cluster }
}

async fn commit(
    core: &Core,
    command: Result<Command, Failure>,
    validate_only: bool,
) -> Result<(), Failure> {
    let command = command?;
    if !validate_only {
        core.propose(command).await?;
    }
    Ok(())
}

fn parts(done: Result<(), Failure>) -> (i16, Option<String>) {
    done.map_or_else(|f| (f.code.code(), Some(f.message)), |()| (0, None))
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = ResponseError::try_from_code(error.kind.code());
        Self::new(code.unwrap_or(ResponseError::InvalidConfig), error.message)
    }
}

/// Serves ListConfigResources: topics and brokers; nothing has client metrics or group settings
/// yet. Version 0 asks for client metrics alone.
pub(super) fn list_config_resources(
    core: &Core,
    version: i16,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let known = [TOPIC, BROKER, CLIENT_METRICS, GROUP];
    if let Some(unknown) = request.resource_types.iter().find(|t| !known.contains(t)) {
        tracing::debug!(unknown, "a type of resources that is not known");
        return ListConfigResourcesResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code());
    }
    let wants = |kind: i8| {
        version >= TYPES_SINCE
            && (request.resource_types.is_empty() || request.resource_types.contains(&kind))
    };
    let image = core.image();
    let resource = |kind: i8, name: String| {
        ConfigResource::default().with_resource_name(text(name)).with_resource_type(kind)
    };
    let mut resources = Vec::new();
    if wants(TOPIC) {
        resources.extend(image.live_topics().map(|t| resource(TOPIC, t.name.to_string())));
    }
    if wants(BROKER) {
        let brokers = image.live_brokers().map(|r| r.incarnation.broker.0.to_string());
        resources.extend(brokers.map(|id| resource(BROKER, id)));
    }
    ListConfigResourcesResponse::default().with_config_resources(resources)
}
