//! A peer that may say anything: raw bytes to the broker, and what comes of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a peer waits for what must come.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The largest answer that is read.
const ANSWER_BYTES: usize = 256 << 20;
/// The correlation id of a request that is sent alone.
const CORRELATION_ID: i32 = 7;

/// What became of something sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer, without its length.
    Answer(Bytes),
    /// The connection was closed.
    Closed,
    /// Neither, within the time given.
    Silence,
}

/// A connection to the broker.
pub struct Peer {
    /// The stream itself, for who wants to misuse it.
    pub stream: TcpStream,
}

impl Peer {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = timeout(ANSWER_LIMIT, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends bytes as they are. That the broker closes meanwhile is no error: what follows shows it.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match timeout(ANSWER_LIMIT, self.stream.write_all(bytes)).await {
            Ok(_) => Ok(()),
            Err(_) => bail!("{} bytes were not taken within {ANSWER_LIMIT:?}", bytes.len()),
        }
    }

    /// What comes next.
    pub async fn outcome(&mut self, limit: Duration) -> Result<Outcome> {
        let Ok(length) = timeout(limit, self.stream.read_i32()).await else {
            return Ok(Outcome::Silence);
        };
        let Ok(length) = length else { return Ok(Outcome::Closed) };
        let length = usize::try_from(length).ok().filter(|length| *length <= ANSWER_BYTES);
        let mut answer = vec![0; length.context("an answer of an impossible length")?];
        match timeout(ANSWER_LIMIT, self.stream.read_exact(&mut answer)).await {
            Ok(Ok(_)) => Ok(Outcome::Answer(answer.into())),
            Ok(Err(_)) => bail!("the connection was closed in the middle of an answer"),
            Err(_) => bail!("an answer stopped in its middle"),
        }
    }

    /// Fails unless the broker closes the connection without an answer.
    pub async fn expect_closed(&mut self, what: &str) -> Result<()> {
        match self.outcome(ANSWER_LIMIT).await? {
            Outcome::Closed => Ok(()),
            other => bail!("{what}: not closed, but {other:?}"),
        }
    }

    /// Sends a request and reads its answer.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.send(&framed(request, version)?).await?;
        self.answer::<R>(version).await
    }

    /// The answer to a request of this kind.
    pub async fn answer<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        match self.outcome(ANSWER_LIMIT).await? {
            Outcome::Answer(answer) => decoded::<R>(answer, version),
            other => bail!("API {} version {version} is not answered: {other:?}", R::KEY),
        }
    }
}

/// One connection, these bytes, and what comes of them.
pub async fn try_bytes(address: SocketAddr, bytes: &[u8], limit: Duration) -> Result<Outcome> {
    let mut peer = Peer::open(address).await?;
    peer.send(bytes).await?;
    peer.outcome(limit).await
}

/// Fails unless these bytes have their connection closed.
pub async fn closes(address: SocketAddr, bytes: &[u8], what: &str) -> Result<()> {
    let mut peer = Peer::open(address).await?;
    peer.send(bytes).await?;
    peer.expect_closed(what).await
}

/// A request with its length in front.
pub fn framed<R: Request>(request: &R, version: i16) -> Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION_ID)
        .with_client_id(Some(StrBytes::from_static_str("hostile")));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    let length = i32::try_from(frame.len() - 4)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// Bytes with their length in front.
pub fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}

/// A request whose body is given in bytes, with its length in front.
pub fn raw(api: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.put_i16(api);
    frame.put_i16(version);
    frame.put_i32(CORRELATION_ID);
    frame.put_i16(-1);
    if flexible {
        frame.put_u8(0);
    }
    frame.extend(body);
    with_length(&frame)
}

pub fn decoded<R: Request>(mut answer: Bytes, version: i16) -> Result<R::Response> {
    let header = R::Response::header_version(version);
    let header = ResponseHeader::decode(&mut answer, header)?;
    ensure!(header.correlation_id == CORRELATION_ID, "an answer to another request");
    R::Response::decode(&mut answer, version)
}

/// The correlation id at the front of an answer.
pub fn correlation_of(answer: &Bytes) -> Option<i32> {
    answer.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// A text of a message.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name in a message.
pub fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
