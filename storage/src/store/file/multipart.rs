//! Objects that come in parts: written to one temporary file, each part at its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use odradek_common::files::File;

use super::write::Temporary;
use super::{FileStore, done, generic, layout, put_error};

/// An upload in parts.
struct Upload {
    store: FileStore,
    location: Path,
    file: Arc<dyn File>,
    /// None once it is completed or aborted.
    temporary: Option<Temporary>,
    next_position: u64,
    parts: usize,
    /// Parts that are written.
    written: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({}, {} parts)", self.location, self.parts)
    }
}

pub(super) async fn begin(store: &FileStore, location: &Path) -> Result<Box<dyn MultipartUpload>> {
    let target = location.clone();
    let (temporary, file) = store
        .blocking(move |inner| {
            let path = layout::object(&inner.root, &target)?;
            inner.writer.begin(&path).map_err(generic)
        })
        .await?;
    Ok(Box::new(Upload {
        store: store.clone(),
        location: location.clone(),
        file,
        temporary: Some(temporary),
        next_position: 0,
        parts: 0,
        written: Arc::default(),
    }))
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut position = self.next_position;
        self.next_position += data.content_length() as u64;
        self.parts += 1;
        let (store, file, written) = (self.store.clone(), self.file.clone(), self.written.clone());
        async move {
            store
                .blocking(move |_| {
                    for chunk in data {
                        file.write_all_at(&chunk, position).map_err(generic)?;
                        position += chunk.len() as u64;
                    }
                    written.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
                .await
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.written.load(Ordering::SeqCst) != self.parts {
            return Err(generic("a part is missing"));
        }
        let temporary = self.temporary.take().ok_or_else(|| generic("the upload is over"))?;
        let claim = self.store.0.publishing.claim(&self.location).await;
        let (file, location) = (self.file.clone(), self.location.clone());
        self.store
            .blocking(move |inner| {
                file.sync().map_err(generic)?;
                let path = layout::object(&inner.root, &location)?;
                let published = inner.writer.publish(temporary, &path, true);
                drop(claim);
                published.map_err(|e| put_error(&location, e))?;
                Ok(done())
            })
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        let temporary = self.temporary.take();
        self.store
            .blocking(move |_| {
                // Removes the file.
                drop(temporary);
                Ok(())
            })
            .await
    }
}
