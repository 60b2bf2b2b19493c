//! `odradek quorum`.

use clap::{Args, Subcommand};
use odradek_common::ids::from_base64_url;
use uuid::Uuid;

use super::BootstrapArgs;

/// What can be done with the metadata quorum.
#[derive(Clone, Debug, Subcommand)]
pub enum QuorumCommand {
    /// Show who leads, who votes, who follows, and how far each is
    Describe(DescribeQuorumArgs),
    /// Make a voter of a node that runs
    Add(AddVoterArgs),
    /// Take the vote from a node
    Remove(RemoveVoterArgs),
}

/// `odradek quorum describe`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek quorum describe
  odradek quorum describe --json")]
pub struct DescribeQuorumArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek quorum add`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The node runs with process.roles=broker,controller and the controller.quorum.voters of the others; its log names
the id of its data directory. One that lost its directory comes back under another id: remove the former first.

Examples:
  odradek quorum add 4 --directory hAZv4vnBTjSkF8_4CfMHvQ --endpoint 10.0.0.4:9093")]
pub struct AddVoterArgs {
    /// Id of the node
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    pub node: i32,
    /// Id of its data directory
    #[arg(long, value_name = "ID", value_parser = directory)]
    pub directory: Uuid,
    /// Address of its listener for controllers
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    pub endpoint: (String, u16),
    /// Name of the listeners for controllers
    #[arg(long, value_name = "NAME", default_value = "CONTROLLER")]
    pub listener: String,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// `odradek quorum remove`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  odradek quorum remove 2
  odradek quorum remove 2 --directory hAZv4vnBTjSkF8_4CfMHvQ")]
pub struct RemoveVoterArgs {
    /// Id of the node
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    pub node: i32,
    /// Id of its data directory; if not given, that with which it votes now
    #[arg(long, value_name = "ID", value_parser = directory)]
    pub directory: Option<Uuid>,
    /// Where the broker is.
    #[command(flatten)]
    pub at: BootstrapArgs,
}

/// An id as Kafka shows it.
fn directory(text: &str) -> Result<Uuid, String> {
    let id = from_base64_url(text).map(Uuid::from_bytes);
    id.ok_or_else(|| {
        "it is not the id of a data directory: 22 letters, digits, '-' or '_'".to_owned()
    })
}

fn endpoint(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok().filter(|p| *p > 0)?)));
    match parts {
        Some((host, port)) if !host.is_empty() => {
            Ok((host.trim_matches(['[', ']']).to_owned(), port))
        }
        _ => Err("it is not of the form HOST:PORT".to_owned()),
    }
}
