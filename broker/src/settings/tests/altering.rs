use std::collections::BTreeMap;

use super::*;
use crate::settings::{Alteration, ConfigErrorKind, ConfigSource, Level, Operation};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn alteration<'a>(name: &'a str, operation: Operation, value: Option<&'a str>) -> Alteration<'a> {
    Alteration { name, operation, value }
}

/// At which level, what is given, and what is said about it.
type Refused<'a> = (Level, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn what_may_not_be_altered_is_refused_in_the_words_of_kafka() {
    let cases: &[Refused<'_>] = &[
        (
            Level::Cluster,
            &[("node.id", "5"), ("num.partitions", "3")],
            "Cannot update these configs dynamically: Set(node.id, num.partitions)",
        ),
        (
            Level::Cluster,
            &[("log.retention.ms", "x")],
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            Level::Broker,
            &[("message.max.bytes", "-5")],
            "Invalid value -5 for configuration message.max.bytes: Value must be at least 0",
        ),
        (
            Level::Broker,
            &[("log.retention.hours", "5")],
            "Cannot update these configs dynamically: Set(log.retention.hours)",
        ),
        (Level::Broker, &[("nosuch", "5")], "Unknown broker config name: nosuch"),
    ];
    let settings = from_flags(&[]).unwrap();
    for (level, given, message) in cases {
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, Some(*value))).collect();
        let error = settings.replaced(*level, &given).unwrap_err();
        assert_eq!(error.message, *message);
        assert_eq!(error.kind, ConfigErrorKind::InvalidRequest);
    }
    let error = settings.replaced(Level::Broker, &[("log.retention.ms", Some("0"))]).unwrap_err();
    assert!(error.message.contains("above 0"), "{error}");
}

#[test]
fn the_form_of_a_request_is_checked_first() {
    let settings = from_flags(&[]).unwrap();
    let twice = [("log.retention.ms", Some("1")), ("log.retention.ms", Some("2"))];
    let error = settings.replaced(Level::Cluster, &twice).unwrap_err();
    assert_eq!(error.message, "Error due to duplicate config keys");
    let nulls = [("a", None), ("b", None)];
    let error = settings.replaced(Level::Cluster, &nulls).unwrap_err();
    assert_eq!(error.message, "Null value not supported for : a, b");
    assert_eq!(error.kind.code(), 42);
    assert_eq!(Operation::from_code(4).unwrap_err().kind.code(), 42);
    let long = "x".repeat(40_000);
    let error = settings.replaced(Level::Cluster, &[("log.retention.ms", Some(&long))]);
    assert_eq!(error.unwrap_err().kind.code(), 40);
}

#[test]
fn operations_change_what_is_stored() {
    let settings = from_flags(&[]).unwrap();
    let stored = map(&[("log.retention.ms", "5"), ("message.max.bytes", "7")]);
    let altered = settings
        .altered(
            Level::Cluster,
            &stored,
            &[
                alteration("log.retention.ms", Operation::Delete, None),
                alteration("message.max.bytes", Operation::Set, Some("9")),
                alteration("log.cleanup.policy", Operation::Append, Some("compact,delete,compact")),
            ],
        )
        .unwrap();
    assert_eq!(
        altered,
        map(&[("message.max.bytes", "9"), ("log.cleanup.policy", "delete,compact")])
    );
    let subtract = [alteration("log.cleanup.policy", Operation::Subtract, Some("delete"))];
    let altered = settings.altered(Level::Cluster, &altered, &subtract).unwrap();
    assert_eq!(altered["log.cleanup.policy"], "compact");

    let append = [alteration("message.max.bytes", Operation::Append, Some("9"))];
    let error = settings.altered(Level::Cluster, &altered, &append).unwrap_err();
    assert_eq!(error.kind, ConfigErrorKind::InvalidConfig);
    assert_eq!(
        error.message,
        "Can't APPEND to key message.max.bytes because its type is not LIST."
    );
}

#[test]
fn altered_settings_count_in_the_order_of_kafka() {
    let settings = from_flags(&["message.max.bytes=1000", "node.id=3"]).unwrap();
    let cluster = map(&[("message.max.bytes", "2000"), ("max.connections", "7"), ("node.id", "9")]);
    let broker = map(&[("message.max.bytes", "3000"), ("gone", "x"), ("max.connections", "-1")]);
    let altered = settings.with_dynamic(&cluster, &broker);
    assert_eq!(altered.log_defaults.message_max_bytes, 3000);
    assert_eq!(altered.network.max_connections, 7);
    assert_eq!(altered.node.id, 3);

    let described = altered.describe().find(|one| one.name == "message.max.bytes").unwrap();
    assert_eq!(described.value.as_deref(), Some("3000"));
    let sources: Vec<_> = described.synonyms.iter().map(|one| one.source).collect();
    assert_eq!(
        sources,
        [
            ConfigSource::DynamicBroker,
            ConfigSource::DynamicDefaultBroker,
            ConfigSource::StaticBroker,
            ConfigSource::Default,
        ]
    );
    let for_all: Vec<_> = altered.describe_altered_for_all().collect();
    assert_eq!(for_all.len(), 2);
    assert_eq!(for_all[1].value.as_deref(), Some("2000"));
    assert_eq!(for_all[1].synonyms.len(), 1);

    // Taken back, nothing of it stays.
    assert_eq!(altered.with_dynamic(&map(&[]), &map(&[])), settings);
}

#[test]
fn settings_that_were_stored_and_do_not_hold_together_are_left_out() {
    let settings = from_flags(&[]).unwrap();
    let broken = settings.with_dynamic(&map(&[("log.retention.ms", "0")]), &map(&[]));
    assert_eq!(broken, settings);
}
