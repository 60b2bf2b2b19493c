//! An object store that fails as told below the whole broker, with the object WAL.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ProduceRequest;
use object_store::memory::InMemory;
use odradek_broker::admin_http::Readiness;
use odradek_broker::readiness::BrokerReadiness;
use odradek_broker::settings::Settings;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::TopicPartition;
use odradek_common::random::{Random, SeededRandom};
use odradek_storage::store::Operation;
use odradek_storage::store::faulty::{Fault, Faults, Faulty, Gate, On, Outage};
use tokio::time::Instant;

use super::life::{Life, settings};
use super::waiting::until;
use super::wire::{Wire, batch, produce_request};
use super::workload::Clients;

pub fn store(seed: u64) -> (Arc<Faulty>, Faults) {
    let store = Faulty::new(Arc::new(InMemory::new()), Arc::new(SeededRandom::from_seed(seed)));
    let faults = store.faults();
    (Arc::new(store), faults)
}

pub fn object(more: &[&str]) -> Settings {
    let all = [&["storage.url=memory://whole", "wal.kind=object"], more].concat();
    settings(&all)
}

fn plan(faults: &Faults) {
    let put = || On::every(Operation::Put);
    faults.chance(30, put(), Fault::AnswerLost);
    faults.chance(40, put(), Fault::Unavailable);
    faults.chance(30, put(), Fault::OwnAlreadyExists);
    faults.chance(20, put(), Fault::Conflict);
    faults.chance(20, put(), Fault::Disconnected);
    faults.chance(200, put(), Fault::Slow(Duration::from_millis(10)));
    faults.chance(100, put(), Fault::Slow(Duration::from_millis(40)));
    let get = || On::every(Operation::Get);
    faults.chance(20, get(), Fault::Truncated(10));
    faults.chance(20, get(), Fault::Corrupted(77));
    faults.chance(40, get(), Fault::Unavailable);
    let delete = || On::every(Operation::Delete);
    faults.chance(100, delete(), Fault::Slow(Duration::from_millis(100)));
    faults.chance(100, delete(), Fault::AnswerLost);
    faults.chance(50, On::every(Operation::List), Fault::Truncated(3));
}

pub fn client() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_store_that_fails_loses_nothing() {
    let begun = Instant::now();
    let mut acked = 0;
    for seed in 1..=6 {
        let (store, faults) = store(seed);
        let (files, mut clients) = (SimFiles::new(), Clients::new(Duration::from_secs(20)));
        let random = SeededRandom::from_seed(seed);
        for cycle in 0..4 {
            faults.clear();
            let life = Life::start(object(&[]), &files, Some(store.clone()), seed * 10 + cycle);
            let life = life.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            plan(&faults);
            let done = client().block_on(async {
                clients.check(life.port).await?;
                let work = Duration::from_millis(300 + random.next_u64() % 300);
                clients.work(life.port, Instant::now() + work).await?;
                if cycle == 3 {
                    clients.settle(life.port).await?;
                    clients.check(life.port).await?;
                }
                Ok::<_, String>(())
            });
            life.crash();
            done.unwrap_or_else(|wrong| panic!("seed {seed}, life {cycle}: {wrong}"));
        }
        acked += clients.history.acked();
        if begun.elapsed() > Duration::from_secs(30) {
            break;
        }
    }
    assert!(acked > 100, "only {acked} records were acknowledged");
}

#[test]
fn an_outage_slows_refuses_and_passes() {
    for outage in [Outage::Refused, Outage::Silent] {
        slows_refuses_and_passes(outage);
    }
}

fn slows_refuses_and_passes(outage: Outage) {
    let (store, faults) = store(1);
    let files = SimFiles::new();
    let flags = ["wal.slot.bytes=65536", "wal.unlanded.bytes=1048576", "flush.interval.ms=60000"];
    let life = Life::start(object(&flags), &files, Some(store), 1).unwrap();
    let (core, port) = (life.core().clone(), life.port);
    assert_eq!(core.backlog.log_bytes_max(), u64::MAX, "no disk can be full");
    client().block_on(async {
        let mut wire = Wire::open(port).await.ok().unwrap();
        wire.create("t", 1).await.ok().unwrap();
        let value = vec![7; 200_000];
        let one = batch(-1, -1, std::slice::from_ref(&value));
        let request = produce_request("t", 0, one, 500);
        let answer = wire.call(&request, 11).await.ok().unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        faults.outage(outage);
        for _ in 0..12 {
            let begun = Instant::now();
            let answer = wire.call(&request, 11).await.ok().unwrap();
            // REQUEST_TIMED_OUT: may be tried again.
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 7);
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(5), "{outage:?}: {took:?}");
            let unlanded = core.chain.stats().unlanded_bytes;
            assert!(unlanded < (1 << 20) + 2 * value.len(), "{outage:?}: {unlanded}");
            let mut reader = Wire::open(port).await.ok().unwrap();
            assert_eq!(reader.read("t", 0, 0, 0).await.ok().unwrap().len(), 1);
        }
        faults.outage(Outage::None);
        let until = Instant::now() + Duration::from_secs(20);
        while wire.call(&request, 11).await.ok().unwrap().responses[0].partition_responses[0]
            .error_code
            != 0
        {
            assert!(Instant::now() < until, "{outage:?}: it does not recover");
        }
    });
    drop(core);
    life.crash();
}

/// A log on the disk takes what the store does not: to a limit.
#[test]
fn what_an_outage_leaves_in_the_log_is_bounded() {
    let (store, faults) = store(1);
    let flags = [
        "storage.url=memory://whole",
        "wal.kind=disk",
        "flush.bytes=65536",
        "flush.interval.ms=100",
        "flush.backlog.max.bytes=1048576",
    ];
    let life = Life::start(settings(&flags), &SimFiles::new(), Some(store), 1).unwrap();
    let core = life.core().clone();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        let request = produce_request("t", 0, batch(-1, -1, &[vec![7; 200_000]]), 500);
        let mut acknowledged = 0;
        let mut takes_one = async || {
            let answer = wire.call(&request, 11).await.unwrap();
            let code = answer.responses[0].partition_responses[0].error_code;
            // REQUEST_TIMED_OUT: may be tried again.
            assert!([0, 7].contains(&code), "{code}");
            acknowledged += usize::from(code == 0);
            code == 0
        };
        faults.outage(Outage::Refused);
        let mut taken = 0;
        while takes_one().await {
            taken += 1;
            assert!(taken < 10_000, "there is no limit");
        }
        assert!(taken >= 5, "{taken} are less than the limit");
        // What can never be flushed must not hold what can.
        let at = TopicPartition { topic: core.topic_id("t").unwrap(), partition: 0 };
        core.left_out.store(Arc::new([at].into()));
        until("its trouble is its own", &mut takes_one).await;
        core.left_out.store(Arc::default());
        until("it is held again", async || !takes_one().await).await;
        faults.outage(Outage::None);
        until("it recovers", &mut takes_one).await;
        assert_eq!(wire.read("t", 0, 0, 0).await.unwrap().len(), acknowledged);
    });
    drop(core);
    life.crash();
}

/// Producers do not notice an outage, operators have to.
#[test]
fn an_outage_is_told_where_the_wal_is_a_disk() {
    let (store, faults) = store(1);
    let flags = ["storage.url=memory://whole", "wal.kind=disk"];
    let life = Life::start(settings(&flags), &SimFiles::new(), Some(store), 1).unwrap();
    let readiness = BrokerReadiness(life.core().clone());
    let check = || readiness.checks().into_iter().find(|check| check.name == "object store");
    client().block_on(async {
        assert!(check().unwrap().passed);
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        faults.outage(Outage::Refused);
        let request = produce_request("t", 0, batch(-1, -1, &[vec![7]]), 10_000);
        let answer = wire.call(&request, 11).await.unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        until("a flush fails", async || !check().unwrap().passed).await;
        let told = check().unwrap();
        assert!(!told.required && told.detail.contains("cannot be reached"), "{}", told.detail);
        faults.outage(Outage::None);
        until("the store answers", async || check().unwrap().passed).await;
    });
    drop(readiness);
    life.crash();
}

#[test]
fn five_requests_of_a_connection_are_in_flight_together() {
    let (store, faults) = store(1);
    let life = Life::start(object(&[]), &SimFiles::new(), Some(store), 1).unwrap();
    let (core, port) = (life.core().clone(), life.port);
    client().block_on(async {
        let mut wire = Wire::open(port).await.ok().unwrap();
        wire.create("t", 1).await.ok().unwrap();
        let value = vec![7; 10_000];
        let one = batch(-1, -1, std::slice::from_ref(&value));
        let request = produce_request("t", 0, one, 30_000);
        let slots = On::key(Operation::Put, "/wal/");
        let gate = Gate::new();
        faults.always(slots.clone(), Fault::HeldBefore(gate.clone()));
        for _ in 0..5 {
            wire.send(&request, 11).await.ok().unwrap();
        }
        let in_flight = async || core.chain.stats().unlanded_bytes >= 5 * value.len();
        until("five requests are in flight", in_flight).await;
        faults.clear();
        gate.open();
        faults.always(slots, Fault::Slow(Duration::from_millis(100)));
        let begun = Instant::now();
        for sent in 0..50 {
            let answer = wire.receive::<ProduceRequest>(11).await.ok().unwrap();
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
            if sent < 45 {
                wire.send(&request, 11).await.ok().unwrap();
            }
        }
        // One at a time would take 4.5 s at the least.
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(3_000), "{took:?}");
    });
    drop(core);
    life.crash();
}
