//! Loopback ports and the little HTTP that the tests speak.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 16 << 20;

/// Ports that the system gives to no connection by itself, so that none takes one before its server does.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A loopback address whose port nobody listened on a moment ago, another one at each call of this process.
pub fn free_address() -> Result<SocketAddr> {
    // Programs that run beside each other begin at different places.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let place = std::process::id().wrapping_mul(97) % u32::from(PORTS.end - PORTS.start);
        AtomicU16::new(PORTS.start + u16::try_from(place).unwrap_or(0))
    });
    for _ in PORTS {
        let port = NEXT.fetch_update(Relaxed, Relaxed, |port| {
            Some(if port + 1 < PORTS.end { port + 1 } else { PORTS.start })
        });
        let port = port.unwrap_or(PORTS.start);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port is free")
}

/// The status and the body of `GET path`.
pub async fn http_get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES).read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(REQUEST_LIMIT, exchange).await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split(' ').nth(1).context("an answer without a status")?;
    Ok((status.parse()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn status_and_body_are_read() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let expected = format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n");
            let mut request = vec![0; expected.len()];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, expected.as_bytes());
            stream.write_all(b"HTTP/1.0 503 No\r\nX: y\r\n\r\nnot\r\n\r\nyet").await.unwrap();
        };
        let (answer, ()) = tokio::join!(http_get(address, "/readyz"), server);
        assert_eq!(answer.unwrap(), (503, "not\r\n\r\nyet".to_owned()));
    }
}
