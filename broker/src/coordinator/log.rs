//! What a coordinator needs of its internal partition.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

/// A record to append: a key and a value, `None` for a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// The key; the newest record of a key is the one that counts.
    pub key: Bytes,
    /// The value, `None` to delete the key.
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// Bytes of key and value.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// A record as read back at load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms since the Unix epoch.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Bytes,
    /// Its value, `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// A place between two records of the log: the offset behind the last record before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendPosition(pub i64);

/// A page of the log, read at load.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// Records in offset order.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins, `None` at the log's end.
    pub next: Option<i64>,
}

/// Why the log could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// This broker no longer owns the partition, and nothing not yet durable will be.
    #[error("the partition is no longer owned by this broker")]
    Fenced,
    /// It failed; a later attempt may not.
    #[error("the log is not available: {0}")]
    Unavailable(String),
}

/// An internal partition as its coordinator sees it, for as long as one ownership lasts.
///
/// The contract, with `append` having returned `p1 < p2 < p3`:
/// ```text
///  log start      durable            p1        p2       p3 = end
///     |──────────────|────────────────|─────────|────────|
///       read          may be lost with the ownership, all from a point on, never a part between
/// ```
/// Appends take effect in the order of the calls. What was appended becomes durable in that order
/// or, when the partition is lost, not at all.
#[async_trait]
pub trait CoordinatorLog: Send + Sync + Debug + 'static {
    /// Sequences `records` (never empty) as one batch stamped `now_ms`, without waiting for
    /// anything, and returns the position behind it.
    ///
    /// # Errors
    /// Nothing was appended. The shard discards its state whatever the error is, since its state
    /// has moved on already; after [`LogError::Unavailable`] it loads anew.
    fn append(
        &self,
        records: &[CoordinatorRecord],
        now_ms: i64,
    ) -> Result<AppendPosition, LogError>;

    /// The position behind everything appended.
    fn end(&self) -> AppendPosition;

    /// Bytes of the log from its start to its end.
    fn bytes(&self) -> u64;

    /// A page of records beginning at offset `from` (`None`: at the log start), as many as the log
    /// thinks fit for memory. It reads everything appended, durable or not.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] is tried again, with the state still loading.
    async fn read(&self, from: Option<i64>) -> Result<LogPage, LogError>;

    /// Returns when everything before `position` is durable, with the position up to which
    /// everything is.
    ///
    /// # Errors
    /// If it never will be, for this owner.
    async fn durable(&self, position: AppendPosition) -> Result<AppendPosition, LogError>;

    /// Returns when this broker was seen to be the owner by something that began after this call
    /// did: an answer of the quorum, or a slot (law 5.3).
    ///
    /// # Errors
    /// If it is not the owner, or cannot tell.
    async fn confirm(&self) -> Result<(), LogError>;

    /// Moves the log start up to `offset`, everything before which has been written anew behind it
    /// and is durable there.
    ///
    /// # Errors
    /// The log start may or may not have moved.
    async fn set_log_start(&self, offset: i64) -> Result<(), LogError>;
}
