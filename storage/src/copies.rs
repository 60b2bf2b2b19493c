//! Copies of the cluster's metadata in the bucket, `meta/`: snapshots, and tails of the log behind them. Names
//! carry the Raft index, so that an older copy is never taken for a newer one, and what stands under a
//! name is the same whoever wrote it: only what is committed is copied (laws 4.2, 4.5).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};

use crate::names::Names;

/// The name of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CopyName {
    /// Everything at an index.
    Snapshot(u64),
    /// The entries from one index to another.
    Tail {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
}

impl CopyName {
    /// The last index that it holds.
    #[must_use]
    pub fn last(self) -> u64 {
        match self {
            Self::Snapshot(index) => index,
            Self::Tail { last, .. } => last,
        }
    }
}

impl fmt::Display for CopyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(index) => write!(f, "snapshot-{index:020}"),
            Self::Tail { first, last } => write!(f, "tail-{first:020}-{last:020}"),
        }
    }
}

impl FromStr for CopyName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| text.parse().map_err(|_| ());
        let name = match text.split('-').collect::<Vec<_>>()[..] {
            ["snapshot", index] => Self::Snapshot(number(index)?),
            ["tail", first, last] => Self::Tail { first: number(first)?, last: number(last)? },
            _ => return Err(()),
        };
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

/// The newest snapshot in the bucket with the tails that may go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestCopy {
    /// The index of the snapshot.
    pub index: u64,
    /// The snapshot.
    pub snapshot: Bytes,
    /// Tails that end behind it, by their first index.
    pub tails: Vec<Bytes>,
}

/// The copies of one cluster.
#[derive(Clone, Debug)]
pub struct MetadataCopies {
    store: Arc<dyn ObjectStore>,
    names: Names,
}

impl MetadataCopies {
    /// Over a store that tries again by itself.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, names: Names) -> Self {
        Self { store, names }
    }

    /// Writes a copy; one that is there already is the same.
    ///
    /// # Errors
    /// The store's. The copy may be there all the same, or come later.
    pub async fn put(&self, name: CopyName, bytes: Bytes) -> Result<(), Error> {
        let path = self.path(name);
        match self.store.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what a snapshot at `index`, which is durable, has made needless.
    ///
    /// # Errors
    /// The store's; what is left goes with a later call.
    pub async fn remove_before(&self, index: u64) -> Result<(), Error> {
        for name in self.list().await?.into_iter().filter(|name| name.last() < index) {
            match self.store.delete(&self.path(name)).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The newest snapshot with its tails; `None` if there is no snapshot. Copies that are removed while they
    /// are read have a newer one in their place, so then it looks again.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest(&self) -> Result<Option<NewestCopy>, Error> {
        loop {
            let names = self.list().await?;
            let snapshots = names.iter().filter_map(|name| match name {
                CopyName::Snapshot(index) => Some(*index),
                CopyName::Tail { .. } => None,
            });
            let Some(index) = snapshots.max() else { return Ok(None) };
            match self.read(index, &names).await {
                Err(Error::NotFound { .. }) => {}
                read => return read.map(Some),
            }
        }
    }

    async fn read(&self, index: u64, names: &[CopyName]) -> Result<NewestCopy, Error> {
        let snapshot = self.get(CopyName::Snapshot(index)).await?;
        let mut tails = Vec::new();
        for name in names.iter().filter(|name| name.last() > index) {
            tails.push(self.get(*name).await?);
        }
        Ok(NewestCopy { index, snapshot, tails })
    }

    async fn get(&self, name: CopyName) -> Result<Bytes, Error> {
        self.store.get(&self.path(name)).await?.bytes().await
    }

    /// All copies, snapshots first, each kind by its first index.
    async fn list(&self) -> Result<Vec<CopyName>, Error> {
        let folder = self.names.copies();
        let listed: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        let name = |path: &Path| path.filename()?.parse().ok();
        let mut names: Vec<CopyName> =
            listed.iter().filter_map(|object| name(&object.location)).collect();
        names.sort();
        Ok(names)
    }

    fn path(&self, name: CopyName) -> Path {
        self.names.copies().join(name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn copies() -> MetadataCopies {
        let names = Names::new(Path::from("some/where"), "abc".parse().unwrap());
        MetadataCopies::new(Arc::new(InMemory::new()), names)
    }

    fn tail(first: u64, last: u64) -> CopyName {
        CopyName::Tail { first, last }
    }

    #[test]
    fn names_round_trip_and_nothing_else_is_one() {
        for name in [CopyName::Snapshot(0), CopyName::Snapshot(u64::MAX), tail(7, 12)] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for other in ["", "snapshot-7", "tail-00000000000000000007", "snapshot--1", "tail-1-2-3"] {
            assert_eq!(other.parse::<CopyName>(), Err(()), "{other}");
        }
    }

    #[tokio::test]
    async fn the_newest_snapshot_comes_with_what_goes_on_from_it() {
        let copies = copies();
        assert_eq!(copies.newest().await.unwrap(), None);
        copies.put(tail(1, 3), "1-3".into()).await.unwrap();
        assert_eq!(copies.newest().await.unwrap(), None, "a tail alone is no copy");
        for name in
            [CopyName::Snapshot(2), tail(11, 12), tail(6, 10), CopyName::Snapshot(8), tail(3, 5)]
        {
            copies.put(name, name.to_string().into()).await.unwrap();
        }
        let bytes = |name: CopyName| Bytes::from(name.to_string());
        let newest = copies.newest().await.unwrap().unwrap();
        assert_eq!((newest.index, newest.snapshot), (8, bytes(CopyName::Snapshot(8))));
        assert_eq!(newest.tails, [bytes(tail(6, 10)), bytes(tail(11, 12))]);
    }

    #[tokio::test]
    async fn only_what_a_snapshot_holds_is_removed() {
        let copies = copies();
        let all =
            [CopyName::Snapshot(2), CopyName::Snapshot(8), tail(3, 5), tail(6, 10), tail(3, 8)];
        for name in all {
            copies.put(name, Bytes::new()).await.unwrap();
        }
        copies.remove_before(8).await.unwrap();
        let left = [CopyName::Snapshot(8), tail(3, 8), tail(6, 10)];
        assert_eq!(copies.list().await.unwrap(), left);
        copies.remove_before(8).await.unwrap();
        assert_eq!(copies.list().await.unwrap(), left);
    }

    #[tokio::test]
    async fn what_is_there_is_not_written_again() {
        let copies = copies();
        copies.put(CopyName::Snapshot(1), "first".into()).await.unwrap();
        copies.put(CopyName::Snapshot(1), "second".into()).await.unwrap();
        assert_eq!(copies.newest().await.unwrap().unwrap().snapshot, "first");
    }
}
