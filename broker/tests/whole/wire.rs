//! A connection that may have several requests in flight.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use odradek_common::batch::batches;
use odradek_protocol::records::{BatchBuilder, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a broker.
pub struct Wire {
    stream: TcpStream,
    correlation_id: i32,
}

/// Why a call has no answer that counts: an error of the connection, or Kafka's code.
#[derive(Debug)]
pub enum Failed {
    Lost,
    Code(i16),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost => f.write_str("the connection was lost"),
            Self::Code(code) => write!(f, "error code {code}"),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(_: std::io::Error) -> Self {
        Self::Lost
    }
}

pub fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

impl Wire {
    pub async fn open(port: u16) -> Result<Self, Failed> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation_id: 0 })
    }

    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), Failed> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("whole")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        let length = i32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next answer; answers come in the order of requests.
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, Failed> {
        let length = self.stream.read_i32().await?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut frame).await?;
        let mut frame = Bytes::from(frame);
        ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        Ok(R::Response::decode(&mut frame, version).unwrap())
    }

    pub async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, Failed> {
        self.send(request, version).await?;
        self.receive::<R>(version).await
    }

    /// Makes a topic.
    pub async fn create(&mut self, topic: &str, partitions: i32) -> Result<(), Failed> {
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1);
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        match self.call(&request, 7).await?.topics[0].error_code {
            0 => Ok(()),
            code => Err(Failed::Code(code)),
        }
    }

    /// Everything of a partition from `offset` up to the high watermark, by offset.
    pub async fn read(
        &mut self,
        topic: &str,
        partition: i32,
        mut offset: i64,
        wait_ms: i32,
    ) -> Result<BTreeMap<i64, Bytes>, Failed> {
        let mut found = BTreeMap::new();
        loop {
            let request = fetch_request(topic, partition, offset, wait_ms);
            let answer = self.call(&request, 12).await?;
            let data = answer.responses.into_iter().flat_map(|t| t.partitions).next().unwrap();
            if data.error_code != 0 {
                return Err(Failed::Code(data.error_code));
            }
            for batch in batches(data.records.unwrap_or_default()) {
                let batch = batch.unwrap();
                batch.verify().unwrap();
                for record in decode(&batch, 1 << 20).unwrap() {
                    let record = record.unwrap();
                    if record.offset >= offset {
                        found.insert(record.offset, record.value.unwrap());
                    }
                }
                offset = batch.header.next_offset();
            }
            if offset >= data.high_watermark || wait_ms > 0 {
                return Ok(found);
            }
        }
    }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64, wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(8 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// A batch of an idempotent producer.
pub fn batch(producer: i64, sequence: i32, values: &[Vec<u8>]) -> Bytes {
    let mut builder = BatchBuilder::new(1 << 20).producer(producer, 0, sequence);
    for value in values {
        builder.push(1_000, None, Some(value), &[]).unwrap();
    }
    builder.build().unwrap().bytes
}

pub fn produce_request(
    topic: &str,
    partition: i32,
    records: Bytes,
    timeout_ms: i32,
) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(timeout_ms).with_topic_data(vec![topic])
}
