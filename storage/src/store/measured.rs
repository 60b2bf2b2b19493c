//! Counting what is asked of a store and how it answers, attempt by attempt. As it looks at every
//! error, it also straightens them ([`straighten`]).

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
use crate::metric_names;

/// A store whose requests are counted.
#[derive(Clone)]
pub struct Measured(Arc<dyn ObjectStore>);

impl Measured {
    /// Counts the requests to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }
}

/// One request. Dropped before its end, it counts as cancelled: somebody gave up waiting.
struct Request {
    operation: Operation,
    begun: Instant,
    over: bool,
}

impl Request {
    fn begin(operation: Operation) -> Self {
        Self { operation, begun: Instant::now(), over: false }
    }

    async fn run<T>(operation: Operation, request: impl Future<Output = Result<T>>) -> Result<T> {
        let this = Self::begin(operation);
        this.end(request.await)
    }

    fn end<T>(mut self, result: Result<T>) -> Result<T> {
        let outcome = result.as_ref().err().map_or("ok", |error| classify(error).label());
        self.record(outcome);
        result.map_err(straighten)
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
                request.record("ok");
                None
            }
            Some(Ok(item)) => {
                seen(&item);
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
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Measured({})", self.0)
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
        Request::run(Operation::Put, self.0.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = self.0.put_multipart_opts(location, opts);
        let upload = Request::run(Operation::Multipart, begin).await?;
        Ok(Box::new(MeasuredUpload(upload)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let request = Request::begin(operation);
        let result = match self.0.get_opts(location, options).await {
            Ok(result) if operation == Operation::Get => result,
            result => return request.end(result),
        };
        let GetResult { payload: GetResultPayload::Stream(body), .. } = result;
        let body = watched(request, body, |chunk: &Bytes| received(chunk.len()));
        Ok(GetResult { payload: GetResultPayload::Stream(body), ..result })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let chunks = Request::run(Operation::Get, self.0.get_ranges(location, ranges)).await?;
        received(chunks.iter().map(Bytes::len).sum());
        Ok(chunks)
    }

    /// Each object counts as a request of its own, though some stores delete many by one.
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let answers = self.0.delete_stream(locations);
        stream::unfold(answers, |mut answers| async move {
            let request = Request::begin(Operation::Delete);
            match answers.next().await {
                Some(answer) => Some((request.end(answer), answers)),
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
        watched(Request::begin(Operation::List), self.0.list(prefix), |_| {})
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        watched(Request::begin(Operation::List), self.0.list_with_offset(prefix, offset), |_| {})
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        Request::run(Operation::List, self.0.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        Request::run(Operation::Copy, self.0.copy_opts(from, to, options)).await
    }
}

/// An upload in parts whose requests are counted.
#[derive(Debug)]
struct MeasuredUpload(Box<dyn MultipartUpload>);

#[async_trait]
impl MultipartUpload for MeasuredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        sent(data.content_length());
        Request::run(Operation::Multipart, self.0.put_part(data)).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Request::run(Operation::Multipart, self.0.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        Request::run(Operation::Multipart, self.0.abort()).await
    }
}

#[cfg(test)]
mod tests;
