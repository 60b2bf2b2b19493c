//! The local file system, injected: the disk WAL, the Raft log and the `file://` store reach the
//! disk only through [`Files`], so that a test can drop and tear what was not synced.
//!
//! The contract is that of POSIX at its weakest: bytes written are durable only after
//! [`File::sync`] returned, a name (created, renamed, linked, removed) only after
//! [`Files::sync_dir`] of its directory returned. All calls block; call them from a thread of
//! your own or through `common::blocking`.

mod real;
pub mod sim;

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use real::RealFiles;

/// An open file. Dropping it closes it.
pub trait File: Send + Sync + Debug {
    /// Reads exactly `buf.len()` bytes at `offset`; an `UnexpectedEof` if there are fewer.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf` at `offset`, growing the file as needed. After an error any part of it
    /// may have been written.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// True if the file holds no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Milliseconds since the Unix epoch of the last change of the bytes.
    fn modified_ms(&self) -> io::Result<i64>;
    /// Cuts or extends the file with zeroes to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves room for `len` bytes and sets the length to at least `len`, so that a later write
    /// below it neither fails for lack of space nor changes the file's metadata.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes all bytes written so far, and the length, durable (`fdatasync`). Never try again after
    /// an error: the kernel may take the pages for written, and the next call, of another process
    /// too, would say that all is well. Only what is written again since is durable then.
    fn sync(&self) -> io::Result<()>;
    /// Takes an exclusive advisory lock on the file until this handle is dropped; false if it is
    /// locked through another handle, of this process or of another.
    fn try_lock(&self) -> io::Result<bool>;
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To read; it must exist.
    Read,
    /// To read and write; created empty if it does not exist.
    ReadWrite,
    /// To read and write; an `AlreadyExists` error if the name exists.
    CreateNew,
}

/// A file system.
pub trait Files: Send + Sync + Debug {
    /// Opens the file `path`; a directory is an `IsADirectory` error.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Renames the file `from` to `to`, in place of the file that may have been there. Nothing
    /// happens if both are names of one file. To be sure of both names, sync both directories.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file `from` the second name `to`; an `AlreadyExists` error if `to` exists.
    /// Atomic between processes: this is the local put-if-absent.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes the file `path`.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes the empty directory `path`; `DirectoryNotEmpty` if it is not empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the directory `path` in its parent, which must exist; an `AlreadyExists` error if
    /// the name exists. Not durable before [`Files::sync_dir`] of the parent.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in the directory `path` durable (`fsync` of the directory).
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The files and directories in the directory `path`, in no order. Anything else (links,
    /// sockets) is left out.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// What `path` is.
    fn stat(&self, path: &Path) -> io::Result<DirEntry>;

    /// Makes the directory `path` and its parents, each durable in its parent when this returns,
    /// also those that another thread, or a process that died since, had made but not yet synced.
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        match self.stat(path) {
            Ok(there) if there.is_dir => sync_existing(self, path),
            Ok(_) => Err(ErrorKind::NotADirectory.into()),
            Err(e) if e.kind() == ErrorKind::NotFound && path.parent().is_some() => {
                self.create_dir_all(parent_of(path))?;
                match self.create_dir(path) {
                    Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
                    _ => self.sync_dir(parent_of(path)),
                }
            }
            Err(e) => Err(e),
        }
    }
}

/// Each directory is synced into its parent before the next is made in it, so of a chain of
/// existing directories only the last can be other than durable.
fn sync_existing<F: Files + ?Sized>(files: &F, path: &Path) -> io::Result<()> {
    if path.parent().is_none() {
        return Ok(());
    }
    match files.sync_dir(parent_of(path)) {
        // A directory that we may not read is one that we could not have made anything durable
        // in: what stands there was made by somebody else.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// The directory that `path` is a name in.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The whole path.
    pub path: PathBuf,
    /// True for a directory.
    pub is_dir: bool,
    /// The length in bytes of a file; 0 for a directory.
    pub len: u64,
    /// Milliseconds since the Unix epoch of the last change.
    pub modified_ms: i64,
}

/// A shared file system.
pub type SharedFiles = Arc<dyn Files>;

#[cfg(test)]
mod conformance;
