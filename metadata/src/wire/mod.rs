//! The stored form of commands and snapshots: protobuf, with the format's version in front. Field
//! numbers are for ever. A higher version is refused with a message that says so; what is damaged
//! is refused too, and neither panics nor allocates more than its own length allows.

mod commands;
mod convert;
mod entry;
mod messages;
mod moves;
mod snapshot;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use entry::encode_command;
pub(crate) use entry::{
    Origin, check_command, check_proposal, decode_entry, encode_entry, encode_proposal,
};
pub(crate) use snapshot::{decode_snapshot, encode_snapshot};

/// The version of commands that this build writes, and the newest that it reads.
pub(crate) const COMMAND_VERSION: u32 = 1;
/// The same of snapshots.
pub(crate) const SNAPSHOT_VERSION: u32 = 1;

/// Stored bytes that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A newer build wrote them.
    #[error(
        "{what} has format version {found} and this build reads up to {known}: \
         start a build at least as new as the one that wrote it"
    )]
    Newer {
        /// What it is.
        what: &'static str,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// They are not protobuf of the expected shape.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl DecodeError {
    pub(crate) fn damaged(what: &'static str, reason: impl ToString) -> Self {
        Self::Damaged { what, reason: reason.to_string() }
    }

    fn missing(field: &'static str) -> Self {
        Self::damaged("a metadata record", format!("{field} is missing or out of range"))
    }
}

pub(crate) fn check_version(what: &'static str, found: u32, known: u32) -> Result<(), DecodeError> {
    match found {
        0 => Err(DecodeError::damaged(what, "it has no version")),
        found if found > known => Err(DecodeError::Newer { what, found, known }),
        _ => Ok(()),
    }
}
