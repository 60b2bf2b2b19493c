//! Putting a slot: the same bytes until they land or a seal is met (laws 2.3 and 2.4).

use std::pin::pin;

use futures::future::{Either, select};
use object_store::path::Path;
use object_store::{Error as E, ObjectStore, PutMode, PutPayload};
use odradek_common::phases::Phase;
use tokio::time::{Instant, sleep};

use super::ObjectWal;
use super::retry::Retry;
use crate::metric_names as names;
use crate::store::{StoreErrorKind, classify};
use crate::wal::PutError;
use crate::wal::slot::FrozenSlot;

/// The answer to a put-if-absent.
#[derive(Debug)]
pub(super) enum Answer {
    /// It landed.
    Created,
    /// Something is there, perhaps ours; or, where a store says so of puts that collide, nothing.
    /// (Where such an answer can be told apart it counts as [`Answer::Unknown`].)
    Exists,
    /// It may have landed, or may yet.
    Unknown(object_store::Error),
}

impl ObjectWal {
    pub(super) async fn put_slot(&self, slot: &FrozenSlot) -> Result<(), PutError> {
        let _in = self.options.phases.enter(Phase::WalWrite);
        let path = self.path(slot.at);
        let payload: PutPayload = slot.chunks.iter().cloned().collect();
        let mut retry = Retry::new(&self.pace, &self.troubles, "put", slot.at);
        let mut started_at = Instant::now();
        loop {
            match self.put_hedged(&path, &payload, slot.length, retry.failures()).await {
                Answer::Created => break,
                Answer::Exists if self.is_ours(slot).await? => break,
                Answer::Exists => retry.wait().await,
                Answer::Unknown(error) => retry.failed(&error).await,
            }
            metrics::counter!(names::WAL_RETRIES).increment(1);
            started_at = Instant::now();
        }
        // Of the last attempt alone: an outage says nothing about how long a put takes.
        self.hedging.measured(slot.length, started_at.elapsed());
        Ok(())
    }

    /// One put, or two when the first is slow. The first to succeed decides; the other, dropped,
    /// may still land, and is then the same object or is refused.
    async fn put_hedged(
        &self,
        path: &Path,
        payload: &PutPayload,
        length: u64,
        retries: u32,
    ) -> Answer {
        let first = pin!(self.create(path, payload.clone(), length, retries));
        let Some(slow_after) = self.hedging.slow_after(length) else {
            return first.await;
        };
        let first = match select(first, pin!(sleep(slow_after))).await {
            Either::Left((answer, _)) => return answer,
            Either::Right(((), first)) => first,
        };
        if !self.hedging.take() {
            return first.await;
        }
        metrics::counter!(names::WAL_HEDGES).increment(1);
        let second = pin!(self.create(path, payload.clone(), length, retries));
        match select(first, second).await {
            Either::Left((Answer::Unknown(_), second)) => second.await,
            Either::Right((Answer::Unknown(_), first)) => first.await,
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    /// One put-if-absent within its time.
    pub(super) async fn create(
        &self,
        path: &Path,
        payload: PutPayload,
        length: u64,
        retries: u32,
    ) -> Answer {
        let put = self.store.put_opts(path, payload, PutMode::Create.into());
        match self.within(length, retries, put).await {
            Ok(_) => Answer::Created,
            Err(E::Precondition { .. } | E::NotModified { .. }) => Answer::Exists,
            Err(error) if classify(&error) == StoreErrorKind::AlreadyExists => Answer::Exists,
            Err(error) => Answer::Unknown(error),
        }
    }
}
