//! What a connection sends behind a batch that was refused: it must not come first, where the partition
//! does not know the producer and would let it begin anywhere.

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use odradek_broker::core::Core;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::TopicPartition;
use odradek_storage::store::faulty::Outage;

use super::life::{Life, settings};
use super::store_faults::{client, object, store};
use super::waiting::until;
use super::wire::{Wire, batch, produce_request};

const UNKNOWN_TOPIC: i16 = 3;
const NOT_LEADER: i16 = 6;
const TIMED_OUT: i16 = 7;
const OUT_OF_ORDER: i16 = 45;

/// Longer than any of these waits.
const PATIENT_MS: i32 = 30_000;

fn value(producer: i64, sequence: i32) -> Vec<u8> {
    format!("{producer}.{sequence}").into_bytes()
}

/// A batch of one record.
fn numbered(producer: i64, sequence: i32, timeout_ms: i32) -> ProduceRequest {
    let records = batch(producer, sequence, &[value(producer, sequence)]);
    produce_request("t", 0, records, timeout_ms)
}

async fn answer(wire: &mut Wire) -> i16 {
    let answer = wire.receive::<ProduceRequest>(11).await.unwrap();
    answer.responses[0].partition_responses[0].error_code
}

async fn send(wire: &mut Wire, producer: i64, sequence: i32) -> i16 {
    wire.send(&numbered(producer, sequence, PATIENT_MS), 11).await.unwrap();
    answer(wire).await
}

/// The client sends again what was refused, in order, and all of it is there once.
async fn comes_again(wire: &mut Wire, producer: i64, sequences: std::ops::Range<i32>) {
    for sequence in sequences.clone() {
        assert_eq!(send(wire, producer, sequence).await, 0, "sequence {sequence}");
    }
    let read = wire.read("t", 0, 0, 0).await.unwrap();
    let read: Vec<Bytes> = read.into_values().collect();
    let sent: Vec<Bytes> = sequences.map(|n| Bytes::from(value(producer, n))).collect();
    assert!(read.ends_with(&sent), "{read:?}");
}

fn log_of(core: &Core) -> std::sync::Arc<odradek_broker::partition::PartitionLog> {
    let at = TopicPartition { topic: core.topic_id("t").unwrap(), partition: 0 };
    core.logs.get(&at).unwrap()
}

#[test]
fn a_topic_that_comes_between_two_batches_does_not_begin_with_the_second() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        let mut other = Wire::open(life.port).await.unwrap();
        assert_eq!(send(&mut wire, 5, 3).await, UNKNOWN_TOPIC);
        other.create("t", 1).await.unwrap();
        // Before that no producer may begin so late.
        until("it was here for a while", async || log_of(life.core()).is_settled()).await;
        for _ in 0..2 {
            assert_eq!(send(&mut wire, 5, 4).await, NOT_LEADER);
        }
        // Nobody else is kept waiting, not even the same producer where it has not been refused.
        assert_eq!(send(&mut wire, 6, 0).await, 0);
        assert_eq!(send(&mut other, 7, 9).await, 0);
        comes_again(&mut wire, 5, 3..6).await;
    });
    life.crash();
}

/// librdkafka may send a batch to the new leader before it has queued the one before it again, which the leader before
/// refused: to be told of the gap would make it number anew at all partitions.
#[test]
fn a_gap_is_told_when_the_partition_was_here_for_a_while() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        assert_eq!(send(&mut wire, 5, 0).await, 0);
        assert_eq!(send(&mut wire, 5, 2).await, NOT_LEADER);
        comes_again(&mut wire, 5, 1..4).await;
        // Nor does a producer that is not known begin behind what may have been its first batch.
        assert_eq!(send(&mut wire, 6, 1).await, NOT_LEADER);
        comes_again(&mut wire, 6, 0..2).await;
        until("the gap is told", async || match send(&mut wire, 5, 9).await {
            OUT_OF_ORDER => true,
            code => {
                assert_eq!(code, NOT_LEADER);
                false
            }
        })
        .await;
        // As in Kafka, who was forgotten may go on where it stands.
        assert_eq!(send(&mut wire, 7, 9).await, 0);
    });
    life.crash();
}

/// A refusal does not outlive the partition's knowledge of the producer, however that came here.
#[test]
fn what_was_appended_elsewhere_meanwhile_is_gone_on_with() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        let mut other = Wire::open(life.port).await.unwrap();
        assert_eq!(send(&mut wire, 5, 0).await, UNKNOWN_TOPIC);
        other.create("t", 1).await.unwrap();
        assert_eq!(send(&mut other, 5, 0).await, 0);
        assert_eq!(send(&mut wire, 5, 1).await, 0);
    });
    life.crash();
}

#[test]
fn a_partition_that_stays_after_all_does_not_go_on_with_what_was_sent_behind_a_refused_batch() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        let log = log_of(life.core());
        assert!(log.freeze());
        wire.send(&numbered(5, 0, 200), 11).await.unwrap();
        for sequence in 1..3 {
            wire.send(&numbered(5, sequence, PATIENT_MS), 11).await.unwrap();
        }
        assert_eq!(answer(&mut wire).await, NOT_LEADER);
        log.thaw();
        for _ in 1..3 {
            assert_eq!(answer(&mut wire).await, NOT_LEADER);
        }
        comes_again(&mut wire, 5, 0..3).await;
    });
    life.crash();
}

#[test]
fn a_store_that_keeps_up_again_does_not_begin_with_what_was_sent_behind_a_refused_batch() {
    let (store, faults) = store(1);
    let flags = ["wal.slot.bytes=65536", "wal.unlanded.bytes=1048576", "flush.interval.ms=60000"];
    let life = Life::start(object(&flags), &SimFiles::new(), Some(store), 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 1).await.unwrap();
        faults.outage(Outage::Refused);
        let filling = produce_request("t", 0, batch(-1, -1, &[vec![7; 200_000]]), 200);
        for _ in 0..8 {
            wire.send(&filling, 11).await.unwrap();
            assert_eq!(answer(&mut wire).await, TIMED_OUT);
        }
        wire.send(&numbered(5, 0, 200), 11).await.unwrap();
        wire.send(&numbered(5, 1, PATIENT_MS), 11).await.unwrap();
        assert_eq!(answer(&mut wire).await, TIMED_OUT);
        assert_eq!(answer(&mut wire).await, NOT_LEADER);
        faults.outage(Outage::None);
        comes_again(&mut wire, 5, 0..2).await;
    });
    life.crash();
}
