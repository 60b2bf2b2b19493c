//! The broker under attack, and what its process takes of the machine.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::memory;
use odradek_tests::place::{Place, WalKind};
use odradek_tests::wait::within;
use parking_lot::Mutex;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::time::Instant;

use crate::attacks::beginning;
use crate::wire::{Peer, name, text};

/// See [`Target::stalled`].
const STALLED_PEERS: usize = 20;

/// Address space of the broker's process: what goes wild ends the broker and not the machine.
const ADDRESS_SPACE_BYTES: u64 = 12 << 30;
/// How long what an attack held may take to be given back.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// File descriptors that the broker's own work may come and go with meanwhile.
const OWN_DESCRIPTORS: usize = 10;

/// A running broker.
pub struct Target {
    /// The process.
    pub broker: Broker,
    /// Its listener for Kafka clients.
    pub kafka: SocketAddr,
    /// Its admin server.
    pub admin: SocketAddr,
    /// Peers that sent half a frame when the broker had started, and nothing since.
    pub stalled: Mutex<Vec<Peer>>,
    /// When they did.
    pub stalled_since: Instant,
    id: u32,
}

impl Target {
    /// Starts a broker with its defaults, but for limits that keep this machine alive.
    pub async fn start() -> Result<Self> {
        let broker = Broker::start(BrokerOptions::new(WalKind::Disk, Place::local())).await?;
        let id = broker.id().context("the broker has ended")?;
        let pid = Pid::from_raw(id.try_into()?).context("process 0")?;
        let limit = Some(ADDRESS_SPACE_BYTES);
        prlimit(Some(pid), Resource::As, Rlimit { current: limit, maximum: limit })?;
        let (kafka, admin) = (broker.bootstrap(), broker.admin());
        let mut stalled = Vec::new();
        for _ in 0..STALLED_PEERS {
            let mut peer = Peer::open(kafka).await?;
            peer.send(&beginning(100)).await?;
            stalled.push(peer);
        }
        let (stalled, stalled_since) = (Mutex::new(stalled), Instant::now());
        Ok(Self { broker, kafka, admin, stalled, stalled_since, id })
    }

    /// Makes a topic with these settings.
    pub async fn create(
        &self,
        topic: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<()> {
        let configs = settings.iter().map(|(key, value)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
            .with_configs(configs.collect());
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let mut peer = Peer::open(self.kafka).await?;
        match peer.call(&request, 7).await?.topics[0].error_code {
            0 => Ok(()),
            code => bail!("the topic is not made: error {code}"),
        }
    }

    /// Bytes that the process has in memory now.
    pub fn resident(&self) -> Result<u64> {
        memory::resident(self.id)
    }

    /// The most that it had since [`Self::reset_peak`].
    pub fn peak(&self) -> Result<u64> {
        memory::peak(self.id)
    }

    /// Begins to measure the peak anew.
    pub fn reset_peak(&self) -> Result<()> {
        memory::reset_peak(self.id)
    }

    /// File descriptors that it has open.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.id))?.count())
    }

    /// Waits until the process has closed what an attack had it open.
    pub async fn settled(&self, descriptors_before: usize) -> Result<()> {
        within(SETTLE_LIMIT, "the connections of the attack are closed", async || {
            Ok(self.descriptors()? <= descriptors_before + OWN_DESCRIPTORS)
        })
        .await
    }
}
