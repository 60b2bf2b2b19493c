//! The topology of `minio-compose.yml` without containers: each service with exactly the command and
//! environment that stand there. Only what a container changes is mapped: volumes to folders, and
//! MinIO, which the file publishes to nobody, to free ports of loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use odradek_tests::broker::odradek;
use odradek_tests::net::{free_address, http_get};
use odradek_tests::process::Process;
use odradek_tests::tools::{checkout, tool};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use crate::odradek::{DEFAULT_PORTS, default_ports_are_free, fed, run, start, stop};

/// How long a service may take to become healthy, and a client to get its answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Prints a YAML file as JSON, with what the tools' Python has anyway.
const AS_JSON: &str = "import json, sys; from ruamel.yaml import YAML; \
    json.dump(YAML(typ='safe', pure=True).load(open(sys.argv[1])), sys.stdout)";

#[derive(Deserialize)]
struct Topology {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize)]
struct Healthcheck {
    test: Vec<String>,
}

/// What containers change.
struct Mapping {
    /// Where the volumes are.
    folder: PathBuf,
    /// Ports of MinIO's container, by number.
    minio: BTreeMap<u16, SocketAddr>,
}

/// Starts everything in the order of the file, and uses it as it tells.
pub async fn the_topology_works() -> Result<String> {
    default_ports_are_free()?;
    let topology = read().await?;
    let folder = TempDir::new()?;
    let minio = BTreeMap::from([(9000, free_address()?), (9001, free_address()?)]);
    let mapping = Mapping { folder: folder.path().to_owned(), minio };

    let mut minio = mapping.minio(topology.service("minio")?)?;
    mapping.make_bucket(topology.service("bucket")?).await?;
    mapping.healthy(topology.service("minio")?, &mut minio).await?;
    let odradek = topology.service("odradek")?;
    for port in DEFAULT_PORTS {
        let published = format!("{port}:{port}");
        ensure!(odradek.ports.contains(&published), "{published} is not published");
    }
    let (broker, welcome) = start(folder.path(), mapping.odradek(odradek)?, "log").await?;
    ensure!(welcome.contains("  listens    PLAINTEXT at localhost:9092\n"), "{welcome}");

    tokio::task::block_in_place(advertised)?;
    let ready = http_get(SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORTS[1])), "/readyz").await?;
    ensure!(ready.0 == 200, "/readyz answers {ready:?}");
    let here = folder.path();
    run(here, &["topic", "create", "composed"]).await?;
    fed(here, &["produce", "composed"], "one\ntwo\n").await?;
    let read = run(here, &["consume", "composed", "--from", "beginning", "--exit"]).await?;
    ensure!(read == "one\ntwo\n", "{read:?} is read");
    ensure!(here.join("minio/odradek/formation").exists(), "nothing is in the bucket");
    stop(broker).await?;
    Ok(format!("{} variables of the broker", odradek.environment.len()))
}

/// Who asks at any address is sent to the advertised one.
fn advertised() -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "127.0.0.1:9092").set("log_level", "0");
    let client: BaseConsumer = config.create()?;
    let answer = client.fetch_metadata(None, LIMIT)?;
    let brokers: Vec<(&str, i32)> =
        answer.brokers().iter().map(|broker| (broker.host(), broker.port())).collect();
    ensure!(brokers == [("localhost", 9092)], "advertised is {brokers:?}");
    Ok(())
}

async fn read() -> Result<Topology> {
    let mut python = Command::new(tool("python", "bin/python")?);
    python.args(["-c", AS_JSON]).arg(checkout().join("minio-compose.yml"));
    let output = python.output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "minio-compose.yml cannot be read: {told}");
    serde_json::from_slice(&output.stdout).context("minio-compose.yml")
}

impl Topology {
    fn service(&self, name: &str) -> Result<&Service> {
        self.services.get(name).with_context(|| format!("no service {name}"))
    }
}

impl Mapping {
    fn minio(&self, service: &Service) -> Result<Process> {
        let mut command = Command::new(tool("minio", "bin/minio")?);
        for word in &service.command {
            // `:9000` listens on every interface of a container, which has one.
            let port =
                word.strip_prefix(':').and_then(|port| self.minio.get(&port.parse::<u16>().ok()?));
            match port {
                Some(address) => command.arg(address.to_string()),
                None => command.arg(self.path(service, word)?),
            };
        }
        command.envs(&service.environment);
        Process::spawn("minio", command, &self.folder.join("minio.log"))
    }

    async fn make_bucket(&self, service: &Service) -> Result<()> {
        let (program, words) = service.command.split_first().context("bucket does nothing")?;
        let mut command = Command::new(program);
        for word in words {
            command.arg(self.path(service, word)?);
        }
        let status = command.status().await?;
        ensure!(status.success(), "{command:?}: {status}");
        Ok(())
    }

    /// Waits until the check of the file passes.
    async fn healthy(&self, service: &Service, process: &mut Process) -> Result<()> {
        let check = service.healthcheck.as_ref().context("no healthcheck")?;
        let url = check.test.last().context("an empty healthcheck")?;
        let Some((port, path)) = url.strip_prefix("http://localhost:").and_then(at_path) else {
            bail!("a healthcheck of {url}");
        };
        let address =
            *self.minio.get(&port.parse::<u16>()?).context("a healthcheck of another port")?;
        let passes = async || matches!(http_get(address, &path).await, Ok((200, _)));
        process.ready(LIMIT, passes).await
    }

    /// The image's entry point is `odradek`, without words.
    fn odradek(&self, service: &Service) -> Result<Command> {
        let mut command = odradek()?;
        command.args(&service.command);
        for (name, value) in &service.environment {
            let mut value = self.path(service, value)?;
            for (port, address) in &self.minio {
                value = value.replace(&format!("//minio:{port}"), &format!("//{address}"));
            }
            command.env(name, value);
        }
        Ok(command)
    }

    /// A path below a volume of the service as it is here; anything else as it is.
    fn path(&self, service: &Service, word: &str) -> Result<String> {
        for volume in &service.volumes {
            let (name, mounted) = volume.split_once(':').context("a volume without a path")?;
            if let Ok(below) = Path::new(word).strip_prefix(mounted) {
                return Ok(self.folder.join(name).join(below).display().to_string());
            }
        }
        Ok(word.to_owned())
    }
}

/// Port and path of what follows the host of an address.
fn at_path(rest: &str) -> Option<(String, String)> {
    let at = rest.find('/')?;
    Some((rest[..at].to_owned(), rest[at..].to_owned()))
}
