//! The Raft log and vote in a redb database. Each call is one transaction: when it returns, the
//! change is durable and whole; after a power cut it is there wholly or not at all.

use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use odradek_common::files::{File, OpenMode, SharedFiles};
use odradek_common::ids::BrokerId;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::backend::FileBackend;
use super::{DiskError, at};
use crate::ids::DirectoryId;
use crate::wire::DecodeError;

const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
const STATE: TableDefinition<&str, &[u8]> = TableDefinition::new("state");

const IDENTITY: &str = "identity";
const VOTE: &str = "vote";
const PURGED: &str = "purged";

/// The file of the database, and its name while it is being made.
const FILE: &str = "log.redb";
const NEW_FILE: &str = "log.redb.new";

/// The version of the layout below, the first byte of the identity.
const LAYOUT: u8 = 1;

/// Pages that redb may keep in memory: the log is written and read once.
const CACHE_BYTES: usize = 4 << 20;

/// Bytes that are written again at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The node.
    pub(crate) node: BrokerId,
    /// Its data directory.
    pub(crate) directory: DirectoryId,
}

/// The log, the vote, and up to where the log was purged.
#[derive(Debug)]
pub(crate) struct Log {
    db: Database,
}

impl Log {
    /// Opens the log in `directory`. Refuses one that was made for another. If it is not there, it
    /// is made, but for a node whose cluster is `formed`: its log is lost then, or not mounted.
    pub(crate) fn open(
        files: &SharedFiles,
        directory: &Path,
        identity: Identity,
        formed: bool,
    ) -> Result<Self, DiskError> {
        let path = directory.join(FILE);
        if formed && is_gone(files, &path)? {
            return Err(DiskError::Gone { path });
        }
        files.create_dir_all(directory).map_err(at(directory))?;
        let names = files.list(directory).map_err(at(directory))?;
        let file = if names.iter().any(|entry| entry.path == path) {
            let file = open_alone(files, &path)?;
            write_again(&*file).map_err(at(&path))?;
            // A process that died may have renamed a file, a snapshot too, and not synced.
            files.sync_dir(directory).map_err(at(directory))?;
            file
        } else {
            create(files, directory, identity)?;
            open_alone(files, &path)?
        };
        let log = Self { db: database(file)? };
        log.check_identity(&path, identity)?;
        Ok(log)
    }

    fn check_identity(&self, path: &Path, identity: Identity) -> Result<(), DiskError> {
        let stored = self.state(IDENTITY)?;
        let stored = decode_identity(stored.as_deref().unwrap_or_default())
            .map_err(|source| DiskError::Unreadable { path: path.to_owned(), source })?;
        if stored == identity {
            return Ok(());
        }
        let path = path.parent().map(PathBuf::from).unwrap_or_default();
        Err(DiskError::OtherNode { path, node: stored.node.0, directory: stored.directory })
    }

    /// Appends entries at the end.
    pub(crate) fn append(&self, entries: &[(u64, Vec<u8>)]) -> Result<(), DiskError> {
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        {
            let mut table = write.open_table(ENTRIES).map_err(redb::Error::from)?;
            for (index, entry) in entries {
                table.insert(index, entry.as_slice()).map_err(redb::Error::from)?;
            }
        }
        write.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    /// The entries of a range of indexes, in order.
    #[cfg(test)]
    pub(crate) fn read(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Result<Vec<(u64, Bytes)>, DiskError> {
        self.read_some(range, usize::MAX, usize::MAX)
    }

    /// The first entries of a range of indexes, in order: `count` at most, and of no more than
    /// `bytes` together, but for one that is longer alone.
    pub(crate) fn read_some(
        &self,
        range: impl RangeBounds<u64>,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, DiskError> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(ENTRIES).map_err(redb::Error::from)?;
        let (mut entries, mut sum) = (Vec::new(), 0);
        for entry in table.range(range).map_err(redb::Error::from)? {
            let (index, entry) = entry.map_err(redb::Error::from)?;
            sum += entry.value().len();
            if entries.len() == count || (sum > bytes && !entries.is_empty()) {
                break;
            }
            entries.push((index.value(), Bytes::copy_from_slice(entry.value())));
        }
        Ok(entries)
    }

    /// The last entry, if there is one.
    pub(crate) fn last(&self) -> Result<Option<(u64, Bytes)>, DiskError> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(ENTRIES).map_err(redb::Error::from)?;
        let last = table.last().map_err(redb::Error::from)?;
        Ok(last.map(|(index, bytes)| (index.value(), Bytes::copy_from_slice(bytes.value()))))
    }

    /// Removes the entries from `index` on.
    pub(crate) fn truncate(&self, index: u64) -> Result<(), DiskError> {
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        {
            let mut table = write.open_table(ENTRIES).map_err(redb::Error::from)?;
            table.retain_in(index.., |_, _| false).map_err(redb::Error::from)?;
        }
        write.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    /// Removes the entries up to and with `index` and notes `mark`, which stands for the last of
    /// them.
    pub(crate) fn purge(&self, index: u64, mark: &[u8]) -> Result<(), DiskError> {
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        {
            let mut state = write.open_table(STATE).map_err(redb::Error::from)?;
            state.insert(PURGED, mark).map_err(redb::Error::from)?;
            let mut table = write.open_table(ENTRIES).map_err(redb::Error::from)?;
            table.retain_in(..=index, |_, _| false).map_err(redb::Error::from)?;
        }
        write.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    /// What the last purge noted.
    pub(crate) fn purged(&self) -> Result<Option<Vec<u8>>, DiskError> {
        self.state(PURGED)
    }

    /// Saves the vote.
    pub(crate) fn save_vote(&self, vote: &[u8]) -> Result<(), DiskError> {
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        {
            let mut state = write.open_table(STATE).map_err(redb::Error::from)?;
            state.insert(VOTE, vote).map_err(redb::Error::from)?;
        }
        write.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    /// The vote that was saved last.
    pub(crate) fn vote(&self) -> Result<Option<Vec<u8>>, DiskError> {
        self.state(VOTE)
    }

    fn state(&self, key: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(STATE).map_err(redb::Error::from)?;
        let value = table.get(key).map_err(redb::Error::from)?;
        Ok(value.map(|bytes| bytes.value().to_vec()))
    }
}

fn is_gone(files: &SharedFiles, path: &Path) -> Result<bool, DiskError> {
    match files.stat(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(at(path)(error)),
    }
}

/// Makes the database under another name first: redb does not open a file in which a power cut
/// left the beginning of one.
fn create(files: &SharedFiles, directory: &Path, identity: Identity) -> Result<(), DiskError> {
    let (new, path) = (directory.join(NEW_FILE), directory.join(FILE));
    match files.remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(new)(error)),
        _ => {}
    }
    let db = database(open_alone(files, &new)?)?;
    let write = db.begin_write().map_err(redb::Error::from)?;
    {
        let mut state = write.open_table(STATE).map_err(redb::Error::from)?;
        let identity = encode_identity(identity);
        state.insert(IDENTITY, identity.as_slice()).map_err(redb::Error::from)?;
        write.open_table(ENTRIES).map_err(redb::Error::from)?;
    }
    write.commit().map_err(redb::Error::from)?;
    drop(db);
    files.rename(&new, &path).map_err(at(path))?;
    files.sync_dir(directory).map_err(at(directory))
}

/// Opens the file for this process alone.
fn open_alone(files: &SharedFiles, path: &Path) -> Result<Arc<dyn File>, DiskError> {
    let file = files.open(path, OpenMode::ReadWrite).map_err(at(path))?;
    if !file.try_lock().map_err(at(path))? {
        return Err(DiskError::InUse { path: path.to_owned() });
    }
    Ok(file)
}

/// What a dead process wrote and did not sync reads well until the power fails. So does what it
/// *failed* to sync: Linux then takes the pages for written, and a sync alone would do nothing.
/// Which pages the last transaction wrote the database does not tell, and the file is small.
fn write_again(file: &dyn File) -> io::Result<()> {
    let length = file.len()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut position = 0;
    while position < length {
        let rest = usize::try_from(length - position).unwrap_or(CHUNK_BYTES);
        let bytes = &mut chunk[..rest.min(CHUNK_BYTES)];
        file.read_exact_at(bytes, position)?;
        file.write_all_at(bytes, position)?;
        position += bytes.len() as u64;
    }
    file.sync()
}

fn database(file: Arc<dyn File>) -> Result<Database, DiskError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create_with_backend(FileBackend(file)).map_err(redb::Error::from)?)
}

/// Layout, node id (4 bytes, big-endian), directory id (16 bytes).
fn encode_identity(identity: Identity) -> Vec<u8> {
    let mut bytes = vec![LAYOUT];
    bytes.extend_from_slice(&identity.node.0.to_be_bytes());
    bytes.extend_from_slice(identity.directory.0.as_bytes());
    bytes
}

fn decode_identity(bytes: &[u8]) -> Result<Identity, DecodeError> {
    const WHAT: &str = "the metadata log";
    let Some((&layout, rest)) = bytes.split_first() else {
        return Err(DecodeError::damaged(WHAT, "it has no identity"));
    };
    crate::wire::check_version(WHAT, u32::from(layout), u32::from(LAYOUT))?;
    let damaged = || DecodeError::damaged(WHAT, "its identity is cut short");
    let (node, directory) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let directory = uuid::Uuid::from_slice(directory).map_err(|_| damaged())?;
    let node = BrokerId(i32::from_be_bytes(*node));
    Ok(Identity { node, directory: DirectoryId(directory) })
}
