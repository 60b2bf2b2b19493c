//! Every metric that is described is true: a whole broker works, meets faults of its store, and then
//! `/metrics` shows each of them as it must be. A process has one recorder, so this is a program of
//! its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod scrape;
mod work;

#[path = "../whole/life.rs"]
mod life;

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use odradek_broker::metric_names::{self as names, Metric};
use odradek_common::files::sim::SimFiles;
use odradek_common::random::SeededRandom;
use odradek_storage::metric_names as storage;
use odradek_storage::store::faulty::Faulty;
use odradek_tests::wire;
use tokio::time::Instant;

use life::{Life, settings};
use scrape::Scrape;

/// How long it may take until all is shown; gauges are looked up every few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const FLAGS: &[&str] = &[
    "admin.listen=127.0.0.1:0",
    "storage.url=memory://metrics",
    "wal.kind=object",
    "cache.bytes=1048576",
    "group.initial.rebalance.delay.ms=0",
    "log.retention.ms=-1",
    "log.retention.check.interval.ms=50",
    "max.connections.per.ip=30",
];

#[test]
fn every_metric_is_true() {
    let store = Faulty::new(Arc::new(InMemory::new()), Arc::new(SeededRandom::from_seed(1)));
    let faults = store.faults();
    let store = Some(Arc::new(store) as _);
    let life = Life::start(settings(FLAGS), &SimFiles::new(), store, 1).unwrap();
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(async {
        work::records(&life).await;
        work::errors(life.port).await;
        work::crowd(&life).await;
        work::retention(&life).await;
        let held = work::group(life.port).await;
        work::faults(&life, &faults).await;
        until(&life, |scrape| names::all().flat_map(|metric| wrong(scrape, metric)).collect())
            .await;
        drop(held);

        let gate = work::outage(life.port, &faults).await;
        until(&life, outage).await;
        faults.clear();
        gate.open();
        until(&life, |scrape| between(scrape, storage::WAL_SLOTS_IN_FLIGHT, 0.0, 0.0)).await;
    });
    life.crash();
}

/// Scrapes until nothing is wrong.
async fn until(life: &Life, wrong: impl Fn(&Scrape) -> Vec<String>) {
    let limit = Instant::now() + PATIENCE;
    loop {
        let wrong = wrong(&Scrape::of(life.process.admin.unwrap()).await);
        if wrong.is_empty() {
            return;
        }
        assert!(Instant::now() < limit, "{}", wrong.join("\n"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What is wrong with a metric after work and faults.
fn wrong(scrape: &Scrape, metric: &Metric) -> Vec<String> {
    let (least, most) = match metric.name {
        names::OFFLINE_PARTITIONS | names::GROUP_LAG_CUT => (0.0, 0.0),
        names::ACTIVE_CONTROLLER | names::BUILD_INFO | names::GROUPS | names::GROUP_MEMBERS => {
            (1.0, 1.0)
        }
        names::TOPICS => (3.0, 3.0),
        // Two of the group's topic.
        names::PARTITIONS | names::PARTITIONS_OWNED => (4.0, 4.0),
        names::GROUP_LAG => (work::LAG, work::LAG),
        names::PRODUCED_RECORDS => (work::RECORDS, work::RECORDS + 1_000.0),
        names::PRODUCED_BYTES => (work::BYTES, 2.0 * work::BYTES),
        names::FETCHED_BYTES => (2.0 * work::BYTES, 4.0 * work::BYTES),
        // It is at rest now.
        names::UNFLUSHED_BYTES
        | names::REQUESTS_IN_FLIGHT
        | storage::WAL_SLOTS_IN_FLIGHT
        | storage::WAL_UNLANDED_BYTES
        | storage::WAL_OLDEST_UNLANDED_SECONDS => (0.0, 0.0),
        _ => (f64::MIN_POSITIVE, f64::MAX),
    };
    let mut wrong = between(scrape, metric.name, least, most);
    let told: Vec<&str> = metric.labels().collect();
    for labels in scrape.labels(metric.name).filter(|labels| *labels != told) {
        wrong.push(format!("{} has the labels {labels:?}, not {told:?}", metric.name));
    }
    if metric.name == names::MEMORY_USED_BYTES {
        let holding = |budget: &&&str| {
            let [used, limit] = [names::MEMORY_USED_BYTES, names::MEMORY_LIMIT_BYTES]
                .map(|name| scrape.of_label(name, budget));
            used.is_some_and(|used| used > 0.0 && limit.is_some_and(|limit| used <= limit))
        };
        let not = HOLDING.iter().filter(|budget| !holding(budget));
        wrong.extend(not.map(|budget| format!("nothing is taken of the budget {budget}")));
    }
    wrong
}

/// Budgets of which something is taken when all work is done.
const HOLDING: &[&str] = &[
    "block cache",
    "catalog cache",
    "fetch sessions",
    "group members",
    "group records",
    "log cache",
];

/// What must show while nothing lands in the store.
fn outage(scrape: &Scrape) -> Vec<String> {
    let above = |name, least| between(scrape, name, least, f64::MAX);
    [
        above(storage::WAL_SLOTS_IN_FLIGHT, 1.0),
        above(storage::WAL_UNLANDED_BYTES, 1.0),
        // Above what was so when the slot was cut: the age rises though nothing moves.
        above(storage::WAL_OLDEST_UNLANDED_SECONDS, 2.0),
        above(names::REQUESTS_IN_FLIGHT, 1.0),
    ]
    .concat()
}

fn between(scrape: &Scrape, name: &str, least: f64, most: f64) -> Vec<String> {
    match scrape.sum(name) {
        None => vec![format!("{name} is not shown")],
        Some(sum) if least <= sum && sum <= most => Vec::new(),
        Some(sum) => vec![format!("{name} is {sum}, not between {least:e} and {most:e}")],
    }
}
