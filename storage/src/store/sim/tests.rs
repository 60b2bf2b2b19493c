use std::time::Duration;

use object_store::PutMode;
use odradek_common::random::SeededRandom;

use super::*;
use crate::check_store::{Form, check};
use crate::store::{RetryOptions, Store};

fn store(seed: u64, weather: Weather) -> SimStore {
    SimStore::new(Arc::new(SeededRandom::from_seed(seed)), weather)
}

async fn create(store: &SimStore, key: &str, value: &'static str) -> Result<PutResult> {
    let opts = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&key.into(), value.into(), opts).await
}

async fn found(store: &SimStore, key: &str) -> Option<Bytes> {
    store.get(&key.into()).await.ok()?.bytes().await.ok()
}

#[tokio::test(start_paused = true)]
async fn it_is_sound_in_fair_weather() {
    let random: SharedRandom = Arc::new(SeededRandom::from_seed(1));
    let store = store(1, Weather::fair(1..=20));
    let (options, prefix) = (RetryOptions::default(), Path::from("p"));
    let over = Store::over(Arc::new(store), prefix, "test".into(), options, random.clone());
    let report = check(&over, Form::Short, &random).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn of_many_who_create_one_does() {
    for seed in 0..50 {
        let store = store(seed, Weather::fair(1..=20));
        let puts = ["a", "b", "c", "d"].map(|value| create(&store, "key", value));
        let created = futures::future::join_all(puts).await;
        assert_eq!(created.iter().filter(|put| put.is_ok()).count(), 1);
        assert!(
            created
                .iter()
                .flat_map(|put| put.as_ref().err())
                .all(|error| matches!(error, Error::AlreadyExists { .. }))
        );
        let winner = created.iter().position(Result::is_ok).unwrap();
        assert_eq!(found(&store, "key").await.unwrap(), ["a", "b", "c", "d"][winner]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_lands_though_its_sender_is_gone() {
    let store = store(1, Weather::fair(100..=100));
    let put = tokio::time::timeout(Duration::from_millis(1), create(&store, "key", "a"));
    assert!(put.await.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(found(&store, "key").await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn each_fate_is_what_it_says() {
    let fair = Weather::fair(1..=1);
    let late = store(1, Weather { late: 1000, late_ms: 60_000, ..fair.clone() });
    assert!(create(&late, "key", "a").await.is_err());
    late.change_weather(|weather| weather.late = 0);
    assert_eq!(found(&late, "key").await, None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(found(&late, "key").await.unwrap(), "a");
    assert_eq!(late.met(), BTreeMap::from([(Fate::Fair, 2), (Fate::Late, 1)]));

    let lost = store(1, Weather { answer_lost: 1000, ..fair.clone() });
    assert!(create(&lost, "key", "a").await.is_err());
    lost.change_weather(|weather| weather.answer_lost = 0);
    assert_eq!(found(&lost, "key").await.unwrap(), "a");

    for nothing in
        [Weather { unavailable: 1000, ..fair.clone() }, Weather { is_away: true, ..fair.clone() }]
    {
        let store = store(1, nothing);
        assert!(create(&store, "key", "a").await.is_err());
        store.change_weather(|weather| *weather = fair.clone());
        assert_eq!(found(&store, "key").await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lie_is_an_answer_without_an_object() {
    let store = store(1, Weather::fair(1..=1));
    let later = Duration::from_secs(60);
    store.lie_about(move |host, key| match (host, key.as_ref()) {
        ("liar", "never") => Some(Lie::Forgets),
        ("liar", "later") => Some(Lie::Hurries(later)),
        _ => None,
    });
    let liar = store.seen_from("liar");
    for key in ["never", "later", "now"] {
        create(&liar, key, "a").await.unwrap();
    }
    assert_eq!(found(&store, "now").await.unwrap(), "a");
    assert_eq!(found(&store, "later").await, None);
    tokio::time::sleep(later).await;
    assert_eq!(found(&store, "later").await.unwrap(), "a");
    assert_eq!(found(&store, "never").await, None);
    create(&store, "never", "b").await.unwrap();
    assert_eq!(found(&store, "never").await.unwrap(), "b", "of others nothing is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_host_may_have_a_weather_of_its_own() {
    let fair = Weather::fair(1..=1);
    let store = store(1, fair.clone());
    let [one, other] = ["one", "other"].map(|host| store.seen_from(host));
    store.set_weather_of("one", Some(Weather { is_away: true, ..fair }));
    assert!(create(&one, "key", "a").await.is_err());
    create(&other, "key", "b").await.unwrap();
    store.set_weather_of("one", None);
    assert_eq!(found(&one, "key").await.unwrap(), "b");
}
