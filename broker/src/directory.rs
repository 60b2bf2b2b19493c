//! The data directory: locked by one process at a time, and known by an id that is made with it, so
//! that a wiped one is never taken for the one it replaces. It notes which cluster was formed with
//! it, and whether it has a write-ahead log, so that a part of it that is lost, or not mounted, is
//! never taken for one that was not made yet.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odradek_common::files::{File, OpenMode, SharedFiles};
use odradek_common::ids::ClusterId;
use odradek_common::random::Random;
use odradek_metadata::DirectoryId;
use odradek_storage::wal::OWNER_FILE;
use serde::{Deserialize, Serialize};

const LOCK: &str = "lock";
const WAL: &str = "wal";
const IDENTITY: &str = OWNER_FILE;
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
    /// The write-ahead log in it is not there, and records may be.
    #[error(
        "{wal} is not the write-ahead log that this data directory had, but {found}. Acknowledged \
         records may be in that one and nowhere else: bring it back, or mount what it lies on, and \
         start again; nothing was changed"
    )]
    OtherWal {
        /// The directory of the write-ahead log.
        wal: PathBuf,
        /// What is in its place.
        found: String,
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

/// What `directory.json` holds. The write-ahead log has a copy, without the notes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Identity {
    version: u32,
    node_id: i32,
    /// Hyphenated, as in RFC 9562.
    directory_id: String,
    /// The cluster, once it is formed and the Raft log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// Whether there is a write-ahead log beside it, with an identity of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disk_wal: bool,
}

/// A data directory that this process has to itself until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Its id.
    pub id: DirectoryId,
    /// The cluster that was formed with it, if one was.
    pub cluster: Option<ClusterId>,
    identity: Identity,
    files: SharedFiles,
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
        files.create_dir_all(path).map_err(at(path))?;
        let lock = lock(files, path)?;
        let identity = match read(files, path)? {
            Some(identity) => identity,
            None => {
                let directory_id = random.next_uuid().to_string();
                let (version, node_id) = (VERSION, node);
                let (cluster, disk_wal) = (None, false);
                let identity = Identity { version, node_id, directory_id, cluster, disk_wal };
                write(files, path, &identity)?;
                identity
            }
        };
        if identity.node_id != node {
            let (path, of) = (path.into(), identity.node_id);
            return Err(DirectoryError::OtherNode { path, of, node });
        }
        let broken = |reason| DirectoryError::Identity { path: path.join(IDENTITY), reason };
        let id = uuid::Uuid::try_parse(&identity.directory_id)
            .map_err(|e| broken(format!("directory_id: {e}")))?;
        let cluster = identity.cluster.as_deref().map(str::parse).transpose();
        let cluster = cluster.map_err(|e| broken(format!("cluster: {e}")))?;
        let (path, files) = (path.into(), files.clone());
        Ok(Self { path, id: DirectoryId(id), cluster, identity, files, _lock: lock })
    }

    /// Notes that `cluster` was formed with this directory: from then on it does not start without
    /// its Raft log. To be called when the log holds the formation, and before anything is built
    /// upon that. Blocks.
    ///
    /// # Errors
    /// The file system.
    pub fn note_formed(mut self, cluster: ClusterId) -> Result<Self, DirectoryError> {
        if self.cluster.is_none() {
            self.identity.cluster = Some(cluster.to_string());
            self.cluster = Some(cluster);
            write(&self.files, &self.path, &self.identity)?;
        }
        Ok(self)
    }

    /// Sees to it that the write-ahead log on the disk, if there is one or there `is_to_be` one,
    /// is this directory's: refuses another's, and refuses to do without one that may hold records,
    /// as `is_needed` tells. To be called before a registration writes to it: from then on it is
    /// known. Blocks.
    ///
    /// # Errors
    /// It is lost, not mounted, or another's; or the file system.
    pub fn claim_wal(self, is_to_be: bool, is_needed: bool) -> Result<Self, DirectoryError> {
        let wal = self.wal();
        let other = |found: &str| {
            let (wal, found) = (self.wal(), found.to_owned());
            Err(DirectoryError::OtherWal { wal, found })
        };
        match read(&self.files, &wal)? {
            Some(found) if found.directory_id != self.identity.directory_id => {
                return other(&format!("that of data directory {}", found.directory_id));
            }
            None if is_needed => return other("none"),
            Some(_) if self.identity.disk_wal => return Ok(self),
            None if !is_to_be => return self.note_wal(false),
            Some(_) | None => {}
        }
        // Known by itself before it is noted, so that the note never asks for what was not made.
        self.files.create_dir_all(&wal).map_err(at(&wal))?;
        let copy = Identity { cluster: None, disk_wal: false, ..self.identity.clone() };
        write(&self.files, &wal, &copy)?;
        self.note_wal(true)
    }

    fn note_wal(mut self, disk_wal: bool) -> Result<Self, DirectoryError> {
        if self.identity.disk_wal != disk_wal {
            self.identity.disk_wal = disk_wal;
            write(&self.files, &self.path, &self.identity)?;
        }
        Ok(self)
    }

    /// Where the write-ahead log on the disk is, if there is one.
    #[must_use]
    pub fn wal(&self) -> PathBuf {
        self.path.join(WAL)
    }

    /// Whether there is a write-ahead log on the disk.
    #[must_use]
    pub fn has_wal(&self) -> bool {
        self.identity.disk_wal
    }
}

/// Says which file an error is about.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.into();
    move |source| DirectoryError::Io { path, source }
}

fn lock(files: &SharedFiles, directory: &Path) -> Result<Arc<dyn File>, DirectoryError> {
    let path = directory.join(LOCK);
    let lock = files.open(&path, OpenMode::ReadWrite).map_err(at(&path))?;
    if lock.try_lock().map_err(at(&path))? {
        Ok(lock)
    } else {
        Err(DirectoryError::Locked(directory.into()))
    }
}

/// The identity in a directory, if it has one.
fn read(files: &SharedFiles, directory: &Path) -> Result<Option<Identity>, DirectoryError> {
    let path = directory.join(IDENTITY);
    let file = match files.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    // A process that died may have renamed it and not synced.
    files.sync_dir(directory).map_err(at(directory))?;
    let broken = |reason: String| DirectoryError::Identity { path: path.clone(), reason };
    let length = file.len().map_err(at(&path))?;
    if length > IDENTITY_BYTES_MAX {
        return Err(broken(format!("{length} bytes are too many")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(at(&path))?;
    let identity: Identity = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
    if identity.version > VERSION {
        let version = identity.version;
        return Err(broken(format!("version {version}; this release reads up to {VERSION}")));
    }
    Ok(Some(identity))
}

/// Whole or not at all, also after a power cut.
fn write(files: &SharedFiles, directory: &Path, identity: &Identity) -> Result<(), DirectoryError> {
    let (path, new) = (directory.join(IDENTITY), directory.join(IDENTITY_NEW));
    let replace = || {
        let bytes = serde_json::to_vec_pretty(identity).map_err(io::Error::other)?;
        let file = files.open(&new, OpenMode::ReadWrite)?;
        file.set_len(0)?;
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        files.rename(&new, &path)?;
        files.sync_dir(directory)
    };
    replace().map_err(at(&path))
}

#[cfg(test)]
mod tests;
