//! The one table of all settings, put together from its groups.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::groups::{
    Admin, Background, Cache, Fetch, Groups, ListenerTexts, LogDefaults, LogOutput, Metadata,
    Network, Node, Process, Producers, Storage, Topics, Wal,
};
use super::inert;
use super::setting::Setting;

/// Settings that concern one thing.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they concern.
    pub title: &'static str,
    /// The settings.
    pub settings: &'static [Setting],
}

/// The settings that have an effect, by what they concern.
pub const GROUPS: &[Group] = &[
    Group { title: "The process", settings: Node::TABLE },
    Group { title: "Listeners", settings: ListenerTexts::TABLE },
    Group { title: "Connections", settings: Network::TABLE },
    Group { title: "Fetches", settings: Fetch::TABLE },
    Group { title: "New topics", settings: Topics::TABLE },
    Group { title: "Defaults of topic settings", settings: LogDefaults::TABLE },
    Group { title: "Consumer groups", settings: Groups::TABLE },
    Group { title: "Producers", settings: Producers::TABLE },
    Group { title: "Object store", settings: Storage::TABLE },
    Group { title: "Write-ahead log", settings: Wal::TABLE },
    Group { title: "Caches", settings: Cache::TABLE },
    Group { title: "Background work", settings: Background::TABLE },
    Group { title: "Metadata quorum", settings: Metadata::TABLE },
    Group { title: "Admin server", settings: Admin::TABLE },
    Group { title: "Log", settings: LogOutput::TABLE },
    Group { title: "Shutdown", settings: Process::TABLE },
];

/// Likeness, of 1, from which a key is offered in place of an unknown one.
const NEAREST_LIKENESS_MIN: f64 = 0.6;

static BY_NAME: LazyLock<BTreeMap<&'static str, &'static Setting>> =
    LazyLock::new(|| all().map(|setting| (setting.name, setting)).collect());

static BY_ENVIRONMENT_NAME: LazyLock<BTreeMap<String, &'static Setting>> =
    LazyLock::new(|| all().map(|setting| (setting.environment_name(), setting)).collect());

/// Every setting: first those with an effect, by group, then the others.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    with_effect().chain(inert::TABLES.iter().flat_map(|table| table.iter()))
}

/// The settings that have an effect, group by group.
pub fn with_effect() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings.iter())
}

/// The settings without effect, those with the same reason together.
pub fn without_effect() -> &'static [&'static [Setting]] {
    inert::TABLES
}

/// The setting of this key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    BY_NAME.get(key).copied()
}

/// The setting of this environment variable.
#[must_use]
pub fn find_by_environment_name(variable: &str) -> Option<&'static Setting> {
    BY_ENVIRONMENT_NAME.get(variable).copied()
}

/// Whether Kafka knows the key, though the table does not describe it.
#[must_use]
pub fn is_ignored(key: &str) -> bool {
    inert::HIDDEN.contains(&key) || inert::PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The key most like this one, if any is alike.
#[must_use]
pub fn nearest(key: &str) -> Option<&'static str> {
    let key: String = key.chars().take(NAME_CHARS_MAX).collect();
    nearest_of(&key, all().map(|setting| (setting.name, setting.name)))
}

/// The environment variable most like this one, if any is alike.
#[must_use]
pub fn nearest_environment_name(variable: &str) -> Option<String> {
    let variable: String = variable.chars().take(NAME_CHARS_MAX).collect();
    let names = BY_ENVIRONMENT_NAME.keys().map(|name| (name.as_str(), name.clone()));
    nearest_of(&variable, names)
}

/// Characters of an unknown key that are compared and shown; the longest key known has 61.
pub(super) const NAME_CHARS_MAX: usize = 100;

fn nearest_of<'a, T>(wanted: &str, names: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    names
        .map(|(name, answer)| (likeness(wanted, name), answer))
        .filter(|(likeness, _)| *likeness >= NEAREST_LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, answer)| answer)
}

/// How alike the two are, from 0 to 1. A key that goes on where the wanted one ends is more alike
/// than one of other letters, the shorter the rest the more.
fn likeness(wanted: &str, name: &str) -> f64 {
    let by_letters = strsim::normalized_damerau_levenshtein(wanted, name);
    let goes_on = name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['.', '_']));
    if goes_on { by_letters.max(0.9) + by_letters / 1000.0 } else { by_letters }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::setting::{Effect, Update};

    #[test]
    fn no_key_stands_twice_and_no_two_share_a_variable() {
        let count = all().count();
        assert_eq!(BY_NAME.len(), count);
        assert_eq!(BY_ENVIRONMENT_NAME.len(), count);
        let hidden: BTreeSet<_> = inert::HIDDEN.iter().collect();
        assert_eq!(hidden.len(), inert::HIDDEN.len());
        assert!(inert::HIDDEN.iter().all(|name| find(name).is_none()));
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for setting in all() {
            if let Some(default) = setting.default {
                setting.check(default).unwrap_or_else(|e| panic!("{e}"));
            }
            assert!(!setting.doc().is_empty(), "{} has no documentation", setting.name);
            assert!(setting.doc().ends_with('.'), "{}: {}", setting.name, setting.doc());
            assert!(!setting.doc().contains("  "), "{}: {}", setting.name, setting.doc());
        }
    }

    #[test]
    fn no_secret_has_a_default_and_none_can_be_altered() {
        for setting in all().filter(|setting| setting.is_sensitive()) {
            assert_eq!(setting.default, None, "{}", setting.name);
            assert_eq!(setting.update, Update::ReadOnly, "{}", setting.name);
        }
    }

    #[test]
    fn all_that_kafka_4_1_1_describes_is_there() {
        // 336 keys are in Kafka's definition; three more may only be altered at run time.
        let kafka = all().filter(|setting| setting.effect != Effect::Own).count();
        assert_eq!(kafka + inert::HIDDEN.len(), 336 + 3);
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_key_that_was_meant() {
        assert_eq!(nearest("node.ld"), Some("node.id"));
        assert_eq!(nearest("log.retention.milliseconds"), Some("log.retention.minutes"));
        assert_eq!(nearest("wal.linger.ms"), Some("wal.linger.max.ms"));
        assert_eq!(nearest("zzzzzzzz"), None);
        assert_eq!(nearest_environment_name("ODRADEK_NODEID").as_deref(), Some("ODRADEK_NODE_ID"));
    }
}
