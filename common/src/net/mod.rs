//! The network, injected: brokers, voters and clients of the broker's own reach each other only
//! through [`Network`], so that a simulation can delay, lose and cut what they say.
//!
//! The contract is that of TCP: bytes arrive in order or not at all, a peer that went away without a
//! word is not noticed before something is sent, and what was written may never have arrived.

mod real;
pub mod sim;

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

pub use real::RealNetwork;

/// What a peer sends.
pub trait Reader: AsyncRead + Send + Sync + Unpin {
    /// True if the peer has closed the connection, whatever it sent before that is not read yet.
    fn is_peer_gone(&self) -> bool;
}

/// What is sent to a peer. Vectored writes reach the system as such.
pub type Writer = dyn AsyncWrite + Send + Sync + Unpin;

/// A connection, in its two directions. It is closed when both are dropped, or when the writer is
/// shut down.
pub struct Connection {
    /// What the peer sends.
    pub reader: Box<dyn Reader>,
    /// What is sent to it.
    pub writer: Box<Writer>,
    /// The peer's address.
    pub peer: SocketAddr,
}

impl Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A socket that takes connections until it is dropped.
#[async_trait]
pub trait Listener: Send + Sync + Debug {
    /// The next connection. An error is of that one connection, or of something that there is too
    /// little of (file descriptors): the next call may succeed.
    async fn accept(&self) -> io::Result<Connection>;

    /// The address that it is bound to, with the port that the system chose where 0 was asked for.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// A network.
#[async_trait]
pub trait Network: Send + Sync + Debug {
    /// Listens on `host:port`: one listener for each address that the host resolves to, all with the
    /// same port. An empty host stands for all addresses; of the address families that `localhost`
    /// resolves to, those that the machine has.
    async fn listen(&self, host: &str, port: u16) -> io::Result<Vec<Box<dyn Listener>>>;

    /// Connects to `host:port`. How long that may take is the caller's to say.
    async fn connect(&self, host: &str, port: u16) -> io::Result<Connection>;
}

/// A shared network.
pub type SharedNetwork = Arc<dyn Network>;
