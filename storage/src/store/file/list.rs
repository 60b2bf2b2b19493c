//! Listing the store's directory: lazily, one directory at a time, in the order of the keys.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, Result};
use odradek_common::files::DirEntry;

use super::{FileStore, generic, layout, meta};

/// The objects below `prefix`, those behind `after` if it is given.
pub(super) fn list(
    store: &FileStore,
    prefix: Option<&Path>,
    after: Option<&Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let start = layout::folder(&store.0.root, &prefix.cloned().unwrap_or_default());
    let (store, after) = (store.clone(), after.cloned());
    let walk = Walk { store, start: Some(start), after, levels: Vec::new() };
    stream::try_unfold(walk, |mut walk| async move {
        Ok(walk.next().await?.map(|object| (object, walk)))
    })
    .boxed()
}

pub(super) async fn list_with_delimiter(
    store: &FileStore,
    prefix: Option<&Path>,
) -> Result<ListResult> {
    let start = layout::folder(&store.0.root, &prefix.cloned().unwrap_or_default());
    let mut found = ListResult {
        objects: Vec::new(),
        common_prefixes: Vec::new(),
        extensions: Default::default(),
    };
    for entry in entries(store, start).await? {
        if !entry.is_dir {
            found.objects.extend(object(store, entry).await?);
        } else if let Some(key) = layout::key(&store.0.root, &entry.path) {
            found.common_prefixes.push(key);
        }
    }
    Ok(found)
}

/// A walk through the directories, depth first.
struct Walk {
    store: FileStore,
    start: Option<PathBuf>,
    /// What is not behind this is left out; directories that hold no other are not read.
    after: Option<Path>,
    /// What is left of each directory on the way down.
    levels: Vec<VecDeque<DirEntry>>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        if let Some(start) = self.start.take() {
            self.levels.push(entries(&self.store, start).await?);
        }
        while let Some(level) = self.levels.last_mut() {
            match level.pop_front() {
                None => _ = self.levels.pop(),
                Some(entry) if self.is_before(&entry) => {}
                Some(entry) if entry.is_dir => {
                    self.levels.push(entries(&self.store, entry.path).await?);
                }
                Some(entry) => {
                    if let Some(object) = object(&self.store, entry).await? {
                        return Ok(Some(object));
                    }
                }
            }
        }
        Ok(None)
    }

    fn is_before(&self, entry: &DirEntry) -> bool {
        let (Some(after), Some(key)) = (&self.after, layout::key(&self.store.0.root, &entry.path))
        else {
            return false;
        };
        if !entry.is_dir {
            return key <= *after;
        }
        let all = format!("{key}/");
        all.as_str() < after.as_ref() && !after.as_ref().starts_with(&all)
    }
}

/// What is in a directory, in the order of the keys; nothing if there is no such directory.
async fn entries(store: &FileStore, dir: PathBuf) -> Result<VecDeque<DirEntry>> {
    store
        .blocking(move |inner| {
            let mut entries = match inner.writer.files().list(&dir) {
                Ok(entries) => entries,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    Vec::new()
                }
                Err(e) => return Err(generic(e)),
            };
            entries.retain(|entry| layout::key(&inner.root, &entry.path).is_some());
            entries.sort_by_cached_key(sort_key);
            Ok(entries.into())
        })
        .await
}

/// All that is in the directory `a` begins with `a/`, which sorts behind `a-b`.
fn sort_key(entry: &DirEntry) -> Vec<u8> {
    let mut name = entry.path.as_os_str().as_encoded_bytes().to_vec();
    if entry.is_dir {
        name.push(b'/');
    }
    name
}

/// The object in a file, once it is durable; none if it is gone again.
async fn object(store: &FileStore, entry: DirEntry) -> Result<Option<ObjectMeta>> {
    let Some(key) = layout::key(&store.0.root, &entry.path) else { return Ok(None) };
    if !store.0.publishing.contains(&key) {
        return Ok(Some(meta(key, entry.len, entry.modified_ms)));
    }
    store.0.publishing.wait(&key).await;
    store
        .blocking(move |inner| match inner.writer.files().stat(&entry.path) {
            Ok(now) if !now.is_dir => Ok(Some(meta(key, now.len, now.modified_ms))),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(generic(e)),
        })
        .await
}
