//! A store in memory that counts what is asked of it and can be told to misbehave.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    path::Path,
};
use parking_lot::Mutex;

/// What happens to the bytes of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The last byte is missing.
    Cut,
    /// One bit of the byte at this position of the answer is flipped.
    Flip(usize),
    /// The store answers with an error.
    Fail,
}

/// A store in memory that counts what is asked of it and can be told to misbehave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    memory: InMemory,
    gets: AtomicU64,
    ranges: Mutex<Vec<Range<u64>>>,
    /// What happens to the next GETs, and to how many.
    harm: Mutex<Option<(Harm, u64)>>,
    /// Deletions of paths that contain this fail.
    undeletable: Mutex<Option<String>>,
}

impl Probe {
    /// The number of GETs since the last call.
    pub fn take_gets(&self) -> u64 {
        self.0.ranges.lock().clear();
        self.0.gets.swap(0, Ordering::SeqCst)
    }

    /// The ranges asked for since the last [`Self::take_gets`].
    pub fn ranges(&self) -> Vec<Range<u64>> {
        self.0.ranges.lock().clone()
    }

    /// Harms the next `times` GETs.
    pub fn harm(&self, harm: Harm, times: u64) {
        *self.0.harm.lock() = Some((harm, times));
    }

    /// Lets deletions of paths that contain `part` fail.
    pub fn refuse_to_delete(&self, part: Option<&str>) {
        *self.0.undeletable.lock() = part.map(str::to_owned);
    }

    /// All names there are.
    pub async fn names(&self) -> Vec<String> {
        let listed = self.0.memory.list(None).map(|meta| meta.unwrap().location.to_string());
        listed.collect().await
    }

    fn next_harm(&self) -> Option<Harm> {
        let mut harm = self.0.harm.lock();
        let (kind, times) = harm.as_mut()?;
        let kind = *kind;
        *times -= 1;
        if *times == 0 {
            *harm = None;
        }
        Some(kind)
    }
}

fn failure() -> object_store::Error {
    object_store::Error::Generic { store: "probe", source: "told to fail".into() }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

#[async_trait]
impl ObjectStore for Probe {
    async fn put_opts(&self, at: &Path, payload: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.0.memory.put_opts(at, payload, o).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.memory.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        // Others get a turn, as they would with a network.
        tokio::task::yield_now().await;
        self.0.gets.fetch_add(1, Ordering::SeqCst);
        if let Some(GetRange::Bounded(range)) = &options.range {
            self.0.ranges.lock().push(range.clone());
        }
        let result = self.0.memory.get_opts(at, options).await?;
        let Some(harm) = self.next_harm() else { return Ok(result) };
        let (meta, range) = (result.meta.clone(), result.range.clone());
        let (attributes, extensions) = (result.attributes.clone(), result.extensions.clone());
        let bytes: Vec<Bytes> = result.into_stream().map(|chunk| chunk.unwrap()).collect().await;
        let mut bytes = bytes.concat();
        match harm {
            Harm::Cut => drop(bytes.pop()),
            Harm::Flip(position) => bytes[position] ^= 1,
            Harm::Fail => return Err(failure()),
        }
        let stream = async move { Ok(Bytes::from(bytes)) }.into_stream().boxed();
        let payload = GetResultPayload::Stream(stream);
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let probe = self.clone();
        let allowed = paths.map(move |path| {
            let path = path?;
            let undeletable = probe.0.undeletable.lock();
            match &*undeletable {
                Some(part) if path.as_ref().contains(part) => Err(failure()),
                _ => Ok(path),
            }
        });
        self.0.memory.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.memory.copy_opts(from, to, options).await
    }
}
