//! What can be wrong with the disk.

use std::io;
use std::path::{Path, PathBuf};

use odradek_common::ids::ClusterId;

use crate::envelope::EnvelopeError;
use crate::names::SlotRef;
use crate::range::Place;

/// Why the write-ahead log on the disk cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refused.
    #[error("could not {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no room for another file.
    #[error("the disk is full: no room for {bytes} more bytes in {}", .dir.display())]
    Full {
        /// The directory.
        dir: PathBuf,
        /// The bytes needed.
        bytes: u64,
    },
    /// A file is not what its name says, or was written by a newer release.
    #[error("{} cannot be used: {source}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: EnvelopeError,
    },
    /// A file belongs to another cluster.
    #[error("{} belongs to cluster '{found}', this is cluster '{expected}'", .path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster that it names.
        found: ClusterId,
        /// Ours.
        expected: ClusterId,
    },
    /// Bytes that were durable are damaged.
    #[error(
        "{} is damaged at byte {offset}: {what}. Acknowledged records may be lost; the file must \
         be restored, or moved away to give them up",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A slot is not in any file, though a later one of its chain is.
    #[error(
        "{} is missing in {}, though {} is there: a file was lost and acknowledged records with it",
        Place::Slot(*.missing), .dir.display(), Place::Slot(*.found)
    )]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// The slot that is missing.
        missing: SlotRef,
        /// A later one.
        found: SlotRef,
    },
    /// The writer has ended, for an earlier error or because the log was closed.
    #[error("the writer of the write-ahead log has ended")]
    Stopped,
}

impl DiskError {
    /// Makes an error of the operating system one of ours.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
