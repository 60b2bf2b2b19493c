//! The machine's own network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

use super::{Connection, Listener, Network, Reader};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealNetwork;

#[async_trait]
impl Network for RealNetwork {
    async fn listen(&self, host: &str, port: u16) -> io::Result<Vec<Box<dyn Listener>>> {
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in tokio::net::lookup_host((host, port)).await? {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        let mut listeners: Vec<Box<dyn Listener>> = Vec::new();
        let mut port = port;
        let mut failed = None;
        for address in addresses {
            match bind(SocketAddr::new(address, port)) {
                Ok(listener) => {
                    port = listener.local_addr()?.port();
                    listeners.push(Box::new(listener));
                }
                // A machine may resolve an address family that it does not have.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match (listeners.is_empty(), failed) {
            (true, Some(error)) => Err(error),
            (true, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
            (false, _) => Ok(listeners),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect((host, port)).await?;
        let peer = stream.peer_addr()?;
        connection(stream, peer)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&self) -> io::Result<Connection> {
        let (stream, peer) = Self::accept(self).await?;
        connection(stream, peer)
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

fn connection(stream: TcpStream, peer: SocketAddr) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok(Connection { reader: Box::new(TcpReader(reader)), writer: Box::new(writer), peer })
}

struct TcpReader(OwnedReadHalf);

impl AsyncRead for TcpReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Reader for TcpReader {
    fn is_peer_gone(&self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut ready = std::pin::pin!(self.0.ready(Interest::READABLE));
        matches!(ready.as_mut().poll(&mut context), Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn connected() -> (Connection, Connection) {
        let listeners = RealNetwork.listen("127.0.0.1", 0).await.unwrap();
        let port = listeners[0].local_address().unwrap().port();
        let (to, from) =
            tokio::join!(RealNetwork.connect("127.0.0.1", port), listeners[0].accept());
        (to.unwrap(), from.unwrap())
    }

    #[tokio::test]
    async fn bytes_go_both_ways() {
        let (mut one, mut other) = connected().await;
        let mut read = [0; 4];
        one.writer.write_all(b"ping").await.unwrap();
        other.reader.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ping");
        other.writer.write_all(b"pong").await.unwrap();
        one.reader.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"pong");
        assert!(one.writer.is_write_vectored());
    }

    #[tokio::test]
    async fn a_peer_that_hung_up_is_known_before_all_it_sent_is_read() {
        let (mut one, mut other) = connected().await;
        one.writer.write_all(&[7; 100]).await.unwrap();
        let mut first = [0];
        other.reader.read_exact(&mut first).await.unwrap();
        assert!(!other.reader.is_peer_gone());
        drop(one);
        let gone = async {
            while !other.reader.is_peer_gone() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it is noticed");
    }
}
