//! `odradek topic`.

use clap::{Args, Subcommand};

use super::BootstrapArgs;

/// What can be done with topics.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicCommand {
    /// Make a topic
    Create(CreateTopicArgs),
    /// List the names of all topics
    List(ListTopicsArgs),
    /// Show partitions, offsets and settings of topics
    Describe(DescribeTopicArgs),
    /// Delete topics with all their records
    Delete(DeleteTopicArgs),
}

/// `odradek topic create`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek topic create orders
  odradek topic create orders --partitions 6 --topic-config retention.ms=86400000
  odradek topic create state --topic-config cleanup.policy=compact --if-not-exists")]
pub struct CreateTopicArgs {
    /// Name of the topic
    pub name: String,
    /// Number of partitions; if not given, num.partitions of the broker
    #[arg(long, short = 'p', value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// Brokers named as replicas; if not given, default.replication.factor of the broker
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    pub replication_factor: Option<i16>,
    /// Setting of the topic; may be repeated
    #[arg(long = "topic-config", value_name = "KEY=VALUE", value_parser = pair)]
    pub configs: Vec<(String, String)>,
    /// A topic of the name that is there already is no error
    #[arg(long)]
    pub if_not_exists: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek topic list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek topic list
  odradek topic list --internal --json")]
pub struct ListTopicsArgs {
    /// Also the topics of the broker's own, such as __consumer_offsets
    #[arg(long)]
    pub internal: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek topic describe`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek topic describe orders
  odradek topic describe orders payments --json")]
pub struct DescribeTopicArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek topic delete`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek topic delete orders
  odradek topic delete orders payments --if-exists")]
pub struct DeleteTopicArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// A topic that is not there is no error
    #[arg(long)]
    pub if_exists: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not of the form KEY=VALUE")?;
    if key.is_empty() {
        return Err("it has no key".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}
