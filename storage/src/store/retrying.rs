//! Trying again, by kind of error and within deadlines of our own; the library's own retries (ten
//! times, 180 s) are turned off.
//!
//! What may pass is tried again: time-outs, lost connections, 5xx, "slow down". What does not is
//! passed on at once: no such object, exists already, access denied, bad range. A put-if-absent
//! that is tried again after an attempt of unknown outcome can meet its own first attempt: the
//! answer is then "already exists", and is passed on as it is. Whoever asked must read the object
//! to know whose it is.
//!
//! The write-ahead log does not use this: it has retries and hedges of its own.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use odradek_common::limits;
use odradek_common::random::SharedRandom;
use tokio::time::{Instant, sleep, timeout};

use super::kind::{StoreErrorKind, classify, describe};
use super::operation::Operation;
use crate::metric_names;

/// How long one kind of request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long one attempt may take.
    pub attempt: Duration,
    /// When no further attempt is begun, and the last one ends.
    pub total: Duration,
}

impl Patience {
    const fn of_ms(attempt_ms: u64, total_ms: u64) -> Self {
        Self { attempt: Duration::from_millis(attempt_ms), total: Duration::from_millis(total_ms) }
    }

    fn and(self, more: Duration) -> Self {
        Self { attempt: self.attempt + more, total: self.total + more }
    }
}

/// How long and how often requests are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// Putting and copying objects.
    pub put: Patience,
    /// Reading objects.
    pub get: Patience,
    /// Listing: by page, and without progress.
    pub list: Patience,
    /// Deleting a batch of objects.
    pub delete: Patience,
    /// What each MiB of a put or a read is granted on top.
    pub per_mib: Duration,
    /// The wait before the second attempt; it doubles, and half of it is random.
    pub wait_first: Duration,
    /// The longest wait.
    pub wait_max: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            put: Patience::of_ms(limits::STORE_PUT_ATTEMPT_MS, limits::STORE_PUT_TOTAL_MS),
            get: Patience::of_ms(limits::STORE_GET_ATTEMPT_MS, limits::STORE_GET_TOTAL_MS),
            list: Patience::of_ms(limits::STORE_LIST_ATTEMPT_MS, limits::STORE_LIST_TOTAL_MS),
            delete: Patience::of_ms(limits::STORE_DELETE_ATTEMPT_MS, limits::STORE_DELETE_TOTAL_MS),
            per_mib: Duration::from_millis(limits::STORE_MIB_MS),
            wait_first: Duration::from_millis(limits::STORE_RETRY_WAIT_FIRST_MS),
            wait_max: Duration::from_millis(limits::STORE_RETRY_WAIT_MAX_MS),
        }
    }
}

/// The source of the error when an attempt took too long.
#[derive(Debug, thiserror::Error)]
#[error("the store did not answer in time")]
pub struct TookTooLong;

/// The source of the error when fewer or more bytes came than the store had announced.
#[derive(Debug, thiserror::Error)]
#[error("{found} bytes came where {announced} were announced")]
pub struct CutShort {
    announced: u64,
    found: u64,
}

/// A store that tries again.
#[derive(Clone)]
pub struct Retrying(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    options: RetryOptions,
    random: SharedRandom,
}

/// Failed attempts of one request after which people are told.
const TOLD_AFTER: u32 = 4;

/// One request, over all its attempts.
struct Tries<'a> {
    inner: &'a Inner,
    operation: Operation,
    patience: Patience,
    end: Instant,
    next_wait: Duration,
    failed: u32,
}

impl Retrying {
    /// A store that tries again what `store` fails at.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, options: RetryOptions, random: SharedRandom) -> Self {
        Self(Arc::new(Inner { store, options, random }))
    }
}

impl Inner {
    fn tries(&self, operation: Operation, patience: Patience) -> Tries<'_> {
        Tries {
            inner: self,
            operation,
            patience,
            end: Instant::now() + patience.total,
            next_wait: self.options.wait_first,
            failed: 0,
        }
    }

    /// What `bytes` are granted.
    fn grant(&self, bytes: u64) -> Duration {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        self.options.per_mib.saturating_mul(mib)
    }

    /// Tries `attempt` until it succeeds, fails for good, or patience ends.
    async fn retry<T, F: Future<Output = Result<T>>>(
        &self,
        operation: Operation,
        patience: Patience,
        attempt: impl Fn() -> F,
    ) -> Result<T> {
        let mut tries = self.tries(operation, patience);
        loop {
            match tries.attempt(attempt()).await {
                Err(error) if tries.again_after(&error).await => {}
                result => return result,
            }
        }
    }

    async fn get_once(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let result = self.store.get_opts(location, options).await?;
        let announced = result.range.end.saturating_sub(result.range.start);
        if head || announced > limits::STORE_GET_GATHERED_BYTES {
            return Ok(result);
        }
        let GetResult {
            payload: GetResultPayload::Stream(body),
            meta,
            range,
            attributes,
            extensions,
        } = result;
        let bytes = gather(body, announced).await?;
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    /// Deletes the objects of one batch; the answers are in the same order.
    async fn delete_batch(&self, batch: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let mut answers = batch;
        let mut open: Vec<usize> = (0..answers.len()).filter(|i| answers[*i].is_ok()).collect();
        let mut tries = self.tries(Operation::Delete, self.options.delete);
        loop {
            let paths: Vec<Path> =
                open.iter().filter_map(|i| answers[*i].as_ref().ok().cloned()).collect();
            let mut passing = None;
            let mut still_open = Vec::new();
            let outcomes = self.delete_once(&paths, &mut tries).await;
            for ((index, path), outcome) in open.into_iter().zip(paths).zip(outcomes) {
                match outcome {
                    Ok(()) | Err(Error::NotFound { .. }) => answers[index] = Ok(path),
                    Err(error) if classify(&error) == StoreErrorKind::Transient => {
                        still_open.push(index);
                        // The name is needed for the next attempt.
                        answers[index] = Ok(path);
                        passing = Some(error);
                    }
                    Err(error) => answers[index] = Err(error),
                }
            }
            let Some(error) = passing else { return answers };
            if !tries.again_after(&error).await {
                for index in still_open {
                    answers[index] = Err(generic(error.to_string()));
                }
                return answers;
            }
            open = still_open;
        }
    }

    /// Deletes `paths` by one request; exactly as many answers.
    async fn delete_once(&self, paths: &[Path], tries: &mut Tries<'_>) -> Vec<Result<()>> {
        let request = stream::iter(paths.to_vec()).map(Ok).boxed();
        let answers = self.store.delete_stream(request).collect::<Vec<_>>();
        match tries.attempt(async { Ok(answers.await) }).await {
            Ok(answers) if answers.len() == paths.len() => {
                answers.into_iter().map(|answer| answer.map(drop)).collect()
            }
            // The request failed as a whole, or it did not answer for every object.
            Ok(answers) => {
                let error = answers.into_iter().find_map(Result::err);
                all_failed(paths.len(), error.unwrap_or_else(|| generic(TookTooLong)))
            }
            Err(error) => all_failed(paths.len(), error),
        }
    }
}

/// All of a body, which must have the length announced.
async fn gather(mut body: BoxStream<'static, Result<Bytes>>, announced: u64) -> Result<Bytes> {
    let mut chunks = Vec::new();
    let mut found = 0;
    while let Some(chunk) = body.try_next().await? {
        found += chunk.len() as u64;
        chunks.push(chunk);
        if found > announced {
            break;
        }
    }
    if found != announced {
        return Err(generic(CutShort { announced, found }));
    }
    Ok(match chunks.len() {
        1 => chunks.swap_remove(0),
        _ => chunks.concat().into(),
    })
}

/// The same error for `count` objects.
fn all_failed(count: usize, error: Error) -> Vec<Result<()>> {
    let passing = classify(&error) == StoreErrorKind::Transient;
    let again = |_| if passing { generic(TookTooLong) } else { generic(error.to_string()) };
    let mut errors: Vec<Result<()>> = (1..count).map(again).map(Err).collect();
    // The one that is told is the last.
    errors.push(Err(error));
    errors.truncate(count);
    errors
}

impl Tries<'_> {
    async fn attempt<T>(&self, attempt: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.end.saturating_duration_since(Instant::now());
        match timeout(self.patience.attempt.min(left), attempt).await {
            Ok(result) => result,
            Err(_) => Err(generic(TookTooLong)),
        }
    }

    /// Waits if another attempt is worth it; false if not.
    async fn again_after(&mut self, error: &Error) -> bool {
        if classify(error) != StoreErrorKind::Transient {
            return false;
        }
        let half_us = u64::try_from(self.next_wait.as_micros() / 2).unwrap_or(u64::MAX).max(1);
        let random_us = self.inner.random.next_u64() % half_us;
        let wait = Duration::from_micros(half_us.saturating_add(random_us));
        if Instant::now() + wait >= self.end {
            return false;
        }
        metrics::counter!(metric_names::STORE_RETRIES, "operation" => self.operation.label())
            .increment(1);
        self.failed += 1;
        if self.failed == TOLD_AFTER {
            let (operation, left) = (self.operation.label(), self.end - Instant::now());
            tracing::warn!(operation, ?left, "still trying: {}", describe(error));
        }
        self.next_wait = (self.next_wait * 2).min(self.inner.options.wait_max);
        sleep(wait).await;
        true
    }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "retrying", source: source.into() }
}

impl fmt::Display for Retrying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.store, f)
    }
}

impl fmt::Debug for Retrying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retrying({})", self.0.store)
    }
}

#[async_trait]
impl ObjectStore for Retrying {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let inner = &self.0;
        let patience = inner.options.put.and(inner.grant(payload.content_length() as u64));
        let attempt = || inner.store.put_opts(location, payload.clone(), opts.clone());
        inner.retry(Operation::Put, patience, attempt).await
    }

    /// Beginning the upload is tried again. Its parts and its end are not: the library numbers
    /// parts by call, and an end of unknown outcome must be looked for.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = &self.0;
        let attempt = || inner.store.put_multipart_opts(location, opts.clone());
        inner.retry(Operation::Multipart, inner.options.put, attempt).await
    }

    /// What is read is whole when this answers, up to [`limits::STORE_GET_GATHERED_BYTES`]; more is
    /// passed on as it comes, and may break off.
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let inner = &self.0;
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let patience = inner.options.get.and(inner.grant(bytes_asked(&options)));
        inner.retry(operation, patience, || inner.get_once(location, options.clone())).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let inner = &self.0;
        let bytes = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let patience = inner.options.get.and(inner.grant(bytes));
        let attempt = || inner.store.get_ranges(location, ranges);
        inner.retry(Operation::Get, patience, attempt).await
    }

    /// "No such object" is success: an earlier attempt may have deleted it.
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let inner = self.0.clone();
        locations
            .chunks(limits::STORE_DELETE_BATCH)
            .then(move |batch| {
                let inner = inner.clone();
                async move { stream::iter(inner.delete_batch(batch).await) }
            })
            .flatten()
            .boxed()
    }

    /// A listing that breaks off is resumed behind the last name, if names came in order so far.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        Listing::new(self.0.clone(), prefix, None).stream()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        Listing::new(self.0.clone(), prefix, Some(offset.clone())).stream()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let inner = &self.0;
        let attempt = || inner.store.list_with_delimiter(prefix);
        inner.retry(Operation::List, inner.options.list, attempt).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let inner = &self.0;
        let attempt = || inner.store.copy_opts(from, to, options.clone());
        inner.retry(Operation::Copy, inner.options.put, attempt).await
    }
}

/// The bytes that a read asks for; of what has no end, as much as is gathered.
fn bytes_asked(options: &GetOptions) -> u64 {
    match &options.range {
        _ if options.head => 0,
        Some(GetRange::Bounded(range)) => range.end.saturating_sub(range.start),
        Some(GetRange::Suffix(bytes)) => *bytes,
        Some(GetRange::Offset(_)) | None => limits::STORE_GET_GATHERED_BYTES,
    }
    .min(limits::STORE_GET_GATHERED_BYTES)
}

/// A listing over all its attempts.
struct Listing {
    inner: Arc<Inner>,
    prefix: Option<Path>,
    /// Where to go on: the given offset, then the last name.
    after: Option<Path>,
    /// False once a name came out of order: then it cannot be resumed.
    in_order: bool,
    pages: Option<BoxStream<'static, Result<ObjectMeta>>>,
    over: bool,
}

impl Listing {
    fn new(inner: Arc<Inner>, prefix: Option<&Path>, after: Option<Path>) -> Self {
        let prefix = prefix.cloned();
        Self { inner, prefix, after, in_order: true, pages: None, over: false }
    }

    fn stream(self) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::unfold(self, |mut listing| async move {
            let next = listing.next().await?;
            listing.over = next.is_err();
            Some((next, listing))
        })
        .fuse()
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<ObjectMeta>> {
        if self.over {
            return None;
        }
        let inner = self.inner.clone();
        let mut tries = inner.tries(Operation::List, inner.options.list);
        loop {
            let mut pages = self.pages.take().unwrap_or_else(|| self.begin());
            match tries.attempt(pages.try_next()).await {
                Ok(None) => return None,
                Ok(Some(object)) => {
                    self.in_order &= self.after.as_ref().is_none_or(|last| object.location > *last);
                    self.after = Some(object.location.clone());
                    self.pages = Some(pages);
                    return Some(Ok(object));
                }
                Err(error) => {
                    if !self.in_order || !tries.again_after(&error).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn begin(&self) -> BoxStream<'static, Result<ObjectMeta>> {
        match &self.after {
            None => self.inner.store.list(self.prefix.as_ref()),
            Some(after) => self.inner.store.list_with_offset(self.prefix.as_ref(), after),
        }
    }
}
