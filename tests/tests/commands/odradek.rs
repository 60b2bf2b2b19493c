//! The binary as people use it: started in a folder, or run to its end with what they type.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_tests::broker::odradek;
use odradek_tests::process::{Process, tail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The ports that a broker without settings takes: of Kafka, and of the admin server.
pub const DEFAULT_PORTS: [u16; 2] = [9092, 9644];
/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long the end after SIGTERM may take.
pub const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long a command may take that ends by itself.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// What the last line of the welcome has.
const LAST_OF_WELCOME: &str = " consume hello --from beginning";
const WELCOME_LINES: usize = 200;
/// A `PATH` on which no `odradek` is.
pub const PLAIN_PATH: &str = "/usr/bin:/bin";

/// Fails unless the default ports are free: what is tested here cannot be moved to others.
pub fn default_ports_are_free() -> Result<()> {
    for port in DEFAULT_PORTS {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        free.with_context(|| {
            format!("the default port {port} must be free here: does a broker still run?")
        })?;
    }
    Ok(())
}

/// Starts a broker in `folder` with what `command` was given, and waits for its welcome, which is
/// answered. What it prints goes to the file `log` in the folder.
pub async fn start(folder: &Path, mut command: Command, log: &str) -> Result<(Process, String)> {
    command.current_dir(folder);
    let log = folder.join(log);
    let mut process = Process::spawn("odradek", command, &log)?;
    let welcomed = async || tail(&log, WELCOME_LINES).contains(LAST_OF_WELCOME);
    process.ready(START_LIMIT, welcomed).await?;
    Ok((process, tail(&log, WELCOME_LINES)))
}

/// Ends a broker as an operator does.
pub async fn stop(mut process: Process) -> Result<()> {
    let status = process.terminate(STOP_LIMIT).await?;
    ensure!(status.success(), "after SIGTERM: {status}\n{}", process.log_tail(20));
    Ok(())
}

/// Runs `odradek ARGUMENTS` in `folder` to a good end; what it printed.
pub async fn run(folder: &Path, arguments: &[&str]) -> Result<String> {
    fed(folder, arguments, "").await
}

/// The same with `input` at its standard input.
pub async fn fed(folder: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = odradek()?;
    command.args(arguments).current_dir(folder);
    let output = ended(command, input).await?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "odradek {}: {}\n{printed}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(printed)
}

/// All records of a topic, sorted: partitions come in no order. `topic` is its name, and what else
/// `odradek consume` has to know.
pub async fn records(folder: &Path, topic: &[&str]) -> Result<Vec<String>> {
    let arguments = [&["consume", "--from", "beginning", "--exit"], topic].concat();
    let printed = run(folder, &arguments).await?;
    let mut records: Vec<String> = printed.lines().map(str::to_owned).collect();
    records.sort();
    Ok(records)
}

/// Runs `odradek ARGUMENTS` in `folder` to an end that must not be good; what it printed.
pub async fn refused(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = odradek()?;
    command.args(arguments).current_dir(folder);
    let output = ended(command, "").await?;
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    let code = output.status.code();
    ensure!(code == Some(1), "odradek {} ended with {code:?}:\n{told}", arguments.join(" "));
    Ok(told)
}

/// A `PATH` on which `odradek` is found.
pub fn path_with_odradek() -> Result<OsString> {
    let program = odradek()?.as_std().get_program().to_owned();
    let folder = Path::new(&program).parent().context("the binary is in no folder")?;
    let plain = std::env::split_paths(PLAIN_PATH);
    Ok(std::env::join_paths(std::iter::once(folder.to_owned()).chain(plain))?)
}

/// Runs a line of a shell that has this `PATH`; what it printed.
pub async fn shell(folder: &Path, path: &OsStr, line: &str) -> Result<String> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("PATH", path).current_dir(folder);
    let output = ended(command, "").await?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {}\n{told}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn ended(mut command: Command, input: &str) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let feeding = async move {
        // Who does not read it all ends first, and says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let both = async { tokio::join!(feeding, child.wait_with_output()).1 };
    let output = tokio::time::timeout(COMMAND_LIMIT, both).await;
    Ok(output.with_context(|| format!("{command:?} still runs after {COMMAND_LIMIT:?}"))??)
}
