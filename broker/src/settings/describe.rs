//! Settings as DescribeConfigs and `odradek config` tell them.

use super::error::Origin;
use super::kind::{Kind, MASK, canonical};
use super::resolve::Settings;
use super::setting::{Setting, Update};
use super::table;
use super::values::Values;

/// Where a described value comes from (KIP-226), as the wire counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// Altered for one broker.
    DynamicBroker,
    /// Altered for all brokers.
    DynamicDefaultBroker,
    /// Given in file, environment or flags.
    StaticBroker,
    /// Not given.
    Default,
}

impl ConfigSource {
    /// The number that stands for the source in a DescribeConfigs answer.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// A value that counts, or would count if those before it were not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The setting that it was given to.
    pub name: &'static str,
    /// The value as it was given; `None` for a secret.
    pub value: Option<String>,
    /// Where it was given.
    pub source: ConfigSource,
}

/// One setting with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its key.
    pub name: &'static str,
    /// The value that counts; `None` for null and for a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether AlterConfigs refuses it.
    pub read_only: bool,
    /// Whether the value is a secret.
    pub sensitive: bool,
    /// Its type.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
    /// All values given to it, the one that counts first, the default last.
    pub synonyms: Vec<Synonym>,
}

impl Settings {
    /// Every setting of this broker, in the order of their names.
    pub fn describe(&self) -> impl Iterator<Item = Described> + '_ {
        in_order().into_iter().map(|setting| describe_setting(setting, &self.values))
    }

    /// What AlterConfigs set for all brokers, and only that.
    pub fn describe_altered_for_all(&self) -> impl Iterator<Item = Described> + '_ {
        self.values.altered_for_all().filter_map(table::find).map(|setting| {
            let mut described = describe_setting(setting, &self.values);
            described.value = self.values.of_cluster(setting.name).map(str::to_owned);
            described.source = ConfigSource::DynamicDefaultBroker;
            described.synonyms.retain(|one| one.source == ConfigSource::DynamicDefaultBroker);
            described
        })
    }

    /// The value of a setting as it may be shown, with the place it was given in.
    #[must_use]
    pub fn shown(&self, setting: &Setting) -> (Option<String>, Origin) {
        let origin = self.values.given(setting.name).map_or(Origin::Default, |(_, origin)| origin);
        let value = self.values.effective(setting.name);
        let mask = |text: &str| {
            if setting.is_sensitive() { MASK.to_owned() } else { canonical(setting.kind, text) }
        };
        (value.map(mask), origin)
    }
}

fn in_order() -> Vec<&'static Setting> {
    let mut settings: Vec<_> = table::all().collect();
    settings.sort_by_key(|setting| setting.name);
    settings
}

fn describe_setting(setting: &'static Setting, values: &Values) -> Described {
    let synonyms = broker_synonyms(setting.name, synonym_names(setting.name), values);
    let value = values.effective(setting.name).map(|text| canonical(setting.kind, text));
    Described {
        name: setting.name,
        value: value.filter(|_| !setting.is_sensitive()),
        source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
        read_only: setting.update == Update::ReadOnly,
        sensitive: setting.is_sensitive(),
        kind: setting.kind,
        doc: setting.doc(),
        synonyms,
    }
}

/// The settings that say the same in other units, the one that counts first.
const SYNONYMS: &[&[&str]] = &[
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
];

fn synonym_names(name: &str) -> Vec<&'static str> {
    let group = SYNONYMS.iter().find(|names| names.contains(&name));
    match (group, table::find(name), name) {
        (Some(names), ..) => names.to_vec(),
        // Not the other way round: the scheduler's interval is only the default of this one.
        (None, Some(setting), "log.flush.interval.ms") => {
            vec![setting.name, "log.flush.scheduler.interval.ms"]
        }
        (None, Some(setting), _) => vec![setting.name],
        (None, None, _) => Vec::new(),
    }
}

/// All values given to a broker setting and its synonyms, in Kafka's order: by source, then by name.
/// As Kafka does, values before the first of the setting's own name are left out.
pub(crate) fn broker_synonyms(
    name: &str,
    names: Vec<&'static str>,
    values: &Values,
) -> Vec<Synonym> {
    let of_source = |source| {
        let names = names.clone();
        names.into_iter().filter_map(move |name| {
            let setting = table::find(name)?;
            let value = match source {
                ConfigSource::DynamicBroker => values.of_broker(name),
                ConfigSource::DynamicDefaultBroker => values.of_cluster(name),
                ConfigSource::StaticBroker => {
                    values.of_statics(name).map(|given| given.text.as_str())
                }
                ConfigSource::Default => setting.default,
                ConfigSource::Topic => None,
            };
            let shown = value?.to_owned();
            let value = (!setting.is_sensitive()).then_some(shown);
            Some(Synonym { name, value, source })
        })
    };
    let sources = [
        ConfigSource::DynamicBroker,
        ConfigSource::DynamicDefaultBroker,
        ConfigSource::StaticBroker,
        ConfigSource::Default,
    ];
    sources.into_iter().flat_map(of_source).skip_while(|synonym| synonym.name != name).collect()
}

/// The values given to a broker setting and its synonyms, by the setting's name.
pub(crate) fn synonyms_of(name: &str, values: &Values) -> Vec<Synonym> {
    broker_synonyms(name, synonym_names(name), values)
}
