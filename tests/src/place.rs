//! Where a broker under test keeps its records.

use std::fmt;

/// A kind of write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalKind {
    /// In files of the broker.
    Disk,
    /// In the object store.
    Object,
}

impl WalKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Disk, Self::Object];
}

impl fmt::Display for WalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "disk",
            Self::Object => "object",
        })
    }
}

/// A kind of object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// The directory that the embedded default uses.
    Local,
    /// A real MinIO.
    Minio,
}

impl StoreKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::Minio];
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Minio => "minio",
        })
    }
}

/// An object store as the broker's settings name it; none for its own directory.
#[derive(Clone, Debug, Default)]
pub struct Place(pub Vec<(String, String)>);

impl Place {
    /// The embedded default: a directory within the data directory.
    #[must_use]
    pub fn local() -> Self {
        Self::default()
    }
}
