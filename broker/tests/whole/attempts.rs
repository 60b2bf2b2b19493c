//! Attempts that take long, and backlogs, with the object WAL.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use odradek_broker::background::flush;
use odradek_broker::core::Core;
use odradek_common::files::sim::SimFiles;
use odradek_common::random::SeededRandom;
use odradek_storage::names::ObjectKind;
use odradek_storage::store::Operation;
use odradek_storage::store::faulty::{Fault, Faults, Faulty, Gate, On};

use super::life::{Life, settings};
use super::waiting::until;
use super::wire::{Wire, batch, produce_request};

/// A broker that flushes and merges when it is told to only, and collects all the time.
fn start() -> (Life, Faults) {
    let store = Faulty::new(Arc::new(InMemory::new()), Arc::new(SeededRandom::from_seed(1)));
    let faults = store.faults();
    let flags = [
        "storage.url=memory://whole",
        "wal.kind=object",
        "flush.interval.ms=3600000",
        "merge.interval.ms=3600000",
    ];
    let life = Life::start(settings(&flags), &SimFiles::new(), Some(Arc::new(store)), 1);
    (life.unwrap(), faults)
}

fn client() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn produce(wire: &mut Wire, partition: i32, value: &[u8]) {
    let records = batch(-1, -1, &[value.to_vec()]);
    let answer = wire.call(&produce_request("t", partition, records, 30_000), 11).await;
    let answer = answer.ok().unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

fn is_flushed(core: &Core) -> bool {
    let mut offsets = core.logs.all().into_iter().map(|log| log.offsets());
    offsets.all(|at| at.flushed_end == at.high_watermark)
}

#[test]
fn an_attempt_may_take_longer_than_the_grace() {
    let (life, faults) = start();
    let (core, port) = (life.core().clone(), life.port);
    client().block_on(async {
        let mut wire = Wire::open(port).await.ok().unwrap();
        wire.create("t", 1).await.ok().unwrap();
        produce(&mut wire, 0, b"one").await;
        let gate = Gate::new();
        faults.always(On::key(Operation::Put, "/seg/"), Fault::HeldBefore(gate.clone()));
        let flushing = {
            let core = core.clone();
            tokio::spawn(async move { flush::now(&core).await })
        };
        gate.arrived(1).await;
        wire.create("u", 1).await.ok().unwrap();
        // Each round of the collector lists the folders of all kinds and that of the slots. The
        // first may have begun before.
        let rounds = |count: u64| count * (ObjectKind::ALL.len() as u64 + 1);
        let enough = faults.requests(Operation::List) + rounds(3);
        until("rounds of the collector", async || faults.requests(Operation::List) >= enough).await;
        faults.clear();
        gate.open();
        let left_out = flushing.await.unwrap().unwrap();
        assert!(left_out.is_empty() && is_flushed(&core));
        assert_eq!(core.attempts.oldest(), None);
    });
    drop(core);
    life.crash();
}

#[test]
fn a_backlog_is_flushed_round_by_round() {
    let (life, _faults) = start();
    let (core, port) = (life.core().clone(), life.port);
    client().block_on(async {
        let mut wire = Wire::open(port).await.ok().unwrap();
        wire.create("t", 3).await.ok().unwrap();
        for round in 0..5u8 {
            for partition in 0..3 {
                produce(&mut wire, partition, &[round; 100]).await;
            }
        }
        // Each append was acknowledged before the next came, so each lies in a slot of its own.
        let left_out = flush::in_rounds_of(&core, 1).await.unwrap();
        assert!(left_out.is_empty() && is_flushed(&core));
        assert_eq!(core.image().index_objects().count(), 15);
        let trimmed =
            core.image().registration(core.me).and_then(|r| r.trim_point(core.chain_id()));
        assert_eq!(trimmed, Some(core.chain.stats().landed_end));
        for partition in 0..3 {
            let read = wire.read("t", partition, 0, 0).await.ok().unwrap();
            let expected = (0..5i64).zip((0..5u8).map(|round| Bytes::from(vec![round; 100])));
            assert!(read.into_iter().eq(expected));
        }
    });
    drop(core);
    life.crash();
}
