//! AlterConfigs and IncrementalAlterConfigs (KIP-339) as pure functions on stored settings, with
//! Kafka's errors.

use std::collections::{BTreeMap, BTreeSet};

use odradek_common::limits::CONFIG_VALUE_BYTES;

use super::kind::{Kind, elements};
use super::resolve::Settings;
use super::setting::Update;
use super::table;

/// Which error code a refusal has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// INVALID_REQUEST.
    InvalidRequest,
    /// INVALID_CONFIG.
    InvalidConfig,
}

impl ConfigErrorKind {
    /// The error code on the wire.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::InvalidRequest => 42,
            Self::InvalidConfig => 40,
        }
    }
}

/// A refused change of settings; the message is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The error code.
    pub kind: ConfigErrorKind,
    /// What is wrong, in Kafka's words where it has some.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self { kind: ConfigErrorKind::InvalidRequest, message: message.into() }
    }

    pub(crate) fn invalid_config(message: impl Into<String>) -> Self {
        Self { kind: ConfigErrorKind::InvalidConfig, message: message.into() }
    }
}

/// What IncrementalAlterConfigs does to one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gives it a value.
    Set,
    /// Takes its value away, so that the default counts again.
    Delete,
    /// Adds elements to a list, those that it lacks.
    Append,
    /// Takes elements out of a list, those that it has.
    Subtract,
}

impl Operation {
    /// From the number on the wire.
    pub fn from_code(code: i8) -> Result<Self, ConfigError> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            _ => Err(ConfigError::invalid_request(format!("Unknown operations type {code}"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// One change that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alteration<'a> {
    /// The setting.
    pub name: &'a str,
    /// What happens to it.
    pub operation: Operation,
    /// The value to set, or the elements to add or take out.
    pub value: Option<&'a str>,
}

/// Type and default of a setting, by name; `None` for an unknown one.
pub(crate) type Lookup = fn(&str) -> Option<(Kind, Option<&'static str>)>;

/// The stored settings after these alterations (IncrementalAlterConfigs). They are checked for form
/// only; whether the outcome is allowed is for the resource's own check.
pub(crate) fn altered(
    stored: &BTreeMap<String, String>,
    alterations: &[Alteration<'_>],
    lookup: Lookup,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let names = alterations.iter().map(|alteration| alteration.name);
    let is_null = |one: &&Alteration<'_>| one.value.is_none() && one.operation != Operation::Delete;
    check_form(names, alterations.iter().filter(is_null).map(|one| one.name))?;
    let mut settings = stored.clone();
    for alteration in alterations {
        let name = alteration.name;
        let value = alteration.value.unwrap_or_default();
        match alteration.operation {
            Operation::Set => {
                settings.insert(name.to_owned(), checked_length(name, value.to_owned())?);
            }
            Operation::Delete => {
                settings.remove(name);
            }
            Operation::Append | Operation::Subtract => {
                let list = altered_list(&settings, alteration, value, lookup)?;
                settings.insert(name.to_owned(), checked_length(name, list)?);
            }
        }
    }
    Ok(settings)
}

/// The stored settings after AlterConfigs, which replaces them all.
pub(crate) fn replaced(
    given: &[(&str, Option<&str>)],
) -> Result<BTreeMap<String, String>, ConfigError> {
    let nulls = given.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name);
    check_form(given.iter().map(|(name, _)| *name), nulls)?;
    let pairs = given.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
    pairs
        .map(|(name, value)| Ok((name.to_owned(), checked_length(name, value.to_owned())?)))
        .collect()
}

fn check_form<'a>(
    mut names: impl Iterator<Item = &'a str>,
    nulls: impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    if !names.all(|name| seen.insert(name)) {
        return Err(ConfigError::invalid_request("Error due to duplicate config keys"));
    }
    let nulls: Vec<&str> = nulls.collect();
    if nulls.is_empty() {
        return Ok(());
    }
    let nulls = nulls.join(", ");
    Err(ConfigError::invalid_request(format!("Null value not supported for : {nulls}")))
}

fn checked_length(name: &str, value: String) -> Result<String, ConfigError> {
    if value.len() <= CONFIG_VALUE_BYTES {
        return Ok(value);
    }
    Err(ConfigError::invalid_config(format!(
        "The value of {name} is longer than {CONFIG_VALUE_BYTES} bytes"
    )))
}

fn altered_list(
    settings: &BTreeMap<String, String>,
    alteration: &Alteration<'_>,
    value: &str,
    lookup: Lookup,
) -> Result<String, ConfigError> {
    let Alteration { name, operation, .. } = *alteration;
    let Some((Kind::List, default)) = lookup(name) else {
        return Err(ConfigError::invalid_config(format!(
            "Can't {} to key {name} because its type is not LIST.",
            operation.name()
        )));
    };
    let old = settings.get(name).map_or(default.unwrap_or_default(), String::as_str);
    let mut list = elements(old);
    let given: BTreeSet<String> = elements(value).into_iter().collect();
    if operation == Operation::Append {
        let present: BTreeSet<String> = list.iter().cloned().collect();
        // In the order they were given in, each once.
        let mut added = BTreeSet::new();
        let is_new = |one: &String| !present.contains(one) && added.insert(one.clone());
        list.extend(elements(value).into_iter().filter(is_new));
    } else {
        list.retain(|one| !given.contains(one));
    }
    Ok(list.join(","))
}

/// Which broker settings an alteration concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The default of all brokers (an empty resource name).
    Cluster,
    /// One broker (its id as resource name).
    Broker,
}

impl Settings {
    /// What is stored for a broker, or for all, after IncrementalAlterConfigs; checked.
    pub fn altered(
        &self,
        level: Level,
        stored: &BTreeMap<String, String>,
        alterations: &[Alteration<'_>],
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let settings = altered(stored, alterations, |name| {
            table::find(name).map(|setting| (setting.kind, setting.default))
        })?;
        self.check_altered(level, &settings)?;
        Ok(settings)
    }

    /// What is stored for a broker, or for all, after AlterConfigs; checked.
    pub fn replaced(
        &self,
        level: Level,
        given: &[(&str, Option<&str>)],
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let settings = replaced(given)?;
        self.check_altered(level, &settings)?;
        Ok(settings)
    }

    fn check_altered(
        &self,
        level: Level,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        let having = |update: Update| -> Vec<&str> {
            let has = |name: &&str| table::find(name).is_some_and(|one| one.update == update);
            settings.keys().map(String::as_str).filter(has).collect()
        };
        refuse("Cannot update these configs dynamically", &having(Update::ReadOnly))?;
        for (name, value) in settings {
            let setting = table::find(name).ok_or_else(|| {
                ConfigError::invalid_request(format!("Unknown broker config name: {name}"))
            })?;
            setting.check(value).map_err(|e| ConfigError::invalid_request(e.to_string()))?;
        }
        if level == Level::Cluster {
            let message =
                "Cannot update these configs at default cluster level, broker id must be specified";
            refuse(message, &having(Update::PerBroker))?;
        }
        let values = self.values.with_dynamic(&BTreeMap::new(), settings);
        Self::from_values(values)
            .map(|_| ())
            .map_err(|error| ConfigError::invalid_request(error.to_string()))
    }
}

fn refuse(message: &str, names: &[&str]) -> Result<(), ConfigError> {
    if names.is_empty() {
        return Ok(());
    }
    Err(ConfigError::invalid_request(format!("{message}: Set({})", names.join(", "))))
}
