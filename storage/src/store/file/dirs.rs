//! The directories of the store: made durable, kept while somebody works in them, removed when
//! they are empty. All of this blocks.

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, OnceLock};

use odradek_common::files::{SharedFiles, parent_of};
use odradek_common::limits::FILE_STORE_DIRS_KNOWN;
use parking_lot::Mutex;

use super::{SyncFailed, generic};

/// The directories below the root.
pub(super) struct Dirs {
    files: SharedFiles,
    root: PathBuf,
    /// Directories are made and removed only under this lock.
    state: Mutex<State>,
    sync_failed: OnceLock<String>,
}

#[derive(Default)]
struct State {
    /// Directories that exist and are durable in their parents.
    durable: HashSet<PathBuf>,
    /// How many work in a directory. It is not removed meanwhile: what they have removed or put
    /// there could not be made durable any more. There are no more than requests.
    users: HashMap<PathBuf, usize>,
}

/// Somebody works in a directory.
pub(super) struct DirUse {
    dirs: Arc<Dirs>,
    dir: PathBuf,
}

impl Drop for DirUse {
    fn drop(&mut self) {
        let mut state = self.dirs.state.lock();
        if let Some(users) = state.users.get_mut(&self.dir) {
            *users -= 1;
            if *users == 0 {
                state.users.remove(&self.dir);
            }
        }
    }
}

impl DirUse {
    /// The directory.
    pub(super) fn path(&self) -> &FsPath {
        &self.dir
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.dirs.sync(&self.dir)
    }
}

impl Dirs {
    pub(super) fn new(files: SharedFiles, root: PathBuf) -> Arc<Self> {
        let (state, sync_failed) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { files, root, state, sync_failed })
    }

    /// Fails if a directory could not be synced since the store was opened.
    pub(super) fn healthy(&self) -> object_store::Result<()> {
        match self.sync_failed.get() {
            None => Ok(()),
            Some(reason) => Err(generic(SyncFailed(reason.clone()))),
        }
    }

    /// Keeps `dir`, if it is there, from being removed.
    pub(super) fn enter(self: &Arc<Self>, dir: &FsPath) -> DirUse {
        *self.state.lock().users.entry(dir.to_owned()).or_insert(0) += 1;
        DirUse { dirs: self.clone(), dir: dir.to_owned() }
    }

    /// Makes `dir` and its parents up to the root, durable, and keeps it from being removed.
    pub(super) fn make(self: &Arc<Self>, dir: &FsPath) -> io::Result<DirUse> {
        let entered = self.enter(dir);
        self.make_locked(dir, &mut self.state.lock().durable)?;
        Ok(entered)
    }

    fn make_locked(&self, dir: &FsPath, durable: &mut HashSet<PathBuf>) -> io::Result<()> {
        if dir == self.root || durable.contains(dir) {
            return Ok(());
        }
        self.make_locked(parent_of(dir), durable)?;
        match self.files.create_dir(dir) {
            Ok(()) => {}
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            Err(_) if self.files.stat(dir)?.is_dir => {}
            Err(_) => return Err(ErrorKind::NotADirectory.into()),
        }
        // Also if it existed: a process that died may have made it and not come to sync it.
        self.sync(parent_of(dir))?;
        if durable.len() >= FILE_STORE_DIRS_KNOWN {
            durable.clear();
        }
        durable.insert(dir.to_owned());
        Ok(())
    }

    /// Removes `dir` and its parents as far as they are empty and nobody works in them. Not
    /// synced: an empty directory that comes back does no harm.
    pub(super) fn prune(&self, dir: &FsPath) {
        let mut state = self.state.lock();
        let mut dir = dir;
        while dir != self.root
            && !state.users.contains_key(dir)
            && self.files.remove_dir(dir).is_ok()
        {
            state.durable.remove(dir);
            dir = parent_of(dir);
        }
    }

    fn sync(&self, dir: &FsPath) -> io::Result<()> {
        self.files.sync_dir(dir).inspect_err(|e| {
            let reason = format!("{}: {e}", dir.display());
            tracing::error!(reason, "a directory of the store could not be synced");
            let _ = self.sync_failed.set(reason);
        })
    }
}
