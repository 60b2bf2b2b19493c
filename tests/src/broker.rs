//! A broker under test: the real binary as a child process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use crate::net::{free_address, http_get};
use crate::place::{Place, WalKind};
use crate::process::Process;

/// How long a start may take, recovery included.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long the end after SIGTERM may take; the broker promises ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How a broker under test is started.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The kind of write-ahead log.
    pub wal: WalKind,
    /// The object store.
    pub place: Place,
    /// Further settings, as `--set` takes them.
    pub set: Vec<(String, String)>,
    /// The environment beside that of the test, for faults that are planted that way.
    pub environment: Vec<(String, String)>,
    /// Where it listens for the quorum, if it is one of several voters.
    pub controller: Option<SocketAddr>,
    /// Whether it keeps a phase board.
    pub board: bool,
}

impl BrokerOptions {
    /// A broker on this log and store with the defaults of everything else.
    #[must_use]
    pub fn new(wal: WalKind, place: Place) -> Self {
        Self {
            wal,
            place,
            set: Vec::new(),
            environment: Vec::new(),
            controller: None,
            board: false,
        }
    }

    /// With one more setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.set.push((key.to_owned(), value.to_string()));
        self
    }

    /// As node `id` of the voters, which all have an address each.
    #[must_use]
    pub fn voter(mut self, id: usize, voters: &[(usize, SocketAddr)]) -> Self {
        self.controller = voters.iter().find(|(one, _)| *one == id).map(|(_, at)| *at);
        self.node(id, "broker,controller", voters)
    }

    /// As node `id`, which does not vote.
    #[must_use]
    pub fn follower(self, id: usize, voters: &[(usize, SocketAddr)]) -> Self {
        self.node(id, "broker", voters)
    }

    fn node(self, id: usize, roles: &str, voters: &[(usize, SocketAddr)]) -> Self {
        let named: Vec<String> = voters.iter().map(|(id, at)| format!("{id}@{at}")).collect();
        self.set("node.id", id)
            .set("process.roles", roles)
            .set("controller.listener.names", "CONTROLLER")
            .set("controller.quorum.voters", named.join(","))
    }

    /// With a phase board, which says what a kill has cut.
    #[must_use]
    pub fn with_board(mut self) -> Self {
        self.board = true;
        self
    }
}

/// A broker with a data directory, ports and a log that outlive its process, so that it can be
/// started again.
#[derive(Debug)]
pub struct Broker {
    options: BrokerOptions,
    dir: TempDir,
    kafka: SocketAddr,
    admin: SocketAddr,
    process: Process,
}

impl Broker {
    /// Starts a broker on an empty data directory and waits until it is ready.
    pub async fn start(options: BrokerOptions) -> Result<Self> {
        let dir = TempDir::new()?;
        let (kafka, admin) = (free_address()?, free_address()?);
        let process = spawn(&options, dir.path(), kafka, admin)?;
        let mut broker = Self { options, dir, kafka, admin, process };
        broker.ready().await?;
        Ok(broker)
    }

    /// Starts the process again on the same directory and ports, after it ended.
    pub async fn start_again(&mut self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Starts the process again without waiting until it is ready.
    pub fn launch(&mut self) -> Result<()> {
        if self.process.ended()?.is_none() {
            bail!("the broker still runs");
        }
        // Of a process that is killed before it has a board, the one before must not be read.
        if self.board().exists() {
            std::fs::remove_file(self.board())?;
        }
        self.process = spawn(&self.options, self.dir.path(), self.kafka, self.admin)?;
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        let admin = self.admin;
        let serves = async || matches!(http_get(admin, "/readyz").await, Ok((200, _)));
        self.process.ready(READY_LIMIT, serves).await
    }

    /// The address for Kafka clients.
    #[must_use]
    pub fn bootstrap(&self) -> SocketAddr {
        self.kafka
    }

    /// The address of the admin server.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Where its phase board is, if it keeps one.
    #[must_use]
    pub fn board(&self) -> PathBuf {
        board(self.dir.path())
    }

    /// Leaves the directory where it is when this is dropped, and says where.
    pub fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.process.ended()
    }

    /// Waits for the end of a process that was killed from elsewhere.
    pub async fn wait_ended(&mut self) -> Result<std::process::ExitStatus> {
        self.process.wait(STOP_LIMIT).await
    }

    /// What `/readyz` answers: the status and the text.
    pub async fn readiness(&self) -> Result<(u16, String)> {
        http_get(self.admin, "/readyz").await
    }

    /// What `/metrics` shows.
    pub async fn metrics(&self) -> Result<String> {
        let (status, body) = http_get(self.admin, "/metrics").await?;
        if status != 200 {
            bail!("/metrics answers {status}");
        }
        Ok(body)
    }

    /// Ends it with SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Ends it with SIGTERM; fails if it does not end well and in time.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.process.terminate(STOP_LIMIT).await?;
        if !status.success() {
            bail!("the broker ended after SIGTERM with {status}");
        }
        Ok(())
    }

    /// The last lines of its log, for a failure's report.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

fn spawn(
    options: &BrokerOptions,
    dir: &Path,
    kafka: SocketAddr,
    admin: SocketAddr,
) -> Result<Process> {
    let mut listeners = format!("PLAINTEXT://{kafka}");
    if let Some(controller) = options.controller {
        listeners.push_str(&format!(",CONTROLLER://{controller}"));
    }
    let mut settings = vec![
        ("data.dir".to_owned(), dir.join("data").display().to_string()),
        ("listeners".to_owned(), listeners),
        ("admin.listen".to_owned(), admin.to_string()),
        ("wal.kind".to_owned(), options.wal.to_string()),
    ];
    settings.extend(options.place.0.iter().chain(&options.set).cloned());
    let mut command = odradek()?;
    command.arg("start").current_dir(dir);
    if options.board {
        command.arg("--phase-board").arg(board(dir));
    }
    command.envs(options.environment.iter().map(|(key, value)| (key, value)));
    for (key, value) in settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    Process::spawn("odradek", command, &dir.join("log"))
}

fn board(dir: &Path) -> PathBuf {
    dir.join("board")
}

/// The binary without settings: the tests' own variables, and those of whoever runs them, are none.
pub fn odradek() -> Result<Command> {
    let mut command = Command::new(built("odradek", "ODRADEK_BIN")?);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("ODRADEK_") {
            command.env_remove(key);
        }
    }
    Ok(command)
}

/// A program that the same build made as the running test, or the one that the variable names.
pub fn built(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(std::path::absolute(PathBuf::from(path))?);
    }
    let test = std::env::current_exe()?;
    let found =
        test.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.exists());
    found.with_context(|| {
        format!("{name} is not built beside {}; {variable} can name it", test.display())
    })
}
