//! Changing the store's directory so that it lasts. All of this blocks.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::PutPayload;
use odradek_common::files::{File, OpenMode, SharedFiles, parent_of};

use super::dirs::{DirUse, Dirs};
use super::layout::{self, MeantFor};

/// What changes the directory.
pub(super) struct Writer {
    files: SharedFiles,
    root: PathBuf,
    dirs: Arc<Dirs>,
    next_temporary: AtomicU64,
}

/// A file on its way to a name in a directory. Its temporary name goes when this is dropped.
pub(super) struct Temporary {
    files: SharedFiles,
    path: PathBuf,
    dir: DirUse,
    /// False while the name must stay, as evidence that the directory is not synced.
    remove: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.remove {
            // If it stays, the next process removes it.
            let _ = self.files.remove_file(&self.path);
        }
    }
}

impl Writer {
    pub(super) fn new(files: SharedFiles, root: PathBuf) -> Self {
        let dirs = Dirs::new(files.clone(), root.clone());
        Self { files, root, dirs, next_temporary: AtomicU64::new(0) }
    }

    pub(super) fn files(&self) -> &SharedFiles {
        &self.files
    }

    pub(super) fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Makes the store's directory. That of temporary files need not be durable: what is in it
    /// speaks only to a process that follows without a power cut.
    pub(super) fn prepare(&self) -> io::Result<()> {
        self.files.create_dir_all(&self.root)?;
        match self.files.create_dir(&layout::temporaries(&self.root)) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    /// Finishes what a process that died has begun: syncs the directories that it may have put
    /// names into, and only then removes the temporary files, which say so.
    pub(super) fn recover(&self) -> io::Result<()> {
        let mut left = Vec::new();
        let mut dirs = BTreeSet::new();
        for entry in self.files.list(&layout::temporaries(&self.root))? {
            match layout::meant_for(&self.root, &entry.path) {
                MeantFor::Lock => continue,
                MeantFor::Dir(dir) => _ = dirs.insert(dir),
                MeantFor::Unknown => self.all_dirs(&mut dirs)?,
            }
            left.push(entry.path);
        }
        for dir in dirs {
            match self.files.sync_dir(&dir) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        left.iter().try_for_each(|path| self.files.remove_file(path))
    }

    fn all_dirs(&self, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let mut todo = vec![self.root.clone()];
        while let Some(dir) = todo.pop() {
            let entries = self.files.list(&dir)?;
            todo.extend(entries.into_iter().filter(|e| e.is_dir).map(|e| e.path));
            found.insert(dir);
        }
        Ok(())
    }

    /// True if `path` is a file.
    pub(super) fn is_file(&self, path: &FsPath) -> bool {
        self.files.stat(path).is_ok_and(|entry| !entry.is_dir)
    }

    /// A new temporary name for an object in the directory `dir`.
    fn temporary(&self, dir: DirUse) -> Temporary {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = layout::temporary(&self.root, number, dir.path());
        Temporary { files: self.files.clone(), path, dir, remove: true }
    }

    /// A new temporary file for the object `target`, open. Its directory is made too.
    pub(super) fn begin(&self, target: &FsPath) -> io::Result<(Temporary, Arc<dyn File>)> {
        let dir = self.dirs.make(parent_of(target)).map_err(key_in_key)?;
        let temporary = self.temporary(dir);
        let file = self.files.open(&temporary.path, OpenMode::CreateNew)?;
        Ok((temporary, file))
    }

    /// Writes and syncs a temporary file for the object `target`.
    pub(super) fn write(&self, target: &FsPath, payload: &PutPayload) -> io::Result<Temporary> {
        let (temporary, file) = self.begin(target)?;
        let mut position = 0;
        for chunk in payload {
            file.write_all_at(chunk, position)?;
            position += chunk.len() as u64;
        }
        file.sync()?;
        Ok(temporary)
    }

    /// Gives the object `source` a temporary name, from which it can become `target` too.
    pub(super) fn link(&self, source: &FsPath, target: &FsPath) -> io::Result<Temporary> {
        if self.files.stat(source)?.is_dir {
            return Err(ErrorKind::IsADirectory.into());
        }
        let dir = self.dirs.make(parent_of(target)).map_err(key_in_key)?;
        let temporary = self.temporary(dir);
        self.files.hard_link(source, &temporary.path)?;
        Ok(temporary)
    }

    /// Gives a temporary file, synced, the name `target`, and returns when that is durable; an
    /// `AlreadyExists` error if there is an object of that name that is not to be overwritten.
    pub(super) fn publish(
        &self,
        mut temporary: Temporary,
        target: &FsPath,
        overwrite: bool,
    ) -> io::Result<()> {
        // From here on the temporary name is the evidence that a sync may be due.
        temporary.remove = false;
        let named = if overwrite {
            self.replace(&temporary.path, target)
        } else {
            self.files.hard_link(&temporary.path, target)
        };
        match named {
            Ok(()) => temporary.dir.sync()?,
            Err(e) => {
                temporary.remove = true;
                return Err(self.refused(target, e));
            }
        }
        temporary.remove = true;
        Ok(())
    }

    /// Renames a second temporary name over `target`: the first one stays.
    fn replace(&self, temporary: &FsPath, target: &FsPath) -> io::Result<()> {
        let second = self.temporary(self.dirs.enter(parent_of(target)));
        self.files.hard_link(temporary, &second.path)?;
        self.files.rename(&second.path, target)
    }

    /// Why `target` could not be named.
    fn refused(&self, target: &FsPath, error: io::Error) -> io::Error {
        let is_dir = self.files.stat(target).is_ok_and(|entry| entry.is_dir);
        if is_dir { key_in_key(ErrorKind::IsADirectory.into()) } else { error }
    }

    /// Removes the object `target` for good, and directories that it leaves empty.
    pub(super) fn delete(&self, target: &FsPath) -> io::Result<()> {
        let dir = self.dirs.enter(parent_of(target));
        self.files.remove_file(target)?;
        dir.sync()?;
        drop(dir);
        self.dirs.prune(parent_of(target));
        Ok(())
    }
}

fn key_in_key(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            io::Error::other("a key cannot be the folder of another key in a directory")
        }
        _ => error,
    }
}
