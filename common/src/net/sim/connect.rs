//! A host's view of the network: listening and connecting.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, sleep_until};

use super::pipe::{SimReader, SimWriter};
use super::{HostId, SimNetwork, Socket, State};
use crate::net::{Connection, Listener, Network};

/// After so long who connects and has no answer asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The network as one host has it.
#[derive(Clone)]
pub struct SimHost {
    network: SimNetwork,
    id: HostId,
}

impl SimHost {
    pub(super) fn new(network: SimNetwork, id: HostId) -> Self {
        Self { network, id }
    }

    /// Adds a connection to the queue of the socket that listens there.
    fn knock(&self, to: HostId, port: u16) -> io::Result<Connection> {
        let mut state = self.network.lock();
        if !state.hosts[to].sockets.contains_key(&port) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let own_port = state.a_port();
        let (there, back) = state.add_pipes(self.id, to);
        let end = |reads, writes, peer| Connection {
            reader: Box::new(SimReader::new(self.network.clone(), reads)),
            writer: Box::new(SimWriter::new(self.network.clone(), writes)),
            peer,
        };
        let own = SocketAddr::new(state.hosts[self.id].address, own_port);
        let theirs = SocketAddr::new(state.hosts[to].address, port);
        if let Some(socket) = state.hosts[to].sockets.get_mut(&port) {
            socket.waiting.push_back(end(there, back, own));
            if let Some(waker) = socket.waker.take() {
                waker.wake();
            }
        }
        Ok(end(back, there, theirs))
    }
}

/// Whether what is asked now gets an answer.
fn is_reachable(state: &State, from: HostId, to: HostId) -> bool {
    let are_on = state.hosts[from].is_on && state.hosts[to].is_on;
    are_on && !state.link(from, to).is_cut && !state.link(to, from).is_cut
}

impl fmt::Debug for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimHost({})", self.id)
    }
}

#[async_trait]
impl Network for SimHost {
    async fn listen(&self, host: &str, port: u16) -> io::Result<Vec<Box<dyn Listener>>> {
        let mut state = self.network.lock();
        if !host.is_empty() && *host != *state.hosts[self.id].name {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let port = if port == 0 { state.a_port() } else { port };
        let own = &mut state.hosts[self.id];
        if own.sockets.contains_key(&port) {
            return Err(ErrorKind::AddrInUse.into());
        }
        own.sockets.insert(port, Socket::default());
        let address = SocketAddr::new(own.address, port);
        Ok(vec![Box::new(SimListener { host: self.clone(), address })])
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Connection> {
        let to = self.network.lock().id(host).ok_or(ErrorKind::HostUnreachable)?;
        loop {
            let (arrival, is_reachable) = {
                let state = self.network.lock();
                (state.arrival(self.id, to), is_reachable(&state, self.id, to))
            };
            if is_reachable {
                sleep_until(arrival).await;
                break;
            }
            sleep(ASK_AGAIN).await;
        }
        let knocked = self.knock(to, port);
        let arrival = self.network.lock().arrival(to, self.id);
        sleep_until(arrival).await;
        knocked
    }
}

struct SimListener {
    host: SimHost,
    address: SocketAddr,
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimListener({})", self.address)
    }
}

#[async_trait]
impl Listener for SimListener {
    async fn accept(&self) -> io::Result<Connection> {
        poll_fn(|context| {
            let mut state = self.host.network.lock();
            let socket = state.hosts[self.host.id].sockets.get_mut(&self.address.port());
            let Some(socket) = socket else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            match socket.waiting.pop_front() {
                Some(connection) => Poll::Ready(Ok(connection)),
                None => {
                    socket.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let port = self.address.port();
        // Out of the lock: the connections in it take it when they are dropped.
        let _waiting = self.host.network.lock().hosts[self.host.id].sockets.remove(&port);
    }
}
