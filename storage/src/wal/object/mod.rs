//! The write-ahead log in an object store: a slot is an object, a seal ends the chain.

mod fetch;
mod hedge;
mod look;
mod put;
mod recover;
mod retry;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetRange, ObjectStore, ObjectStoreExt};
use odradek_common::ids::SlotNumber;
use odradek_common::limits::SLOTS_AT_ONCE;
use odradek_common::phases::{Phase, Phases};
use odradek_common::random::SharedRandom;

use self::hedge::Hedging;
use self::retry::{Pace, Troubles};
use super::slot::{FormatError, FrozenSlot, HEAD_READ_BYTES, Head, decode_head};
use super::{DeleteError, PutError, RecoverError, Recovered, Wal, WalKind};
use crate::collect::SealCheck;
use crate::names::{ChainRef, Names, SlotRef};
use crate::slots::{SlotError, SlotReader};
use crate::store::{StoreErrorKind, classify};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The options of a write-ahead log in an object store.
#[derive(Clone, Debug)]
pub struct ObjectOptions {
    /// The time that one request may take, whatever its size. It doubles when it runs out, up to
    /// sixteen times, so that a slow line comes to an end in the end.
    pub request_timeout: Duration,
    /// Bytes for which a request gets another second.
    pub bytes_per_second_min: u64,
    /// The wait before the first retry, which doubles with each further one ...
    pub retry_wait_first: Duration,
    /// ... up to this.
    pub retry_wait_max: Duration,
    /// Send a second put of the same bytes when the first takes longer than most do.
    pub hedge: bool,
    /// Where puts and deletions are noted.
    pub phases: Phases,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(5),
            bytes_per_second_min: 1 << 20,
            retry_wait_first: Duration::from_millis(50),
            retry_wait_max: Duration::from_secs(2),
            hedge: true,
            phases: Phases::none(),
        }
    }
}

/// The write-ahead log in an object store.
#[derive(Debug)]
pub struct ObjectWal {
    store: Arc<dyn ObjectStore>,
    names: Names,
    options: ObjectOptions,
    pace: Pace,
    hedging: Hedging,
    troubles: Arc<Troubles>,
}

impl ObjectWal {
    /// A log of slots below `names` in `store`, which should be [`crate::store::Store::direct`]:
    /// how long a put is waited for, and when it is tried again, is decided here.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        names: Names,
        options: ObjectOptions,
        random: SharedRandom,
    ) -> Self {
        let pace = Pace::new(options.retry_wait_first, options.retry_wait_max, random);
        let hedging = Hedging::new(options.hedge);
        Self { store, names, options, pace, hedging, troubles: Arc::default() }
    }

    fn path(&self, at: SlotRef) -> Path {
        self.names.slot(at)
    }

    /// The slot's path if there is a slot; `None` if there is nothing, or a seal.
    async fn deletable(&self, at: SlotRef) -> Result<Option<Path>, BoxError> {
        let Some((head, _)) = self.fetch(at, GetRange::Bounded(0..HEAD_READ_BYTES)).await? else {
            return Ok(None);
        };
        Ok(match decode_head(&head, self.names.cluster(), at)? {
            Head::Slot(_) => Some(self.path(at)),
            Head::Seal(_) => None,
        })
    }

    async fn delete_one(&self, at: SlotRef) -> Result<(), BoxError> {
        let path = match self.deletable(at).await {
            Ok(Some(path)) => path,
            Ok(None) => return Ok(()),
            // It is not known for no seal, and those behind it are not to wait for ever: the collector looks again.
            Err(error) if error.is::<FormatError>() => {
                tracing::warn!(?at, %error, "what lies in the place of a trimmed slot cannot be read; it is left");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let _in = self.options.phases.enter(Phase::Deletion);
        match self.store.delete(&path).await {
            Err(error) if classify(&error) != StoreErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl SlotReader for ObjectWal {
    async fn read(&self, at: SlotRef, position: u64, length: u64) -> Result<Bytes, SlotError> {
        let range = position..position.saturating_add(length);
        match self.fetch(at, GetRange::Bounded(range)).await {
            Ok(Some((bytes, _))) => Ok(bytes),
            Ok(None) => Err(SlotError::Gone),
            Err(error) => Err(SlotError::Failed(Arc::new(error))),
        }
    }
}

#[async_trait]
impl SealCheck for ObjectWal {
    async fn is_seal(&self, at: SlotRef, size: u64) -> Result<bool, BoxError> {
        // A seal is shorter than what is read of a slot at the least.
        Ok(size <= HEAD_READ_BYTES && self.deletable(at).await?.is_none())
    }
}

#[async_trait]
impl Wal for ObjectWal {
    fn kind(&self) -> WalKind {
        WalKind::Object
    }

    async fn put(&self, slot: &FrozenSlot) -> Result<(), PutError> {
        self.put_slot(slot).await
    }

    async fn recover(
        &self,
        chain: ChainRef,
        from: SlotNumber,
        window: u32,
        fence: u64,
    ) -> Result<Recovered, RecoverError> {
        self.recover_chain(chain, from, window, fence).await
    }

    async fn delete(&self, slots: &[SlotRef]) -> Result<(), DeleteError> {
        futures::stream::iter(slots.to_vec())
            .map(|at| async move {
                self.delete_one(at).await.map_err(|source| DeleteError { at, source })
            })
            .buffer_unordered(SLOTS_AT_ONCE)
            .try_collect()
            .await
    }

    fn trouble(&self) -> Option<String> {
        self.troubles.worst()
    }
}
