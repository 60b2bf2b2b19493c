//! Micro benches of what every produced byte goes through, each beside its floor: the checksum alone, or
//! the raw file.
//!
//! ```text
//! cargo bench -p odradek-benches
//! cargo bench -p odradek-benches -- wal
//! ```

#![expect(clippy::cast_possible_truncation, reason = "the numbers are small")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use odradek_benches::load::batch::Gathered;
use odradek_benches::load::options::Codec;
use odradek_common::batch::{Batch, HEADER_LENGTH, crc32c};
use odradek_common::files::RealFiles;
use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, ClusterId, SlotNumber, TopicId, TopicPartition,
};
use odradek_common::random::SeededRandom;
use odradek_storage::names::ChainRef;
use odradek_storage::wal::slot::{BlockDraft, FrozenSlot, Nonce, SlotDraft};
use odradek_storage::wal::{AppendedBatch, DiskOptions, DiskWal, Wal};

const RECORD_BYTES: usize = 1024;
const RECORDS: usize = 16;
const PARTITIONS: usize = 6;
const PRODUCE_VERSION: i16 = 12;
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// A batch of sixteen records of 1 KiB.
fn batch() -> Bytes {
    let mut gathered = Gathered::default();
    for due in 0..RECORDS as u64 {
        gathered.push(1, due, &[7; RECORD_BYTES - 16]);
    }
    gathered.encode(Codec::None, 1, (1, 0, 0)).expect("the batch is encoded")
}

fn parsed() -> Batch {
    Batch::split_first(&mut batch()).expect("our own batch")
}

/// What a batch costs before it is appended; most of it is the checksum.
fn checks(criterion: &mut Criterion) {
    let batch = parsed();
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Bytes(batch.bytes.len() as u64));
    group.bench_function("verify", |bench| bench.iter(|| black_box(&batch).verify().is_ok()));
    let bytes = batch.bytes.slice(HEADER_LENGTH..);
    group.bench_function("floor: crc32c", |bench| bench.iter(|| crc32c(black_box(&bytes))));
    group.finish();
}

/// A Produce request of six batches, from the frame to the crate's structure, guarded.
fn decoding(criterion: &mut Criterion) {
    let frame = produce_frame();
    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("decode produce", |bench| {
        bench.iter(|| odradek_protocol::request::decode(black_box(&frame).clone()).is_ok());
    });
    group.finish();
}

fn produce_frame() -> Bytes {
    let partitions = (0..PARTITIONS as i32)
        .map(|index| PartitionProduceData::default().with_index(index).with_records(Some(batch())))
        .collect();
    let name = TopicName(StrBytes::from_static_str("topic"));
    let topic = TopicProduceData::default().with_name(name).with_partition_data(partitions);
    let request = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![topic]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(PRODUCE_VERSION)
        .with_client_id(None);
    let mut frame = BytesMut::new();
    let header_version = ProduceRequest::header_version(PRODUCE_VERSION);
    header.encode(&mut frame, header_version).expect("the header is encoded");
    request.encode(&mut frame, PRODUCE_VERSION).expect("the request is encoded");
    frame.freeze()
}

/// A slot of `batches` batches over the partitions.
fn draft(number: u64, batches: usize) -> SlotDraft {
    let batch = parsed();
    let chain = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(1), chain: ChainId(0) };
    let block = |partition: usize| BlockDraft {
        partition: at(partition),
        batches: (0..batches / PARTITIONS)
            .map(|nth| {
                let mut header = batch.header;
                header.base_offset = (nth * RECORDS) as i64;
                AppendedBatch {
                    partition: at(partition),
                    encoded_header: Bytes::copy_from_slice(&header.encode()),
                    header,
                    records: batch.records(),
                }
            })
            .collect(),
    };
    SlotDraft {
        cluster: CLUSTER.parse::<ClusterId>().expect("a cluster id"),
        at: chain.slot(SlotNumber(number)),
        predecessors: Arc::new([]),
        blocks: (0..PARTITIONS).map(block).collect(),
    }
}

fn at(partition: usize) -> TopicPartition {
    TopicPartition { topic: TopicId(uuid::Uuid::from_u128(1)), partition: partition as i32 }
}

fn freezing(criterion: &mut Criterion) {
    let bytes = draft(0, 60).freeze(Nonce([0; 16])).length;
    let mut group = criterion.benchmark_group("slot");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("freeze", |bench| {
        let draft = draft(0, 60);
        bench.iter_batched(
            || draft.clone(),
            |draft| draft.freeze(Nonce([0; 16])),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A slot from memory to the disk, beside the same bytes written into a file that is there and synced.
fn writing(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let options = DiskOptions::new(dir.path().join("wal"), CLUSTER.parse().expect("an id"));
    let wal = DiskWal::open(options, Arc::new(RealFiles), Arc::new(SeededRandom::from_os()))
        .expect("a disk");
    let mut number = 0;
    for batches in [PARTITIONS, 10 * PARTITIONS] {
        let bytes = draft(0, batches).freeze(Nonce([0; 16])).length;
        let mut group = criterion.benchmark_group(format!("wal, {} KiB", bytes >> 10));
        group.throughput(Throughput::Bytes(bytes)).sample_size(20);
        group.bench_function("put", |bench| {
            bench.iter_batched(
                || {
                    // Slots are written in their order, from the first one on.
                    let slot = draft(number, batches).freeze(Nonce([0; 16]));
                    number += 1;
                    slot
                },
                |slot| put(&runtime, &wal, &slot),
                BatchSize::PerIteration,
            );
        });
        let raw = vec![7; bytes as usize];
        let file = prepared(&dir.path().join("raw"), &raw);
        group.bench_function("floor: write and fdatasync", |bench| {
            bench.iter(|| {
                file.write_all_at(&raw, 0).expect("written");
                file.sync_data().expect("synced");
            });
        });
        group.finish();
    }
}

fn put(runtime: &tokio::runtime::Runtime, wal: &DiskWal, slot: &FrozenSlot) {
    runtime.block_on(async {
        wal.put(slot).await.expect("written");
        // So that the ring's files are used again, as trimming does it.
        wal.delete(&[slot.at]).await.expect("deleted");
    });
}

fn prepared(path: &Path, bytes: &[u8]) -> File {
    let file = File::options().create(true).write(true).truncate(true).open(path).expect("a file");
    file.write_all_at(bytes, 0).expect("written");
    file.sync_all().expect("synced");
    file
}

criterion_group!(micro, checks, decoding, freezing, writing);
criterion_main!(micro);
