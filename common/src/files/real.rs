//! The machine's own file system.

use std::fs::{self, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, Mode, OFlags};

use super::{DirEntry, File, Files, OpenMode};

/// Bytes of zeroes written at a time where the file system cannot reserve room.
const ZEROES_BYTES: usize = 1 << 20;

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

impl Files for RealFiles {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => _ = options.write(true).create(true).truncate(false),
            OpenMode::CreateNew => _ = options.write(true).create_new(true),
        }
        let file = options.open(path)?;
        // Linux opens a directory to read as if it were a file.
        if mode == OpenMode::Read && file.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fs::File::from(rustix::fs::open(path, flags, Mode::empty())?).sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() || metadata.is_file() => {
                    entries.push(dir_entry(entry.path(), &metadata));
                }
                Ok(_) => {}
                // Removed since its name was read.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(entries)
    }

    fn stat(&self, path: &Path) -> io::Result<DirEntry> {
        Ok(dir_entry(path.to_owned(), &fs::metadata(path)?))
    }
}

fn dir_entry(path: PathBuf, metadata: &Metadata) -> DirEntry {
    let is_dir = metadata.is_dir();
    let len = if is_dir { 0 } else { metadata.len() };
    DirEntry { path, is_dir, len, modified_ms: modified_ms(metadata) }
}

fn modified_ms(metadata: &Metadata) -> i64 {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(modified_ms(&self.0.metadata()?))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.write_zeroes(len),
            Err(e) => Err(e.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl RealFile {
    /// Reserves room the slow way: from the end of the file to `len`.
    fn write_zeroes(&self, len: u64) -> io::Result<()> {
        let zeroes = vec![0; ZEROES_BYTES];
        let mut position = File::len(self)?;
        while position < len {
            let bytes = usize::try_from(len - position).unwrap_or(ZEROES_BYTES).min(ZEROES_BYTES);
            self.0.write_all_at(&zeroes[..bytes], position)?;
            position += bytes as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_reserved_the_slow_way_keeps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = RealFile(
            OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap(),
        );
        file.write_all_at(b"kept", 0).unwrap();
        let len = ZEROES_BYTES as u64 + 5;
        file.write_zeroes(len).unwrap();
        assert_eq!(File::len(&file).unwrap(), len);
        let mut start = [1; 6];
        file.read_exact_at(&mut start, 0).unwrap();
        assert_eq!(&start, b"kept\0\0");
    }
}
