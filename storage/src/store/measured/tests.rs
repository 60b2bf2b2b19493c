use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::TryStreamExt;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use odradek_common::files::sim::SimFiles;
use odradek_common::random::SeededRandom;
use parking_lot::Mutex;

use super::*;
use crate::store::faulty::{Fault, Faulty, On};
use crate::store::file::FileStore;

#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }
    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }
}

/// Keeps counters by name and labels.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<Cell>>>);

impl Counters {
    fn seen(&self) -> BTreeMap<String, u64> {
        let cells = self.0.lock();
        cells.iter().map(|(key, cell)| (key.clone(), cell.0.load(Ordering::SeqCst))).collect()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| label.value()).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        let cell = self.0.lock().entry(name).or_default().clone();
        Counter::from_arc(cell)
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

async fn use_a_store() {
    let faulty = Faulty::new(Arc::new(InMemory::new()), Arc::new(SeededRandom::from_seed(1)));
    let faults = faulty.faults();
    let store = Measured::new(Arc::new(faulty));
    let path = Path::from("a");
    store.put(&path, "0123456789".into()).await.unwrap();
    faults.next(On::every(Operation::Put), Fault::Unavailable);
    store.put(&path, "0123456789".into()).await.unwrap_err();
    store.get_range(&path, 2..5).await.unwrap();
    store.get(&Path::from("b")).await.unwrap_err();
    store.head(&path).await.unwrap();
    drop(store.get(&path).await.unwrap());
    store.list(None).try_collect::<Vec<_>>().await.unwrap();
    store.delete(&path).await.unwrap();
}

#[test]
fn requests_are_counted_by_operation_and_outcome() {
    let counters = Counters::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&counters, || runtime.block_on(use_a_store()));
    let expected = [
        ("odradek_store_received_bytes_total ", 3),
        ("odradek_store_requests_total delete ok", 1),
        ("odradek_store_requests_total get cancelled", 1),
        ("odradek_store_requests_total get not_found", 1),
        ("odradek_store_requests_total get ok", 1),
        ("odradek_store_requests_total head ok", 1),
        ("odradek_store_requests_total list ok", 1),
        ("odradek_store_requests_total put ok", 1),
        ("odradek_store_requests_total put transient", 1),
        ("odradek_store_sent_bytes_total ", 20),
    ];
    let expected = expected.into_iter().map(|(key, count)| (key.to_owned(), count)).collect();
    assert_eq!(counters.seen(), expected);
}

#[tokio::test]
async fn a_conflict_does_not_pass_for_an_object() {
    let faulty = Faulty::new(Arc::new(InMemory::new()), Arc::new(SeededRandom::from_seed(1)));
    faulty.faults().next(On::every(Operation::Put), Fault::Conflict);
    let store = Measured::new(Arc::new(faulty));
    let error = store.put(&Path::from("a"), "x".into()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::Generic { .. }), "{error:?}");
    assert_eq!(classify(&error), crate::store::StoreErrorKind::Transient);
}

/// A body without a chunk: what a power cut left of an object that was not synced.
#[tokio::test]
async fn an_empty_object_is_read() {
    let files = Arc::new(SimFiles::new());
    let store = FileStore::open(files, std::path::Path::new("/store")).unwrap();
    let store = Measured::new(Arc::new(store));
    let path = Path::from("empty");
    store.put(&path, Bytes::new().into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), Bytes::new());
}
