//! The command line: what can be asked of `odradek`, as types.

pub mod check_store;
mod cluster;
pub mod config;
pub mod program;
mod quorum;
mod records;
mod topic;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use cluster::{ClusterCommand, DrainArgs, ReassignArgs, StatusArgs};
pub use config::ConfigArgs;
pub use quorum::{AddVoterArgs, DescribeQuorumArgs, QuorumCommand, RemoveVoterArgs};
pub use records::{ConsumeArgs, ProduceArgs, StartAt};
pub use topic::{
    CreateTopicArgs, DeleteTopicArgs, DescribeTopicArgs, ListTopicsArgs, TopicCommand,
};

use crate::settings::{Settings, SettingsError, Sources, Warning};

/// A Kafka-compatible broker whose records live in object storage.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "odradek",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  odradek                                        start a broker on this machine, at localhost:9092
  odradek --config /etc/odradek.toml             start it with the settings of a file
  odradek --set storage.url=s3://bucket/kafka    start it with its records in a bucket
  odradek config --changed                       show the settings that were given, and where
  odradek topic create orders --partitions 6     make a topic
  echo 'hello' | odradek produce orders          write a record
  odradek consume orders --from beginning        read all records, and wait for more

Settings come from --config FILE, then from the environment (ODRADEK_NODE_ID sets node.id), then from
--set KEY=VALUE; the later wins."
)]
pub struct Cli {
    /// Where settings come from.
    #[command(flatten)]
    pub given: GivenSettings,
    /// What is asked; a start if nothing is.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// What is asked: a start, if nothing else is.
    #[must_use]
    pub fn asked(&self) -> Command {
        self.command.clone().unwrap_or(Command::Start(StartArgs::default()))
    }
}

/// Where settings come from, for every command that needs some.
#[derive(Clone, Debug, Default, Args)]
pub struct GivenSettings {
    /// File of settings, in TOML
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting; may be repeated, and wins over file and environment
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl GivenSettings {
    /// The settings of this process: of the file, the environment and the flags.
    ///
    /// # Errors
    /// Something that was given is wrong.
    pub fn load(&self) -> Result<(Settings, Vec<Warning>), SettingsError> {
        Settings::load(&Sources::of_process(self.config.clone(), self.set.clone()))
    }
}

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start a broker (also without any command)
    Start(StartArgs),
    /// Show every setting with its value, source, default and meaning
    Config(ConfigArgs),
    /// Prove that the object store does what a broker needs of it
    CheckStore(CheckStoreArgs),
    /// Create, list, describe and delete topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Show brokers, empty them, and say where partitions should be
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Show, add and remove the voters of the metadata quorum
    #[command(subcommand)]
    Quorum(QuorumCommand),
    /// Write lines to a topic, a record each
    Produce(ProduceArgs),
    /// Read records of a topic
    Consume(ConsumeArgs),
    /// Print the version
    Version,
}

/// `odradek start`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  odradek start
  odradek start --set node.id=2 --set listeners=PLAINTEXT://10.0.0.2:9092
  ODRADEK_DATA_DIR=/var/lib/odradek odradek start
  odradek start --set storage.url=s3://kafka --set storage.endpoint=http://127.0.0.1:9000")]
pub struct StartArgs {
    /// File in which the steps towards durability are counted, so that a test that kills the broker
    /// can show where the kill fell: see `odradek_common::phases`. Of no use to anyone else, and so
    /// neither a setting nor shown.
    #[arg(long, hide = true, value_name = "FILE")]
    pub phase_board: Option<PathBuf>,
}

/// `odradek check-store`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The store is the one that the settings name. What is written for the proof is deleted again.

Examples:
  odradek check-store
  odradek check-store --set storage.url=s3://bucket/prefix
  odradek check-store --short --json")]
pub struct CheckStoreArgs {
    /// Only what each start checks too: that put-if-absent has one winner
    #[arg(long)]
    pub short: bool,
    /// Print JSON and not a table
    #[arg(long)]
    pub json: bool,
}

/// Where the broker is, for the commands that are its clients.
#[derive(Clone, Debug, Args)]
pub struct BootstrapArgs {
    /// Address of any broker of the cluster
    #[arg(
        long,
        short = 'b',
        alias = "bootstrap-server",
        value_name = "HOST:PORT",
        default_value = "localhost:9092"
    )]
    pub bootstrap: String,
}
