//! The stand-in for Google Cloud Storage, from the tools folder, in front of a MinIO.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::process::Command;

use crate::minio::{self, Minio};
use crate::net::{free_address, http_get};
use crate::place::Place;
use crate::process::Process;
use crate::tools::tool;

const READY_LIMIT: Duration = Duration::from_secs(60);
/// The file of a service account that nobody is asked to confirm.
const SERVICE_ACCOUNT: &str =
    r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;

/// A running stand-in; what it holds is in the MinIO behind it.
#[derive(Debug)]
pub struct Gcs {
    dir: TempDir,
    address: SocketAddr,
    process: Process,
}

impl Gcs {
    /// Starts it on a port of its own, and waits until it serves.
    pub async fn before(minio: &Minio) -> Result<Self> {
        let dir = TempDir::new()?;
        std::fs::write(service_account(dir.path()), SERVICE_ACCOUNT)?;
        let address = free_address()?;
        let mut command = Command::new(tool("gcs", "gcs")?);
        command
            .args([address, minio.address()].map(|address| address.to_string()))
            .env("MINIO_ROOT_USER", minio::USER)
            .env("MINIO_ROOT_PASSWORD", minio::PASSWORD);
        let process = Process::spawn("gcs", command, &dir.path().join("log"))?;
        let mut gcs = Self { dir, address, process };
        let serves = async || matches!(http_get(address, "/").await, Ok((200, _)));
        gcs.process.ready(READY_LIMIT, serves).await?;
        Ok(gcs)
    }

    /// A place in MinIO's bucket, apart from those of other prefixes.
    #[must_use]
    pub fn place(&self, prefix: &str) -> Place {
        let service_account = service_account(self.dir.path());
        let settings = [
            ("storage.url", format!("gs://{}/{prefix}", minio::BUCKET)),
            ("storage.endpoint", format!("http://{}", self.address)),
            ("storage.service.account", service_account.display().to_string()),
        ];
        Place(settings.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

fn service_account(dir: &Path) -> PathBuf {
    dir.join("service-account.json")
}
