//! Two brokers for tests, nodes 1 and 2: what node 1 leads goes to node 2 once it has taken so many
//! batches.

mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use odradek_common::batch::Batch;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// What happens to node 1 when it has taken its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It stays, and its partitions do.
    None,
    /// It hands its partitions over: it refuses them, and for a while the metadata still names it.
    HandsOver,
    /// It refuses its partitions from then on, and they have no other leader.
    Refuses,
    /// It stores a last batch and is gone before it answers; for a while its partitions have no
    /// leader.
    Dies,
}

/// Batches that node 1 takes before its fate.
const BATCHES_BEFORE: u64 = 20;
/// Answers about metadata that are behind after it.
const BEHIND: u64 = 3;
/// Answers to Fetch come so late if there is nothing.
const FETCH_WAIT: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Log {
    batches: Vec<Bytes>,
    next_offset: i64,
    /// By producer id.
    next_sequences: BTreeMap<i64, i32>,
}

#[derive(Debug)]
struct Fake {
    fate: Fate,
    ports: [u16; 2],
    /// Batches that node 1 has taken.
    taken: AtomicU64,
    /// Answers about metadata since its fate.
    asked: AtomicU64,
    /// Producer ids that were given.
    producers: AtomicI64,
    logs: Mutex<Vec<Log>>,
}

impl Fake {
    /// Starts both; they live as long as the runtime.
    async fn start(partitions: usize, fate: Fate) -> Arc<Self> {
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let two = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ports = [&one, &two].map(|listener| listener.local_addr().unwrap().port());
        let logs = Mutex::new((0..partitions).map(|_| Log::default()).collect());
        let (taken, asked, producers) = Default::default();
        let fake = Arc::new(Self { fate, ports, taken, asked, producers, logs });
        for (node, listener) in [(1, one), (2, two)] {
            let fake = fake.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let fake = fake.clone();
                    tokio::spawn(async move { fake.serve(node, stream).await });
                }
            });
        }
        fake
    }

    fn struck(&self) -> bool {
        self.fate != Fate::None && self.taken.load(Ordering::SeqCst) >= BATCHES_BEFORE
    }

    /// Who leads a partition: the odd ones node 1, as long as it does.
    fn leads(&self, node: i32, partition: i32) -> bool {
        let first = partition % 2 == 1 && !self.struck();
        node == if first { 1 } else { 2 }
    }

    /// One connection; node 1 closes it when it is gone.
    async fn serve(&self, node: i32, mut stream: TcpStream) -> Result<()> {
        loop {
            let length = usize::try_from(stream.read_i32().await?)?;
            let mut frame = vec![0; length];
            stream.read_exact(&mut frame).await?;
            let answer = self.answer(node, frame.into()).await?;
            if node == 1 && self.fate == Fate::Dies && self.struck() {
                bail!("it is dead");
            }
            if let Some(answer) = answer {
                stream.write_all(&answer).await?;
            }
        }
    }

    async fn answer(&self, node: i32, mut frame: Bytes) -> Result<Option<Bytes>> {
        let [key, version] = [0, 2].map(|at| i16::from_be_bytes([frame[at], frame[at + 1]]));
        let api = ApiKey::try_from(key).unwrap();
        let header = RequestHeader::decode(&mut frame, api.request_header_version(version))?;
        let id = header.correlation_id;
        let answer = match api {
            ApiKey::Metadata => encode::<MetadataRequest>(id, version, &self.metadata()),
            ApiKey::CreateTopics => {
                encode::<CreateTopicsRequest>(id, version, &CreateTopicsResponse::default())
            }
            ApiKey::InitProducerId => {
                let producer = self.producers.fetch_add(1, Ordering::SeqCst);
                let answer = InitProducerIdResponse::default().with_producer_id(producer.into());
                encode::<InitProducerIdRequest>(id, version, &answer)
            }
            ApiKey::ListOffsets => {
                let request = ListOffsetsRequest::decode(&mut frame, version)?;
                encode::<ListOffsetsRequest>(id, version, &self.ends(node, &request))
            }
            ApiKey::Fetch => {
                let request = FetchRequest::decode(&mut frame, version)?;
                let answer = self.fetch(node, &request);
                sleep(FETCH_WAIT).await;
                encode::<FetchRequest>(id, version, &answer)
            }
            ApiKey::Produce => {
                let request = ProduceRequest::decode(&mut frame, version)?;
                let answer = self.produce(node, &request);
                if request.acks == 0 {
                    // An error that cannot be told closes the connection.
                    let mut said = answer.responses.iter().flat_map(|at| &at.partition_responses);
                    ensure!(said.all(|said| said.error_code == 0), "an error without an answer");
                    return Ok(None);
                }
                encode::<ProduceRequest>(id, version, &answer)
            }
            other => bail!("{other:?} is not known here"),
        };
        Ok(Some(answer))
    }

    fn metadata(&self) -> MetadataResponse {
        let behind = self.struck()
            && (self.asked.fetch_add(1, Ordering::SeqCst) < BEHIND || self.fate == Fate::Refuses);
        let brokers = [1, 2].map(|node: i32| {
            let port = i32::from(self.ports[usize::try_from(node - 1).unwrap()]);
            let host = StrBytes::from_static_str("127.0.0.1");
            let broker = MetadataResponseBroker::default().with_node_id(node.into());
            broker.with_host(host).with_port(port)
        });
        let partitions = (0..self.logs.lock().len()).map(|index| {
            let index = i32::try_from(index).unwrap();
            let leader = match (behind && index % 2 == 1, self.fate) {
                (true, Fate::Dies) => -1,
                (true, _) => 1,
                (false, _) => 1 + i32::from(self.leads(2, index)),
            };
            let said = MetadataResponsePartition::default().with_partition_index(index);
            said.with_leader_id(leader.into())
        });
        let topic = MetadataResponseTopic::default().with_partitions(partitions.collect());
        MetadataResponse::default().with_brokers(brokers.into()).with_topics(vec![topic])
    }

    fn ends(&self, node: i32, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
        let ends = asked.map(|at| {
            let said = ListOffsetsPartitionResponse::default();
            let said = said.with_partition_index(at.partition_index).with_offset(0);
            said.with_error_code(self.refusal(node, at.partition_index))
        });
        let topic = ListOffsetsTopicResponse::default().with_partitions(ends.collect());
        ListOffsetsResponse::default().with_topics(vec![topic])
    }

    fn fetch(&self, node: i32, request: &FetchRequest) -> FetchResponse {
        let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
        let found = asked.map(|at| {
            let mut records = BytesMut::new();
            for mut batch in self.log(at.partition) {
                records.extend_from_slice(&batch);
                if Batch::split_first(&mut batch).unwrap().header.next_offset() <= at.fetch_offset {
                    records.clear();
                }
            }
            let said = PartitionData::default().with_partition_index(at.partition);
            let code = self.refusal(node, at.partition);
            said.with_error_code(code).with_records((code == 0).then(|| records.freeze()))
        });
        let topic = FetchableTopicResponse::default().with_partitions(found.collect());
        FetchResponse::default().with_responses(vec![topic])
    }

    fn produce(&self, node: i32, request: &ProduceRequest) -> ProduceResponse {
        let asked = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let done = asked.map(|data| {
            let refused = match self.refusal(node, data.index) {
                0 => self.append(data.index, data.records.clone().unwrap()),
                code => code,
            };
            if node == 1 && refused == 0 {
                self.taken.fetch_add(1, Ordering::SeqCst);
            }
            let said = PartitionProduceResponse::default().with_index(data.index);
            said.with_error_code(refused)
        });
        let topic = TopicProduceResponse::default().with_partition_responses(done.collect());
        ProduceResponse::default().with_responses(vec![topic])
    }

    /// Stores a batch; gives back an error code.
    fn append(&self, partition: i32, mut records: Bytes) -> i16 {
        let batch = Batch::split_first(&mut records).unwrap();
        batch.verify().unwrap();
        let header = &batch.header;
        let log = &mut self.logs.lock()[usize::try_from(partition).unwrap()];
        if header.has_producer() {
            let next = log.next_sequences.entry(header.producer_id).or_default();
            if header.base_sequence < *next {
                return ResponseError::DuplicateSequenceNumber.code();
            }
            if header.base_sequence > *next {
                return ResponseError::OutOfOrderSequenceNumber.code();
            }
            *next += header.record_count;
        }
        let mut bytes = BytesMut::new();
        bytes.put_i64(log.next_offset);
        bytes.extend_from_slice(&batch.bytes[8..]);
        log.batches.push(bytes.freeze());
        log.next_offset += i64::from(header.record_count);
        0
    }

    fn refusal(&self, node: i32, partition: i32) -> i16 {
        if self.leads(node, partition) { 0 } else { ResponseError::NotLeaderOrFollower.code() }
    }

    fn log(&self, partition: i32) -> Vec<Bytes> {
        self.logs.lock()[usize::try_from(partition).unwrap()].batches.clone()
    }
}

fn encode<R: Request>(id: i32, version: i16, answer: &R::Response) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(id);
    header.encode(&mut frame, R::Response::header_version(version)).unwrap();
    answer.encode(&mut frame, version).unwrap();
    let length = i32::try_from(frame.len() - 4).unwrap();
    (&mut frame[..4]).put_i32(length);
    frame.freeze()
}
