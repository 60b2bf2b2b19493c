use std::path::Path;
use std::time::Duration;

use super::*;
use crate::settings::table;
use crate::settings::{ConfigSource, Roles, Synonym, WalKind};

#[test]
fn defaults_make_a_broker_alone() {
    let settings = from_flags(&[]).unwrap();
    assert_eq!(settings.node.id, 1);
    assert_eq!(settings.roles, Roles { broker: true, controller: true });
    assert_eq!(settings.wal_kind, WalKind::Disk);
    assert_eq!(settings.storage_url.scheme(), "file");
    assert!(settings.storage_url.path().ends_with("/odradek-data/objects/"));
    assert!(Path::new(settings.storage_url.path()).is_absolute());
    assert_eq!(settings.admin_listen.as_ref().unwrap().to_string(), "127.0.0.1:9644");
    assert_eq!(settings.process.shutdown_timeout, Duration::from_secs(10));
    assert_eq!(settings.groups.offsets_retention(), Duration::from_secs(7 * 24 * 3600));
    assert_eq!(settings.network.max_idle(), Some(Duration::from_secs(600)));
}

#[test]
fn the_wal_is_where_the_records_go() {
    let kind = |flags: &[&str]| from_flags(flags).unwrap().wal_kind;
    assert_eq!(kind(&["storage.url=s3://bucket/prefix"]), WalKind::Object);
    assert_eq!(kind(&["storage.url=s3://bucket", "wal.kind=disk"]), WalKind::Disk);
    assert_eq!(kind(&["wal.kind=object"]), WalKind::Object);
    assert_eq!(kind(&["storage.url=memory://"]), WalKind::Object);
}

#[test]
fn wrong_stores_are_refused_with_a_reason() {
    let cases = [
        ("storage.url=bucket", "is not a URL"),
        ("storage.url=http://x/y", "http:// is not a store; file, s3, gs, az, memory are"),
        ("storage.url=s3:///prefix", "names no bucket"),
        ("storage.url=s3://id:hush@bucket", "credentials do not belong into the URL"),
        ("storage.url=file://host/x", "is not of the form file:///directory"),
        ("storage.access.key.id=a", "one is given without the other"),
        ("storage.session.token=hush", "is given without storage.access.key.id"),
    ];
    for (flag, expected) in cases {
        let told = complaint(&[flag]);
        assert!(told.contains(expected), "{flag}: {told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn settings_that_contradict_one_another_are_refused() {
    let cases: &[(&[&str], &str)] = &[
        (&["process.roles="], "is no broker is not supported yet"),
        (&["process.roles=controller"], "is no broker is not supported yet"),
        (&["process.roles=broker"], "needs controller.quorum.voters"),
        (&["controller.quorum.voters=1@host:9093"], "listener for controllers, and there is none"),
        (&["controller.quorum.voters=host:9093"], "is not of the form ID@HOST:PORT"),
        (&["controller.quorum.voters=1@host"], "is not of the form ID@HOST:PORT"),
        (&["controller.quorum.voters=-1@host:9093"], "node ids begin at 0"),
        (&["controller.quorum.voters=1@0.0.0.0:9093"], "is no address to connect to"),
        (&["controller.quorum.voters=1@host:9093,1@host:9094"], "two voters of the id 1"),
        (&["controller.quorum.voters=1@host:9093,2@host:9093"], "two voters have the address"),
        (
            &["process.roles=broker", "controller.quorum.voters=1@host:9093"],
            "names this node, 1, and process.roles has no controller",
        ),
        (
            &["process.roles=broker", "controller.quorum.voters=2@host:9093"],
            "is a store of one process",
        ),
        (
            &[
                "process.roles=broker",
                "controller.quorum.voters=2@host:9093",
                "storage.url=s3://bucket",
                "wal.kind=disk",
            ],
            "wal.kind=disk is for one broker alone",
        ),
        (&["controller.quorum.secret=short"], "it has to have 16 to 256 bytes"),
        (&["broker.session.timeout.ms=500"], "is below twice broker.heartbeat.interval.ms"),
        (
            &["storage.endpoint=http://127.0.0.1:9000", "storage.allow.http=false"],
            "without TLS, which storage.allow.http=false forbids",
        ),
        (&["process.roles=brokr"], "String must be one of: broker, controller"),
        (&["node.id=1", "broker.id=2"], "node.id and broker.id differ"),
        (&["group.min.session.timeout.ms=2000000"], "is above group.max.session.timeout.ms"),
        (&["wal.linger.floor.ms=51"], "is above wal.linger.max.ms"),
        (&["queued.max.request.bytes=1000"], "is below socket.request.max.bytes"),
        (&["wal.slot.bytes=268435456"], "wal.unlanded.bytes is below wal.slot.bytes"),
        (&["log.retention.hours=0"], "must be above 0"),
        (&["admin.listen=9644"], "is not of the form host:port"),
    ];
    for (flags, expected) in cases {
        let told = complaint(flags);
        assert!(told.contains(expected), "{flags:?}: {told}");
    }
    assert_eq!(from_flags(&["admin.listen="]).unwrap().admin_listen, None);
}

#[test]
fn the_older_name_of_node_id_is_taken() {
    let settings = from_flags(&["broker.id=5"]).unwrap();
    assert_eq!(settings.node.id, 5);
    let node_id = settings.describe().find(|one| one.name == "node.id").unwrap();
    assert_eq!(node_id.value.as_deref(), Some("5"));
    assert_eq!(node_id.source, ConfigSource::StaticBroker);
}

#[test]
fn each_typed_field_takes_the_ends_of_its_range() {
    use crate::settings::kind::{Allowed, Kind};
    for setting in table::with_effect() {
        let ends = match (setting.allowed, setting.kind) {
            (Allowed::Between(low, high), _) => vec![low, high],
            (Allowed::AtLeast(low), Kind::Int) => vec![low, i32::MAX.into()],
            (Allowed::AtLeast(low), Kind::Short) => vec![low, i16::MAX.into()],
            (Allowed::AtLeast(low), Kind::Long) => vec![low, i64::MAX],
            (Allowed::Any, Kind::Int) => vec![i32::MIN.into(), i32::MAX.into()],
            (Allowed::Any, Kind::Long) => vec![i64::MIN, i64::MAX],
            _ => vec![],
        };
        for end in ends {
            let told = from_flags(&[&format!("{}={end}", setting.name)]);
            let told = told.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!told.contains("does not fit"), "{}={end}: {told}", setting.name);
        }
    }
}

fn synonym(name: &'static str, value: &str, source: ConfigSource) -> Synonym {
    Synonym { name, value: Some(value.to_owned()), source }
}

#[test]
fn descriptions_are_those_of_kafka() {
    // Names, sources and synonyms as Apache Kafka 4.1.1 describes the same settings.
    let settings = from_flags(&[
        "log.retention.hours=5",
        "storage.access.key.id=a",
        "storage.secret.access.key=b",
    ])
    .unwrap();
    let described: Vec<_> = settings.describe().collect();
    let find = |name: &str| described.iter().find(|one| one.name == name).unwrap();

    let hours = find("log.retention.hours");
    assert_eq!(hours.value.as_deref(), Some("5"));
    assert_eq!(hours.source, ConfigSource::StaticBroker);
    assert!(hours.read_only);
    assert_eq!(hours.kind.code(), 3);
    assert_eq!(
        hours.synonyms,
        [
            synonym("log.retention.hours", "5", ConfigSource::StaticBroker),
            synonym("log.retention.hours", "168", ConfigSource::Default),
        ]
    );
    let ms = find("log.retention.ms");
    assert_eq!((ms.value.as_deref(), ms.source), (None, ConfigSource::Default));
    assert_eq!(ms.synonyms, []);
    assert!(!ms.read_only);
    let secret = find("storage.secret.access.key");
    assert_eq!((secret.value.as_deref(), secret.sensitive), (None, true));
    assert_eq!(secret.synonyms[0].value, None);
    assert_eq!(find("log.cleanup.policy").value.as_deref(), Some("delete"));
    assert_eq!(find("background.threads").value.as_deref(), Some("10"));
    assert!(described.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn voters_make_it_one_of_several() {
    let settings = from_flags(&[
        "node.id=2",
        "listeners=PLAINTEXT://localhost:9092,CONTROLLER://[::1]:9093",
        "controller.listener.names=CONTROLLER",
        "controller.quorum.voters=1@one.example:9093, 2@[::1]:9093",
        "storage.url=s3://bucket",
    ])
    .unwrap();
    assert!(settings.is_one_of_several());
    let voters: Vec<_> =
        settings.voters.iter().map(|(id, address)| (*id, address.to_string())).collect();
    assert_eq!(voters, [(1, "one.example:9093".to_owned()), (2, "[::1]:9093".to_owned())]);
    assert_eq!(settings.controller_listener.unwrap().to_string(), "[::1]:9093");
    assert_eq!(settings.wal_kind, WalKind::Object);
    let alone = from_flags(&[
        "listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
        "controller.listener.names=CONTROLLER",
    ]);
    assert_eq!(alone.unwrap().controller_listener, None, "nobody would call");
    let follower = from_flags(&[
        "process.roles=broker",
        "controller.quorum.voters=2@host:9093",
        "storage.url=s3://bucket",
    ]);
    assert_eq!(follower.unwrap().roles, Roles { broker: true, controller: false });
}
