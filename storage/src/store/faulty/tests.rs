use futures::FutureExt;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutMode};
use odradek_common::random::SeededRandom;

use std::time::Duration;

use super::*;
use crate::store::kind::{StoreErrorKind, classify};

fn faulty() -> (Faulty, Faults) {
    let random = Arc::new(SeededRandom::from_seed(1));
    let store = Faulty::new(Arc::new(InMemory::new()), random);
    let faults = store.faults();
    (store, faults)
}

async fn create(store: &Faulty, key: &str) -> Result<PutResult> {
    store.put_opts(&Path::from(key), "0123456789".into(), PutMode::Create.into()).await
}

#[tokio::test]
async fn faults_before_do_nothing_and_faults_after_do() {
    let (store, faults) = faulty();
    let put = On::every(Operation::Put);
    for (fault, kind, landed) in [
        (Fault::Unavailable, StoreErrorKind::Transient, false),
        (Fault::Conflict, StoreErrorKind::Transient, false),
        (Fault::Disconnected, StoreErrorKind::Transient, false),
        (Fault::AnswerLost, StoreErrorKind::Transient, true),
        (Fault::OwnAlreadyExists, StoreErrorKind::AlreadyExists, true),
    ] {
        let key = format!("{fault:?}");
        faults.next(put.clone(), fault);
        let error = create(&store, &key).await.unwrap_err();
        assert_eq!(classify(&error), kind, "{key}");
        assert_eq!(store.head(&Path::from(key.as_str())).await.is_ok(), landed, "{key}");
    }
    faults.next(put, Fault::Denied);
    let error = create(&store, "x").await.unwrap_err();
    assert!(matches!(classify(&error), StoreErrorKind::Permanent(_)));
    create(&store, "x").await.unwrap();
    assert_eq!(faults.requests(Operation::Put), 7);
}

#[tokio::test]
async fn rules_are_met_in_order_by_key_and_as_often_as_planned() {
    let (store, faults) = faulty();
    faults.times(2, On::key(Operation::Put, "a"), Fault::Unavailable);
    for (key, ok) in [("b", true), ("a", false), ("c/a", false), ("a", true)] {
        assert_eq!(create(&store, key).await.is_ok(), ok, "{key}");
    }
    faults.always(On::every(Operation::Delete), Fault::Unavailable);
    store.delete(&Path::from("a")).await.unwrap_err();
    store.delete(&Path::from("a")).await.unwrap_err();
    faults.clear();
    store.delete(&Path::from("a")).await.unwrap();
}

#[tokio::test]
async fn reads_are_cut_and_spoiled() {
    let (store, faults) = faulty();
    create(&store, "a").await.unwrap();
    let (path, get) = (Path::from("a"), On::every(Operation::Get));
    faults.next(get.clone(), Fault::Truncated(4));
    assert_eq!(&store.get_range(&path, 0..8).await.unwrap()[..], b"0123");
    faults.next(get, Fault::Corrupted(11));
    assert_eq!(&store.get_range(&path, 0..10).await.unwrap()[..], b"0!23456789");
    create(&store, "b").await.unwrap();
    faults.next(On::every(Operation::List), Fault::Truncated(1));
    let names: Vec<_> = store.list(None).collect().await;
    assert!(matches!(&names[..], [Ok(_), Err(_)]));
}

#[tokio::test]
async fn a_held_put_lands_although_its_sender_has_given_up() {
    let (store, faults) = faulty();
    let gate = Gate::new();
    faults.next(On::every(Operation::Put), Fault::HeldBefore(gate.clone()));
    {
        let mut put = Box::pin(create(&store, "a"));
        assert!((&mut put).now_or_never().is_none());
        gate.arrived(1).await;
    }
    let path = Path::from("a");
    store.head(&path).await.unwrap_err();
    gate.open();
    while store.head(&path).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_is_held_after_its_put_has_landed() {
    let (store, faults) = faulty();
    let gate = Gate::new();
    faults.next(On::every(Operation::Put), Fault::HeldAfter(gate.clone()));
    let held = tokio::spawn({
        let store = store.clone();
        async move { create(&store, "a").await }
    });
    gate.arrived(1).await;
    store.head(&Path::from("a")).await.unwrap();
    assert!(!held.is_finished());
    gate.open();
    held.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_nothing_works_and_then_all_does() {
    let (store, faults) = faulty();
    faults.outage(Outage::Refused);
    assert_eq!(classify(&create(&store, "a").await.unwrap_err()), StoreErrorKind::Transient);
    faults.outage(Outage::Silent);
    let hour = Duration::from_secs(3600);
    tokio::time::timeout(hour, create(&store, "a")).await.unwrap_err();
    faults.outage(Outage::None);
    create(&store, "a").await.unwrap();
}

#[tokio::test]
async fn chances_come_from_the_seed() {
    let run = async || {
        let (store, faults) = faulty();
        faults.chance(300, On::every(Operation::Put), Fault::Unavailable);
        let mut outcomes = Vec::new();
        for i in 0..200 {
            outcomes.push(create(&store, &i.to_string()).await.is_ok());
        }
        outcomes
    };
    let outcomes = run().await;
    assert_eq!(outcomes, run().await);
    let failed = outcomes.iter().filter(|ok| !**ok).count();
    assert!((30..90).contains(&failed), "{failed}");
}
