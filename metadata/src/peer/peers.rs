//! The nodes that this one calls: a connection to each, made when it is needed and again when it
//! ended, not too often where that fails.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::BrokerId;
use odradek_common::limits::{PEER_BACKOFF_FIRST_MS, PEER_BACKOFF_MAX_MS, PEER_CONNECT_MS};
use odradek_common::net::{SharedNetwork, Writer};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::frame::FrameReader;
use super::hello::Introduced;
use super::{CallError, Introduction, Kind, hello};
use crate::ids::{DirectoryId, Endpoint, ReplicaKey};

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// The node.
    pub(crate) node: BrokerId,
    /// Its data directory, where only that will do.
    pub(crate) directory: Option<DirectoryId>,
    /// Where it is reached.
    pub(crate) endpoint: Endpoint,
}

/// Connections to other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    network: SharedNetwork,
    introduction: Arc<Introduction>,
    /// By node and endpoint: voters, of which there are few, and few that were.
    peers: Mutex<HashMap<(BrokerId, Endpoint), watch::Sender<Line>>>,
}

/// How it stands with one connection.
#[derive(Clone, Debug, Default)]
struct Line {
    state: State,
    /// Failures since it last stood.
    failures: u32,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Idle,
    Connecting,
    Connected(Arc<Connection>),
    Failed {
        reason: Arc<str>,
        again: Instant,
    },
}

impl Peers {
    pub(crate) fn new(network: SharedNetwork, introduction: Arc<Introduction>) -> Self {
        Self { network, introduction, peers: Mutex::default() }
    }

    /// Asks a node, and waits for its answer until `until`.
    pub(crate) async fn call(
        &self,
        to: &Target,
        kind: Kind,
        request: Bytes,
        until: Instant,
    ) -> Result<Bytes, CallError> {
        let connection = self.connected(to, until).await?;
        connection.call(kind, request, until).await
    }

    /// The connection to a node, made if there is none. Nothing is asked yet.
    ///
    /// # Errors
    /// [`CallError::NotSent`].
    pub(crate) async fn connected(
        &self,
        to: &Target,
        until: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        let not_sent = |reason: &str| {
            CallError::NotSent(format!("node {} at {}: {reason}", to.node.0, to.endpoint))
        };
        let line = self.line(to);
        let mut states = line.subscribe();
        loop {
            self.connect_if_needed(to, &line);
            let state = states.borrow_and_update().state.clone();
            match state {
                State::Connected(connection) if !connection.is_over() => {
                    let them = connection.them();
                    let is_meant = to.directory.is_none_or(|meant| meant == them.directory);
                    return if is_meant {
                        Ok(connection)
                    } else {
                        Err(not_sent(&format!("it is {them} now")))
                    };
                }
                State::Failed { reason, .. } => return Err(not_sent(&reason)),
                State::Idle | State::Connecting | State::Connected(_) => {}
            }
            let changed = timeout_at(until, states.changed()).await;
            changed
                .map_err(|_| not_sent("not connected in time"))?
                .map_err(|_| not_sent("gone"))?;
        }
    }

    /// Who is at an endpoint now, on a connection of its own: it answers also a node that does not know
    /// its cluster yet.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(crate) async fn who_is(&self, to: &Target) -> io::Result<ReplicaKey> {
        let limit = Duration::from_millis(PEER_CONNECT_MS);
        let connected = timeout(limit, connect(&self.network, &self.introduction, to)).await;
        let (introduced, ..) = connected.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(introduced.them)
    }

    fn line(&self, to: &Target) -> watch::Sender<Line> {
        let key = (to.node, to.endpoint.clone());
        self.peers.lock().entry(key).or_default().clone()
    }

    /// Starts to connect, in a task of its own: a caller with little time leaves the next one a
    /// connection.
    fn connect_if_needed(&self, to: &Target, line: &watch::Sender<Line>) {
        let is_needed = line.send_if_modified(|line| {
            let is_needed = match &line.state {
                State::Idle => true,
                State::Connecting => false,
                State::Connected(connection) => connection.is_over(),
                State::Failed { again, .. } => *again <= Instant::now(),
            };
            if is_needed {
                line.state = State::Connecting;
            }
            is_needed
        });
        if !is_needed {
            return;
        }
        let (to, line) = (to.clone(), line.clone());
        let (network, introduction) = (Arc::clone(&self.network), Arc::clone(&self.introduction));
        tokio::spawn(async move {
            let limit = Duration::from_millis(PEER_CONNECT_MS);
            let connected = timeout(limit, join(&network, &introduction, &to)).await;
            let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            line.send_modify(|line| match connected {
                Ok(connection) => {
                    *line = Line { state: State::Connected(Arc::new(connection)), failures: 0 };
                }
                Err(error) => line.fail(&to, &error),
            });
        });
    }
}

impl Line {
    fn fail(&mut self, to: &Target, error: &io::Error) {
        if self.failures == 0 {
            tracing::info!(node = to.node.0, endpoint = %to.endpoint, %error, "cannot connect");
        }
        let wait = PEER_BACKOFF_FIRST_MS << self.failures.min(16);
        let again = Instant::now() + Duration::from_millis(wait.min(PEER_BACKOFF_MAX_MS));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Failed { reason: error.to_string().into(), again };
    }
}

/// Connects to a node of this cluster.
async fn join(
    network: &SharedNetwork,
    introduction: &Introduction,
    to: &Target,
) -> io::Result<Connection> {
    let (introduced, reader, writer) = connect(network, introduction, to).await?;
    if introduced.is_of_cluster {
        Ok(Connection::start(introduced.them, reader, writer))
    } else {
        Err(io::Error::other("one of us does not know its cluster yet"))
    }
}

async fn connect(
    network: &SharedNetwork,
    introduction: &Introduction,
    to: &Target,
) -> io::Result<(Introduced, FrameReader, Box<Writer>)> {
    let Endpoint { host, port } = &to.endpoint;
    let connection = network.connect(host, *port).await?;
    let (mut reader, mut writer) = (FrameReader::new(connection.reader, None), connection.writer);
    let introduced = hello::greet(introduction, to.node, &mut reader, &mut *writer).await?;
    Ok((introduced, reader, writer))
}
