use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutResult, Result};
use odradek_common::limits::{STORE_GET_ATTEMPT_MS, STORE_GET_TOTAL_MS, STORE_PUT_TOTAL_MS};
use odradek_common::random::SeededRandom;
use tokio::time::Instant;

use super::faulty::{Fault, Faults, Faulty, On, Outage};
use super::testing::{Vice, Vicious};
use super::{Measured, Operation, RetryOptions, Retrying, StoreErrorKind, classify};

fn retrying() -> (Retrying, Faults) {
    let random = Arc::new(SeededRandom::from_seed(1));
    let faulty = Faulty::new(Arc::new(InMemory::new()), random.clone());
    let faults = faulty.faults();
    let measured = Arc::new(Measured::new(Arc::new(faulty)));
    (Retrying::new(measured, RetryOptions::default(), random), faults)
}

async fn create(store: &Retrying, key: &str) -> Result<PutResult> {
    store.put_opts(&Path::from(key), "0123456789".into(), PutMode::Create.into()).await
}

fn every(operation: Operation) -> On {
    On::every(operation)
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again() {
    let (store, faults) = retrying();
    for fault in [Fault::Unavailable, Fault::Conflict, Fault::Disconnected] {
        let before = faults.requests(Operation::Put);
        let key = format!("{fault:?}");
        faults.times(5, every(Operation::Put), fault);
        create(&store, &key).await.unwrap();
        assert_eq!(faults.requests(Operation::Put) - before, 6);
    }
    faults.times(3, every(Operation::Get), Fault::Unavailable);
    faults.times(3, every(Operation::Head), Fault::Unavailable);
    faults.times(3, every(Operation::Copy), Fault::Unavailable);
    let (from, to) = (Path::from("Conflict"), Path::from("copy"));
    assert_eq!(store.get(&from).await.unwrap().bytes().await.unwrap().len(), 10);
    assert_eq!(store.head(&from).await.unwrap().size, 10);
    store.copy(&from, &to).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_not() {
    let (store, faults) = retrying();
    create(&store, "a").await.unwrap();
    let begun = Instant::now();
    assert!(matches!(create(&store, "a").await, Err(Error::AlreadyExists { .. })));
    faults.next(every(Operation::Put), Fault::Denied);
    assert!(matches!(create(&store, "b").await, Err(Error::PermissionDenied { .. })));
    let missing = store.get(&Path::from("x")).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }));
    let range = store.get_range(&Path::from("a"), 50..60).await.unwrap_err();
    assert_eq!(classify(&range), StoreErrorKind::InvalidRange);
    assert_eq!((faults.requests(Operation::Put), faults.requests(Operation::Get)), (3, 2));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// The first attempt has landed: only the caller can know whether what exists is its own.
#[tokio::test(start_paused = true)]
async fn ones_own_object_is_reported_as_existing() {
    let (store, faults) = retrying();
    faults.next(every(Operation::Put), Fault::AnswerLost);
    assert!(matches!(create(&store, "a").await, Err(Error::AlreadyExists { .. })));
    assert_eq!(faults.requests(Operation::Put), 2);
    assert_eq!(store.head(&Path::from("a")).await.unwrap().size, 10);
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let (store, faults) = retrying();
    let total = Duration::from_millis(STORE_PUT_TOTAL_MS) + Duration::from_secs(1);
    for (outage, least) in [(Outage::Silent, total), (Outage::Refused, total * 9 / 10)] {
        faults.outage(outage);
        let begun = Instant::now();
        let error = create(&store, "a").await.unwrap_err();
        assert_eq!(classify(&error), StoreErrorKind::Transient);
        assert!(begun.elapsed() <= total, "{:?}", begun.elapsed());
        assert!(begun.elapsed() >= least.min(total * 9 / 10), "{:?}", begun.elapsed());
    }
    faults.clear();
    create(&store, "a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_and_followed_by_another() {
    let (store, faults) = retrying();
    create(&store, "a").await.unwrap();
    faults.next(every(Operation::Get), Fault::Slow(Duration::from_secs(3600)));
    let begun = Instant::now();
    assert_eq!(store.get_range(&Path::from("a"), 0..4).await.unwrap(), "0123");
    let attempt = Duration::from_millis(STORE_GET_ATTEMPT_MS);
    assert!(begun.elapsed() >= attempt && begun.elapsed() < attempt * 2, "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_millis(STORE_GET_TOTAL_MS));
}

#[tokio::test(start_paused = true)]
async fn a_body_cut_short_is_read_again() {
    let (store, faults) = retrying();
    create(&store, "a").await.unwrap();
    faults.times(2, every(Operation::Get), Fault::Truncated(3));
    assert_eq!(store.get_range(&Path::from("a"), 0..10).await.unwrap(), "0123456789");
    assert_eq!(faults.requests(Operation::Get), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_come_from_the_seed() {
    let run = async || {
        let (store, faults) = retrying();
        faults.times(4, every(Operation::Put), Fault::Unavailable);
        let begun = Instant::now();
        create(&store, "a").await.unwrap();
        begun.elapsed()
    };
    let waited = run().await;
    // 50, 100, 200 and 400 ms, each between a half and the whole.
    assert!(waited >= Duration::from_millis(375) && waited <= Duration::from_millis(755));
    assert_eq!(waited, run().await);
}

async fn names(store: &impl ObjectStore) -> Result<Vec<String>> {
    store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_breaks_off_is_resumed() {
    let (store, faults) = retrying();
    for key in ["a", "b", "c", "d"] {
        create(&store, key).await.unwrap();
    }
    for whole in [["a", "b", "c", "d"]] {
        faults.next(every(Operation::List), Fault::Unavailable);
        faults.next(every(Operation::List), Fault::Truncated(2));
        faults.next(every(Operation::List), Fault::Truncated(1));
        assert_eq!(names(&store).await.unwrap(), whole);
    }
    assert_eq!(faults.requests(Operation::List), 4);
    let offset = Path::from("b");
    let rest: Vec<_> = store.list_with_offset(None, &offset).try_collect().await.unwrap();
    assert_eq!(rest.len(), 2);
    faults.next(every(Operation::List), Fault::Denied);
    assert!(names(&store).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_listing_without_order_is_not_resumed() {
    let random = Arc::new(SeededRandom::from_seed(1));
    let faulty = Faulty::new(Arc::new(Vicious::new(Vice::ListsBackwards)), random.clone());
    let faults = faulty.faults();
    let store = Retrying::new(Arc::new(faulty), RetryOptions::default(), random);
    for key in ["a", "b", "c"] {
        create(&store, key).await.unwrap();
    }
    faults.next(every(Operation::List), Fault::Truncated(2));
    let seen: Vec<Result<_>> = store.list(None).collect().await;
    assert!(matches!(&seen[..], [Ok(_), Ok(_), Err(_)]));
    // Nothing was passed on yet: it begins anew.
    faults.next(every(Operation::List), Fault::Truncated(0));
    assert_eq!(names(&store).await.unwrap(), ["c", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn deletes_answer_one_by_one_and_gone_is_gone() {
    let (store, faults) = retrying();
    let keys = ["a", "missing", "denied", "b"].map(Path::from);
    for key in [&keys[0], &keys[2], &keys[3]] {
        create(&store, key.as_ref()).await.unwrap();
    }
    faults.next(On::key(Operation::Delete, "denied"), Fault::Denied);
    faults.times(2, On::key(Operation::Delete, "b"), Fault::Unavailable);
    faults.next(On::key(Operation::Delete, "a"), Fault::AnswerLost);
    let request = stream::iter(keys.clone().map(Ok)).boxed();
    let answers: Vec<_> = store.delete_stream(request).collect().await;
    let ok: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, true, false, true]);
    assert_eq!(names(&store).await.unwrap(), ["denied"]);

    faults.outage(Outage::Refused);
    let request = stream::iter(keys.map(Ok)).boxed();
    let answers: Vec<_> = store.delete_stream(request).collect().await;
    assert_eq!(answers.len(), 4);
    assert!(answers.iter().all(Result::is_err));
}
