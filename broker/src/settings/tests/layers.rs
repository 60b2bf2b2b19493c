use std::io::Write;

use super::*;
use crate::settings::Origin;

#[test]
fn tables_and_dotted_keys_mean_the_same() {
    let forms = [
        "\"node.id\" = 7\n\"num.partitions\" = 3",
        "node.id = 7\nnum.partitions = 3",
        "[node]\nid = 7\n[num]\npartitions = 3",
        "node = { id = 7 }\nnum = { \"partitions\" = \"3\" }",
    ];
    for form in forms {
        let settings = from_toml(form).unwrap();
        assert_eq!((settings.node.id, settings.topics.num_partitions), (7, 3), "{form}");
    }
}

#[test]
fn a_key_that_begins_another_keeps_its_value() {
    let forms = [
        "\"max.connections\" = 50\n\"max.connections.per.ip\" = 5",
        "\"max.connections\" = 50\n[max.connections]\n\"per.ip\" = 5",
    ];
    for form in forms {
        let network = from_toml(form).unwrap().network;
        assert_eq!((network.max_connections, network.max_connections_per_ip), (50, 5), "{form}");
    }
}

#[test]
fn lists_are_written_as_lists_or_with_commas() {
    for form in [
        "log.cleanup.policy = [\"compact\", \"delete\"]",
        "log.cleanup.policy = \"compact, delete\"",
    ] {
        let settings = from_toml(form).unwrap();
        assert_eq!(settings.log_defaults.cleanup_policy, ["compact", "delete"]);
    }
}

#[test]
fn the_later_layer_wins() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"node.id = 2\nnum.partitions = 2\n[broker]\nrack = \"a\"").unwrap();
    let mut sources = sources(
        &["num.partitions=4", "num.partitions=5"],
        &[("ODRADEK_NUM_PARTITIONS", "3"), ("ODRADEK_BROKER_RACK", "b"), ("PATH", "x")],
    );
    sources.file = Some(file.path().to_owned());
    let (settings, warnings) = Settings::load(&sources).unwrap();
    assert_eq!(settings.node.id, 2);
    assert_eq!(settings.node.rack.as_deref(), Some("b"));
    assert_eq!(settings.topics.num_partitions, 5);
    assert_eq!(warnings, []);
    let origin = |key| settings.values.given(key).unwrap().1;
    assert!(matches!(origin("node.id"), Origin::File(path) if *path == file.path()));
    assert_eq!(origin("broker.rack"), Origin::Environment);
    assert_eq!(origin("num.partitions"), Origin::Flag);
}

#[test]
fn text_keeps_its_form() {
    let settings = Settings::load(&sources(
        &["storage.secret.access.key=a=b,c"],
        &[("ODRADEK_STORAGE_ACCESS_KEY_ID", "0012")],
    ));
    let settings = settings.unwrap().0;
    assert_eq!(settings.storage.access_key_id.as_deref(), Some("0012"));
    let secret = settings.storage.secret_access_key.as_ref().unwrap();
    assert_eq!(secret.expose(), "a=b,c");
    assert!(!format!("{settings:?}").contains("a=b"));
}

#[test]
fn errors_name_their_source_and_the_nearest_key() {
    let in_file = |text: &str| from_toml(text).unwrap_err().to_string();
    assert_eq!(
        in_file("[node]\nld = 1"),
        "file odradek.toml: node.ld: unknown setting; did you mean node.id?"
    );
    assert_eq!(
        in_file("node.id = \"one\""),
        "file odradek.toml: node.id: Invalid value one for configuration node.id: \
         Not a number of type INT"
    );
    assert_eq!(in_file("node.id = 1\n\"node.id\" = 2"), "file odradek.toml: node.id: given twice");
    assert!(in_file("node.id = 1979-05-27").contains("node.id: a text, a number"));
    assert!(in_file("node.id = [[1]]").contains("node.id: a text, a number"));
    let told = in_file("storage.secret.access.key = \"hush\"\nnode.id = hush");
    assert!(told.starts_with("file odradek.toml, line 2: not TOML: "), "{told}");
    assert!(!told.contains("hush"), "{told}");

    let in_environment =
        |name, value| Settings::load(&sources(&[], &[(name, value)])).unwrap_err().to_string();
    assert_eq!(
        in_environment("ODRADEK_NODEID", "1"),
        "environment variable ODRADEK_NODEID: unknown setting; did you mean ODRADEK_NODE_ID?"
    );
    assert_eq!(
        in_environment("ODRADEK_NODE_ID", "x"),
        "environment variable ODRADEK_NODE_ID: Invalid value x for configuration node.id: \
         Not a number of type INT"
    );

    assert_eq!(
        complaint(&["wal.linger=5"]),
        "--set: wal.linger: unknown setting; did you mean wal.linger.max.ms?"
    );
    assert_eq!(complaint(&["node.id"]), "--set node.id: not of the form KEY=VALUE");
    assert!(complaint(&["wal.kind=dsk"]).contains("String must be one of: auto, object, disk"));
}

#[test]
fn all_problems_are_told_at_once() {
    let error = from_flags(&["node.id=x", "nonsense.key.here=1", "num.partitions=0"]).unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn a_key_of_kafka_without_effect_is_a_warning() {
    let flags = [
        "log.dirs=/tmp/kafka",
        "num.network.threads=8",
        "listener.name.external.ssl.keystore.location=/x",
        "group.share.enable=true",
    ];
    let (_, warnings) = Settings::load(&sources(&flags, &[])).unwrap();
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(
        warnings[0],
        "--set: log.dirs: No effect here. Where data lies is set with `data.dir` and `storage.url`."
    );
    assert!(complaint(&["num.network.threads=none"]).contains("Not a number of type INT"));
}

#[test]
fn variables_that_kubernetes_sets_beside_a_service_are_no_settings() {
    let links = [
        ("ODRADEK_SERVICE_HOST", "10.0.0.1"),
        ("ODRADEK_BROKER_SERVICE_PORT_KAFKA", "9092"),
        ("ODRADEK_PORT", "tcp://10.0.0.1:9092"),
        ("ODRADEK_PORT_9092_TCP_ADDR", "10.0.0.1"),
    ];
    let (settings, warnings) = Settings::load(&sources(&[], &links)).unwrap();
    assert_eq!(settings, from_flags(&[]).unwrap());
    assert_eq!(warnings.len(), links.len());
    let none_is_a_setting = crate::settings::table::all()
        .all(|setting| !crate::settings::layers::is_service_link(&setting.environment_name()));
    assert!(none_is_a_setting);
}

#[test]
fn a_file_that_is_missing_or_too_long_is_named() {
    let mut sources = sources(&[], &[]);
    sources.file = Some("/does/not/exist.toml".into());
    let error = Settings::load(&sources).unwrap_err().to_string();
    assert!(error.starts_with("file /does/not/exist.toml: No such file"), "{error}");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![b' '; (1 << 20) + 1]).unwrap();
    sources.file = Some(file.path().to_owned());
    let error = Settings::load(&sources).unwrap_err().to_string();
    assert!(error.ends_with("longer than 1048576 bytes"), "{error}");
}
