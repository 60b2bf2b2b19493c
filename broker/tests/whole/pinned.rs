//! A slot that does not land keeps the frames that its batches came in. Where little of a frame was kept, all of it
//! counts among the requests until then, whatever became of its answer.

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use odradek_common::files::sim::SimFiles;
use odradek_storage::store::faulty::Outage;

use super::life::{Life, settings};
use super::store_faults::{client, object, store};
use super::waiting::until;
use super::wire::{Wire, batch, produce_request};

const JUNK_BYTES: usize = 1 << 20;
const FRAMES: usize = 4;

/// One batch, and much that is none, of which nobody waits to hear.
fn mostly_junk() -> ProduceRequest {
    let mut request = produce_request("t", 0, batch(-1, -1, &[vec![7]]), 0);
    let junk = Some(Bytes::from(vec![0; JUNK_BYTES]));
    let junk = PartitionProduceData::default().with_index(1).with_records(junk);
    request.topic_data[0].partition_data.push(junk);
    request
}

/// Sends them, and answers what the requests hold when all are answered.
async fn held(life: &Life, wire: &mut Wire) -> usize {
    for _ in 0..FRAMES {
        let answer = wire.call(&mostly_junk(), 11).await.unwrap();
        assert_ne!(answer.responses[0].partition_responses[1].error_code, 0);
    }
    life.core().request_bytes.used()
}

#[test]
fn what_slots_keep_of_mostly_refused_frames_counts_until_they_land() {
    let (store, faults) = store(1);
    let life = Life::start(object(&[]), &SimFiles::new(), Some(store), 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 2).await.unwrap();
        faults.outage(Outage::Refused);
        assert!(held(&life, &mut wire).await >= FRAMES * JUNK_BYTES);
        drop(wire);
        faults.outage(Outage::None);
        until("nothing is held", async || life.core().request_bytes.used() == 0).await;
    });
    life.crash();
}

#[test]
fn on_a_disk_they_are_let_go_at_once() {
    let life = Life::start(settings(&["wal.kind=disk"]), &SimFiles::new(), None, 1).unwrap();
    client().block_on(async {
        let mut wire = Wire::open(life.port).await.unwrap();
        wire.create("t", 2).await.unwrap();
        held(&life, &mut wire).await;
        until("nothing is held", async || life.core().request_bytes.used() == 0).await;
    });
    life.crash();
}
