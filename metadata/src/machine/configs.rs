//! Settings of topics and brokers. What a setting means is the broker's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_common::limits::{CONFIG_ENTRIES, CONFIG_VALUE_BYTES, METADATA_TEXT_BYTES};

use super::{Judged, check_limit};
use crate::command::{AlterBrokerConfig, AlterTopicConfig, ConfigChange, ConfigEdit};
use crate::image::Image;
use crate::outcome::{Outcome, Refusal};

impl Image {
    pub(super) fn alter_topic_config(&mut self, alter: &AlterTopicConfig) -> Judged {
        let mut topic = self.live_topic(alter.topic)?.clone();
        topic.configs = Arc::new(changed(&topic.configs, &alter.change)?);
        self.put_topic(topic);
        Ok(Outcome::ConfigAltered)
    }

    pub(super) fn alter_broker_config(&mut self, alter: &AlterBrokerConfig) -> Judged {
        if let Some(broker) = alter.broker.filter(|broker| !self.knows_broker(*broker)) {
            return Err(Refusal::UnknownBroker(broker));
        }
        let none = BTreeMap::new();
        let present = self.broker_configs(alter.broker).unwrap_or(&none);
        let configs = changed(present, &alter.change)?;
        if configs.is_empty() {
            self.broker_configs.remove_mut(&alter.broker);
        } else {
            self.broker_configs.insert_mut(alter.broker, Arc::new(configs));
        }
        Ok(Outcome::ConfigAltered)
    }
}

/// Refuses what passes the limits.
pub(super) fn check_configs(configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    check_limit("settings", configs.len(), CONFIG_ENTRIES)?;
    for (key, value) in configs {
        if key.is_empty() {
            return Err(Refusal::Empty("the name of a setting"));
        }
        check_limit("bytes of the name of a setting", key.len(), METADATA_TEXT_BYTES)?;
        check_limit("bytes of a setting", value.len(), CONFIG_VALUE_BYTES)?;
    }
    Ok(())
}

fn changed(
    present: &BTreeMap<String, String>,
    change: &ConfigChange,
) -> Result<BTreeMap<String, String>, Refusal> {
    let configs = match change {
        ConfigChange::Replace(configs) => configs.clone(),
        ConfigChange::Edit(edits) => {
            check_limit("edits", edits.len(), CONFIG_ENTRIES)?;
            let mut configs = present.clone();
            for edit in edits {
                apply_edit(&mut configs, edit)?;
            }
            configs
        }
    };
    check_configs(&configs)?;
    Ok(configs)
}

/// The length is checked after each edit too: a list must not grow without end on the way.
fn apply_edit(configs: &mut BTreeMap<String, String>, edit: &ConfigEdit) -> Result<(), Refusal> {
    let (key, value) = match edit {
        ConfigEdit::Delete { key } => {
            configs.remove(key);
            return Ok(());
        }
        ConfigEdit::Set { key, value } => (key, value.clone()),
        ConfigEdit::Append { key, items, default } => {
            let mut list = parse_list(configs.get(key).unwrap_or(default));
            for item in parse_list(items) {
                if !list.contains(&item) {
                    list.push(item);
                }
            }
            (key, list.join(","))
        }
        ConfigEdit::Subtract { key, items, default } => {
            let mut list = parse_list(configs.get(key).unwrap_or(default));
            let gone = parse_list(items);
            list.retain(|item| !gone.contains(item));
            (key, list.join(","))
        }
    };
    check_limit("bytes of a setting", value.len(), CONFIG_VALUE_BYTES)?;
    configs.insert(key.clone(), value);
    Ok(())
}

fn parse_list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}
