use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::settings::kind::Kind;
use crate::settings::tests::from_flags;
use crate::settings::{
    Alteration, ConfigErrorKind, ConfigSource, Described, Operation, Settings,
    table as broker_table,
};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn settings(flags: &[&str]) -> Settings {
    from_flags(flags).unwrap()
}

fn described(name: &str, overrides: &[(&str, &str)], flags: &[&str]) -> Described {
    describe(&map(overrides), &settings(flags)).find(|one| one.name == name).unwrap()
}

#[test]
fn the_table_is_that_of_kafka_4_1_1() {
    assert_eq!(table::ALL.len(), 33);
    assert!(table::ALL.is_sorted_by(|a, b| a.name < b.name));
    for setting in table::ALL {
        check(setting.name, setting.default).unwrap();
        assert!(setting.doc.ends_with('.') && !setting.doc.contains("  "), "{}", setting.name);
        for (name, _) in setting.broker {
            let broker = broker_table::find(name).unwrap_or_else(|| panic!("{name}"));
            let same = broker.kind == setting.kind || broker.kind == Kind::Int;
            assert!(same, "{name} and {} are of one type", setting.name);
        }
        let inherited = described(setting.name, &[], &[]).value.unwrap();
        assert_eq!(inherited, setting.default, "{} comes from the broker", setting.name);
    }
}

#[test]
fn refusals_have_the_words_of_kafka() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("nosuch", "1")], "Unknown topic config name: nosuch"),
        (
            &[("message.timestamp.difference.max.ms", "5")],
            "Unknown topic config name: message.timestamp.difference.max.ms",
        ),
        (
            &[("retention.ms", "abc")],
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &[("retention.ms", "-2")],
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (
            &[("cleanup.policy", "foo")],
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, \
             delete",
        ),
        (
            &[("compression.type", "none")],
            "Invalid value none for configuration compression.type: String must be one of: \
             uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            &[("segment.bytes", "1024")],
            "Invalid value 1024 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            &[("retention.ms", "x"), ("retention.bytes", "y")],
            "Invalid value y for configuration retention.bytes: Not a number of type LONG",
        ),
        (
            &[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")],
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            &[("remote.storage.enable", "true")],
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
             with remote log storage.",
        ),
    ];
    for (overrides, message) in cases {
        let error = check_all(&map(overrides)).unwrap_err();
        assert_eq!(error.message, *message);
        assert_eq!(error.kind, ConfigErrorKind::InvalidConfig);
    }
}

#[test]
fn what_streams_connect_and_mirrors_set_is_taken() {
    let taken = [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("cleanup.policy", ""),
        ("segment.bytes", "52428800"),
        ("segment.index.bytes", "52428800"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("message.timestamp.type", "CreateTime"),
        ("compression.type", "zstd"),
        ("follower.replication.throttled.replicas", "0:1,1:2"),
        ("internal.segment.bytes", "5"),
    ];
    for (name, value) in taken {
        check_all(&map(&[(name, value)])).unwrap();
    }
}

#[test]
fn new_topics_are_checked() {
    assert_eq!(
        created(&[("retention.ms", Some("5")), ("retention.ms", Some("6"))]).unwrap(),
        map(&[("retention.ms", "6")])
    );
    let error = created(&[("retention.ms", None), ("segment.ms", None)]).unwrap_err();
    assert_eq!(
        error.message,
        "Null value not supported for topic configs: retention.ms,segment.ms"
    );
    assert_eq!(error.kind, ConfigErrorKind::InvalidConfig);
}

#[test]
fn alterations_change_what_a_topic_has_of_its_own() {
    let stored = map(&[("retention.ms", "5"), ("cleanup.policy", "compact")]);
    let change = |name, operation, value| Alteration { name, operation, value };
    let outcome = altered(
        &stored,
        &[
            change("cleanup.policy", Operation::Append, Some("delete")),
            change("retention.ms", Operation::Delete, None),
            change("segment.ms", Operation::Set, Some("7")),
        ],
    );
    assert_eq!(outcome.unwrap(), map(&[("cleanup.policy", "compact,delete"), ("segment.ms", "7")]));
    // A list that is not the topic's own begins with Kafka's default.
    let outcome =
        altered(&map(&[]), &[change("cleanup.policy", Operation::Append, Some("compact"))]);
    assert_eq!(outcome.unwrap()["cleanup.policy"], "delete,compact");

    let error = altered(&stored, &[change("retention.ms", Operation::Subtract, Some("5"))]);
    let message = "Can't SUBTRACT to key retention.ms because its type is not LIST.";
    assert_eq!(error.unwrap_err().message, message);
    let error = altered(&stored, &[change("retention.ms", Operation::Set, Some("-7"))]);
    assert_eq!(error.unwrap_err().kind, ConfigErrorKind::InvalidConfig);
    let error = altered(&stored, &[change("retention.ms", Operation::Set, None)]);
    assert_eq!(error.unwrap_err().kind, ConfigErrorKind::InvalidRequest);
}

#[test]
fn the_topic_comes_before_the_broker_and_units_are_converted() {
    let retention = |overrides: &[(&str, &str)], flags: &[&str]| {
        TopicConfig::new(&map(overrides), &settings(flags)).retention_ms
    };
    assert_eq!(retention(&[], &[]), Some(604_800_000));
    assert_eq!(retention(&[], &["log.retention.hours=5"]), Some(18_000_000));
    let minutes = ["log.retention.hours=5", "log.retention.minutes=7"];
    assert_eq!(retention(&[], &minutes), Some(420_000));
    assert_eq!(retention(&[], &["log.retention.ms=9", "log.retention.minutes=7"]), Some(9));
    assert_eq!(retention(&[], &["log.retention.hours=-3"]), None);
    assert_eq!(retention(&[("retention.ms", "11")], &["log.retention.ms=9"]), Some(11));
    assert_eq!(retention(&[("retention.ms", "-1")], &["log.retention.ms=9"]), None);

    let config = TopicConfig::new(
        &map(&[
            ("cleanup.policy", "compact"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "zehn"),
        ]),
        &settings(&["message.max.bytes=500", "log.retention.bytes=7"]),
    );
    assert!(config.compact && !config.delete);
    assert_eq!(config.timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(config.max_message_bytes, 500, "a value that does not fit counts as not given");
    assert_eq!(config.retention_bytes, Some(7));
    assert_eq!(config.timestamp_before_max_ms, i64::MAX);
    assert_eq!(config.timestamp_after_max_ms, 3_600_000);
}

#[test]
fn altered_broker_settings_reach_the_topics() {
    let settings = settings(&[]).with_dynamic(&map(&[("log.retention.ms", "5")]), &map(&[]));
    assert_eq!(TopicConfig::new(&map(&[]), &settings).retention_ms, Some(5));
}

#[test]
fn descriptions_are_those_of_kafka() {
    // Values, sources and synonyms as Apache Kafka 4.1.1 describes the same settings.
    let shown = |one: &Described| -> (String, i8, Vec<(&'static str, String, i8)>) {
        let synonyms = one.synonyms.iter();
        let synonyms = synonyms.map(|s| (s.name, s.value.clone().unwrap(), s.source.code()));
        (one.value.clone().unwrap(), one.source.code(), synonyms.collect())
    };
    let expect =
        |one: &Described, value: &str, source: i8, synonyms: &[(&'static str, &str, i8)]| {
            let synonyms =
                synonyms.iter().map(|(name, value, source)| (*name, (*value).to_owned(), *source));
            assert_eq!(shown(one), (value.to_owned(), source, synonyms.collect::<Vec<_>>()));
        };
    let plain = |name: &str| described(name, &[], &[]);
    expect(&plain("retention.ms"), "604800000", 5, &[]);
    expect(&plain("segment.ms"), "604800000", 5, &[]);
    expect(&plain("flush.ms"), "9223372036854775807", 5, &[]);
    expect(&plain("segment.jitter.ms"), "0", 5, &[]);
    expect(&plain("leader.replication.throttled.replicas"), "", 5, &[]);
    expect(&plain("segment.bytes"), "1073741824", 5, &[("log.segment.bytes", "1073741824", 5)]);
    expect(
        &plain("min.cleanable.dirty.ratio"),
        "0.5",
        5,
        &[("log.cleaner.min.cleanable.ratio", "0.5", 5)],
    );
    expect(&described("retention.ms", &[], &["log.retention.hours=5"]), "18000000", 5, &[]);
    let both = ["log.retention.hours=5", "log.retention.minutes=7"];
    expect(
        &described("retention.ms", &[("retention.ms", "100")], &both),
        "100",
        1,
        &[("retention.ms", "100", 1)],
    );
    let flags = ["log.retention.ms=5000", "log.retention.hours=5"];
    expect(
        &described("retention.ms", &[], &flags),
        "5000",
        4,
        &[
            ("log.retention.ms", "5000", 4),
            ("log.retention.hours", "5", 4),
            ("log.retention.hours", "168", 5),
        ],
    );
    expect(
        &described(
            "cleanup.policy",
            &[("cleanup.policy", " delete ,compact")],
            &["log.cleanup.policy=compact, delete"],
        ),
        "delete,compact",
        1,
        &[
            ("cleanup.policy", "delete,compact", 1),
            ("log.cleanup.policy", "compact, delete", 4),
            ("log.cleanup.policy", "delete", 5),
        ],
    );
    expect(
        &described("retention.ms", &[], &["log.retention.ms=-1"]),
        "-1",
        4,
        &[("log.retention.ms", "-1", 4), ("log.retention.hours", "168", 5)],
    );
    expect(
        &described("preallocate", &[("preallocate", "TRUE")], &[]),
        "true",
        1,
        &[("preallocate", "true", 1), ("log.preallocate", "false", 5)],
    );
    assert_eq!(plain("compression.gzip.level").source, ConfigSource::Default);
}

proptest! {
    #[test]
    fn any_settings_of_a_topic_are_refused_or_described(
        pairs in prop::collection::btree_map(
            prop_oneof![
                9 => prop::sample::select(table::ALL.iter().map(|one| one.name).collect::<Vec<_>>())
                    .prop_map(str::to_owned),
                1 => ".{0,12}",
            ],
            prop_oneof![
                any::<i64>().prop_map(|number| number.to_string()),
                "(true|false|compact|delete|,|[*]|[0-9]:[0-9]| ){0,4}",
                ".{0,12}",
            ],
            0..6,
        ),
    ) {
        let settings = settings(&[]);
        let allowed = check_all(&pairs).is_ok();
        // Even what is not allowed may stand in the metadata, from another version.
        let _ = TopicConfig::new(&pairs, &settings);
        prop_assert_eq!(describe(&pairs, &settings).count(), table::ALL.len());
        if allowed {
            for one in describe(&pairs, &settings) {
                check(one.name, &one.value.unwrap()).unwrap();
            }
        }
    }
}
