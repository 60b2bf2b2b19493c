//! What the quorum keeps on the local disk: the log, the vote and the newest snapshot. It knows
//! bytes and numbers only. All calls block.

mod backend;
mod log;
mod snapshots;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub(crate) use log::{Identity, Log};
pub(crate) use snapshots::{
    SnapshotPiece, Snapshots, StoredSnapshot, decode as decode_snapshot_file,
    encode as encode_snapshot_file,
};

use crate::ids::DirectoryId;
use crate::wire::DecodeError;

/// The local disk failed, or what it holds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
    /// The database of the log failed.
    #[error("the metadata log: {0}")]
    Log(#[from] redb::Error),
    /// Another process, or another part of this one, has the log open.
    #[error("{path} is open elsewhere")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The directory was made for another node or data directory. A node that lost its disk must
    /// not come back under its old id: the quorum counts on what it once promised.
    #[error(
        "{path} was made for node {node} with directory id {directory}; \
         it cannot serve another: restore the right directory or use a new node id"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that it was made for.
        node: i32,
        /// The data directory that it was made for.
        directory: DirectoryId,
    },
    /// The log of a node whose cluster is formed is not there.
    #[error(
        "{path} is missing, though the cluster of this data directory is formed: bring it back, or \
         mount what it lies on, and start again; nothing was changed"
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The snapshot before which the log was dropped is not there.
    #[error(
        "{path}: the metadata log begins after entry {purged}, and {found}: what lies between is lost. \
         Bring back the snapshot, or give the node a new data directory and let it join anew; nothing \
         was changed"
    )]
    Gap {
        /// The directory.
        path: PathBuf,
        /// The last entry that was dropped.
        purged: u64,
        /// What there is in place of a snapshot as new.
        found: String,
    },
    /// What is stored cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
}

/// Says which file an error is about.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DiskError {
    let path = path.into();
    move |source| DiskError::Io { path, source }
}
