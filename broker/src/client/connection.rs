//! One connection to one broker: a request, its answer, the next request.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    AddRaftVoterRequest, AlterPartitionReassignmentsRequest, ApiKey, CreateTopicsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeQuorumRequest,
    FetchRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, ProduceRequest, RemoveRaftVoterRequest,
    RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use odradek_common::limits::{CLIENT_ANSWER_BYTES, CLIENT_CALL_MS, CLIENT_FETCH_BYTES};
use odradek_protocol::guard;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ClientError;

/// A request of the one version that this client speaks: one that Odradek and Apache Kafka 4 serve.
pub(super) trait Spoken: Request {
    /// The version.
    const VERSION: i16;
    /// Its name.
    const NAME: &'static str;
    /// Bytes of an answer to it.
    const ANSWER_BYTES: usize = CLIENT_ANSWER_BYTES;
}

macro_rules! spoken {
    ($($request:ident $name:literal $version:literal;)*) => {
        $(impl Spoken for $request {
            const VERSION: i16 = $version;
            const NAME: &'static str = $name;
        })*
    };
}

spoken! {
    MetadataRequest "Metadata" 12;
    CreateTopicsRequest "CreateTopics" 7;
    DeleteTopicsRequest "DeleteTopics" 6;
    DescribeConfigsRequest "DescribeConfigs" 4;
    ListOffsetsRequest "ListOffsets" 7;
    InitProducerIdRequest "InitProducerId" 4;
    ProduceRequest "Produce" 11;
    DescribeClusterRequest "DescribeCluster" 2;
    DescribeQuorumRequest "DescribeQuorum" 2;
    AddRaftVoterRequest "AddRaftVoter" 0;
    RemoveRaftVoterRequest "RemoveRaftVoter" 0;
    AlterPartitionReassignmentsRequest "AlterPartitionReassignments" 0;
    ListPartitionReassignmentsRequest "ListPartitionReassignments" 0;
    IncrementalAlterConfigsRequest "IncrementalAlterConfigs" 1;
}

impl Spoken for FetchRequest {
    const VERSION: i16 = 12;
    const NAME: &'static str = "Fetch";
    const ANSWER_BYTES: usize = CLIENT_ANSWER_BYTES + CLIENT_FETCH_BYTES.unsigned_abs() as usize;
}

/// A connection; of no use any more after a call on it has failed.
#[derive(Debug)]
pub(super) struct Connection {
    address: String,
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects to `address`, as HOST:PORT, within the time of a call.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub(super) async fn open(address: &str) -> Result<Self, ClientError> {
        let opened = match timeout(Duration::from_millis(CLIENT_CALL_MS), connect(address)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let address = address.to_owned();
        match opened {
            Ok(stream) => Ok(Self { address, stream, correlation_id: 0 }),
            Err(source) => Err(ClientError::Unreachable { address, source }),
        }
    }

    /// Sends a request and waits for its answer, at most the time of a call and `extra` on top.
    ///
    /// # Errors
    /// [`ClientError::Lost`], [`ClientError::Timeout`], [`ClientError::Malformed`],
    /// [`ClientError::Request`].
    pub(super) async fn call<R: Spoken>(
        &mut self,
        request: &R,
        extra: Duration,
    ) -> Result<R::Response, ClientError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode(request, self.correlation_id)
            .map_err(|reason| ClientError::Request { api: R::NAME, reason })?;
        let wait = Duration::from_millis(CLIENT_CALL_MS) + extra;
        let answer = match timeout(wait, exchange(&mut self.stream, &frame, R::ANSWER_BYTES)).await
        {
            Ok(Ok(answer)) => answer,
            Ok(Err(source)) => {
                let address = self.address.clone();
                return Err(ClientError::Lost { address, api: R::NAME, source });
            }
            Err(_) => {
                let (address, wait_ms) = (self.address.clone(), wait.as_millis());
                return Err(ClientError::Timeout { address, api: R::NAME, wait_ms });
            }
        };
        decode::<R>(answer, self.correlation_id).map_err(|reason| ClientError::Malformed {
            address: self.address.clone(),
            api: R::NAME,
            reason,
        })
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(stream: &mut TcpStream, frame: &[u8], max_bytes: usize) -> io::Result<Bytes> {
    stream.write_all(frame).await?;
    let length = stream.read_i32().await?;
    let length = usize::try_from(length).ok().filter(|length| *length <= max_bytes);
    let Some(length) = length else {
        let text = format!("an answer that is said to have more than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    };
    // Grows with what comes, not with what is announced.
    let mut answer = Vec::new();
    stream.take(length as u64).read_to_end(&mut answer).await?;
    if answer.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.into())
}

fn encode<R: Spoken>(request: &R, correlation_id: i32) -> Result<Bytes, String> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(R::VERSION)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("odradek")));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header
        .encode(&mut frame, R::header_version(R::VERSION))
        .and_then(|()| request.encode(&mut frame, R::VERSION))
        .map_err(|error| format!("{error:#}"))?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| "it is too long".to_owned())?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

fn decode<R: Spoken>(mut answer: Bytes, correlation_id: i32) -> Result<R::Response, String> {
    let version = <R::Response as HeaderVersion>::header_version(R::VERSION);
    let header = ResponseHeader::decode(&mut answer, version).map_err(|e| format!("{e:#}"))?;
    if header.correlation_id != correlation_id {
        return Err(format!("it answers call {}, not {correlation_id}", header.correlation_id));
    }
    // The decoder believes what it is told of counts and lengths.
    let api = ApiKey::try_from(R::KEY).map_err(|()| format!("API {} is not known", R::KEY))?;
    guard::check_answer(api, R::VERSION, &answer).map_err(|e| e.to_string())?;
    let body = R::Response::decode(&mut answer, R::VERSION).map_err(|e| format!("{e:#}"))?;
    if !answer.is_empty() {
        return Err(format!("{} bytes left over", answer.len()));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::MetadataResponse;
    use odradek_protocol::versions::is_served;

    fn held<R: Spoken>() {
        let api = ApiKey::try_from(R::KEY).unwrap();
        assert!(is_served(api, R::VERSION), "{api:?}");
        assert_eq!(format!("{api:?}"), R::NAME);
    }

    #[test]
    fn what_is_spoken_is_served() {
        held::<MetadataRequest>();
        held::<CreateTopicsRequest>();
        held::<DeleteTopicsRequest>();
        held::<DescribeConfigsRequest>();
        held::<ListOffsetsRequest>();
        held::<InitProducerIdRequest>();
        held::<ProduceRequest>();
        held::<FetchRequest>();
    }

    #[test]
    fn a_request_is_what_the_broker_reads() {
        let topics = Some(Vec::new());
        let request = MetadataRequest::default().with_topics(topics);
        let frame = encode(&request, 7).unwrap();
        let length = i32::from_be_bytes(frame[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
        let read = odradek_protocol::request::decode(frame.slice(4..)).unwrap();
        assert_eq!(read.header.correlation_id, 7);
    }

    #[test]
    fn an_answer_to_another_call_is_no_answer() {
        let body = MetadataResponse::default().with_controller_id(3.into());
        let frame = odradek_protocol::response::encode(ApiKey::Metadata, 12, 9, &body.into());
        let answer = frame.unwrap().slice(4..);
        let read = decode::<MetadataRequest>(answer.clone(), 9).unwrap();
        assert_eq!(read.controller_id, 3);
        assert!(decode::<MetadataRequest>(answer.clone(), 8).is_err());
        assert!(decode::<MetadataRequest>(answer.slice(..answer.len() - 1), 9).is_err());
    }

    #[test]
    fn an_answer_whose_counts_lie_is_malformed() {
        // The correlation id, tags of the header, no throttling, and 2^31-1 brokers.
        let answer = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x08];
        let error = decode::<MetadataRequest>(Bytes::copy_from_slice(&answer), 9).unwrap_err();
        assert!(error.contains("2147483647"), "{error}");
    }

    #[tokio::test]
    async fn an_unreachable_broker_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Connection::open(&address).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot reach {address}: ")), "{error}");
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_not_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_i32(i32::MAX).await.unwrap();
            stream
        };
        let client = async {
            let mut connection = Connection::open(&address).await.unwrap();
            connection.call(&MetadataRequest::default(), Duration::ZERO).await.unwrap_err()
        };
        let (_stream, error) = tokio::join!(peer, client);
        assert!(matches!(error, ClientError::Lost { api: "Metadata", .. }), "{error}");
    }
}
