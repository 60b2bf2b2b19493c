//! The data directory: locked by one process at a time, and known by an id that is made with it, so
//! that a wiped one is never taken for the one it replaces.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odradek_common::files::{File, OpenMode, SharedFiles};
use odradek_common::random::Random;
use odradek_metadata::DirectoryId;
use serde::{Deserialize, Serialize};

const LOCK: &str = "lock";
const IDENTITY: &str = "directory.json";
const IDENTITY_NEW: &str = "directory.json.new";
const VERSION: u32 = 1;
/// More than an identity ever has.
const IDENTITY_BYTES_MAX: u64 = 64 << 10;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error("{0} is in use by another process (its file 'lock' is locked)")]
    Locked(PathBuf),
    /// It is that of another node.
    #[error("{path} is the directory of node.id={of}; this process has node.id={node}")]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        of: i32,
        /// The node id of the settings.
        node: i32,
    },
    /// Its identity cannot be understood.
    #[error("{path}: {reason}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system.
    #[error("{path}: {source}")]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Identity {
    version: u32,
    node_id: i32,
    /// Hyphenated, as in RFC 9562.
    directory_id: String,
}

/// A data directory that this process has to itself until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Its id.
    pub id: DirectoryId,
    _lock: Arc<dyn File>,
}

impl DataDirectory {
    /// Opens the directory `path` of `node`, made if it is not there. Blocks.
    ///
    /// # Errors
    /// It is in use, that of another node, or cannot be read or written.
    pub fn open(
        files: &SharedFiles,
        path: &Path,
        node: i32,
        random: &dyn Random,
    ) -> Result<Self, DirectoryError> {
        let io = |at: PathBuf| move |source| DirectoryError::Io { path: at, source };
        files.create_dir_all(path).map_err(io(path.into()))?;
        let lock_path = path.join(LOCK);
        let lock = files.open(&lock_path, OpenMode::ReadWrite).map_err(io(lock_path.clone()))?;
        if !lock.try_lock().map_err(io(lock_path))? {
            return Err(DirectoryError::Locked(path.into()));
        }
        let identity_path = path.join(IDENTITY);
        let identity = match files.open(&identity_path, OpenMode::Read) {
            Ok(file) => read(&*file, &identity_path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory_id = random.next_uuid().to_string();
                let identity = Identity { version: VERSION, node_id: node, directory_id };
                write(files, path, &identity).map_err(io(identity_path))?;
                identity
            }
            Err(error) => return Err(io(identity_path)(error)),
        };
        if identity.node_id != node {
            return Err(DirectoryError::OtherNode {
                path: path.into(),
                of: identity.node_id,
                node,
            });
        }
        let id = uuid::Uuid::try_parse(&identity.directory_id).map_err(|e| {
            let path = path.join(IDENTITY);
            DirectoryError::Identity { path, reason: format!("directory_id: {e}") }
        })?;
        Ok(Self { path: path.into(), id: DirectoryId(id), _lock: lock })
    }
}

fn read(file: &dyn File, path: &Path) -> Result<Identity, DirectoryError> {
    let broken = |reason: String| DirectoryError::Identity { path: path.into(), reason };
    let length = file.len().map_err(|e| broken(e.to_string()))?;
    if length > IDENTITY_BYTES_MAX {
        return Err(broken(format!("{length} bytes are too many")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(|e| broken(e.to_string()))?;
    let identity: Identity = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
    if identity.version > VERSION {
        let version = identity.version;
        return Err(broken(format!("version {version}; this release reads up to {VERSION}")));
    }
    Ok(identity)
}

/// Whole or not at all, also after a power cut.
fn write(files: &SharedFiles, directory: &Path, identity: &Identity) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(identity).map_err(io::Error::other)?;
    let new = directory.join(IDENTITY_NEW);
    let file = files.open(&new, OpenMode::ReadWrite)?;
    file.set_len(0)?;
    file.write_all_at(&bytes, 0)?;
    file.sync()?;
    files.rename(&new, &directory.join(IDENTITY))?;
    files.sync_dir(directory)
}

#[cfg(test)]
mod tests {
    use odradek_common::files::RealFiles;
    use odradek_common::random::SeededRandom;

    use super::*;

    #[test]
    fn an_id_stays_and_a_second_process_or_node_is_refused() {
        let files: SharedFiles = Arc::new(RealFiles);
        let random = SeededRandom::from_seed(1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let open = |node| DataDirectory::open(&files, &path, node, &random);
        let first = open(1).unwrap();
        let id = first.id;
        drop(first);
        let held = open(1).unwrap();
        assert_eq!(held.id, id);
        drop(held);
        assert!(matches!(open(2), Err(DirectoryError::OtherNode { of: 1, node: 2, .. })));
        std::fs::write(path.join(IDENTITY), b"{").unwrap();
        assert!(matches!(open(1), Err(DirectoryError::Identity { .. })));
    }
}
