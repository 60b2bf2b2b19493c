use clap::Parser as _;
use odradek_common::batch::{Records, batches};
use odradek_protocol::compression::decompress;

use super::super::batch::due_times;
use super::super::options::Options;
use super::super::report;
use super::super::run::{Measured, run};
use super::*;

const PARTITIONS: usize = 4;

async fn measure(fate: Fate, more: &[&str]) -> (Arc<Fake>, Options, Measured) {
    let fake = Fake::start(PARTITIONS, fate).await;
    let bootstrap = format!("127.0.0.1:{}", fake.ports[0]);
    let usual = ["odradek-bench", "--warmup=0", "--duration=1"];
    let usual = usual.iter().chain(&[
        "--linger-ms=1",
        "--record-size=100",
        "--batch-bytes=1000",
        "--bootstrap",
    ]);
    let options =
        Options::parse_from(usual.copied().chain([&*bootstrap]).chain(more.iter().copied()));
    let measured = run(&options).await.unwrap();
    (fake, options, measured)
}

/// When the records of a partition were due, in the order of its log.
fn due_in_log(fake: &Fake, partition: i32) -> Vec<u64> {
    let mut due = Vec::new();
    for bytes in fake.log(partition) {
        for batch in batches(bytes) {
            let batch = batch.unwrap();
            let records =
                decompress(batch.header.compression().unwrap(), &batch.records(), 1 << 20);
            let records = records.unwrap();
            let first = Records::new(&records, 1).next().unwrap().unwrap();
            let run = first.value.unwrap()[..8].try_into().unwrap();
            due_times(&batch, u64::from_be_bytes(run), |due_ns| due.push(due_ns)).unwrap();
        }
    }
    due
}

fn all_is_delivered_once(fake: &Fake, measured: &Measured) {
    let errors = &measured.errors;
    assert_eq!((measured.acked, measured.read, measured.failed), (1000, 1000, 0), "{errors:?}");
    assert_eq!((measured.produce.count(), measured.end_to_end.count()), (1000, 1000));
    let logs: Vec<_> = (0..4).map(|partition| due_in_log(fake, partition)).collect();
    assert_eq!(logs.iter().map(Vec::len).sum::<usize>(), 1000);
    assert!(logs.iter().all(|log| log.is_sorted()), "in the order in which they were due");
}

#[tokio::test]
async fn every_leader_gets_what_it_leads() {
    let (fake, options, measured) = measure(Fate::None, &["--producers=2", "--consumers=2"]).await;
    assert_eq!((measured.acked, measured.read, measured.failed), (1000, 1000, 0));
    assert!(measured.errors.is_empty(), "{:?}", measured.errors);
    assert!((0..4).all(|partition| !fake.log(partition).is_empty()));
    let shown = report::text(&options, &measured).unwrap();
    assert!(shown.contains("stall       max") && !shown.contains("socket"), "{shown}");
}

#[tokio::test]
async fn a_handover_loses_nothing_and_is_a_stall() {
    let (fake, options, measured) = measure(Fate::HandsOver, &[]).await;
    all_is_delivered_once(&fake, &measured);
    assert!(measured.errors.contains_key("NotLeaderOrFollower"), "{:?}", measured.errors);
    let shown = report::json(&options, &measured);
    assert!([1, 3].contains(&shown["stall"]["partition"].as_i64().unwrap()), "{shown}");
    // The least pause; late records count from when they were due.
    assert!(shown["stall"]["max_ms"].as_f64().unwrap() >= 20.0, "{shown}");
    assert!(measured.produce.max_ms() >= 20.0, "{shown}");
}

#[tokio::test]
async fn a_dead_broker_is_left_though_it_was_the_bootstrap() {
    let (fake, _, measured) = measure(Fate::Dies, &["--compression=snappy"]).await;
    // What was stored and not answered was sent again, and is there once.
    all_is_delivered_once(&fake, &measured);
    assert!(!measured.errors.is_empty());
}

#[tokio::test]
async fn what_cannot_be_delivered_has_failed_and_holds_nobody() {
    let more = ["--delivery-timeout=1", "--consumers=0"];
    let (fake, _, measured) = measure(Fate::Refuses, &more).await;
    assert_eq!(measured.acked + measured.failed, 1000, "{:?}", measured.errors);
    let stored: usize = (0..4).map(|partition| due_in_log(&fake, partition).len()).sum();
    assert_eq!(measured.acked, stored as u64);
    assert!(measured.failed > 0 && measured.acked >= 500, "{measured:?}");
    let stall = measured.stall.unwrap();
    assert!(stall.partition % 2 == 1 && stall.length_ns() >= 1_000_000_000, "{stall:?}");
}

#[tokio::test]
async fn without_acknowledgements_produce_ends_at_the_socket() {
    let more = ["--acks=0", "--consumers=0"];
    let (fake, options, measured) = measure(Fate::HandsOver, &more).await;
    // A connection that is closed tells that the leader is another; what it was sent is lost.
    assert_eq!((measured.acked, measured.failed), (1000, 0), "{:?}", measured.errors);
    let stored: usize = (0..4).map(|partition| due_in_log(&fake, partition).len()).sum();
    assert!((500..1000).contains(&stored), "{stored}");
    let shown = report::text(&options, &measured).unwrap();
    assert!(shown.contains("to the socket"), "{shown}");
}
