//! The real clients of `tests/clients/` as child processes.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;
use tokio::time::Instant;

use crate::broker::built;
use crate::process::{Process, tail};
use crate::tools::{checkout, tool, tools_folder};

/// How long one program may take; alone it takes ten seconds.
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// Steps that every client has: a program that ends well without them did not do its work. Each
/// `produce` is idempotent: it fails where the broker gives no producer id.
const REQUIRED_STEPS: [&str; 13] = [
    "describe",
    "produce.none",
    "produce.gzip",
    "produce.snappy",
    "produce.lz4",
    "produce.zstd",
    "read",
    "offsets",
    "list",
    "group.join",
    "group.leave",
    "group.rejoin",
    "resume",
];
/// Steps of every client that can administer, which is all but kcat.
const ADMIN_STEPS: [&str; 10] = [
    "create",
    "config",
    "group.describe",
    "group.close",
    "group.offsets",
    "rewind",
    "partitions",
    "delete-records",
    "delete-group",
    "delete-topic",
];
/// Steps that only kcat has.
const KCAT_STEPS: [&str; 2] = ["binary", "tail"];
/// Steps that only the Java client has: Kafka's tools, and static members.
const JAVA_STEPS: [&str; 8] = [
    "group.static",
    "tools.topics",
    "tools.console",
    "tools.configs",
    "tools.perf",
    "tools.groups",
    "tools.offsets",
    "tools.delete",
];

/// A real client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// kcat.
    Kcat,
    /// Kafka's Java client and tools.
    Java,
    /// confluent-kafka.
    Python,
    /// KafkaJS.
    KafkaJs,
    /// franz-go.
    FranzGo,
    /// The `rdkafka` crate.
    Rdkafka,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kcat => "kcat",
            Self::Java => "java",
            Self::Python => "python",
            Self::KafkaJs => "kafkajs",
            Self::FranzGo => "franz-go",
            Self::Rdkafka => "rdkafka",
        })
    }
}

/// How a client's run went.
#[derive(Debug)]
pub struct Outcome {
    /// Steps that went well.
    pub steps: usize,
    /// What went wrong; empty if nothing did.
    pub failures: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Kcat, Self::Java, Self::Python, Self::KafkaJs, Self::FranzGo, Self::Rdkafka];

    /// The steps without which its run has failed.
    fn required_steps(self) -> Vec<&'static str> {
        let own: [&[&str]; 2] = match self {
            Self::Kcat => [&KCAT_STEPS, &[]],
            Self::Java => [&ADMIN_STEPS, &JAVA_STEPS],
            _ => [&ADMIN_STEPS, &[]],
        };
        [&REQUIRED_STEPS[..], own[0], own[1]].concat()
    }

    fn command(self) -> Result<Command> {
        let sources = checkout().join("tests/clients");
        let mut command;
        match self {
            Self::Kcat => command = Command::new(sources.join("kcat/client.sh")),
            Self::Java => {
                let jars = tool("kafka", "libs")?.join("*");
                let classes = tool("java-client", "classes")?;
                let log = sources.join("java/log4j2.properties");
                command = Command::new("java");
                command
                    .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                    .arg(format!("-Dlog4j2.configurationFile={}", log.display()))
                    .arg("-cp")
                    .arg(format!("{}:{}", classes.display(), jars.display()))
                    .arg("Client");
            }
            Self::Python => {
                command = Command::new(tool("python", "bin/python")?);
                command.arg(sources.join("python/client.py"));
            }
            Self::KafkaJs => {
                command = Command::new("node");
                command
                    .arg(sources.join("kafkajs/client.js"))
                    .env("NODE_PATH", tools_folder().join("node/node_modules"));
            }
            Self::FranzGo => command = Command::new(tool("franz-go", "franzclient")?),
            Self::Rdkafka => {
                command = Command::new(built("odradek-test-rdkafka", "ODRADEK_TEST_RDKAFKA")?);
            }
        }
        Ok(command)
    }

    /// Runs the client against a broker. `name` is unique to the run; `log` takes what is printed.
    pub async fn run(self, bootstrap: &str, name: &str, log: &Path) -> Result<Outcome> {
        let mut command = self.command()?;
        command.arg(bootstrap).arg(name);
        let started = Instant::now();
        let mut process = Process::spawn(&self.to_string(), command, log)?;
        let ended = process.wait(RUN_LIMIT).await;
        if ended.is_err() {
            process.kill().await?;
        }
        let printed = std::fs::read_to_string(log)?;
        let (steps, mut failures) = judge(&printed, &self.required_steps());
        match ended {
            Ok(status) if !status.success() && failures.is_empty() => {
                failures.push(format!("ended with {status}"));
            }
            Ok(_) => {}
            Err(error) => failures.push(format!("{error:#}")),
        }
        if !failures.is_empty() {
            failures.push(format!("the last lines that it printed:\n{}", tail(log, 15)));
        }
        Ok(Outcome { steps, failures, took: started.elapsed() })
    }
}

/// The number of steps that went well, and what went wrong, by what a client printed.
fn judge(printed: &str, required: &[&str]) -> (usize, Vec<String>) {
    let ok: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    let failed = printed.lines().filter(|line| line.starts_with("FAIL ")).map(str::to_owned);
    let missing = required
        .iter()
        .filter(|step| !ok.contains(step) && !printed.contains(&format!("FAIL {step}:")))
        .map(|step| format!("the step {step} is missing"));
    let failures = failed.chain(missing).collect();
    (ok.len(), failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required() -> Vec<&'static str> {
        Client::Java.required_steps()
    }

    fn ok(steps: &[&str]) -> String {
        steps.iter().map(|step| format!("ok {step}\n")).collect()
    }

    fn all_ok() -> String {
        ok(&required())
    }

    #[test]
    fn each_step_that_is_lost_is_missed() {
        for client in Client::ALL {
            let required = client.required_steps();
            for lost in &required {
                let others: Vec<&str> = required.iter().copied().filter(|s| s != lost).collect();
                let (_, failures) = judge(&ok(&others), &required);
                assert_eq!(failures, [format!("the step {lost} is missing")], "{client}");
            }
        }
    }

    #[test]
    fn only_kcat_leaves_administration_out_and_only_java_has_tools() {
        for client in Client::ALL {
            let required = client.required_steps();
            assert_eq!(required.contains(&"tail"), client == Client::Kcat, "{client}");
            assert_eq!(required.contains(&"delete-topic"), client != Client::Kcat, "{client}");
            assert_eq!(required.contains(&"tools.perf"), client == Client::Java, "{client}");
        }
    }

    #[test]
    fn a_full_run_passes() {
        let printed = all_ok() + "a warning\nok more\n";
        assert_eq!(judge(&printed, &required()), (required().len() + 1, Vec::new()));
    }

    #[test]
    fn a_failed_step_fails_once() {
        let printed = all_ok().replace("ok read", "FAIL read: offset 3, not 2");
        let (steps, failures) = judge(&printed, &required());
        assert_eq!(steps, required().len() - 1);
        assert_eq!(failures, ["FAIL read: offset 3, not 2"]);
    }

    #[test]
    fn a_program_that_stops_early_fails() {
        let printed = all_ok().replace("ok resume\n", "");
        assert_eq!(judge(&printed, &required()).1, ["the step resume is missing"]);
        assert_eq!(judge("", &required()).1.len(), required().len());
    }
}
