//! A network in memory: hosts that reach each other, until they are cut off or die.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use odradek_common::net::{Connection, Listener, Network, Reader, SharedNetwork};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, DuplexStream, ReadBuf, ReadHalf};
use tokio::sync::mpsc;

const BUFFER_BYTES: usize = 256 << 10;

/// All hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    listeners: HashMap<(String, u16), mpsc::Sender<Connection>>,
    /// Hosts that reach nobody, and whom nobody reaches.
    cut_off: HashSet<String>,
    /// Hosts on other machines.
    far: HashSet<String>,
    /// Hosts that do not reach each other.
    pairs: HashSet<(String, String)>,
    links: Vec<(String, String, Arc<Link>)>,
}

/// What one direction of a connection does.
#[derive(Debug, Default)]
struct Link(Mutex<LinkState>);

#[derive(Debug, Default)]
struct LinkState {
    is_cut: bool,
    is_dead: bool,
    waker: Option<Waker>,
}

impl Link {
    fn set(&self, change: impl FnOnce(&mut LinkState)) {
        let mut state = self.0.lock();
        change(&mut state);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Hub {
    /// The network as `host` sees it.
    pub(crate) fn of(&self, host: &str) -> SharedNetwork {
        Arc::new(Host { name: host.to_owned(), hub: self.clone() })
    }

    /// Puts a host on another machine.
    pub(crate) fn put_far(&self, host: &str) {
        self.0.lock().far.insert(host.to_owned());
    }

    /// Nothing arrives at `host` or comes from it any more: it is kept back until it is healed.
    pub(crate) fn cut_off(&self, host: &str) {
        let mut state = self.0.lock();
        state.cut_off.insert(host.to_owned());
        state.each_link(host, |link| link.is_cut = true);
    }

    /// The same of two hosts.
    pub(crate) fn cut_pair(&self, one: &str, other: &str) {
        let mut state = self.0.lock();
        for (from, to) in [(one, other), (other, one)] {
            state.pairs.insert((from.to_owned(), to.to_owned()));
            for (_, _, link) in state.links.iter().filter(|(f, t, _)| f == from && t == to) {
                link.set(|link| link.is_cut = true);
            }
        }
    }

    /// The opposite of [`Hub::cut_off`].
    pub(crate) fn heal(&self, host: &str) {
        let mut state = self.0.lock();
        state.cut_off.remove(host);
        state.each_link(host, |link| link.is_cut = false);
    }

    /// The connections of `host` are closed, as when its process dies.
    pub(crate) fn kill(&self, host: &str) {
        let mut state = self.0.lock();
        state.listeners.retain(|(name, _), _| name != host);
        state.each_link(host, |link| link.is_dead = true);
        state.links.retain(|(one, other, _)| one != host && other != host);
    }
}

impl State {
    fn each_link(&self, host: &str, change: impl Fn(&mut LinkState)) {
        for (one, other, link) in &self.links {
            if one == host || other == host {
                link.set(&change);
            }
        }
    }
}

#[derive(Debug)]
struct Host {
    name: String,
    hub: Hub,
}

#[async_trait]
impl Network for Host {
    async fn listen(&self, host: &str, port: u16) -> io::Result<Vec<Box<dyn Listener>>> {
        let (sender, receiver) = mpsc::channel(16);
        self.hub.0.lock().listeners.insert((host.to_owned(), port), sender);
        Ok(vec![Box::new(Port(tokio::sync::Mutex::new(receiver)))])
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Connection> {
        let is_cut = {
            let state = self.hub.0.lock();
            state.cut_off.contains(host)
                || state.cut_off.contains(&self.name)
                || state.pairs.contains(&(self.name.clone(), host.to_owned()))
        };
        if is_cut {
            return std::future::pending().await;
        }
        let listener = self.hub.0.lock().listeners.get(&(host.to_owned(), port)).cloned();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
        let links = [Arc::new(Link::default()), Arc::new(Link::default())];
        for link in &links {
            let (one, other) = (self.name.clone(), host.to_owned());
            self.hub.0.lock().links.push((one, other, Arc::clone(link)));
        }
        let [here, there] = links;
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        let is_far = self.hub.0.lock().far.contains(&self.name);
        let address = if is_far { [10, 0, 0, 1] } else { [127, 0, 0, 1] };
        let theirs = Connection { peer: (address, 1).into(), ..connection(theirs, there) };
        listener.send(theirs).await.map_err(refused)?;
        Ok(connection(ours, here))
    }
}

fn connection(stream: DuplexStream, link: Arc<Link>) -> Connection {
    let (reader, writer) = tokio::io::split(stream);
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    Connection { reader: Box::new(LinkReader { reader, link }), writer: Box::new(writer), peer }
}

#[derive(Debug)]
struct Port(tokio::sync::Mutex<mpsc::Receiver<Connection>>);

#[async_trait]
impl Listener for Port {
    async fn accept(&self) -> io::Result<Connection> {
        match self.0.lock().await.recv().await {
            Some(connection) => Ok(connection),
            // The host died; its listener hears nothing any more.
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 1)))
    }
}

struct LinkReader {
    reader: ReadHalf<DuplexStream>,
    link: Arc<Link>,
}

impl Reader for LinkReader {
    fn is_peer_gone(&self) -> bool {
        false
    }
}

impl AsyncRead for LinkReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        {
            let mut state = self.link.0.lock();
            if state.is_dead {
                return Poll::Ready(Ok(()));
            }
            state.waker = Some(context.waker().clone());
            if state.is_cut {
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}
