//! What the settings of a topic and those of its broker come to.

use std::collections::BTreeMap;

use super::table::{TopicSetting, find};
use crate::settings::Settings;
use crate::settings::kind::{canonical, check, elements};

/// Which time a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The one its producer gave it.
    CreateTime,
    /// That of its append.
    LogAppendTime,
}

/// The settings of a topic that have an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// Whether records are to be compacted by key, so that each needs one.
    pub compact: bool,
    /// Whether retention deletes records. If not, `retention_ms` and `retention_bytes` do not count.
    pub delete: bool,
    /// Age in milliseconds above which records may go; `None`: none by age.
    pub retention_ms: Option<i64>,
    /// Bytes of a partition above which its oldest records may go; `None`: none by size.
    pub retention_bytes: Option<u64>,
    /// Largest record batch in bytes.
    pub max_message_bytes: usize,
    /// Which time records carry.
    pub timestamp_type: TimestampType,
    /// How far a record's time may lie before the broker's, in milliseconds.
    pub timestamp_before_max_ms: i64,
    /// How far a record's time may lie after the broker's, in milliseconds.
    pub timestamp_after_max_ms: i64,
}

impl TopicConfig {
    /// From what the topic has of its own, and the broker's settings for the rest. A value that does
    /// not fit (another version stored it) counts as not given.
    #[must_use]
    pub fn new(overrides: &BTreeMap<String, String>, settings: &Settings) -> Self {
        let text = |name: &str| find(name).map(|one| effective(one, overrides, settings));
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let policy = elements(&text("cleanup.policy").unwrap_or_default());
        let has = |wanted: &str| policy.iter().any(|one| one == wanted);
        let timestamp_type = match text("message.timestamp.type").as_deref() {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        };
        Self {
            compact: has("compact"),
            delete: has("delete"),
            retention_ms: number("retention.ms").filter(|ms| *ms >= 0),
            retention_bytes: number("retention.bytes").and_then(|bytes| u64::try_from(bytes).ok()),
            max_message_bytes: number("max.message.bytes")
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(0),
            timestamp_type,
            timestamp_before_max_ms: number("message.timestamp.before.max.ms").unwrap_or(i64::MAX),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms").unwrap_or(i64::MAX),
        }
    }
}

/// The value that counts for a topic, as Kafka shows it.
pub(super) fn effective(
    setting: &TopicSetting,
    overrides: &BTreeMap<String, String>,
    settings: &Settings,
) -> String {
    let own = overrides
        .get(setting.name)
        .filter(|text| check(setting.name, setting.kind, &setting.allowed, text).is_ok());
    match own {
        Some(text) => canonical(setting.kind, text),
        None => of_broker(setting, settings),
    }
}

/// What the broker's settings say where the topic says nothing.
fn of_broker(setting: &TopicSetting, settings: &Settings) -> String {
    let given = setting
        .broker
        .iter()
        .find_map(|(name, factor)| settings.values.effective(name).map(|text| (text, *factor)));
    let text = match given {
        Some((text, 1)) => canonical(setting.kind, text),
        Some((text, factor)) => {
            let number = text.parse::<i64>().unwrap_or(0);
            number.saturating_mul(factor).to_string()
        }
        None => canonical(setting.kind, setting.default),
    };
    // The broker's retention takes every negative number for "none by age"; the topic's only -1.
    if setting.name == "retention.ms" && text.starts_with('-') { "-1".to_owned() } else { text }
}
