//! `odradek cluster`.

use clap::{Args, Subcommand};

use super::BootstrapArgs;

/// What can be done with the brokers of a cluster, and with where partitions are.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the brokers, what they lead, and what is under way
    Status(StatusArgs),
    /// Have a broker give all its partitions away and get none, until it is undone
    Drain(DrainArgs),
    /// Say on which brokers the partitions of a topic should be
    Reassign(ReassignArgs),
}

/// `odradek cluster status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek cluster status
  odradek cluster status --json -b broker-2:9092")]
pub struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek cluster drain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
It sets broker.draining of that broker, which kafka-configs.sh can as well, and waits until the broker leads
nothing. The partitions are moved by what balances the cluster: auto.leader.rebalance.enable has to be true,
as it is by default. To stop a broker for good or for a while needs no drain: SIGTERM hands everything over.

Examples:
  odradek cluster drain 3
  odradek cluster drain 3 --undo")]
pub struct DrainArgs {
    /// Id of the broker
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    pub broker: i32,
    /// It may get partitions again
    #[arg(long)]
    pub undo: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek cluster reassign`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The first of the replicas is where a partition is preferred to be. Of several partitions the second begins with
the second of the brokers, and so on. A partition that is with one of its new replicas stays there;
kafka-leader-election.sh moves it to the first. It moves metadata, no records.

Examples:
  odradek cluster reassign orders --replicas 1,2,3
  odradek cluster reassign orders --partitions 0,4 --replicas 2
  odradek cluster reassign orders --cancel")]
pub struct ReassignArgs {
    /// Name of the topic
    pub topic: String,
    /// Numbers of the partitions; all of them if not given
    #[arg(long, short = 'p', value_name = "N,N", value_delimiter = ',',
          value_parser = clap::value_parser!(i32).range(0..))]
    pub partitions: Vec<i32>,
    /// Ids of the brokers
    #[arg(long, short = 'r', value_name = "ID,ID", value_delimiter = ',',
          required_unless_present = "cancel", value_parser = clap::value_parser!(i32).range(0..))]
    pub replicas: Vec<i32>,
    /// Take reassignments back that are under way
    #[arg(long, conflicts_with = "replicas")]
    pub cancel: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}
