//! A child process with a log file.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::wait::within;

/// How long the system may take to end a process that was killed.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A running child; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` without input; what it prints is appended to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::from(out.try_clone()?))
            .stderr(Stdio::from(out))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child })
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, kind: Signal) -> Result<()> {
        signal(self.id().with_context(|| format!("{} has ended", self.name))?, kind)
    }

    /// The status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until `serves` says so; if it ends before that, or takes too long, the last lines of
    /// its log are told.
    pub async fn ready(&mut self, limit: Duration, serves: impl AsyncFn() -> bool) -> Result<()> {
        let what = format!("{} serves", self.name);
        let looked = async || {
            if let Some(status) = self.ended()? {
                bail!("{} ended: {status}", self.name);
            }
            Ok(serves().await)
        };
        let waited = within(limit, &what, looked).await;
        waited.with_context(|| format!("the log of {}:\n{}", self.name, self.log_tail(60)))
    }

    /// Waits for the end.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs after {limit:?}", self.name),
        }
    }

    /// Ends it with SIGKILL, which it cannot catch.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(KILL_LIMIT).await?;
        Ok(())
    }

    /// Asks it to end with SIGTERM, and waits.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit).await
    }

    /// The last lines that it printed, for a failure's report.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

/// Sends a signal to a process that the test has started and not yet waited for.
pub fn signal(id: u32, kind: Signal) -> Result<()> {
    let id = Pid::from_raw(id.try_into()?).context("process 0")?;
    Ok(kill_process(id, kind)?)
}

/// The last lines of a file, or why there are none.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    /// What is read of a long log.
    const TAIL_BYTES: u64 = 256 << 10;
    let read = || -> std::io::Result<String> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("{}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("sh", command, log).unwrap()
    }

    #[tokio::test]
    async fn what_is_printed_is_kept_and_the_end_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = shell("echo one; echo two >&2; echo three; exit 3", &log);
        assert_eq!(process.wait(KILL_LIMIT).await.unwrap().code(), Some(3));
        assert_eq!(process.log_tail(2), "two\nthree");
        assert_eq!(process.id(), None);
    }

    #[tokio::test]
    async fn who_waits_for_one_that_ended_is_shown_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("echo no such port; exit 3", &dir.path().join("log"));
        let told = process.ready(KILL_LIMIT, async || false).await.unwrap_err();
        assert!(format!("{told:#}").contains("no such port"), "{told:#}");
    }

    #[tokio::test]
    async fn a_process_that_will_not_end_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done", &log);
        crate::wait::within(KILL_LIMIT, "ready", async || Ok(tail(&log, 1) == "ready"))
            .await
            .unwrap();
        assert!(process.terminate(Duration::from_millis(200)).await.is_err());
        assert!(process.ended().unwrap().is_none());
        process.kill().await.unwrap();
        assert!(process.ended().unwrap().is_some());
    }
}
