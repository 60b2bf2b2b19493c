//! The write-ahead log on a local disk: slots lie in files that are made at full size and used
//! again, one thread writes them, and each is synced before the next is written. There is no seal:
//! one process alone may use the directory, which its owner has to see to with a lock.

mod error;
mod index;
mod layout;
mod open;
mod pool;
mod queue;
mod scan;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use odradek_common::files::SharedFiles;
use odradek_common::ids::{ClusterId, SlotNumber};
use odradek_common::limits::WAL_FILE_BYTES;
use odradek_common::phases::Phases;
use odradek_common::random::SharedRandom;
use tokio::sync::oneshot;

pub use error::DiskError;
pub use layout::OWNER_FILE;

use self::open::Opened;
use self::queue::{DeleteJob, Job, PutJob};
use self::writer::{Shared, Writer};
use super::slot::{Footer, FormatError, FrozenSlot, TAIL_READ_BYTES, Tail, decode_tail};
use super::{DeleteError, PutError, RecoverError, Recovered, RecoveredSlot, Wal, WalKind};
use crate::names::{ChainRef, SlotRef};
use crate::slots::{SlotError, SlotReader};

/// The options of a write-ahead log on a local disk.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The directory, made if it is not there.
    pub dir: PathBuf,
    /// The cluster.
    pub cluster: ClusterId,
    /// Bytes of a file; a slot that does not fit gets a file of its own.
    pub file_bytes: u64,
    /// Where writes and deletions are noted.
    pub phases: Phases,
}

impl DiskOptions {
    /// The defaults, for a directory and a cluster.
    #[must_use]
    pub fn new(dir: PathBuf, cluster: ClusterId) -> Self {
        Self { dir, cluster, file_bytes: WAL_FILE_BYTES, phases: Phases::none() }
    }
}

/// The write-ahead log on a local disk. Dropping it waits for the write that is under way.
#[derive(Debug)]
pub struct DiskWal {
    dir: PathBuf,
    cluster: ClusterId,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl DiskWal {
    /// Opens the directory and starts the writer. Blocks: call it from a thread that may.
    ///
    /// # Errors
    /// The disk fails or is full, or what is in the directory is damaged, of another cluster or
    /// of a newer release.
    pub fn open(
        options: DiskOptions,
        files: SharedFiles,
        random: SharedRandom,
    ) -> Result<Self, DiskError> {
        let (dir, cluster) = (options.dir.clone(), options.cluster.clone());
        let phases = options.phases.clone();
        let Opened { index, pool, current } = open::open(options, files, random)?;
        let shared = Arc::new(Shared { index: index.into(), ..Shared::default() });
        let writer = Writer::new(Arc::clone(&shared), pool, current, phases);
        let thread = std::thread::Builder::new().name("wal-writer".to_owned());
        let writer = thread
            .spawn(move || writer.run())
            .map_err(DiskError::io("start the writer's thread for", &dir))?;
        Ok(Self { dir, cluster, shared, writer: Some(writer) })
    }

    /// All slots there are, in no order: those of former epochs too, until they are deleted.
    #[must_use]
    pub fn slots(&self) -> Vec<SlotRef> {
        self.shared.index.lock().slots()
    }
}

impl Drop for DiskWal {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the writer of the write-ahead log panicked");
        }
    }
}

#[async_trait]
impl SlotReader for DiskWal {
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError> {
        let find = || self.shared.index.lock().find(at);
        let (file, location) = find().ok_or(SlotError::Gone)?;
        let length = length.min(location.length.saturating_sub(position));
        let start = location.position.saturating_add(position);
        let bytes = blocking(move || scan::read(&file, start, length)).await;
        let bytes = bytes.map_err(|error| match error {
            DiskError::Stopped => SlotError::Failed(Arc::new(error)),
            error => SlotError::Damaged(Arc::new(error)),
        })?;
        // If the file was given back meanwhile, other bytes may have been in it.
        if find().is_some_and(|(_, now)| now == location) {
            Ok(bytes)
        } else {
            Err(SlotError::Gone)
        }
    }
}

#[async_trait]
impl Wal for DiskWal {
    fn kind(&self) -> WalKind {
        WalKind::Disk
    }

    async fn put(&self, slot: &FrozenSlot) -> Result<(), PutError> {
        let (done, answer) = oneshot::channel();
        let chunks = slot.chunks.clone();
        let put = PutJob { at: slot.at, length: slot.length, chunks, done };
        self.shared.queue.push(Job::Put(put));
        answer.await.unwrap_or_else(|_| Err(PutError::Disk(Arc::new(DiskError::Stopped))))
    }

    async fn recover(
        &self,
        chain: ChainRef,
        from: SlotNumber,
        _window: u32,
        _fence: u64,
    ) -> Result<Recovered, RecoverError> {
        let (shared, dir, cluster) =
            (Arc::clone(&self.shared), self.dir.clone(), self.cluster.clone());
        let recovered = blocking(move || {
            let slots = shared.index.lock().slots_from(chain, from);
            let mut found = Recovered::starting_at(from);
            for at in slots {
                if at.slot != found.end {
                    let missing = chain.slot(found.end);
                    return Err(DiskError::Missing { dir, missing, found: at });
                }
                let footer = shared.read_footer(at, &cluster)?;
                found.slots.push(RecoveredSlot::new(at, footer));
                found.end = at.slot.next();
            }
            Ok(found)
        });
        Ok(recovered.await?)
    }

    async fn delete(&self, slots: &[SlotRef]) -> Result<(), DeleteError> {
        let Some(&at) = slots.first() else { return Ok(()) };
        let (done, answer) = oneshot::channel();
        self.shared.queue.push(Job::Delete(DeleteJob { slots: slots.to_vec(), done }));
        let result = answer.await.unwrap_or(Err(DiskError::Stopped));
        result.map_err(|source| DeleteError { at, source: source.into() })
    }

    fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().clone()
    }
}

impl Shared {
    fn read_footer(&self, at: SlotRef, cluster: &ClusterId) -> Result<Footer, DiskError> {
        let Some((file, location)) = self.index.lock().find(at) else {
            return Err(DiskError::Stopped);
        };
        let mut bytes_wanted = TAIL_READ_BYTES;
        loop {
            let bytes = bytes_wanted.min(location.length);
            let end = scan::read(&file, location.position + location.length - bytes, bytes)?;
            let error = match decode_tail(&end, location.length, cluster, at) {
                Ok(Tail::Slot(footer)) => return Ok(footer),
                Ok(Tail::More(more)) if more > bytes => {
                    bytes_wanted = more;
                    continue;
                }
                Ok(Tail::More(_) | Tail::Seal(_)) => FormatError::Malformed("not a slot"),
                Err(error) => error,
            };
            return Err(scan::damage(&file, location.position, error.to_string()));
        }
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, DiskError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(DiskError::Stopped),
    }
}
