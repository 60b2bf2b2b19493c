//! The commands that are clients: `odradek topic`, `cluster`, `quorum`, `produce` and `consume` talk to
//! any broker of the Kafka protocol, and know nothing of this broker's inside.

mod cluster;
mod connection;
mod consume;
mod error;
mod input;
mod partitioner;
mod placement;
mod print;
mod produce;
mod quorum;
mod topics;

use std::io::{self, BufWriter, Write};

pub use error::ClientError;

use crate::cli::{ClusterCommand, ConsumeArgs, ProduceArgs, QuorumCommand, TopicCommand};

/// Runs `odradek topic`; prints to standard output.
///
/// # Errors
/// See [`ClientError`]. A closed output is none.
pub async fn topic(command: TopicCommand) -> Result<(), ClientError> {
    let mut out = BufWriter::new(io::stdout());
    let done = topics::run(command, &mut out).await;
    end(done, out)
}

/// Runs `odradek cluster`; prints to standard output.
///
/// # Errors
/// See [`ClientError`]. A closed output is none.
pub async fn cluster(command: ClusterCommand) -> Result<(), ClientError> {
    let mut out = BufWriter::new(io::stdout());
    let done = placement::run(command, &mut out).await;
    end(done, out)
}

/// Runs `odradek quorum`; prints to standard output.
///
/// # Errors
/// See [`ClientError`]. A closed output is none.
pub async fn quorum(command: QuorumCommand) -> Result<(), ClientError> {
    let mut out = BufWriter::new(io::stdout());
    let done = quorum::run(command, &mut out).await;
    end(done, out)
}

/// What was done before an error is told too.
fn end(done: Result<(), ClientError>, mut out: impl Write) -> Result<(), ClientError> {
    let flushed = out.flush().map_err(ClientError::from);
    quiet(done.and(flushed))
}

/// Runs `odradek produce`; tells on standard error how many records were written.
///
/// # Errors
/// See [`ClientError`]. Records before the one that failed may be written.
pub async fn produce(args: ProduceArgs) -> Result<(), ClientError> {
    produce::run(&args).await
}

/// Runs `odradek consume`; prints to standard output, and ends when that is closed.
///
/// # Errors
/// See [`ClientError`]. A closed output is none.
pub async fn consume(args: ConsumeArgs) -> Result<(), ClientError> {
    let mut out = BufWriter::new(io::stdout());
    let done = consume::run(&args, &mut out).await;
    end(done, out)
}

/// Takes a closed output for an end: `head` closes it when it has enough.
fn quiet(result: Result<(), ClientError>) -> Result<(), ClientError> {
    match result {
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Tells the user what is no output. Standard error that is closed is no reason to fail.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_output_is_an_end_and_a_full_disk_an_error() {
        let failed = |kind: io::ErrorKind| quiet(Err(ClientError::Output(kind.into())));
        assert!(failed(io::ErrorKind::BrokenPipe).is_ok());
        assert!(failed(io::ErrorKind::StorageFull).is_err());
    }
}
