//! A server under load, whichever it is.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::ValueEnum;
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::minio::Minio;
use odradek_tests::place::{Place, WalKind};

use super::kafka::Kafka;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ServerKind {
    /// Odradek with its embedded default: disk WAL, local directory.
    Odradek,
    /// Apache Kafka 4.1.1, one node.
    Kafka,
    /// Odradek with the object WAL on MinIO; what MinIO spends is counted with it.
    OdradekMinio,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Odradek => "odradek",
            Self::Kafka => "kafka",
            Self::OdradekMinio => "odradek-minio",
        })
    }
}

/// A running server.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Server {
    /// Odradek, and the MinIO that it is on.
    Odradek(Broker, Option<Minio>),
    /// Apache Kafka.
    Kafka(Kafka),
}

impl Server {
    /// Starts one on an empty directory.
    ///
    /// # Errors
    /// If it does not start in time.
    pub async fn start(kind: ServerKind, settings: &[(String, String)]) -> Result<Self> {
        let minio = match kind {
            ServerKind::Kafka => return Ok(Self::Kafka(Kafka::start().await?)),
            ServerKind::Odradek => None,
            ServerKind::OdradekMinio => Some(Minio::start().await?),
        };
        let mut options = match &minio {
            Some(minio) => BrokerOptions::new(WalKind::Object, minio.place("compare")),
            None => BrokerOptions::new(WalKind::Disk, Place::local()),
        };
        options.set.extend_from_slice(settings);
        Ok(Self::Odradek(Broker::start(options).await?, minio))
    }

    /// The address for clients.
    #[must_use]
    pub fn bootstrap(&self) -> SocketAddr {
        match self {
            Self::Odradek(broker, _) => broker.bootstrap(),
            Self::Kafka(kafka) => kafka.bootstrap(),
        }
    }

    /// The ids of its processes.
    ///
    /// # Errors
    /// If one has ended.
    pub fn ids(&self) -> Result<Vec<u32>> {
        let ids = match self {
            Self::Odradek(broker, None) => vec![broker.id()],
            Self::Odradek(broker, Some(minio)) => vec![broker.id(), minio.id()],
            Self::Kafka(kafka) => vec![kafka.id()],
        };
        let ids: Option<Vec<u32>> = ids.into_iter().collect();
        ids.with_context(|| format!("the server has ended; its log:\n{}", self.log_tail()))
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        match self {
            Self::Odradek(broker, _) => broker.log_tail(40),
            Self::Kafka(kafka) => kafka.log_tail(40),
        }
    }

    /// Ends it in an orderly way; its directory goes too.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        match &mut self {
            Self::Odradek(broker, _) => broker.stop().await,
            Self::Kafka(kafka) => kafka.stop().await,
        }
    }
}
