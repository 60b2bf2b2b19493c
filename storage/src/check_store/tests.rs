use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use odradek_common::files::RealFiles;
use odradek_common::limits::CHECK_REACHABLE_MS;
use odradek_common::random::SeededRandom;

use super::*;
use crate::store::faulty::{Fault, Faulty, On, Outage};
use crate::store::file::FileStore;
use crate::store::testing::{Vice, Vicious};
use crate::store::{Operation, RetryOptions};

fn random() -> SharedRandom {
    Arc::new(SeededRandom::from_seed(1))
}

fn over(store: Arc<dyn ObjectStore>) -> Store {
    Store::over(store, Path::from("p"), "test".into(), RetryOptions::default(), random())
}

async fn check_of(store: Arc<dyn ObjectStore>, form: Form) -> Report {
    check(&over(store), form, &random()).await
}

#[tokio::test]
async fn sound_stores_pass_and_are_left_clean() {
    let dir = tempfile::tempdir().unwrap();
    let file = FileStore::open(Arc::new(RealFiles), &dir.path().join("store")).unwrap();
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(file), Arc::new(InMemory::new())];
    for store in stores {
        for form in [Form::Short, Form::Full] {
            let report = check_of(store.clone(), form).await;
            assert!(report.passed(), "{report}");
            assert_eq!(report.lines.len(), if form == Form::Full { 10 } else { 9 });
            assert_eq!(report.latencies.len(), if form == Form::Full { 12 } else { 0 });
            let left: Vec<_> = store.list(None).try_collect().await.unwrap();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

/// Each property is found missing where it is missing.
#[tokio::test]
async fn each_vice_is_found() {
    for (vice, what) in [
        (Vice::LooksThenPuts, "put-if-absent"),
        (Vice::IgnoresTheCondition, "put-if-absent"),
        (Vice::IgnoresTheCondition, "put where one is"),
        (Vice::ReplacesAndDenies, "put-if-absent"),
        (Vice::ReplacesAndDenies, "put where one is"),
        (Vice::DeniesAlways, "put-if-absent"),
        (Vice::ReadsLate, "reachable"),
        (Vice::Corrupts, "reachable"),
        (Vice::ListsLate, "list after write"),
        (Vice::RefusesPastTheEnd, "past the end"),
        (Vice::AnswersNothing, "past the end"),
        (Vice::IgnoresRanges, "ranged reads"),
        (Vice::KeepsDeleted, "delete"),
        (Vice::LosesParts, "multipart"),
    ] {
        let report = check_of(Arc::new(Vicious::new(vice)), Form::Full).await;
        let line = report.lines.iter().find(|line| line.what == what).unwrap();
        assert_eq!(line.verdict, Verdict::Failed, "{vice:?}: {report}");
        assert!(!report.passed());
        assert!(report.to_string().contains("cannot be used"));
    }
    let allowed = check_of(Arc::new(Vicious::new(Vice::ListsBackwards)), Form::Full).await;
    assert!(allowed.passed(), "{allowed}");
}

#[tokio::test]
async fn the_short_form_finds_a_race_too() {
    let report = check_of(Arc::new(Vicious::new(Vice::LooksThenPuts)), Form::Short).await;
    assert!(report.to_string().contains("put-if-absent is not atomic"), "{report}");
}

/// A store that stumbles is not a store that lies: the start must not fail over a busy hour.
#[tokio::test(start_paused = true)]
async fn a_store_that_stumbles_passes() {
    for seed in 0..10 {
        let random: SharedRandom = Arc::new(SeededRandom::from_seed(seed));
        let faulty = Faulty::new(Arc::new(InMemory::new()), random);
        let faults = faulty.faults();
        for (operation, fault) in [
            (Operation::Put, Fault::Unavailable),
            (Operation::Put, Fault::AnswerLost),
            (Operation::Put, Fault::Conflict),
            (Operation::Get, Fault::Unavailable),
            (Operation::Get, Fault::Truncated(3)),
            (Operation::List, Fault::Truncated(1)),
            (Operation::Delete, Fault::AnswerLost),
        ] {
            faults.chance(100, On::every(operation), fault);
        }
        let report = check_of(Arc::new(faulty), Form::Short).await;
        assert!(report.passed(), "seed {seed}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_there_or_refuses_is_told_in_a_sentence() {
    let faulty = Faulty::new(Arc::new(InMemory::new()), random());
    let faults = faulty.faults();
    let store: Arc<dyn ObjectStore> = Arc::new(faulty);
    faults.outage(Outage::Refused);
    let began = Instant::now();
    let report = check_of(store.clone(), Form::Short).await;
    // Whoever starts a broker learns it soon.
    assert!(began.elapsed().as_millis() <= u128::from(CHECK_REACHABLE_MS) + 1_000);
    assert!(report.to_string().contains("cannot be reached"), "{report}");
    faults.outage(Outage::None);
    faults.always(On::every(Operation::Put), Fault::Denied);
    let report = check_of(store, Form::Short).await;
    assert!(report.to_string().contains("access denied"), "{report}");
    assert!(!report.passed());
}

/// Puts that never say how they ended prove nothing.
#[tokio::test(start_paused = true)]
async fn silence_is_no_proof() {
    let faulty = Faulty::new(Arc::new(InMemory::new()), random());
    faulty.faults().always(On::key(Operation::Put, "race-"), Fault::AnswerLost);
    let report = check_of(Arc::new(faulty), Form::Short).await;
    let line = report.lines.iter().find(|line| line.what == "put-if-absent").unwrap();
    assert_eq!(line.verdict, Verdict::Failed);
    assert!(line.told.contains("gave no answer"), "{}", line.told);
}
