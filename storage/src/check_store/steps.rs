//! The properties that are looked at beside the races, one function each: what was seen, or why
//! the store does not have it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode};
use odradek_common::limits;

use super::{Bench, put_into};
use crate::store::{RetryOptions, Retrying, StoreErrorKind, classify, describe};

type Found = Result<String, String>;

/// Bytes of the first part of an upload; stores want 5 MiB at least.
const PART_BYTES: usize = 5 << 20;

pub(super) async fn reachable(bench: &Bench<'_>) -> Found {
    let mut options = RetryOptions::default();
    options.put.total = Duration::from_millis(limits::CHECK_REACHABLE_MS);
    let objects = Retrying::new(bench.store.direct(), options, bench.random.clone());
    let path = bench.path("reachable");
    put_into(&objects, &path, Bytes::from_static(b"reachable")).await?;
    expect(bench.read(&path).await?, b"reachable", "what was put is not what is read")?;
    Ok("an object was put and read".to_owned())
}

/// A put-if-absent long after the object was made.
pub(super) async fn refused_later(bench: &Bench<'_>) -> Found {
    let path = bench.path("made-once");
    bench.put(&path, Bytes::from_static(b"first")).await?;
    let second = Bytes::from_static(b"second");
    let put = bench.store.retrying().put_opts(&path, second.into(), PutMode::Create.into()).await;
    match put {
        Err(Error::AlreadyExists { .. }) => {}
        Ok(_) => return Err("put-if-absent puts where there is an object".to_owned()),
        Err(error) => return Err(describe(&error)),
    }
    let read = bench.read(&path).await?;
    expect(read, b"first", "a put-if-absent that was refused has changed the object")?;
    Ok("refused, and the object is unchanged".to_owned())
}

pub(super) async fn read_after_write(bench: &Bench<'_>, objects: usize) -> Found {
    for i in 0..objects {
        let path = bench.path(&format!("fresh-{i}"));
        let bytes = bench.random_bytes(4 << 10);
        bench.put(&path, bytes.clone()).await?;
        expect(bench.read(&path).await?, &bytes, "what was just put is not what is read")?;
    }
    Ok(format!("{objects} objects were read as they were put"))
}

/// Everything that was put below the scratch prefix is listed at once, and nothing else.
pub(super) async fn list_after_write(bench: &Bench<'_>, objects: usize) -> Found {
    let folder = bench.path("listed");
    let mut expected = BTreeSet::new();
    for i in 0..objects {
        let path = folder.clone().join(format!("{i:04}"));
        bench.put(&path, Bytes::from_static(b"x")).await?;
        expected.insert(path);
        let found = bench.list(&folder).await?;
        if found != expected {
            return Err(format!("{} of {} objects were listed", found.len(), expected.len()));
        }
    }
    Ok(format!("{objects} times all that was put was listed"))
}

pub(super) async fn ranges(bench: &Bench<'_>) -> Found {
    let path = bench.path("ranges");
    let bytes = bench.random_bytes(10_000);
    bench.put(&path, bytes.clone()).await?;
    let objects = bench.store.retrying();
    for (range, expected) in
        [(0..1, 0..1), (4_000..5_000, 4_000..5_000), (9_000..10_000, 9_000..10_000)]
    {
        let read = objects.get_range(&path, range).await.map_err(|e| describe(&e))?;
        expect(read, &bytes[expected], "a range is not what stands there")?;
    }
    Ok("three ranges hold what stands there".to_owned())
}

pub(super) async fn past_the_end(bench: &Bench<'_>) -> Found {
    let path = bench.path("past-the-end");
    let bytes = bench.random_bytes(1_000);
    bench.put(&path, bytes.clone()).await?;
    let objects = bench.store.retrying();
    let read = objects.get_range(&path, 900..5_000).await;
    let read =
        read.map_err(|e| format!("a range that goes past the end fails: {}", describe(&e)))?;
    expect(read, &bytes[900..], "a range that goes past the end is not cut there")?;
    match objects.get_range(&path, 1_000..2_000).await {
        Err(error) if classify(&error) == StoreErrorKind::InvalidRange => {}
        Err(error) => return Err(describe(&error)),
        Ok(_) => return Err("a range that begins at the end is no error".to_owned()),
    }
    Ok("cut at the end; an error when all of it is past".to_owned())
}

pub(super) async fn missing(bench: &Bench<'_>) -> Found {
    match bench.store.retrying().get(&bench.path("never-put")).await {
        Err(Error::NotFound { .. }) => Ok("an object that was never put is not found".to_owned()),
        Err(error) => Err(describe(&error)),
        Ok(_) => Err("an object that was never put is found".to_owned()),
    }
}

pub(super) async fn delete(bench: &Bench<'_>) -> Found {
    let objects = bench.store.retrying();
    let paths: Vec<Path> = (0..3).map(|i| bench.path(&format!("deleted/{i}"))).collect();
    for path in &paths {
        bench.put(path, Bytes::from_static(b"x")).await?;
    }
    // The second time they are gone already.
    for _ in 0..2 {
        let request = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
        let deleted: Result<Vec<Path>, Error> = objects.delete_stream(request).try_collect().await;
        deleted.map_err(|e| describe(&e))?;
    }
    for path in &paths {
        match objects.get(path).await {
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(describe(&error)),
            Ok(_) => return Err("what was deleted is read".to_owned()),
        }
    }
    if !bench.list(&bench.path("deleted")).await?.is_empty() {
        return Err("what was deleted is listed".to_owned());
    }
    Ok("what was deleted is neither read nor listed; a second time is no error".to_owned())
}

pub(super) async fn multipart(bench: &Bench<'_>) -> Found {
    let path = bench.path("in-parts");
    let parts = [bench.random_bytes(PART_BYTES), bench.random_bytes(10_000)];
    let upload = async {
        let mut upload = bench.store.retrying().put_multipart(&path).await?;
        for part in &parts {
            upload.put_part(part.clone().into()).await?;
        }
        upload.complete().await
    };
    upload.await.map_err(|e| describe(&e))?;
    expect(bench.read(&path).await?, &parts.concat(), "the parts are not what is read")?;
    Ok("two parts became one object".to_owned())
}

fn expect(read: Bytes, expected: &[u8], otherwise: &str) -> Result<(), String> {
    if read == expected { Ok(()) } else { Err(otherwise.to_owned()) }
}
