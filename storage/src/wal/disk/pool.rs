//! The files: made once at full size, and used again rather than deleted, for writes into what is
//! allocated already change no metadata.
//!
//! ```text
//!  new-G → wal-G → spare-G → wal-H → …
//! ```
//!
//! A name says what is in the file: a file is called `wal-` only while its header is on the disk
//! and fits the name, and has lost the name on the disk, too, before its header is written again.
//! So a `wal-` file with another header is damage, never the trace of a crash.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odradek_common::files::{File, OpenMode, SharedFiles};
use odradek_common::ids::ClusterId;
use odradek_common::limits::WAL_SPARE_FILES;
use odradek_common::random::SharedRandom;

use super::DiskError;
use super::index::LiveFile;
use super::layout::{FileHeader, PAGE_BYTES, live_path, new_path, spare_path};
use crate::wal::slot::Nonce;

/// The file that is being written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) generation: u64,
    pub(super) nonce: Nonce,
    pub(super) file: LiveFile,
    /// Where the next frame goes.
    pub(super) position: u64,
    pub(super) capacity: u64,
}

/// Makes files and takes them back.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) files: SharedFiles,
    pub(super) dir: PathBuf,
    pub(super) cluster: ClusterId,
    pub(super) random: SharedRandom,
    /// The size of a file, unless a slot needs a larger one.
    pub(super) file_bytes: u64,
    pub(super) next_generation: u64,
    pub(super) spares: Vec<PathBuf>,
    /// True if a spare file may still have its old name on the disk.
    pub(super) spares_unsynced: bool,
}

impl Pool {
    /// A file with room for `bytes`, in use and empty.
    pub(super) fn take(&mut self, bytes: u64) -> Result<Current, DiskError> {
        let generation = self.next_generation;
        let bytes = bytes.saturating_add(PAGE_BYTES).max(self.file_bytes);
        let (path, file) = self.reserve(generation, bytes)?;
        if std::mem::take(&mut self.spares_unsynced) && self.spares.contains(&path) {
            self.sync_dir()?;
        }
        let mut nonce = Nonce([0; 16]);
        self.random.fill(&mut nonce.0);
        let header = FileHeader { cluster: self.cluster.clone(), generation, nonce };
        file.write_all_at(&header.encode(), 0).map_err(DiskError::io("write", &path))?;
        file.sync().map_err(DiskError::io("sync", &path))?;
        let live = live_path(&self.dir, generation);
        self.files.rename(&path, &live).map_err(DiskError::io("rename", &path))?;
        self.sync_dir()?;
        self.spares.retain(|spare| *spare != path);
        self.next_generation += 1;
        let file = LiveFile { path: live, file };
        Ok(Current { generation, nonce, file, position: PAGE_BYTES, capacity: bytes })
    }

    /// A spare file or a new one, with room for `bytes`.
    fn reserve(&self, generation: u64, bytes: u64) -> Result<(PathBuf, Arc<dyn File>), DiskError> {
        let spare = self.spares.last().cloned();
        let is_new = spare.is_none();
        let path = spare.unwrap_or_else(|| new_path(&self.dir, generation));
        let file = self
            .files
            .open(&path, OpenMode::ReadWrite)
            .map_err(|source| self.no_room("open", &path, bytes, source))?;
        let room = file.allocate(bytes).map_err(|e| self.no_room("allocate", &path, bytes, e));
        if let Err(error) = room {
            // What was reserved of it would be missing elsewhere; it is made again later.
            if is_new {
                let _ = self.files.remove_file(&path);
            }
            return Err(error);
        }
        Ok((path, file))
    }

    fn no_room(
        &self,
        doing: &'static str,
        path: &Path,
        bytes: u64,
        error: std::io::Error,
    ) -> DiskError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                DiskError::Full { dir: self.dir.clone(), bytes }
            }
            _ => DiskError::io(doing, path)(error),
        }
    }

    /// Takes back a file that holds nothing any more. One more than are kept, or one of unusual
    /// size, is removed; should a power cut bring that back, its slots are deleted again.
    pub(super) fn give_back(&mut self, generation: u64, file: &LiveFile) -> Result<(), DiskError> {
        let path = &file.path;
        let length = file.file.len().map_err(DiskError::io("measure", path))?;
        if self.spares.len() >= WAL_SPARE_FILES || length != self.file_bytes {
            return self.files.remove_file(path).map_err(DiskError::io("remove", path));
        }
        let spare = spare_path(&self.dir, generation);
        self.files.rename(path, &spare).map_err(DiskError::io("rename", path))?;
        self.spares.push(spare);
        self.spares_unsynced = true;
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.files.sync_dir(&self.dir).map_err(DiskError::io("sync", &self.dir))
    }
}
