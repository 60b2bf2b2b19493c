//! A connection on which requests may follow one another before their answers have come.

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long connecting may take, if the connection's own limit is not less.
const OPEN_LIMIT: Duration = Duration::from_secs(2);
/// The longest answer.
const ANSWER_BYTES: usize = 128 << 20;

/// A connection; of no use after an error.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: BytesMut,
    correlation_id: i32,
    limit: Duration,
}

impl Connection {
    /// Connects to HOST:PORT; writing a request and a call may take as long as `limit`.
    ///
    /// # Errors
    /// If that fails or takes too long.
    pub async fn open(address: &str, limit: Duration) -> Result<Self> {
        let stream = timeout(limit.min(OPEN_LIMIT), TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: BytesMut::new(), correlation_id: 0, limit })
    }

    /// Sends a request without waiting for its answer; gives back the id that the answer bears.
    ///
    /// # Errors
    /// If it cannot be encoded or written in time.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<i32> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("odradek-bench")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = i32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        timeout(self.limit, self.stream.write_all(&frame)).await??;
        Ok(self.correlation_id)
    }

    /// The next answer. May be dropped before it is done: nothing is lost.
    ///
    /// # Errors
    /// If the connection ends, or the answer is too long.
    pub async fn receive(&mut self) -> Result<Bytes> {
        loop {
            if let Some(length) = self.read.first_chunk::<4>() {
                let length = usize::try_from(i32::from_be_bytes(*length))?;
                ensure!(length <= ANSWER_BYTES, "an answer of {length} bytes");
                if self.read.len() >= 4 + length {
                    self.read.advance(4);
                    return Ok(self.read.split_to(length).freeze());
                }
            }
            self.read.reserve(64 << 10);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::receive`], or if the answer cannot be decoded.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let id = self.send(request, version).await?;
        let (answered, answer) = decode::<R>(timeout(self.limit, self.receive()).await??, version)?;
        ensure!(answered == id, "an answer to another call");
        Ok(answer)
    }
}

/// An error if Kafka's code is one.
///
/// # Errors
/// Its name, or its number if it has none.
pub fn check(code: i16) -> Result<()> {
    match ResponseError::try_from_code(code) {
        None if code == 0 => Ok(()),
        Some(error) => Err(anyhow!("{error:?}")),
        None => Err(anyhow!("error {code}")),
    }
}

/// The id and the body of an answer to a request of this kind.
///
/// # Errors
/// If it is malformed.
pub fn decode<R: Request>(mut answer: Bytes, version: i16) -> Result<(i32, R::Response)> {
    let header_version = <R::Response as HeaderVersion>::header_version(version);
    let header = ResponseHeader::decode(&mut answer, header_version)?;
    Ok((header.correlation_id, R::Response::decode(&mut answer, version)?))
}
