//! The values of all settings, with where each comes from.

use std::collections::BTreeMap;
use std::fmt;

use super::error::{Origin, Problem};
use super::setting::{Setting, Update};
use super::table;
use super::typed::FromText;

/// A value that was given, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// The value as it was written.
    pub text: String,
    /// Where it was written.
    pub origin: Origin,
}

/// What was given, by layers; the table has the rest.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values {
    statics: BTreeMap<&'static str, Given>,
    cluster: BTreeMap<&'static str, String>,
    broker: BTreeMap<&'static str, String>,
}

/// Only the keys: among the values are secrets.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("statics", &self.statics.keys())
            .field("cluster", &self.cluster.keys())
            .field("broker", &self.broker.keys())
            .finish()
    }
}

impl Values {
    /// Takes a value of file, environment or flag; a later one replaces an earlier one.
    pub(super) fn give(&mut self, setting: &'static Setting, given: Given) {
        self.statics.insert(setting.name, given);
    }

    /// The same static values with these altered ones; `alterable` picks from them.
    pub(super) fn with_dynamic(
        &self,
        cluster: &BTreeMap<String, String>,
        broker: &BTreeMap<String, String>,
    ) -> Self {
        let for_all = |setting: &Setting| setting.update == Update::ClusterWide;
        let for_one = |setting: &Setting| setting.update != Update::ReadOnly;
        Self {
            statics: self.statics.clone(),
            cluster: alterable(cluster, for_all),
            broker: alterable(broker, for_one),
        }
    }

    /// The value given for a key outside the table's default, from the layer that counts.
    #[must_use]
    pub fn given(&self, key: &str) -> Option<(&str, Origin)> {
        let broker = self.broker.get(key).map(|text| (text.as_str(), Origin::DynamicBroker));
        let cluster = || self.cluster.get(key).map(|text| (text.as_str(), Origin::DynamicCluster));
        broker.or_else(cluster).or_else(|| {
            self.statics.get(key).map(|given| (given.text.as_str(), given.origin.clone()))
        })
    }

    /// The value that AlterConfigs gave this broker.
    #[must_use]
    pub fn of_broker(&self, key: &str) -> Option<&str> {
        self.broker.get(key).map(String::as_str)
    }

    /// The value that AlterConfigs gave all brokers.
    #[must_use]
    pub fn of_cluster(&self, key: &str) -> Option<&str> {
        self.cluster.get(key).map(String::as_str)
    }

    /// The keys that AlterConfigs gave all brokers, in order.
    pub fn altered_for_all(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.cluster.keys().copied()
    }

    /// The value of file, environment or flag.
    #[must_use]
    pub fn of_statics(&self, key: &str) -> Option<&Given> {
        self.statics.get(key)
    }

    /// The value that counts; `None` is Kafka's null.
    #[must_use]
    pub fn effective(&self, key: &str) -> Option<&str> {
        let default = || table::find(key).and_then(|setting| setting.default);
        self.given(key).map(|(text, _)| text).or_else(default)
    }

    /// The value that counts, as the type its field has.
    pub(super) fn read<T: FromText>(&self, key: &str) -> Result<T, Problem> {
        T::from_text(self.effective(key)).ok_or_else(|| {
            let reason = "the value does not fit its setting".to_owned();
            Problem::BadValue { place: self.place(key), reason }
        })
    }

    /// Where the value of `key` was written, for messages.
    #[must_use]
    pub fn place(&self, key: &str) -> String {
        let origin = self.given(key).map_or(Origin::Default, |(_, origin)| origin);
        place(&origin, key)
    }
}

/// Source and key, for messages.
pub(super) fn place(origin: &Origin, key: &str) -> String {
    match (origin, table::find(key)) {
        (Origin::Environment, Some(setting)) => {
            format!("environment variable {}", setting.environment_name())
        }
        (Origin::Environment, None) => format!("environment variable {}", short(key)),
        _ => format!("{origin}: {}", short(key)),
    }
}

/// A key that may be anything, at a length for a message.
fn short(key: &str) -> String {
    key.chars().take(table::NAME_CHARS_MAX).collect()
}

/// Those of `given` whose setting the table holds and `allows`, and whose value fits. The rest was
/// written by another version, which checked it by another table; it has no effect here.
fn alterable(
    given: &BTreeMap<String, String>,
    allows: impl Fn(&Setting) -> bool,
) -> BTreeMap<&'static str, String> {
    let mut taken = BTreeMap::new();
    for (key, text) in given {
        if let Some(setting) = table::find(key)
            && allows(setting)
            && setting.check(text).is_ok()
        {
            taken.insert(setting.name, text.clone());
        }
    }
    taken
}
