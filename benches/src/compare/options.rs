//! The command line of the comparison.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use super::server::ServerKind;

/// One load on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PhaseKind {
    /// Kafka's ProducerPerformance, as fast as it goes.
    Producer,
    /// Kafka's ProducerPerformance at fixed rates.
    Rates,
    /// Kafka's ConsumerPerformance over what the producer phase left.
    Consumer,
    /// Kafka's EndToEndLatency, one record at a time.
    Latency,
}

/// Runs the same load on Odradek and on Apache Kafka 4.1.1, in turn, and prints both and the
/// ratios.
#[derive(Clone, Debug, Parser)]
#[command(name = "odradek-compare")]
pub struct Options {
    /// Rounds; each starts every server afresh on an empty directory, the order turns every round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Only these phases.
    #[arg(long, value_delimiter = ',', value_name = "PHASES")]
    pub only: Vec<PhaseKind>,
    /// The servers, the first is what the ratios are of, the second what they are to.
    #[arg(long, value_delimiter = ',', default_value = "odradek,kafka")]
    pub servers: Vec<ServerKind>,
    /// Odradek on MinIO with the object WAL as a further server.
    #[arg(long)]
    pub minio: bool,
    /// Records of the producer and of the consumer phase.
    #[arg(long, default_value_t = 2_500_000)]
    pub records: u64,
    /// Records that are produced and not measured before the phases, so that a JVM is warm.
    #[arg(long, default_value_t = 1_500_000)]
    pub warmup_records: u64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024)]
    pub record_size: u32,
    /// Partitions of every topic but that of the latency phase, which has one.
    #[arg(long, default_value_t = 6)]
    pub partitions: u32,
    /// Records of the latency phase.
    #[arg(long, default_value_t = 10_000)]
    pub latency_records: u64,
    /// The rates of the phase of fixed rates, in MB (10^6 bytes) a second.
    #[arg(long, value_delimiter = ',', default_value = "1,10,20")]
    pub rates: Vec<u32>,
    /// Seconds at each rate.
    #[arg(long, default_value_t = 20)]
    pub rate_s: u32,
    /// Seconds that one phase may take before it counts as failed.
    #[arg(long, default_value_t = 300)]
    pub phase_limit_s: u64,
    /// A further setting of Odradek, as its `--set` takes it; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Where the servers keep their data, each in a directory of its own that is removed at its
    /// end. By default the system's directory for temporary files.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Writes everything that was measured to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Options {
    /// The phases, in the order in which they run.
    #[must_use]
    pub fn phases(&self) -> Vec<PhaseKind> {
        let asked = |phase: &PhaseKind| self.only.is_empty() || self.only.contains(phase);
        PhaseKind::value_variants().iter().copied().filter(asked).collect()
    }

    /// The servers of a round, which is counted from zero: each round begins with another.
    #[must_use]
    pub fn order(&self, round: u32) -> Vec<ServerKind> {
        let mut order = self.servers();
        let shift = round as usize % order.len().max(1);
        order.rotate_left(shift);
        order
    }

    /// The servers, each once.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerKind> {
        let mut servers = Vec::new();
        let also = self.minio.then_some(ServerKind::OdradekMinio);
        for server in self.servers.iter().copied().chain(also) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }

    /// How long one phase may take.
    #[must_use]
    pub fn phase_limit(&self) -> Duration {
        Duration::from_secs(self.phase_limit_s)
    }
}

fn setting(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("a setting is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["odradek-compare"], arguments].concat()).unwrap()
    }

    #[test]
    fn phases_run_in_their_own_order() {
        assert_eq!(parsed(&[]).phases(), PhaseKind::value_variants());
        let some = parsed(&["--only", "consumer,producer"]).phases();
        assert_eq!(some, [PhaseKind::Producer, PhaseKind::Consumer]);
    }

    #[test]
    fn every_round_begins_with_another_server() {
        use ServerKind::{Kafka, Odradek, OdradekMinio};
        let two = parsed(&[]);
        assert_eq!(two.order(0), [Odradek, Kafka]);
        assert_eq!(two.order(1), [Kafka, Odradek]);
        assert_eq!(two.order(2), [Odradek, Kafka]);
        let three = parsed(&["--minio", "--servers", "kafka,kafka,odradek"]);
        assert_eq!(three.order(1), [Odradek, OdradekMinio, Kafka]);
    }

    #[test]
    fn a_setting_has_a_key_and_a_value() {
        assert_eq!(parsed(&["--set", "a.b=c=d"]).set, [("a.b".to_owned(), "c=d".to_owned())]);
        assert!(Options::try_parse_from(["odradek-compare", "--set", "a.b"]).is_err());
        assert!(Options::try_parse_from(["odradek-compare", "--rounds", "0"]).is_err());
    }
}
