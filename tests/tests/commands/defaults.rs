//! A broker without any setting, and every command, as the README and the welcome tell them.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use odradek_tests::broker::odradek;
use odradek_tests::tools::checkout;
use tempfile::TempDir;
use tokio::process::Command;

use crate::odradek::{
    PLAIN_PATH, default_ports_are_free, fed, path_with_odradek, records, refused, run, shell,
    start, stop,
};

/// Records that are produced beside the one of the welcome.
const RECORDS: usize = 1_000;
/// What the welcome says, line by line; what varies is left out.
const WELCOME: [&str; 4] = [
    "  listens    PLAINTEXT at localhost:9092",
    "  admin      http://127.0.0.1:9644 (/livez, /readyz, /metrics)",
    "  records    file:///",
    "  data       ./odradek-data (metadata, write-ahead log)",
];

/// Nothing but a folder is given.
pub async fn every_command_works() -> Result<String> {
    default_ports_are_free()?;
    let folder = TempDir::new()?;
    let here = folder.path();
    let (mut broker, welcome) = start(here, with_path(PLAIN_PATH.as_ref())?, "first").await?;
    for line in WELCOME {
        let said = welcome.lines().any(|said| said.starts_with(line));
        ensure!(said, "the welcome lacks {line:?}:\n{welcome}");
    }
    ensure!(here.join("odradek-data/directory.json").exists(), "no ./odradek-data");
    what_is_told_works(here, &welcome).await?;
    topics_are_shown(here).await?;

    let mut expected: Vec<String> = (0..RECORDS).map(|n| format!("record {n}")).collect();
    fed(here, &["produce", "hello"], &(expected.join("\n") + "\n")).await?;
    expected.push("first record".to_owned());
    expected.sort();
    ensure!(
        records(here, &["hello"]).await? == expected,
        "what is consumed is not what was produced"
    );
    let names = every_setting_is_printed(here).await?;

    broker.kill().await?;
    let path = path_with_odradek()?;
    let (broker, welcome) = start(here, with_path(&path)?, "second").await?;
    ensure!(
        records(here, &["hello"]).await? == expected,
        "after kill -9, records are not as they were"
    );
    let [create, _, consume] = told(&welcome)?;
    ensure!(create == "odradek topic create hello --partitions 3", "{create}");
    let consumed = shell(here, &path, &format!("{consume} --exit")).await?;
    ensure!(consumed.lines().count() == expected.len(), "{consumed}");
    topics_go(here).await?;
    stop(broker).await?;
    Ok(format!("{} records after kill -9, {names} settings", expected.len()))
}

/// The binary, started from a shell that has this `PATH`.
fn with_path(path: &OsStr) -> Result<Command> {
    let mut command = odradek()?;
    command.env("PATH", path);
    Ok(command)
}

/// The three commands that the welcome tells to try.
fn told(welcome: &str) -> Result<[&str; 3]> {
    let lines = welcome.lines().skip_while(|line| !line.starts_with("  try ")).take(3);
    let commands = lines.map(|line| line.trim_start().trim_start_matches("try").trim_start());
    let commands: Vec<&str> = commands.collect();
    commands.try_into().map_err(|other| anyhow!("not three: {other:?}"))
}

/// They work as they stand there, also where no `odradek` is on the path.
async fn what_is_told_works(here: &Path, welcome: &str) -> Result<()> {
    let [create, produce, consume] = told(welcome)?;
    let shell = async |line: &str| shell(here, PLAIN_PATH.as_ref(), line).await;
    let created = shell(create).await?;
    ensure!(created == "topic hello created, partitions: 3\n", "{created}");
    shell(produce).await?;
    // By itself it would wait for more.
    let consumed = shell(&format!("{consume} --count 1")).await?;
    ensure!(consumed == "first record\n", "{consumed}");
    Ok(())
}

async fn topics_are_shown(here: &Path) -> Result<()> {
    let told = refused(here, &["topic", "create", "hello"]).await?;
    ensure!(told.contains("already exists"), "{told}");
    let listed = run(here, &["topic", "list"]).await?;
    ensure!(listed == "hello\n", "{listed}");
    let shown = run(here, &["topic", "describe", "hello"]).await?;
    ensure!(shown.starts_with("topic hello, id "), "{shown}");
    let row = |line: &str| {
        line.split_whitespace().map(str::parse::<u64>).collect::<Result<Vec<u64>, _>>()
    };
    // Partition, leader, beginning, end, replicas.
    let rows: Vec<Vec<u64>> = shown.lines().filter_map(|line| row(line).ok()).collect();
    ensure!(rows.len() == 3 && rows.iter().all(|row| row[1] == 1 && row[4] == 1), "{shown}");
    ensure!(rows.iter().map(|row| row[3]).sum::<u64>() == 1, "not one record:\n{shown}");
    Ok(())
}

async fn topics_go(here: &Path) -> Result<()> {
    let deleted = run(here, &["topic", "delete", "hello"]).await?;
    ensure!(deleted == "topic hello deleted\n", "{deleted}");
    let listed = run(here, &["topic", "list"]).await?;
    ensure!(listed.is_empty(), "{listed}");
    let told = refused(here, &["topic", "describe", "hello"]).await?;
    ensure!(told.contains("hello"), "{told}");
    Ok(())
}

/// `odradek config` prints a row for each setting of the page of settings; how many there are.
async fn every_setting_is_printed(here: &Path) -> Result<usize> {
    let page = std::fs::read_to_string(checkout().join("docs/settings.md"))?;
    let of_processes = page.lines().take_while(|line| *line != "## Settings of topics");
    let name = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let names: Vec<String> = of_processes.filter_map(name).collect();
    ensure!(names.len() > 50, "only {} settings are in docs/settings.md", names.len());
    let printed = run(here, &["config"]).await?;
    for name in &names {
        let row =
            printed.lines().find(|line| line.split_whitespace().next() == Some(name.as_str()));
        row.with_context(|| format!("odradek config does not print {name}:\n{printed}"))?;
    }
    Ok(names.len())
}
