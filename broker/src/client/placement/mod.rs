//! `odradek cluster`: who is there, and where partitions are.

mod drain;
mod reassign;
mod status;

use std::io::Write;

use super::ClientError;
use crate::cli::ClusterCommand;

/// Runs the command.
///
/// # Errors
/// See [`ClientError`].
pub(super) async fn run(command: ClusterCommand, out: &mut impl Write) -> Result<(), ClientError> {
    match command {
        ClusterCommand::Status(args) => status::run(&args, out).await,
        ClusterCommand::Drain(args) => drain::run(&args, out).await,
        ClusterCommand::Reassign(args) => reassign::run(&args, out).await,
    }
}
