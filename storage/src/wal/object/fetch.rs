//! One ranged read of a slot's object, with a time-out of our own.

use std::time::Duration;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::ObjectWal;
use crate::names::SlotRef;
use crate::store::{StoreErrorKind, TookTooLong, classify};

impl ObjectWal {
    /// Bytes of the object at `at` and the object's length; `None` if it is not there.
    pub(super) async fn fetch(
        &self,
        at: SlotRef,
        range: GetRange,
    ) -> Result<Option<(Bytes, u64)>, object_store::Error> {
        let bytes = match &range {
            GetRange::Bounded(range) => range.end - range.start,
            GetRange::Suffix(bytes) => *bytes,
            GetRange::Offset(_) => 0,
        };
        let fetched = match self.within(bytes, 0, self.get(at, range.clone())).await {
            // Azure has no suffix reads.
            Err(object_store::Error::NotSupported { .. }) if bytes > 0 => {
                self.within(bytes, 0, self.get_suffix_in_two(at, bytes)).await
            }
            other => other,
        };
        match fetched {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) => match classify(&error) {
                // A missing bucket is not found either, but says nothing of what is in it.
                StoreErrorKind::NotFound => Ok(None),
                // It is there and shorter than any of ours.
                StoreErrorKind::InvalidRange => Ok(Some((Bytes::new(), 0))),
                _ => Err(error),
            },
        }
    }

    /// Runs a request of `bytes` within its time; `retries` lengthen it.
    pub(super) async fn within<T>(
        &self,
        bytes: u64,
        retries: u32,
        request: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, object_store::Error> {
        let for_bytes = Duration::from_secs(bytes / self.options.bytes_per_second_min.max(1));
        let allowed = (self.options.request_timeout + for_bytes) * (1 << retries.min(4));
        match tokio::time::timeout(allowed, request).await {
            Ok(answer) => answer,
            Err(_) => Err(object_store::Error::Generic {
                store: "write-ahead log",
                source: Box::new(TookTooLong),
            }),
        }
    }

    async fn get(&self, at: SlotRef, range: GetRange) -> Result<(Bytes, u64), object_store::Error> {
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let answer = self.store.get_opts(&self.path(at), options).await?;
        let length = answer.meta.size;
        Ok((answer.bytes().await?, length))
    }

    async fn get_suffix_in_two(
        &self,
        at: SlotRef,
        bytes: u64,
    ) -> Result<(Bytes, u64), object_store::Error> {
        let length = self.store.head(&self.path(at)).await?.size;
        let range = length.saturating_sub(bytes)..length;
        Ok((self.store.get_range(&self.path(at), range).await?, length))
    }
}
