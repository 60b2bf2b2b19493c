//! redb on the injected file system, so that a test can cut the power.

use std::io;
use std::sync::Arc;

use odradek_common::files::File;
use redb::StorageBackend;

/// One database file.
#[derive(Debug)]
pub(super) struct FileBackend(pub(super) Arc<dyn File>);

impl StorageBackend for FileBackend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
