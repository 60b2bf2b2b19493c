//! A topic's settings as DescribeConfigs tells them.

use std::collections::BTreeMap;

use super::config::effective;
use super::table::{ALL, TopicSetting};
use crate::settings::describe::synonyms_of;
use crate::settings::{ConfigSource, Described, Settings, Synonym};

/// Every setting of a topic that has these of its own, in the order of their names.
pub fn describe<'a>(
    overrides: &'a BTreeMap<String, String>,
    settings: &'a Settings,
) -> impl Iterator<Item = Described> + 'a {
    ALL.iter().map(move |setting| describe_setting(setting, overrides, settings))
}

fn describe_setting(
    setting: &'static TopicSetting,
    overrides: &BTreeMap<String, String>,
    settings: &Settings,
) -> Described {
    let value = effective(setting, overrides, settings);
    let own = overrides.contains_key(setting.name).then(|| Synonym {
        name: setting.name,
        value: Some(value.clone()),
        source: ConfigSource::Topic,
    });
    let of_broker = setting.broker.first().map(|(name, _)| synonyms_of(name, &settings.values));
    let synonyms: Vec<Synonym> = own.into_iter().chain(of_broker.into_iter().flatten()).collect();
    Described {
        name: setting.name,
        value: Some(value),
        source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
        read_only: false,
        sensitive: false,
        kind: setting.kind,
        doc: setting.doc,
        synonyms,
    }
}
