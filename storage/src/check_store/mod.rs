//! Proving that a store does what we rely on: `odradek check-store`, and in short at every start.
//!
//! Everything happens below a scratch folder of a random name in the store's prefix, which is
//! removed afterwards.

mod race;
mod report;
mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use odradek_common::random::SharedRandom;
use tokio::time::Instant;

pub use self::report::{Latency, Line, Report, Verdict};
use crate::store::{Store, describe};

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What must not be wrong, in some 15 requests one behind the other: for every start.
    Short,
    /// Everything, with latencies.
    Full,
}

/// Sizes whose latencies are measured, with the number of objects: bytes add up to 60 MiB or so.
const SIZES: [(usize, usize); 4] = [(4 << 10, 50), (64 << 10, 50), (1 << 20, 20), (8 << 20, 5)];

/// Looks at `store`. What cannot be asked for lack of an answer counts as failed.
pub async fn check(store: &Store, form: Form, random: &SharedRandom) -> Report {
    let scratch = format!("check-store-{}", random.next_uuid().as_simple());
    let bench = Bench { store, random, scratch: store.prefix().clone().join(scratch) };
    let mut report = Report { store: store.to_string(), lines: Vec::new(), latencies: Vec::new() };
    if report.take("reachable", steps::reachable(&bench).await) {
        properties(&bench, form, &mut report).await;
        if form == Form::Full && report.passed() {
            latencies(&bench, &mut report).await;
        }
        if let Err(told) = clean(&bench).await {
            report.line("clean-up", Verdict::Failed, told);
        }
    } else {
        report.line("put-if-absent", Verdict::Skipped, "the store cannot be asked");
    }
    report
}

async fn properties(bench: &Bench<'_>, form: Form, report: &mut Report) {
    let (races, objects) = match form {
        Form::Short => (3, 2),
        Form::Full => (30, 20),
    };
    // All at once, as they do not touch one another's objects: a start must not take long where
    // each request does.
    let multipart = async {
        match form {
            Form::Short => None,
            Form::Full => Some(steps::multipart(bench).await),
        }
    };
    let found = futures::join!(
        race::races(bench, races),
        steps::refused_later(bench),
        steps::read_after_write(bench, objects),
        steps::list_after_write(bench, objects),
        steps::ranges(bench),
        steps::past_the_end(bench),
        steps::missing(bench),
        steps::delete(bench),
        multipart,
    );
    report.take("put-if-absent", found.0);
    report.take("put where one is", found.1);
    report.take("read after write", found.2);
    report.take("list after write", found.3);
    report.take("ranged reads", found.4);
    report.take("past the end", found.5);
    report.take("missing object", found.6);
    report.take("delete", found.7);
    if let Some(found) = found.8 {
        report.take("multipart", found);
    }
}

async fn latencies(bench: &Bench<'_>, report: &mut Report) {
    for (bytes, count) in SIZES {
        match measure(bench, bytes, count).await {
            Ok(measured) => report.latencies.extend(measured),
            Err(told) => return report.line("latencies", Verdict::Failed, told),
        }
    }
}

/// One client, one request at a time.
async fn measure(bench: &Bench<'_>, bytes: usize, count: usize) -> Result<[Latency; 3], String> {
    let (mut puts, mut gets, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    let objects = bench.store.retrying();
    let payload = bench.random_bytes(bytes);
    for i in 0..count {
        let path = bench.path(&format!("timed-{bytes}-{i}"));
        puts.push(timed(bench.put(&path, payload.clone())).await?);
        gets.push(timed(bench.read(&path)).await?);
        let delete = async { objects.delete(&path).await.map_err(|e| describe(&e)) };
        deletes.push(timed(delete).await?);
    }
    Ok([
        Latency::of("put", bytes, puts),
        Latency::of("get", bytes, gets),
        Latency::of("delete", bytes, deletes),
    ])
}

async fn timed<T>(request: impl Future<Output = Result<T, String>>) -> Result<Duration, String> {
    let begun = Instant::now();
    request.await?;
    Ok(begun.elapsed())
}

async fn clean(bench: &Bench<'_>) -> Result<(), String> {
    let objects = bench.store.retrying();
    let all = objects.list(Some(&bench.scratch)).map_ok(|meta| meta.location).boxed();
    let deleted: Result<Vec<Path>, _> = objects.delete_stream(all).try_collect().await;
    deleted.map(drop).map_err(|e| {
        let told = describe(&e);
        format!("objects were left below {}: {told}", bench.scratch)
    })
}

/// A store and a place in it to try things out.
struct Bench<'a> {
    store: &'a Store,
    random: &'a SharedRandom,
    scratch: Path,
}

impl Bench<'_> {
    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.scratch.clone(), Path::join)
    }

    fn random_bytes(&self, count: usize) -> Bytes {
        let mut bytes = vec![0; count];
        self.random.fill(&mut bytes);
        bytes.into()
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), String> {
        put_into(&*self.store.retrying(), path, bytes).await
    }

    async fn read(&self, path: &Path) -> Result<Bytes, String> {
        let read = async { self.store.retrying().get(path).await?.bytes().await };
        read.await.map_err(|e| describe(&e))
    }

    async fn list(&self, folder: &Path) -> Result<BTreeSet<Path>, String> {
        let objects = self.store.retrying();
        let names = objects.list(Some(folder)).map_ok(|meta| meta.location);
        names.try_collect().await.map_err(|e| describe(&e))
    }
}

/// Puts an object whose name was not used yet. "Exists already" is our own attempt, landed without
/// an answer.
async fn put_into(objects: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<(), String> {
    match objects.put_opts(path, bytes.into(), PutMode::Create.into()).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(describe(&error)),
    }
}

#[cfg(test)]
mod tests;
