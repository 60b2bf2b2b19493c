//! Which settings a topic may have, and changes of them, with Kafka's errors.

use std::collections::BTreeMap;

use super::table::{HIDDEN, find};
use crate::settings::alter::{self, Alteration, ConfigError};
use crate::settings::kind::{self, Allowed, Kind};

/// Checks one setting by itself.
pub fn check(name: &str, value: &str) -> Result<(), ConfigError> {
    let checked = match find(name) {
        Some(setting) => kind::check(name, setting.kind, &setting.allowed, value),
        None if name == HIDDEN => kind::check(name, Kind::Int, &Allowed::Any, value),
        None => {
            let message = format!("Unknown topic config name: {name}");
            return Err(ConfigError::invalid_config(message));
        }
    };
    checked.map_err(|invalid| ConfigError::invalid_config(invalid.to_string()))
}

/// Checks all settings that a topic has of its own, each and together.
pub fn check_all(overrides: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    // Names before values, as Kafka does.
    let is_unknown = |name: &&String| find(name).is_none() && name.as_str() != HIDDEN;
    if let Some(name) = overrides.keys().find(is_unknown) {
        let message = format!("Unknown topic config name: {name}");
        return Err(ConfigError::invalid_config(message));
    }
    for (name, value) in overrides {
        check(name, value)?;
    }
    let number = |name: &str| -> Option<i64> {
        let text = overrides.get(name).map(String::as_str);
        text.or_else(|| find(name).map(|setting| setting.default))?.trim().parse().ok()
    };
    if let (Some(low), Some(high)) =
        (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"))
        && low > high
    {
        return Err(ConfigError::invalid_config(format!(
            "conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms \
             ({high})"
        )));
    }
    let tiered = overrides.get("remote.storage.enable");
    if tiered.is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
        return Err(ConfigError::invalid_config(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
             with remote log storage.",
        ));
    }
    Ok(())
}

/// The settings that a new topic has of its own (CreateTopics); of one given twice the last counts.
pub fn created(given: &[(&str, Option<&str>)]) -> Result<BTreeMap<String, String>, ConfigError> {
    let nulls: Vec<&str> =
        given.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    if !nulls.is_empty() {
        return Err(ConfigError::invalid_config(format!(
            "Null value not supported for topic configs: {}",
            nulls.join(",")
        )));
    }
    let last: BTreeMap<&str, Option<&str>> = given.iter().copied().collect();
    let last: Vec<(&str, Option<&str>)> = last.into_iter().collect();
    replaced(&last)
}

/// The settings that a topic has of its own after AlterConfigs, which replaces them all.
pub fn replaced(given: &[(&str, Option<&str>)]) -> Result<BTreeMap<String, String>, ConfigError> {
    let overrides = alter::replaced(given)?;
    check_all(&overrides)?;
    Ok(overrides)
}

/// The settings that a topic has of its own after IncrementalAlterConfigs.
pub fn altered(
    stored: &BTreeMap<String, String>,
    alterations: &[Alteration<'_>],
) -> Result<BTreeMap<String, String>, ConfigError> {
    let overrides = alter::altered(stored, alterations, |name| {
        find(name).map(|setting| (setting.kind, Some(setting.default)))
    })?;
    check_all(&overrides)?;
    Ok(overrides)
}
