//! An object store in a directory: `file://`.
//!
//! ```text
//! <root>/<key>            an object; the parts of its key are directories
//! <root>/.tmp/lock        locked by the one process that uses the directory
//! <root>/.tmp/<n>-<dir>   an object on its way: written and synced here, then linked to its name
//! ```
//!
//! What a store promises, a disk does not: an acknowledged object survives a power cut, an object
//! that anybody has seen is there to stay, and nobody sees a part of one. So
//! - bytes are synced before they get a name, the directory after, and new directories into their
//!   parents;
//! - an object that has its name but whose directory is not synced yet is shown to nobody: a read,
//!   a listing or an "already exists" waits (`publishing`);
//! - a temporary file outlives that moment, and its name says which directory is meant: the next
//!   process syncs that directory before it shows anything ([`FileStore::open`]);
//! - after a failed sync of a directory nobody knows what is durable: the store refuses all work.
//!
//! A key cannot be the folder of another key, and names that begin with `.tmp` are taken.

mod dirs;
mod get;
mod layout;
mod list;
mod multipart;
mod publishing;
mod write;

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use odradek_common::files::{File, OpenMode, SharedFiles};
use odradek_common::limits::{FILE_STORE_DELETES, FILE_STORE_THREADS};
use tokio::sync::Semaphore;

use self::publishing::Publishing;
use self::write::Writer;

/// The name of this store in errors.
const STORE: &str = "file";

/// An object store in a directory of a [`Files`](odradek_common::files::Files). Clones are the
/// same store. The directory is locked until the last one is dropped.
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    root: PathBuf,
    writer: Writer,
    publishing: Publishing,
    threads: Arc<Semaphore>,
    /// Holds the lock on the directory.
    _lock: Arc<dyn File>,
}

/// Why a directory cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
    /// Another process (or another store in this one) uses it.
    #[error("the directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The disk fails or refuses.
    #[error("cannot use the directory {}: {source}", root.display())]
    Io {
        /// The store's directory.
        root: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The source of every error after a directory could not be synced.
#[derive(Debug, thiserror::Error)]
#[error("a directory could not be synced, so nobody knows what is durable; restart: {0}")]
pub struct SyncFailed(String);

impl FileStore {
    /// Opens the directory `root`, made if it does not exist, and clears away what a process that
    /// died has left. Blocks.
    ///
    /// # Errors
    /// If the directory is in use, or the disk fails.
    pub fn open(files: SharedFiles, root: &FsPath) -> Result<Self, FileStoreError> {
        let io_error = |source| FileStoreError::Io { root: root.to_owned(), source };
        let writer = Writer::new(files.clone(), root.to_owned());
        writer.prepare().map_err(io_error)?;
        let lock = files.open(&layout::lock(root), OpenMode::ReadWrite).map_err(io_error)?;
        if !lock.try_lock().map_err(io_error)? {
            return Err(FileStoreError::InUse(root.to_owned()));
        }
        writer.recover().map_err(io_error)?;
        Ok(Self(Arc::new(Inner {
            root: root.to_owned(),
            writer,
            publishing: Publishing::default(),
            threads: Arc::new(Semaphore::new(FILE_STORE_THREADS)),
            _lock: lock,
        })))
    }

    /// Runs `work` on a thread that may block; it runs to its end even if nobody waits any more.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.0.threads.clone().acquire_owned().await.map_err(generic)?;
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            inner.writer.dirs().healthy()?;
            work(&inner)
        })
        .await?
    }

    async fn delete_one(&self, location: Path) -> Result<Path> {
        let claim = self.0.publishing.claim(&location).await;
        self.blocking(move |inner| {
            let path = layout::object(&inner.root, &location)?;
            inner.writer.delete(&path).map_err(|e| error_of(&location, e))?;
            drop(claim);
            Ok(location)
        })
        .await
    }
}

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileStore({})", self.0.root.display())
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let overwrite = match opts.mode {
            PutMode::Overwrite => true,
            PutMode::Create => false,
            PutMode::Update(_) => return Err(not_implemented("put with PutMode::Update")),
        };
        if !opts.attributes.is_empty() {
            return Err(not_implemented("put with attributes"));
        }
        let location = location.clone();
        let claim = self.0.publishing.claim(&location).await;
        self.blocking(move |inner| {
            let path = layout::object(&inner.root, &location)?;
            // Nobody else changes the name, so what is there now stays, and is durable.
            if !overwrite && inner.writer.is_file(&path) {
                return Err(error_of(&location, ErrorKind::AlreadyExists.into()));
            }
            let temporary = inner.writer.write(&path, &payload).map_err(generic)?;
            let published = inner.writer.publish(temporary, &path, overwrite);
            drop(claim);
            published.map_err(|e| put_error(&location, e))?;
            Ok(done())
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(not_implemented("put with attributes"));
        }
        multipart::begin(self, location).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        get::get(self, location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .map(move |location| {
                let store = store.clone();
                async move { store.delete_one(location?).await }
            })
            .buffered(FILE_STORE_DELETES)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        list::list(self, prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        list::list(self, prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        list::list_with_delimiter(self, prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let overwrite = options.mode == CopyMode::Overwrite;
        // An object that is not durable yet must not get a second, durable name.
        self.0.publishing.wait(from).await;
        let (from, to) = (from.clone(), to.clone());
        let claim = self.0.publishing.claim(&to).await;
        self.blocking(move |inner| {
            let source = layout::object(&inner.root, &from)?;
            let target = layout::object(&inner.root, &to)?;
            let temporary = inner.writer.link(&source, &target).map_err(|e| error_of(&from, e))?;
            let published = inner.writer.publish(temporary, &target, overwrite);
            drop(claim);
            published.map_err(|e| put_error(&to, e))
        })
        .await
    }
}

fn done() -> PutResult {
    PutResult { e_tag: None, version: None, extensions: Default::default() }
}

fn meta(location: Path, size: u64, modified_ms: i64) -> ObjectMeta {
    let since = std::time::Duration::from_millis(u64::try_from(modified_ms).unwrap_or(0));
    let last_modified = (std::time::UNIX_EPOCH + since).into();
    ObjectMeta { location, last_modified, size, e_tag: None, version: None }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}

fn not_implemented(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}

/// What an error of the disk means for the putting of `location`.
fn put_error(location: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => error_of(location, error),
        _ => generic(error),
    }
}

/// What an error of the disk means for the object at `location`.
fn error_of(location: &Path, error: io::Error) -> Error {
    let path = location.to_string();
    match error.kind() {
        // A directory on the way is a file, or the object's path is a directory: no such object.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            Error::NotFound { path, source: error.into() }
        }
        ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: error.into() },
        _ => generic(error),
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
