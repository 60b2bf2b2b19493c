//! Kafka's Java programs, with the flags that Kafka's own start scripts give them.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};
use odradek_tests::tools::tool;
use tokio::process::Command;

/// `KAFKA_JVM_PERFORMANCE_OPTS` of Kafka's `kafka-run-class.sh`.
const PERFORMANCE: [&str; 6] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// `KAFKA_JMX_OPTS` of the same script.
const MANAGEMENT: [&str; 3] = [
    "-Dcom.sun.management.jmxremote",
    "-Dcom.sun.management.jmxremote.authenticate=false",
    "-Dcom.sun.management.jmxremote.ssl=false",
];
/// `KAFKA_HEAP_OPTS` of `kafka-server-start.sh`.
pub const SERVER_HEAP: &[&str] = &["-Xmx1G", "-Xms1G"];
/// That of `kafka-producer-perf-test.sh` and `kafka-consumer-perf-test.sh`.
pub const LOAD_HEAP: &[&str] = &["-Xmx512M"];
/// That of every other script.
pub const TOOL_HEAP: &[&str] = &["-Xmx256M"];

/// `java` with a main class out of Kafka's jars.
///
/// # Errors
/// If the jars are not installed.
pub fn java(heap: &[&str], further: &[String], main: &str) -> Result<Command> {
    let libs = tool("kafka", "libs")?;
    let mut command = Command::new("java");
    command
        .args(heap)
        .args(PERFORMANCE)
        .args(MANAGEMENT)
        .args(further)
        .arg("-cp")
        .arg(libs.join("*"))
        .arg(main);
    Ok(command)
}

/// Runs a program to its end and gives back what it printed, at most for `limit`.
///
/// # Errors
/// If it does not start, does not end in time (it is then killed) or ends badly.
pub async fn output(name: &str, mut command: Command, limit: Duration) -> Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(limit, command.output()).await else {
        bail!("{name} did not end within {limit:?}");
    };
    let output = output?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{name} ended with {}:\n{text}\n{errors}", output.status);
    }
    Ok(text)
}
