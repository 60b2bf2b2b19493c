//! A connection to a broker that may have several requests in flight, over any network, and the
//! requests that tests send most.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use odradek_common::batch::{Batch, batches};
use odradek_common::net::{Connection, Network, RealNetwork};
use odradek_protocol::records::{BatchBuilder, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes of an answer.
const ANSWER_BYTES: usize = 64 << 20;

/// Bytes of a batch, and of what its records come to.
const BATCH_BYTES: usize = 1 << 20;

/// A connection to a broker.
#[derive(Debug)]
pub struct Wire {
    connection: Connection,
    correlation_id: i32,
}

/// Why a call has no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The connection: whether the request had an effect is not known.
    #[error("the connection was lost")]
    Lost,
    /// Kafka's code.
    #[error("error code {0}")]
    Code(i16),
    /// What no broker may answer.
    #[error("a malformed answer: {0}")]
    Malformed(String),
}

impl Failed {
    /// An error if `code` is one.
    ///
    /// # Errors
    /// [`Failed::Code`].
    pub fn check(code: i16) -> Result<(), Self> {
        if code == 0 { Ok(()) } else { Err(Self::Code(code)) }
    }
}

impl From<std::io::Error> for Failed {
    fn from(_: std::io::Error) -> Self {
        Self::Lost
    }
}

fn malformed(what: impl std::fmt::Display) -> Failed {
    Failed::Malformed(what.to_string())
}

/// A topic's name in a request.
#[must_use]
pub fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

impl Wire {
    /// Connects to a broker on this machine.
    ///
    /// # Errors
    /// [`Failed::Lost`].
    pub async fn open(port: u16) -> Result<Self, Failed> {
        Self::connect(&RealNetwork, "127.0.0.1", port).await
    }

    /// Connects over `network`.
    ///
    /// # Errors
    /// [`Failed::Lost`].
    pub async fn connect(network: &dyn Network, host: &str, port: u16) -> Result<Self, Failed> {
        Ok(Self { connection: network.connect(host, port).await?, correlation_id: 0 })
    }

    /// Sends a request and does not wait for its answer.
    ///
    /// # Errors
    /// [`Failed::Lost`]; [`Failed::Malformed`] if the request is.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), Failed> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(malformed)?;
        request.encode(&mut frame, version).map_err(malformed)?;
        let length = i32::try_from(frame.len() - 4).map_err(malformed)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(self.connection.writer.write_all(&frame).await?)
    }

    /// The next answer, read to its last byte; answers come in the order of requests.
    ///
    /// # Errors
    /// [`Failed::Lost`], [`Failed::Malformed`].
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, Failed> {
        let length = self.connection.reader.read_i32().await?;
        let length = usize::try_from(length).ok().filter(|length| *length <= ANSWER_BYTES);
        let mut frame = vec![0; length.ok_or_else(|| malformed("its length"))?];
        self.connection.reader.read_exact(&mut frame).await?;
        let mut frame = Bytes::from(frame);
        ResponseHeader::decode(&mut frame, R::Response::header_version(version))
            .map_err(malformed)?;
        let answer = R::Response::decode(&mut frame, version).map_err(malformed)?;
        if frame.is_empty() {
            Ok(answer)
        } else {
            Err(malformed(format_args!("{} bytes behind its end", frame.len())))
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`Failed::Lost`], [`Failed::Malformed`].
    pub async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, Failed> {
        self.send(request, version).await?;
        self.receive::<R>(version).await
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn create(&mut self, topic: &str, partitions: i32) -> Result<(), Failed> {
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1);
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = self.call(&request, 7).await?;
        let topic = answer.topics.first().ok_or_else(|| malformed("no topic"))?;
        Failed::check(topic.error_code)
    }

    /// Everything of a partition from `offset` up to the high watermark, by offset; with `wait_ms`
    /// what one fetch gives that waits so long.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn read(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        wait_ms: i32,
    ) -> Result<BTreeMap<i64, Bytes>, Failed> {
        let mut found = BTreeMap::new();
        for batch in self.batches(topic, partition, offset, wait_ms).await? {
            for record in decode(&batch, BATCH_BYTES).map_err(malformed)? {
                let record = record.map_err(malformed)?;
                if record.offset >= offset {
                    found.insert(record.offset, record.value.unwrap_or_default());
                }
            }
        }
        Ok(found)
    }

    /// The batches of a partition, as [`Self::read`] reads them.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn batches(
        &mut self,
        topic: &str,
        partition: i32,
        mut offset: i64,
        wait_ms: i32,
    ) -> Result<Vec<Batch>, Failed> {
        let mut found = Vec::new();
        loop {
            let request = fetch_request(topic, partition, offset, wait_ms);
            let answer = self.call(&request, 12).await?;
            let data = answer.responses.into_iter().flat_map(|t| t.partitions).next();
            let data = data.ok_or_else(|| malformed("no partition"))?;
            Failed::check(data.error_code)?;
            for batch in batches(data.records.unwrap_or_default()) {
                let batch = batch.map_err(malformed)?;
                batch.verify().map_err(malformed)?;
                offset = batch.header.next_offset();
                found.push(batch);
            }
            if offset >= data.high_watermark || wait_ms > 0 {
                return Ok(found);
            }
        }
    }
}

/// A fetch of one partition, without a session.
#[must_use]
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

/// The timestamp of records for which it does not matter, in milliseconds.
const TIMESTAMP_MS: i64 = 1_000;

/// A batch of an idempotent producer. Values that do not fit, or none, make no batch.
#[must_use]
pub fn batch(producer: i64, sequence: i32, values: &[Vec<u8>]) -> Bytes {
    batch_at(TIMESTAMP_MS, producer, sequence, values)
}

/// As [`batch`], of records with a timestamp.
#[must_use]
pub fn batch_at(timestamp_ms: i64, producer: i64, sequence: i32, values: &[Vec<u8>]) -> Bytes {
    let mut builder = BatchBuilder::new(BATCH_BYTES).producer(producer, 0, sequence);
    let mut push = |value: &Vec<u8>| builder.push(timestamp_ms, None, Some(value), &[]);
    let pushed = values.iter().try_for_each(&mut push);
    pushed.ok().and_then(|()| builder.build()).map(|batch| batch.bytes).unwrap_or_default()
}

/// A produce request for one partition that waits until it is durable.
#[must_use]
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
