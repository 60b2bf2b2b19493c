use clap::CommandFactory;

use super::*;
use crate::settings::tests::from_flags;

fn parsed(line: &str) -> Result<Cli, String> {
    Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_shows_examples() {
    fn check(command: &clap::Command) {
        for inner in command.get_subcommands() {
            let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
            let shows = help.contains("Examples:") && help.contains("odradek ");
            let needs_none = inner.has_subcommands() || inner.get_name() == "version";
            assert!(shows || needs_none, "{}", inner.get_name());
            check(inner);
        }
    }
    let command = Cli::command();
    assert!(command.get_after_help().unwrap().to_string().contains("Examples:"));
    check(&command);
}

#[test]
fn without_a_command_a_broker_starts() {
    let cli = parsed("odradek --set node.id=1 --config x.toml --set a=b").unwrap();
    assert!(matches!(cli.asked(), Command::Start(_)));
    assert_eq!(cli.given.set, ["node.id=1", "a=b"]);
    assert_eq!(cli.given.config.unwrap().to_str(), Some("x.toml"));
    // Settings may stand after the command too.
    let cli = parsed("odradek start --set node.id=1").unwrap();
    assert_eq!(cli.given.set, ["node.id=1"]);
}

#[test]
fn commands_of_topics() {
    let line = "odradek topic create orders -p 6 --topic-config a=b --topic-config c=d=e -b h:1";
    let Some(Command::Topic(TopicCommand::Create(args))) = parsed(line).unwrap().command else {
        panic!("not a creation")
    };
    assert_eq!((args.name.as_str(), args.partitions), ("orders", Some(6)));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(args.configs, [pair("a", "b"), pair("c", "d=e")]);
    assert_eq!(args.at.bootstrap, "h:1");
    for wrong in [
        "odradek topic create",
        "odradek topic create orders -p 0",
        "odradek topic create orders --topic-config a",
        "odradek topic describe",
        "odradek topic delete",
        "odradek topic make orders",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn consumers_begin_where_they_are_told() {
    let from = |line: &str| match parsed(line).map(|cli| cli.command) {
        Ok(Some(Command::Consume(args))) => Some(args.from),
        _ => None,
    };
    assert_eq!(from("odradek consume orders"), Some(StartAt::End));
    assert_eq!(from("odradek consume orders --from beginning"), Some(StartAt::Beginning));
    assert_eq!(from("odradek consume orders --from 12"), Some(StartAt::Offset(12)));
    assert_eq!(from("odradek consume orders --from middle"), None);
    assert_eq!(from("odradek consume orders --keys --json"), None);
}

fn shown(line: &str, flags: &[&str]) -> String {
    let Some(Command::Config(args)) = parsed(line).unwrap().command else { panic!("{line}") };
    let mut out = Vec::new();
    config::run(&args, &from_flags(flags).unwrap(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_tells_value_source_default_and_meaning() {
    let flags = ["node.id=7", "storage.access.key.id=a", "storage.secret.access.key=hush"];
    let all = shown("odradek config", &flags);
    let line = |name: &str| all.lines().find(|line| line.starts_with(name)).unwrap();
    let words: Vec<&str> = line("node.id ").split_whitespace().take(4).collect();
    assert_eq!(words, ["node.id", "7", "--set", "1"]);
    assert!(line("node.id ").ends_with("1 suits a broker alone."));
    assert!(line("storage.secret.access.key").contains("********"));
    assert!(!all.contains("hush"));
    assert!(line("log.dirs").contains("No effect here."));
    assert!(line("broker.rack ").split_whitespace().nth(1) == Some("-"));

    let changed = shown("odradek config --changed", &flags);
    assert_eq!(changed.lines().count(), 4, "{changed}");
    let some = shown("odradek config retention.minutes", &flags);
    assert_eq!(some.lines().count(), 3, "{some}");
}

#[test]
fn json_has_all_settings() {
    let flags = ["storage.access.key.id=a", "storage.secret.access.key=hush"];
    let text = shown("odradek config --json", &flags);
    assert!(!text.contains("hush"));
    let all: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(all.len(), crate::settings::table::all().count());
    let find = |name: &str| all.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(find("node.id")["source"], "default");
    assert_eq!(find("node.id")["type"], "int");
    assert_eq!(find("broker.rack")["value"], serde_json::Value::Null);
    assert_eq!(find("storage.secret.access.key")["sensitive"], true);
    assert_eq!(find("log.dirs")["effect"], false);
}

#[test]
fn the_page_of_settings_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == config::settings_page(),
        "docs/settings.md is out of date: odradek config --markdown > docs/settings.md"
    );
}

#[test]
fn the_page_names_every_setting() {
    let page = shown("odradek config --markdown", &[]);
    for setting in crate::settings::table::all() {
        assert!(page.contains(&format!("`{}`", setting.name)), "{}", setting.name);
    }
    for setting in crate::topic_settings::table::ALL {
        assert!(page.contains(&format!("| `{}` |", setting.name)), "{}", setting.name);
    }
}

#[test]
fn who_reads_the_beginning_of_the_settings_has_enough() {
    use std::io::{Error, ErrorKind, Result, Write};

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> Result<usize> {
            Err(Error::from(self.0))
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    let (args, settings) = (ConfigArgs::default(), from_flags(&[]).unwrap());
    let shown = |kind| config::run(&args, &settings, &mut Fails(kind));
    assert!(shown(ErrorKind::BrokenPipe).is_ok());
    assert!(shown(ErrorKind::StorageFull).is_err());
}

#[test]
fn commands_of_the_cluster() {
    let line = "odradek cluster reassign orders -p 0,4 -r 2,3 -b h:1";
    let Some(Command::Cluster(ClusterCommand::Reassign(args))) = parsed(line).unwrap().command
    else {
        panic!("no reassignment")
    };
    assert_eq!((args.partitions, args.replicas), (vec![0, 4], vec![2, 3]));
    assert_eq!((args.topic.as_str(), args.at.bootstrap.as_str()), ("orders", "h:1"));
    assert!(parsed("odradek cluster reassign orders --cancel").is_ok());
    assert!(parsed("odradek cluster drain 3 --undo").is_ok());
    for wrong in [
        "odradek cluster drain",
        "odradek cluster drain -1",
        "odradek cluster reassign orders",
        "odradek cluster reassign orders -r a",
        "odradek cluster reassign orders -r 1 --cancel",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn commands_of_the_quorum() {
    let line = "odradek quorum add 4 --directory AAAAAAAAAAAAAAAAAAAAAQ --endpoint [::1]:9093";
    let Some(Command::Quorum(QuorumCommand::Add(args))) = parsed(line).unwrap().command else {
        panic!("nothing is added")
    };
    assert_eq!((args.node, args.directory.as_u128()), (4, 1));
    assert_eq!((args.endpoint, args.listener.as_str()), (("::1".to_owned(), 9093), "CONTROLLER"));
    assert!(parsed("odradek quorum remove 4").is_ok());
    for wrong in [
        "odradek quorum add 4 --endpoint h:1",
        "odradek quorum add 4 --directory AAAAAAAAAAAAAAAAAAAAAQ --endpoint h",
        "odradek quorum add 4 --directory AAAAAAAAAAAAAAAAAAAAAQ --endpoint h:0",
        "odradek quorum remove 4 --directory 4",
        "odradek quorum remove",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}
