//! Apache Kafka as a peer: one node that is broker and controller, with the shipped settings.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use odradek_tests::net::free_address;
use odradek_tests::process::Process;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::java::{SERVER_HEAP, TOOL_HEAP, java, output};

/// Any 16 bytes in base64.
const CLUSTER_ID: &str = "b2RyYWRlay1jb21wYXJlLQ";
const FORMAT_LIMIT: Duration = Duration::from_secs(60);
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running node.
#[derive(Debug)]
pub struct Kafka {
    /// Kept: its drop removes the directory.
    _dir: TempDir,
    address: SocketAddr,
    process: Process,
}

impl Kafka {
    /// Starts it on an empty directory and waits until it takes connections.
    ///
    /// # Errors
    /// If it does not start in time.
    pub async fn start() -> Result<Self> {
        let dir = TempDir::new()?;
        let (address, controller) = (free_address()?, free_address()?);
        let settings = dir.path().join("server.properties");
        std::fs::write(&settings, properties(dir.path(), address, controller))?;
        let mut format = java(TOOL_HEAP, &[], "kafka.tools.StorageTool")?;
        format.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(&settings);
        output("Kafka's format", format, FORMAT_LIMIT).await?;

        let collector = format!(
            "-Xlog:gc*:file={}:time,tags:filecount=10,filesize=100M",
            dir.path().join("gc.log").display()
        );
        let mut command = java(SERVER_HEAP, &[collector], "kafka.Kafka")?;
        command.arg(&settings).current_dir(dir.path());
        let process = Process::spawn("kafka", command, &dir.path().join("log"))?;
        let mut kafka = Self { _dir: dir, address, process };
        kafka.ready().await?;
        Ok(kafka)
    }

    async fn ready(&mut self) -> Result<()> {
        let address = self.address;
        let serves = async || TcpStream::connect(address).await.is_ok();
        self.process.ready(READY_LIMIT, serves).await
    }

    /// The address for clients.
    #[must_use]
    pub fn bootstrap(&self) -> SocketAddr {
        self.address
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_LIMIT).await?;
        Ok(())
    }
}

/// What Kafka ships in `config/server.properties`, on ports and a directory of its own.
fn properties(dir: &Path, address: SocketAddr, controller: SocketAddr) -> String {
    let logs = dir.join("logs");
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers={controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         num.network.threads=3\n\
         num.io.threads=8\n\
         socket.send.buffer.bytes=102400\n\
         socket.receive.buffer.bytes=102400\n\
         socket.request.max.bytes=104857600\n\
         num.partitions=1\n\
         num.recovery.threads.per.data.dir=1\n\
         offsets.topic.replication.factor=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         log.retention.hours=168\n\
         log.segment.bytes=1073741824\n\
         log.retention.check.interval.ms=300000\n",
        logs.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_name_the_ports_and_the_directory() {
        let (one, two) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let text = properties(Path::new("/d"), one, two);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"));
        assert!(lines.contains(&"log.dirs=/d/logs"));
        assert!(lines.iter().all(|line| line.split_once('=').is_some()));
    }
}
