//! Counting what is asked of a store and how it answers, attempt by attempt. As it looks at every
//! error, it also straightens them ([`straighten`]) and knows whether the store answers at all
//! ([`Reach`]).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::time::Instant;

use super::kind::{classify, straighten};
use super::operation::Operation;
use super::reach::Reach;
use crate::metric_names;

/// A store whose requests are counted.
#[derive(Clone)]
pub struct Measured {
    store: Arc<dyn ObjectStore>,
    reach: Arc<Reach>,
}

impl Measured {
    /// Counts the requests to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, reach: Arc::default() }
    }

    /// Whether the store answers.
    #[must_use]
    pub fn reach(&self) -> Arc<Reach> {
        self.reach.clone()
    }

    fn begin(&self, operation: Operation) -> Request {
        Request::begin(operation, self.reach.clone())
    }
}

/// One request. Dropped before its end, it counts as cancelled: somebody gave up waiting.
struct Request {
    operation: Operation,
    reach: Arc<Reach>,
    begun: Instant,
    /// When something of the answer came last.
    heard: Instant,
    over: bool,
}

impl Request {
    fn begin(operation: Operation, reach: Arc<Reach>) -> Self {
        let now = Instant::now();
        Self { operation, reach, begun: now, heard: now, over: false }
    }

    async fn run<T>(self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.end(request.await)
    }

    fn end<T>(mut self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => {
                self.succeed();
                Ok(value)
            }
            Err(error) => {
                let kind = classify(&error);
                self.record(kind.label());
                self.reach.erred(self.heard, &kind, &error);
                Err(straighten(error))
            }
        }
    }

    fn succeed(&mut self) {
        self.record("ok");
        self.reach.answered();
    }

    /// There was none.
    fn forget(mut self) {
        self.over = true;
    }

    fn record(&mut self, outcome: &'static str) {
        self.over = true;
        let operation = self.operation.label();
        metrics::counter!(
            metric_names::STORE_REQUESTS, "operation" => operation, "outcome" => outcome
        )
        .increment(1);
        metrics::histogram!(metric_names::STORE_SECONDS, "operation" => operation)
            .record(self.begun.elapsed().as_secs_f64());
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.over {
            self.record("cancelled");
            self.reach.given_up(self.heard);
        }
    }
}

fn sent(bytes: usize) {
    metrics::counter!(metric_names::STORE_SENT_BYTES).increment(bytes as u64);
}

fn received(bytes: usize) {
    metrics::counter!(metric_names::STORE_RECEIVED_BYTES).increment(bytes as u64);
}

/// `items` with errors straightened and what comes looked at; `request` ends with them.
fn watched<T: Send + 'static>(
    request: Request,
    items: BoxStream<'static, Result<T>>,
    seen: fn(&T),
) -> BoxStream<'static, Result<T>> {
    stream::unfold((Some(request), items), move |(request, mut items)| async move {
        let mut request = request?;
        match items.next().await {
            None => {
                request.succeed();
                None
            }
            Some(Ok(item)) => {
                seen(&item);
                request.heard = Instant::now();
                Some((Ok(item), (Some(request), items)))
            }
            Some(Err(error)) => Some((request.end(Err(error)), (None, items))),
        }
    })
    // The library polls an empty body once more after its end.
    .fuse()
    .boxed()
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.store, f)
    }
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Measured({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Measured {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        sent(payload.content_length());
        self.begin(Operation::Put).run(self.store.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = self.store.put_multipart_opts(location, opts);
        let upload = self.begin(Operation::Multipart).run(begin).await?;
        Ok(Box::new(MeasuredUpload { upload, reach: self.reach() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let request = self.begin(operation);
        let result = match self.store.get_opts(location, options).await {
            Ok(result) if operation == Operation::Get => result,
            result => return request.end(result),
        };
        let GetResult { payload: GetResultPayload::Stream(body), .. } = result;
        let body = watched(request, body, |chunk: &Bytes| received(chunk.len()));
        Ok(GetResult { payload: GetResultPayload::Stream(body), ..result })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let chunks =
            self.begin(Operation::Get).run(self.store.get_ranges(location, ranges)).await?;
        received(chunks.iter().map(Bytes::len).sum());
        Ok(chunks)
    }

    /// Each object counts as a request of its own, though some stores delete many by one.
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let answers = self.store.delete_stream(locations);
        stream::unfold((answers, self.clone()), |(mut answers, this)| async move {
            let request = this.begin(Operation::Delete);
            match answers.next().await {
                Some(answer) => Some((request.end(answer), (answers, this))),
                None => {
                    request.forget();
                    None
                }
            }
        })
        .fuse()
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        watched(self.begin(Operation::List), self.store.list(prefix), |_| {})
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        watched(self.begin(Operation::List), self.store.list_with_offset(prefix, offset), |_| {})
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.begin(Operation::List).run(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.begin(Operation::Copy).run(self.store.copy_opts(from, to, options)).await
    }
}

/// An upload in parts whose requests are counted.
#[derive(Debug)]
struct MeasuredUpload {
    upload: Box<dyn MultipartUpload>,
    reach: Arc<Reach>,
}

impl MeasuredUpload {
    fn begin(&self) -> Request {
        Request::begin(Operation::Multipart, self.reach.clone())
    }
}

#[async_trait]
impl MultipartUpload for MeasuredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        sent(data.content_length());
        self.begin().run(self.upload.put_part(data)).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.begin().run(self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.begin().run(self.upload.abort()).await
    }
}

#[cfg(test)]
mod tests;
