//! Reading objects from the store's directory.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{GetOptions, GetResult, GetResultPayload, ObjectMeta, Result};
use odradek_common::files::{File, OpenMode};
use odradek_common::limits::FILE_READ_BYTES;

use super::{FileStore, Inner, error_of, generic, layout, meta};

/// An object, opened, with the first bytes of what was asked for.
struct Opened {
    file: Arc<dyn File>,
    meta: ObjectMeta,
    range: Range<u64>,
    first: Bytes,
}

pub(super) async fn get(
    store: &FileStore,
    location: &Path,
    options: GetOptions,
) -> Result<GetResult> {
    let options = Arc::new(options);
    let opened = loop {
        let (for_thread, wanted) = (location.clone(), options.clone());
        let opened = store.blocking(move |inner| open(inner, &for_thread, &wanted)).await?;
        // Looked at after it was opened: what is not on its way now was durable when we saw it.
        if !store.0.publishing.contains(location) {
            break opened;
        }
        store.0.publishing.wait(location).await;
    };
    Ok(GetResult {
        meta: opened.meta.clone(),
        range: opened.range.clone(),
        attributes: Default::default(),
        extensions: Default::default(),
        payload: GetResultPayload::Stream(stream_of(store.clone(), opened)),
    })
}

fn open(inner: &Inner, location: &Path, options: &GetOptions) -> Result<Opened> {
    let path = layout::object(&inner.root, location)?;
    let io_error = |e| error_of(location, e);
    let file = inner.writer.files().open(&path, OpenMode::Read).map_err(io_error)?;
    let len = file.len().map_err(io_error)?;
    let meta = meta(location.clone(), len, file.modified_ms().map_err(io_error)?);
    options.check_preconditions(&meta)?;
    let range = match &options.range {
        Some(range) => range.as_range(len).map_err(generic)?,
        None => 0..len,
    };
    let first = if options.head { Bytes::new() } else { read(&*file, chunk(&range))? };
    Ok(Opened { file, meta, range, first })
}

/// The part of `range` that is read at once.
fn chunk(range: &Range<u64>) -> Range<u64> {
    range.start..range.end.min(range.start.saturating_add(FILE_READ_BYTES))
}

fn read(file: &dyn File, range: Range<u64>) -> Result<Bytes> {
    let len = usize::try_from(range.end - range.start).map_err(generic)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, range.start).map_err(generic)?;
    Ok(bytes.into())
}

fn stream_of(store: FileStore, opened: Opened) -> BoxStream<'static, Result<Bytes>> {
    let Opened { file, range, first, .. } = opened;
    // Nothing was read for a head request.
    let rest = if first.is_empty() { range.end } else { range.start + first.len() as u64 };
    let rest = stream::try_unfold(rest..range.end, move |left| {
        let (store, file) = (store.clone(), file.clone());
        async move {
            if left.is_empty() {
                return Ok(None);
            }
            let now = chunk(&left);
            let next = now.end..left.end;
            let bytes = store.blocking(move |_| read(&*file, now)).await?;
            Ok(Some((bytes, next)))
        }
    });
    let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
    first.chain(rest).boxed()
}
