//! Batches for tests.

use bytes::Bytes;
use odradek_common::batch::{Batch, BatchHeader, HEADER_LENGTH, LOG_OVERHEAD};

/// An uncompressed batch of keys and values, every record at `timestamp`.
pub(crate) fn batch_of(records: &[(Option<&str>, &str)], timestamp: i64) -> Batch {
    let mut bytes = Vec::new();
    for (i, (key, value)) in records.iter().enumerate() {
        let mut body = vec![0, 0, u8::try_from(i * 2).unwrap()];
        match key {
            None => body.push(1),
            Some(key) => put(&mut body, key),
        }
        put(&mut body, value);
        body.push(0);
        bytes.push(u8::try_from(body.len() * 2).unwrap());
        bytes.extend(body);
    }
    let count = i32::try_from(records.len()).unwrap();
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: i32::try_from(bytes.len() + HEADER_LENGTH - LOG_OVERHEAD).unwrap(),
        leader_epoch: -1,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: count,
    };
    header.set_crc(&bytes);
    let mut whole = header.encode().to_vec();
    whole.extend(bytes);
    Batch { header, bytes: Bytes::from(whole) }
}

/// A batch of `count` records of the producer, from sequence `first`.
pub(crate) fn sequenced(producer_id: i64, epoch: i16, first: i32, count: usize) -> Batch {
    let mut batch = batch_of(&vec![(None, "v"); count], 1);
    let records = batch.records();
    batch.header.producer_id = producer_id;
    batch.header.producer_epoch = epoch;
    batch.header.base_sequence = first;
    batch.header.set_crc(&records);
    let mut whole = batch.header.encode().to_vec();
    whole.extend(records);
    Batch { header: batch.header, bytes: whole.into() }
}

fn put(body: &mut Vec<u8>, text: &str) {
    body.push(u8::try_from(text.len() * 2).unwrap());
    body.extend(text.as_bytes());
}
