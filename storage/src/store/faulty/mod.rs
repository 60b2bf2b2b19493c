//! A store that fails as told: for tests. Nothing of it is used by the broker.
//!
//! Faults are planned through [`Faults`], one by one or by chance from a seed, and met in the order
//! in which they were planned. What is delayed or held at a [`Gate`] is in the hands of the network:
//! it goes on, and may land, also when whoever asked has given up.

mod plan;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use odradek_common::random::SharedRandom;

pub use self::plan::{Fault, Faults, Gate, On, Outage};
use super::operation::Operation;

/// A store that fails as told.
#[derive(Clone)]
pub struct Faulty {
    store: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl Faulty {
    /// A store that does what `store` does, except for what is planned through [`Faulty::faults`].
    /// Chances are drawn from `random`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, random: SharedRandom) -> Self {
        Self { store, faults: Faults::new(random) }
    }

    /// Where faults are planned.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Lets `request` meet `fault`.
    async fn run<T: Send + 'static>(
        fault: Option<Fault>,
        key: &Path,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match fault {
            None | Some(Fault::Truncated(_) | Fault::Corrupted(_)) => request.await,
            Some(Fault::Unavailable) => Err(answer("503 Service Unavailable: SlowDown")),
            Some(Fault::Disconnected) => Err(broken(HttpErrorKind::Request)),
            Some(Fault::Conflict) => Err(Error::AlreadyExists {
                path: key.to_string(),
                source: answer("409 Conflict: <Code>ConditionalRequestConflict</Code>").into(),
            }),
            Some(Fault::Denied) => Err(Error::PermissionDenied {
                path: key.to_string(),
                source: answer("403 Forbidden: <Code>AccessDenied</Code>").into(),
            }),
            Some(Fault::Missing) => Err(Error::NotFound {
                path: key.to_string(),
                source: answer("404 Not Found: <Code>NoSuchKey</Code>").into(),
            }),
            Some(Fault::AnswerLost) => {
                // A refusal is lost as well as a success.
                let _ = request.await;
                Err(broken(HttpErrorKind::Timeout))
            }
            Some(Fault::OwnAlreadyExists) => {
                request.await?;
                Err(Error::AlreadyExists {
                    path: key.to_string(),
                    source: answer("412 Precondition Failed: ").into(),
                })
            }
            Some(Fault::HeldBefore(gate)) => {
                underway(async move {
                    gate.pass().await;
                    request.await
                })
                .await
            }
            Some(Fault::HeldAfter(gate)) => {
                underway(async move {
                    let result = request.await;
                    gate.pass().await;
                    result
                })
                .await
            }
            Some(Fault::Slow(duration)) => {
                underway(async move {
                    tokio::time::sleep(duration).await;
                    request.await
                })
                .await
            }
        }
    }
}

/// Runs `request` to its end, whoever waits for it.
async fn underway<T: Send + 'static>(
    request: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(request).await?
}

/// What the library makes of an answer with this status line and body.
pub(super) fn answer(status: &str) -> Error {
    let source = format!("Server returned non-2xx status code: {status}").into();
    Error::Generic { store: "faulty", source }
}

/// What the library makes of a broken connection.
pub(super) fn broken(kind: HttpErrorKind) -> Error {
    let source = HttpError::new(kind, std::io::Error::other("a planned fault"));
    Error::Generic { store: "faulty", source: Box::new(source) }
}

fn spoil(bytes: &Bytes, fault: &Fault) -> Bytes {
    match fault {
        Fault::Truncated(length) => bytes.slice(..bytes.len().min(*length)),
        Fault::Corrupted(position) if !bytes.is_empty() => {
            let mut spoiled = bytes.to_vec();
            spoiled[position % bytes.len()] ^= 0x10;
            spoiled.into()
        }
        _ => bytes.clone(),
    }
}

/// A body with a fault in it.
async fn spoiled(result: GetResult, fault: &Fault) -> Result<GetResult> {
    let GetResult { payload: GetResultPayload::Stream(body), meta, range, attributes, extensions } =
        result;
    let chunks: Vec<Bytes> = body.try_collect().await?;
    let bytes = spoil(&chunks.concat().into(), fault);
    let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
    Ok(GetResult { payload, meta, range, attributes, extensions })
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.store, f)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let fault = self.faults.meet(Operation::Put, location).await?;
        let (store, key) = (self.store.clone(), location.clone());
        let request = async move { store.put_opts(&key, payload, opts).await };
        Self::run(fault, location, request).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.faults.meet(Operation::Multipart, location).await?;
        let (store, key) = (self.store.clone(), location.clone());
        let request = async move { store.put_multipart_opts(&key, opts).await };
        Self::run(fault, location, request).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let fault = self.faults.meet(operation, location).await?;
        let (store, key) = (self.store.clone(), location.clone());
        let request = async move { store.get_opts(&key, options).await };
        let result = Self::run(fault.clone(), location, request).await?;
        match fault {
            Some(fault @ (Fault::Truncated(_) | Fault::Corrupted(_))) => {
                spoiled(result, &fault).await
            }
            _ => Ok(result),
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fault = self.faults.meet(Operation::Get, location).await?;
        let (store, key, ranges) = (self.store.clone(), location.clone(), ranges.to_vec());
        let request = async move { store.get_ranges(&key, &ranges).await };
        let chunks = Self::run(fault.clone(), location, request).await?;
        Ok(match fault {
            Some(fault) => chunks.iter().map(|chunk| spoil(chunk, &fault)).collect(),
            None => chunks,
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |location: Result<Path>| {
            let this = this.clone();
            async move {
                let location = location?;
                let fault = this.faults.meet(Operation::Delete, &location).await?;
                let one = stream::iter([Ok(location.clone())]).boxed();
                let request = this.store.delete_stream(one).try_collect::<Vec<_>>();
                Self::run(fault, &location, request).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.store.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.store.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let key = prefix.cloned().unwrap_or_default();
        let fault = self.faults.meet(Operation::List, &key).await?;
        let (store, prefix) = (self.store.clone(), prefix.cloned());
        let request = async move { store.list_with_delimiter(prefix.as_ref()).await };
        Self::run(fault, &key, request).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let fault = self.faults.meet(Operation::Copy, to).await?;
        let (store, source, target) = (self.store.clone(), from.clone(), to.clone());
        let request = async move { store.copy_opts(&source, &target, options).await };
        Self::run(fault, to, request).await
    }
}

impl Faulty {
    /// A listing that meets its fault at the beginning or, if its answer is lost or truncated,
    /// after its first names.
    fn listed(
        &self,
        prefix: Option<&Path>,
        names: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (faults, key) = (self.faults.clone(), prefix.cloned().unwrap_or_default());
        let begin = async move {
            let fault = faults.meet(Operation::List, &key).await?;
            if let Some(Fault::Truncated(count)) = fault {
                let end = stream::iter([Err(broken(HttpErrorKind::Interrupted))]);
                return Ok(names.take(count).chain(end).boxed());
            }
            Self::run(fault, &key, async { Ok(names) }).await
        };
        stream::once(begin).try_flatten().boxed()
    }
}

#[cfg(test)]
mod tests;
