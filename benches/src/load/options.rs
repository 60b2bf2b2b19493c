//! The command line of the load driver.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// As they are.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks as snappy-java frames them.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// How many replicas a record waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// None: no answer comes, and produce is measured to the socket.
    #[value(name = "0")]
    None,
    /// All that are in sync.
    All,
    /// The leader alone.
    #[value(name = "1")]
    One,
}

impl Acks {
    /// As it stands in a request.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::All => -1,
        }
    }
}

/// Puts load on a Kafka cluster at a rate of its own and prints the latencies, from when a record was
/// to be sent to its acknowledgement (produce) and to when a consumer had it (end to end).
#[derive(Clone, Debug, Parser)]
#[command(name = "odradek-bench")]
pub struct Options {
    /// A broker, as HOST:PORT, or several with commas between; the cluster's others are found.
    #[arg(long, default_value = "localhost:9092")]
    pub bootstrap: String,
    /// The topic; made if it is not there.
    #[arg(long, default_value = "odradek-bench")]
    pub topic: String,
    /// Partitions of a topic that is made.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: i32,
    /// Of all producers together: records a second, or bytes as in 10MB or 10MiB (a second); 0 is as
    /// fast as it goes, with at most --window-bytes unanswered.
    #[arg(long, default_value = "1000")]
    pub rate: String,
    /// Bytes of a record's value, at least 16.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=900_000))]
    pub record_size: u32,
    /// Producers, each with connections of its own to all leaders.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub producers: u32,
    /// Consumers, which share the partitions; 0 measures produce alone.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub consumers: u32,
    /// Milliseconds that a batch waits for more records.
    #[arg(long, default_value_t = 5)]
    pub linger_ms: u64,
    /// Bytes at which a batch is full.
    #[arg(long, default_value_t = 128 << 10, value_parser = clap::value_parser!(u32).range(128..=950_000))]
    pub batch_bytes: u32,
    /// Bytes of one producer that may be unanswered.
    #[arg(long, default_value_t = 32 << 20)]
    pub window_bytes: usize,
    /// What an acknowledgement waits for.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// Compression of the batches.
    #[arg(long, value_enum, default_value_t = Codec::None)]
    pub compression: Codec,
    /// Whether producers are idempotent; with `--acks 0` none is.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub idempotence: bool,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub duration: u64,
    /// Seconds before them that are not.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub warmup: u64,
    /// Seconds after which a record that is not acknowledged counts as failed; also how long the end
    /// may take.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub delivery_timeout: u64,
    /// Milliseconds after which a request without an answer is sent again over another connection.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub request_timeout_ms: u64,
    /// Writes all figures to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Draws latency over time and by percentile into this SVG file.
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

impl Options {
    /// Records a second of all producers together; 0 is as fast as it goes.
    ///
    /// # Errors
    /// If the text is no rate.
    pub fn records_per_s(&self) -> Result<f64> {
        rate(&self.rate, self.record_size)
    }

    /// How long an answer may take, and writing a request.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// True if batches bear sequences: what is written and never answered cannot be sent again, and
    /// would leave a gap in them.
    #[must_use]
    pub fn idempotent(&self) -> bool {
        self.idempotence && self.acks != Acks::None
    }
}

fn rate(text: &str, record_size: u32) -> Result<f64> {
    let text = text.trim().trim_end_matches("/s");
    let (number, unit_bytes) = match text {
        _ if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 1_048_576.0),
        _ if text.ends_with("MB") => (text.trim_end_matches("MB"), 1e6),
        _ => (text, f64::from(record_size)),
    };
    let number: f64 = number.trim().parse().with_context(|| format!("{text:?} is no rate"))?;
    ensure!((0.0..1e12).contains(&number), "{text:?} is no rate");
    Ok(number * unit_bytes / f64::from(record_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_in_records_or_bytes() {
        assert_eq!(rate("5000", 100).unwrap(), 5000.0);
        assert_eq!(rate("1MB/s", 1000).unwrap(), 1000.0);
        assert_eq!(rate("2 MiB", 1024).unwrap(), 2048.0);
        assert_eq!(rate("0", 1024).unwrap(), 0.0);
        for bad in ["", "MB", "-1", "NaN", "inf", "1GB"] {
            assert!(rate(bad, 100).is_err(), "{bad}");
        }
    }
}
