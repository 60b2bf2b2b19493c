//! Record batches, good and bad, and the requests that carry them.

use anyhow::{Context, Result};
use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use odradek_common::batch::{BatchHeader, HEADER_LENGTH, LOG_OVERHEAD};
use odradek_common::clock::{Clock, SystemClock};

use crate::wire::{Peer, name};

/// A batch whose fields may be made to lie before it is built.
#[derive(Clone, Debug)]
pub struct Maker {
    /// The header; length and CRC are set by [`Self::build`].
    pub header: BatchHeader,
    /// The records as they stand on the wire, compressed or not.
    pub records: Vec<u8>,
}

impl Maker {
    /// A batch of these keys and values.
    pub fn of(records: &[(Option<&[u8]>, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (index, (key, value)) in (0..).zip(records) {
            put_record(&mut bytes, index, *key, value);
        }
        Self::new(bytes, i32::try_from(records.len()).unwrap_or(i32::MAX))
    }

    /// A batch of `count` records that stand in `records`.
    pub fn new(records: Vec<u8>, count: i32) -> Self {
        let now = SystemClock.now_ms();
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: count.saturating_sub(1),
            base_timestamp: now,
            max_timestamp: now,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: count,
        };
        Self { header, records }
    }

    /// With records said to be compressed: 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn compressed(mut self, codec: i16) -> Self {
        self.header.attributes |= codec;
        self
    }

    /// With a header changed.
    pub fn with(mut self, change: impl FnOnce(&mut BatchHeader)) -> Self {
        change(&mut self.header);
        self
    }

    /// The batch, with its true length and CRC.
    pub fn build(mut self) -> Bytes {
        let length = HEADER_LENGTH - LOG_OVERHEAD + self.records.len();
        self.header.batch_length = i32::try_from(length).unwrap_or(i32::MAX);
        self.header.set_crc(&self.records);
        [&self.header.encode()[..], &self.records].concat().into()
    }
}

/// One record with the offset delta `index` and a timestamp delta of 0.
pub fn put_record(out: &mut Vec<u8>, index: i64, key: Option<&[u8]>, value: &[u8]) {
    let mut body = vec![0, 0];
    put_varint(&mut body, index);
    match key {
        Some(key) => {
            put_varint(&mut body, length(key));
            body.extend(key);
        }
        None => put_varint(&mut body, -1),
    }
    put_varint(&mut body, length(value));
    body.extend(value);
    body.push(0);
    put_varint(out, length(&body));
    out.extend(body);
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

/// A zig-zag variable-length number.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// A variable-length number.
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A request with `records` for partition 0.
pub fn produce_request(topic: &str, records: Option<Bytes>) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(0).with_records(records);
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// Produces to partition 0; what the broker says of it.
pub async fn produce(
    peer: &mut Peer,
    topic: &str,
    records: Bytes,
) -> Result<PartitionProduceResponse> {
    let mut answer = peer.call(&produce_request(topic, Some(records)), 9).await?;
    let mut topic = answer.responses.pop().context("no topic is answered")?;
    topic.partition_responses.pop().context("no partition is answered")
}
