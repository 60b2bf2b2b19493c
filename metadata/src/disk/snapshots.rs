//! Snapshots as files: written under another name, synced, then renamed, so that a file with a
//! snapshot's name is whole. Older ones go once a newer one is durable, and one that comes late is not
//! written: a snapshot that is built may end after a newer one came from the leader.
//!
//! Layout, numbers big-endian: magic (8 bytes), version (u32), length of the description (u32),
//! length of the image (u64), description, image, CRC-32C of all before (u32).

use std::path::{Path, PathBuf};

use bytes::Bytes;
use odradek_common::files::{File, OpenMode, SharedFiles};
use odradek_common::phases::{Phase, Phases};
use parking_lot::Mutex;

use super::{DiskError, at};
use crate::wire::DecodeError;

const MAGIC: &[u8; 8] = b"ODRMETA\n";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
const NEW_FILE: &str = "snapshot.new";
const PREFIX: &str = "snapshot-";
const WHAT: &str = "a metadata snapshot file";

/// A snapshot as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredSnapshot {
    /// What the quorum says of it.
    pub(crate) description: Vec<u8>,
    /// The image.
    pub(crate) image: Vec<u8>,
}

/// A piece of the file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotPiece {
    /// The index of the snapshot.
    pub(crate) index: u64,
    /// Bytes of the whole file.
    pub(crate) total: u64,
    /// Where in it the piece begins.
    pub(crate) offset: u64,
    /// The piece.
    pub(crate) bytes: Bytes,
}

/// The snapshots of one directory.
#[derive(Debug)]
pub(crate) struct Snapshots {
    files: SharedFiles,
    directory: PathBuf,
    phases: Phases,
    /// One is written at a time.
    writing: Mutex<()>,
    /// Held while names are looked up and opened, or changed.
    names: Mutex<()>,
}

impl Snapshots {
    /// The snapshots in `directory`, which must exist.
    pub(crate) fn open(files: SharedFiles, directory: PathBuf) -> Self {
        Self {
            files,
            directory,
            phases: Phases::none(),
            writing: Mutex::default(),
            names: Mutex::default(),
        }
    }

    /// The same, with writes noted on a board.
    pub(crate) fn with_phases(self, phases: Phases) -> Self {
        Self { phases, ..self }
    }

    /// Writes a snapshot of the state at `index`, unless there is one that is as new. One or the other
    /// is durable when this returns.
    pub(crate) fn write(&self, index: u64, snapshot: &StoredSnapshot) -> Result<(), DiskError> {
        let _one = self.writing.lock();
        if self.newest_index()? >= Some(index) {
            return Ok(());
        }
        let _in = self.phases.enter(Phase::Snapshot);
        let new = self.directory.join(NEW_FILE);
        let path = self.path(index);
        let file = self.files.open(&new, OpenMode::ReadWrite).map_err(at(&new))?;
        write_file(&*file, snapshot).map_err(at(&new))?;
        drop(file);
        let _names = self.names.lock();
        self.files.rename(&new, &path).map_err(at(&path))?;
        self.files.sync_dir(&self.directory).map_err(at(&self.directory))?;
        self.remove_older(index);
        Ok(())
    }

    /// Only room is lost if this fails, and the next one tries again.
    fn remove_older(&self, than: u64) {
        for index in self.indexes().unwrap_or_default().into_iter().filter(|index| *index < than) {
            let path = self.path(index);
            if let Err(error) = self.files.remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old snapshot stays");
            }
        }
    }

    /// The index of the newest snapshot, if there is one.
    pub(crate) fn newest_index(&self) -> Result<Option<u64>, DiskError> {
        Ok(self.indexes()?.into_iter().max())
    }

    /// The newest snapshot, if there is one. One that is damaged is an error: the log before it
    /// is gone.
    pub(crate) fn newest(&self) -> Result<Option<StoredSnapshot>, DiskError> {
        let names = self.names.lock();
        let Some(path) = self.newest_index()?.map(|index| self.path(index)) else {
            return Ok(None);
        };
        let file = self.files.open(&path, OpenMode::Read).map_err(at(&path))?;
        drop(names);
        let bytes = read_file(&*file).map_err(at(&path))?;
        match decode(&bytes) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(source) => Err(DiskError::Unreadable { path, source }),
        }
    }

    /// Up to `limit` bytes of the file of the snapshot at an index, from an offset on; the beginning
    /// of the newest file if that one is gone, or none is asked for.
    pub(crate) fn piece(
        &self,
        wanted: Option<(u64, u64)>,
        limit: usize,
    ) -> Result<Option<SnapshotPiece>, DiskError> {
        let names = self.names.lock();
        let Some(newest) = self.newest_index()? else { return Ok(None) };
        // Older ones are removed: one that is asked for is the newest, or gone.
        let (index, offset) = wanted.filter(|(index, _)| *index == newest).unwrap_or((newest, 0));
        let path = self.path(index);
        let file = self.files.open(&path, OpenMode::Read).map_err(at(&path))?;
        drop(names);
        let total = file.len().map_err(at(&path))?;
        let rest = usize::try_from(total.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest.min(limit)];
        file.read_exact_at(&mut bytes, offset).map_err(at(&path))?;
        Ok(Some(SnapshotPiece { index, total, offset, bytes: bytes.into() }))
    }

    fn path(&self, index: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{index:020}"))
    }

    fn indexes(&self) -> Result<Vec<u64>, DiskError> {
        let entries = self.files.list(&self.directory).map_err(at(&self.directory))?;
        Ok(entries.iter().filter_map(|entry| index_of(&entry.path)).collect())
    }
}

fn index_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

fn write_file(file: &dyn File, snapshot: &StoredSnapshot) -> std::io::Result<()> {
    let (head, crc) = head_and_crc(snapshot);
    let image_at = head.len() as u64;
    let crc_at = image_at + snapshot.image.len() as u64;
    // What an attempt before may have left goes first.
    file.set_len(0)?;
    file.write_all_at(&head, 0)?;
    file.write_all_at(&snapshot.image, image_at)?;
    file.write_all_at(&crc, crc_at)?;
    file.sync()
}

/// The whole file of a snapshot.
pub(crate) fn encode(snapshot: &StoredSnapshot) -> Vec<u8> {
    let (head, crc) = head_and_crc(snapshot);
    [&head, snapshot.image.as_slice(), &crc].concat()
}

/// What stands before the image, and behind it.
fn head_and_crc(snapshot: &StoredSnapshot) -> (Vec<u8>, [u8; CRC_BYTES]) {
    let StoredSnapshot { description, image } = snapshot;
    let description_len = u32::try_from(description.len()).unwrap_or(u32::MAX);
    let mut head = Vec::with_capacity(HEAD_BYTES + description.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_be_bytes());
    head.extend_from_slice(&description_len.to_be_bytes());
    head.extend_from_slice(&(image.len() as u64).to_be_bytes());
    head.extend_from_slice(description);
    let crc = crc(&[&head, image]).to_be_bytes();
    (head, crc)
}

fn read_file(file: &dyn File) -> std::io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Reads a whole file of a snapshot.
pub(crate) fn decode(bytes: &[u8]) -> Result<StoredSnapshot, DecodeError> {
    let damaged = |reason: &str| DecodeError::damaged(WHAT, reason);
    if bytes.len() < HEAD_BYTES + CRC_BYTES || !bytes.starts_with(MAGIC) {
        return Err(damaged("it does not begin as one"));
    }
    let (version, rest) = take_u32(&bytes[MAGIC.len()..]);
    crate::wire::check_version(WHAT, version, VERSION)?;
    let (body, stored_crc) = bytes.split_at(bytes.len() - CRC_BYTES);
    if take_u32(stored_crc).0 != crc(&[body]) {
        return Err(damaged("its checksum is wrong"));
    }
    let (description_len, rest) = take_u32(rest);
    let image_len = rest.first_chunk::<8>().map_or(0, |len| u64::from_be_bytes(*len));
    let content = &body[HEAD_BYTES..];
    let description_len = usize::try_from(description_len).unwrap_or(usize::MAX);
    let Some((description, image)) = content.split_at_checked(description_len) else {
        return Err(damaged("its lengths are wrong"));
    };
    if image.len() as u64 != image_len {
        return Err(damaged("its lengths are wrong"));
    }
    Ok(StoredSnapshot { description: description.to_vec(), image: image.to_vec() })
}

/// The number at the beginning, 0 where there is none, and what follows.
fn take_u32(bytes: &[u8]) -> (u32, &[u8]) {
    match bytes.split_first_chunk::<4>() {
        Some((number, rest)) => (u32::from_be_bytes(*number), rest),
        None => (0, &[]),
    }
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    u32::try_from(digest.finalize()).unwrap_or(0)
}
