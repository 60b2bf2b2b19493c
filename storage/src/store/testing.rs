//! A store in memory with vices, for tests of what must notice them.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vice {
    /// Put-if-absent looks first and puts then.
    LooksThenPuts,
    /// Put-if-absent is a plain put.
    IgnoresTheCondition,
    /// Put-if-absent is refused, and replaces the object all the same.
    ReplacesAndDenies,
    /// Put-if-absent is always refused.
    DeniesAlways,
    /// What was just put is not found at first.
    ReadsLate,
    /// The first name of a listing is missing.
    ListsLate,
    /// Names are listed backwards, which is allowed.
    ListsBackwards,
    /// A range that goes past the end is refused.
    RefusesPastTheEnd,
    /// A range of which nothing is there is answered with nothing.
    AnswersNothing,
    /// A range is answered from the beginning.
    IgnoresRanges,
    /// A delete does nothing.
    KeepsDeleted,
    /// Of an upload in parts the last part is missing.
    LosesParts,
    /// A byte is wrong in what is read.
    Corrupts,
}

/// A store with a vice.
#[derive(Debug)]
pub(crate) struct Vicious {
    store: InMemory,
    vice: Vice,
}

impl Vicious {
    pub(crate) fn new(vice: Vice) -> Self {
        Self { store: InMemory::new(), vice }
    }

    async fn create(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let denied = || Error::AlreadyExists { path: location.to_string(), source: "".into() };
        let plain = PutOptions { mode: PutMode::Overwrite, ..opts.clone() };
        match self.vice {
            Vice::LooksThenPuts => {
                let there = self.store.head(location).await.is_ok();
                tokio::task::yield_now().await;
                if there {
                    return Err(denied());
                }
                self.store.put_opts(location, payload, plain).await
            }
            Vice::IgnoresTheCondition => self.store.put_opts(location, payload, plain).await,
            Vice::ReplacesAndDenies => {
                let there = self.store.head(location).await.is_ok();
                let put = self.store.put_opts(location, payload, plain).await;
                if there { Err(denied()) } else { put }
            }
            Vice::DeniesAlways => {
                let _ = self.store.put_opts(location, payload, plain).await;
                Err(denied())
            }
            _ => self.store.put_opts(location, payload, opts).await,
        }
    }
}

impl fmt::Display for Vicious {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vicious({:?})", self.vice)
    }
}

#[async_trait]
impl ObjectStore for Vicious {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        match opts.mode {
            PutMode::Create => self.create(location, payload, opts).await,
            _ => self.store.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.store.put_multipart_opts(location, opts).await?;
        Ok(match self.vice {
            Vice::LosesParts => Box::new(LosingUpload { upload, parts: 0 }),
            _ => upload,
        })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let missing = || Error::NotFound { path: location.to_string(), source: "not yet".into() };
        let size = self.store.head(location).await?.size;
        let past = |range: &Range<u64>| range.start >= size;
        match (&options.range, self.vice) {
            (_, Vice::ReadsLate) => Err(missing()),
            (Some(GetRange::Bounded(range)), Vice::RefusesPastTheEnd) if range.end > size => {
                Err(Error::Generic {
                    store: "vicious",
                    source: "Wanted range starting at 0, but object was only 0 bytes long".into(),
                })
            }
            (Some(GetRange::Bounded(range)), Vice::AnswersNothing) if past(range) => {
                let whole = self.store.get_opts(location, GetOptions::default()).await?;
                let payload = GetResultPayload::Stream(stream::empty().boxed());
                Ok(GetResult { payload, range: size..size, ..whole })
            }
            (Some(GetRange::Bounded(range)), Vice::IgnoresRanges) if !past(range) => {
                let range = Some(GetRange::Bounded(0..range.end - range.start));
                self.store.get_opts(location, GetOptions { range, ..options }).await
            }
            (_, Vice::Corrupts) if !options.head => {
                let result = self.store.get_opts(location, options).await?;
                let GetResult { payload: GetResultPayload::Stream(body), .. } = result;
                let chunks: Vec<Bytes> = body.try_collect().await?;
                let mut bytes = chunks.concat();
                bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                let body = stream::iter([Ok(Bytes::from(bytes))]).boxed();
                Ok(GetResult { payload: GetResultPayload::Stream(body), ..result })
            }
            _ => self.store.get_opts(location, options).await,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.vice {
            Vice::KeepsDeleted => locations,
            _ => self.store.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let names = self.store.list(prefix);
        match self.vice {
            Vice::ListsLate => names.skip(1).boxed(),
            Vice::ListsBackwards => names
                .collect::<Vec<_>>()
                .map(|names| stream::iter(names.into_iter().rev()))
                .into_stream()
                .flatten()
                .boxed(),
            _ => names,
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct LosingUpload {
    upload: Box<dyn MultipartUpload>,
    parts: usize,
}

#[async_trait]
impl MultipartUpload for LosingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts += 1;
        if self.parts > 1 {
            return futures::future::ready(Ok(())).boxed();
        }
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
