//! `odradek produce` and `odradek consume`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::BootstrapArgs;

/// `odradek produce`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'hello' | odradek produce greetings
  odradek produce orders --file orders.txt --key-separator :
  odradek produce orders --partition 3 < orders.txt")]
pub struct ProduceArgs {
    /// Name of the topic
    pub topic: String,
    /// File to read instead of standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What stands between key and value of a line; if not given, records have no key
    #[arg(long, short = 'K', value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// The partition; if not given, that of the key, or any
    #[arg(long, short = 'p', value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek consume`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek consume greetings                       what comes from now on
  odradek consume greetings --from beginning      everything, and what comes
  odradek consume greetings --from beginning --exit
  odradek consume orders --partition 3 --from 1200 --count 10 --keys
  odradek consume orders --from beginning --exit --json | jq .value")]
pub struct ConsumeArgs {
    /// Name of the topic
    pub topic: String,
    /// Where to begin: beginning, end, or an offset
    #[arg(long, value_name = "WHERE", default_value = "end")]
    pub from: StartAt,
    /// Only this partition
    #[arg(long, short = 'p', value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// End after this many records
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<u64>,
    /// End when all partitions are read to where they ended at the start
    #[arg(long, short = 'e')]
    pub exit: bool,
    /// Print keys too, each with a tab before the value
    #[arg(long, short = 'k', conflicts_with = "json")]
    pub keys: bool,
    /// Print a JSON object a record: topic, partition, offset, timestamp, key, value, headers
    #[arg(long)]
    pub json: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record there is.
    Beginning,
    /// After the last record there is.
    End,
    /// At this offset of each partition.
    Offset(i64),
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "beginning" | "earliest" => Ok(Self::Beginning),
            "end" | "latest" => Ok(Self::End),
            _ => match text.parse::<i64>() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err("it is none of beginning, end and an offset".to_owned()),
            },
        }
    }
}
