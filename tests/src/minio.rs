//! MinIO, from the tools folder, as a store.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::Command;

use crate::net::{free_address, http_get};
use crate::place::Place;
use crate::process::Process;
use crate::tools::tool;

pub(crate) const USER: &str = "odradek";
pub(crate) const PASSWORD: &str = "odradek-secret";
pub(crate) const BUCKET: &str = "odradek-tests";
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running MinIO with one bucket.
#[derive(Debug)]
pub struct Minio {
    /// Kept: its drop removes the directory.
    dir: TempDir,
    address: SocketAddr,
    process: Process,
}

impl Minio {
    /// Starts it on a directory and a port of its own, and waits until it serves.
    pub async fn start() -> Result<Self> {
        let dir = TempDir::new()?;
        // A directory in MinIO's own is a bucket.
        std::fs::create_dir_all(dir.path().join("data").join(BUCKET))?;
        let address = free_address()?;
        let process = spawn(dir.path(), address)?;
        let mut minio = Self { dir, address, process };
        minio.ready().await?;
        Ok(minio)
    }

    async fn ready(&mut self) -> Result<()> {
        let address = self.address;
        let serves = async || matches!(http_get(address, "/minio/health/live").await, Ok((200, _)));
        self.process.ready(READY_LIMIT, serves).await
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it as a crash would; what it holds stays.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again on the same directory and port.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = spawn(self.dir.path(), self.address)?;
        self.ready().await.context("started again")
    }

    /// A place in the bucket, apart from those of other prefixes.
    #[must_use]
    pub fn place(&self, prefix: &str) -> Place {
        let settings = [
            ("storage.url", format!("s3://{BUCKET}/{prefix}")),
            ("storage.endpoint", format!("http://{}", self.address)),
            ("storage.access.key.id", USER.to_owned()),
            ("storage.secret.access.key", PASSWORD.to_owned()),
            ("storage.allow.http", "true".to_owned()),
        ];
        Place(settings.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

fn spawn(dir: &Path, address: SocketAddr) -> Result<Process> {
    let mut command = Command::new(tool("minio", "bin/minio")?);
    command
        .arg("server")
        .arg(dir.join("data"))
        .args(["--address", &address.to_string()])
        .env("MINIO_ROOT_USER", USER)
        .env("MINIO_ROOT_PASSWORD", PASSWORD);
    Process::spawn("minio", command, &dir.join("log"))
}
