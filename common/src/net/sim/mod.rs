//! A network in memory that delays, holds and breaks what is told.
//!
//! Every host has a name, an address and its own view of the network ([`SimHost`]). Bytes arrive after
//! the latency of their link, drawn for each write, in the order in which they were sent. A link that
//! is cut holds what is sent over it until it is mended, as TCP does by sending again; each direction
//! is a link of its own. Who dies by a kill closes its connections; who loses power says nothing more.
//!
//! Time is tokio's. Hosts may live on runtimes of their own, whose instants are then compared: their
//! clocks have to be one.

mod connect;
mod pipe;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::pipe::{Pipe, PipeId};
use super::Connection;
use crate::random::SharedRandom;

pub use self::connect::SimHost;

/// A network in memory; clones are the same network.
#[derive(Clone)]
pub struct SimNetwork(Arc<Mutex<State>>);

/// A host, by its place in the list.
type HostId = usize;

/// Sees what is sent: from whom, to whom, and the bytes.
type Observer = Box<dyn Fn(&str, &str, &[u8]) + Send>;

struct State {
    random: SharedRandom,
    latency_ms: RangeInclusive<u64>,
    hosts: Vec<Host>,
    links: BTreeMap<(HostId, HostId), Link>,
    pipes: BTreeMap<PipeId, Pipe>,
    next_pipe: PipeId,
    next_port: u16,
    observer: Option<Observer>,
}

struct Host {
    name: Arc<str>,
    address: IpAddr,
    is_on: bool,
    sockets: BTreeMap<u16, Socket>,
}

/// A socket that listens, with the connections that wait to be accepted.
#[derive(Default)]
struct Socket {
    waiting: VecDeque<Connection>,
    waker: Option<Waker>,
}

/// What is wrong with the way from one host to another.
#[derive(Clone, Copy, Default)]
struct Link {
    is_cut: bool,
    slower: Duration,
}

/// The first port that is given to those who ask for none.
const FIRST_PORT: u16 = 32_768;

impl SimNetwork {
    /// A network without hosts, with latencies drawn from `latency_ms`, in milliseconds.
    #[must_use]
    pub fn new(random: SharedRandom, latency_ms: RangeInclusive<u64>) -> Self {
        Self(Arc::new(Mutex::new(State {
            random,
            latency_ms,
            hosts: Vec::new(),
            links: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            next_port: FIRST_PORT,
            observer: None,
        })))
    }

    /// The view of the host `name`, which is added if it is new.
    #[must_use]
    pub fn host(&self, name: &str) -> SimHost {
        let mut state = self.lock();
        let id = state.id(name).unwrap_or_else(|| {
            let id = state.hosts.len();
            let last = u8::try_from(id + 1).unwrap_or(u8::MAX);
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
            let sockets = BTreeMap::new();
            state.hosts.push(Host { name: name.into(), address, is_on: true, sockets });
            id
        });
        SimHost::new(self.clone(), id)
    }

    /// Shows everything that is sent from now on to `observer`, which must not use the network.
    pub fn observe(&self, observer: impl Fn(&str, &str, &[u8]) + Send + 'static) {
        self.lock().observer = Some(Box::new(observer));
    }

    /// Holds what `from` sends to `to` until [`SimNetwork::mend`].
    pub fn cut(&self, from: &str, to: &str) {
        self.lock().change_link(from, to, |link| link.is_cut = true);
    }

    /// Makes the link from `from` to `to` as good as new.
    pub fn mend(&self, from: &str, to: &str) {
        self.lock().change_link(from, to, |link| *link = Link::default());
    }

    /// Makes what `from` sends to `to` from now on arrive so much later.
    pub fn slow(&self, from: &str, to: &str, slower: Duration) {
        self.lock().change_link(from, to, |link| link.slower = slower);
    }

    /// Breaks all connections between the two hosts at once. Says how many there were.
    pub fn reset(&self, one: &str, other: &str) -> usize {
        let mut state = self.lock();
        let both = (state.id(one), state.id(other));
        let between = |pipe: &&mut Pipe| {
            let ends = (Some(pipe.from), Some(pipe.to));
            ends == both || ends == (both.1, both.0)
        };
        let broken = state.pipes.values_mut().filter(between).map(Pipe::break_off).count();
        broken / 2
    }

    /// The host loses power: it takes and says nothing more, not even that its connections end.
    pub fn power_off(&self, host: &str) {
        let mut state = self.lock();
        if let Some(id) = state.id(host) {
            state.hosts[id].is_on = false;
        }
    }

    /// The host is back. It answers what belongs to its former life with a reset.
    pub fn power_on(&self, host: &str) {
        let mut state = self.lock();
        if let Some(id) = state.id(host) {
            state.hosts[id].is_on = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimNetwork")
    }
}

impl State {
    fn id(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| &*host.name == name)
    }

    fn change_link(&mut self, from: &str, to: &str, change: impl FnOnce(&mut Link)) {
        let (Some(from), Some(to)) = (self.id(from), self.id(to)) else { return };
        change(self.links.entry((from, to)).or_default());
        self.pipes.values_mut().filter(|pipe| pipe.is_between(from, to)).for_each(Pipe::wake);
    }

    fn link(&self, from: HostId, to: HostId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or_default()
    }

    /// When something arrives that is sent now.
    fn arrival(&self, from: HostId, to: HostId) -> Instant {
        let (least, most) = (*self.latency_ms.start(), *self.latency_ms.end());
        let drawn_ms = least + self.random.next_u64() % (most - least + 1);
        Instant::now() + Duration::from_millis(drawn_ms) + self.link(from, to).slower
    }

    /// Adds both directions of a connection: there, and back.
    fn add_pipes(&mut self, from: HostId, to: HostId) -> (PipeId, PipeId) {
        let (there, back) = (self.next_pipe, self.next_pipe + 1);
        self.next_pipe += 2;
        self.pipes.insert(there, Pipe::new(from, to));
        self.pipes.insert(back, Pipe::new(to, from));
        (there, back)
    }

    fn a_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }
}
