//! Azurite, from the tools folder, as a store that speaks as Azure's blob service does.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::net::{free_address, http_get};
use crate::place::Place;
use crate::process::Process;
use crate::tools::{tool, tools_folder};

const ACCOUNT: &str = "odradek";
/// Keys are base64.
const KEY: &str = "b2RyYWRlay1zZWNyZXQ=";
const CONTAINER: &str = "odradek-tests";
const READY_LIMIT: Duration = Duration::from_secs(60);
const CONTAINER_LIMIT: Duration = Duration::from_secs(30);
/// Makes a container: Azurite has no option for it, and the broker's client knows only what is in one.
const MAKE_CONTAINER: &str = "const [account, name] = process.argv.slice(1); \
    new (require('@azure/storage-blob').ContainerClient)(account, name).create()";

/// A running Azurite with one container.
#[derive(Debug)]
pub struct Azurite {
    /// Kept: its drop removes the directory.
    dir: TempDir,
    address: SocketAddr,
    process: Process,
}

impl Azurite {
    /// Starts it on a directory and a port of its own, and waits until it serves and has the container.
    pub async fn start() -> Result<Self> {
        let dir = TempDir::new()?;
        let address = free_address()?;
        let process = spawn(dir.path(), address)?;
        let mut azurite = Self { dir, address, process };
        // To anybody who does not sign it answers an error.
        let serves = async || http_get(address, "/").await.is_ok();
        azurite.process.ready(READY_LIMIT, serves).await?;
        azurite.make_container().await?;
        Ok(azurite)
    }

    async fn make_container(&self) -> Result<()> {
        let account = format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={}",
            self.endpoint()
        );
        let mut command = Command::new("node");
        command
            .args(["-e", MAKE_CONTAINER, &account, CONTAINER])
            .env("NODE_PATH", tools_folder().join("azurite/node_modules"));
        let log = self.dir.path().join("container.log");
        let mut process = Process::spawn("making the container", command, &log)?;
        let status = process.wait(CONTAINER_LIMIT).await?;
        ensure!(status.success(), "no container: {status}\n{}", process.log_tail(20));
        Ok(())
    }

    /// The account stands in the path: of names on loopback it cannot be a part.
    fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// A place in the container, apart from those of other prefixes.
    #[must_use]
    pub fn place(&self, prefix: &str) -> Place {
        let settings = [
            ("storage.url", format!("az://{CONTAINER}/{prefix}")),
            ("storage.endpoint", self.endpoint()),
            ("storage.access.key.id", ACCOUNT.to_owned()),
            ("storage.secret.access.key", KEY.to_owned()),
        ];
        Place(settings.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

fn spawn(dir: &Path, address: SocketAddr) -> Result<Process> {
    let mut command = Command::new(tool("azurite", "node_modules/.bin/azurite-blob")?);
    command
        .args(["--blobHost", &address.ip().to_string()])
        .args(["--blobPort", &address.port().to_string()])
        .arg("--location")
        .arg(dir.join("data"))
        // The clients name newer versions of the service than it knows.
        .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"])
        .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
    Process::spawn("azurite", command, &dir.join("log"))
}
