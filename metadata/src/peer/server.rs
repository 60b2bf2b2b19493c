//! The side that is called: takes connections on the CONTROLLER listener and answers what comes on
//! them, within bounds for connections, requests and bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::{
    PEER_CONNECT_MS, PEER_CONNECTIONS, PEER_FRAME_BYTES, PEER_IN_FLIGHT, PEER_REQUEST_BYTES,
};
use odradek_common::net::{self, Listener};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::write;
use super::frame::{FrameReader, Read};
use super::messages::Frame;
use super::{Answers, Introduction, Kind, Refusal, hello};
use crate::ids::ReplicaKey;

/// How long accepting pauses after an error: there may be too few file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers other nodes.
#[derive(Debug)]
pub(crate) struct PeerServer {
    listeners: Vec<Box<dyn Listener>>,
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    introduction: Arc<Introduction>,
    answers: Arc<dyn Answers>,
    bytes: Arc<Semaphore>,
}

impl PeerServer {
    pub(crate) fn new(
        listeners: Vec<Box<dyn Listener>>,
        introduction: Arc<Introduction>,
        answers: Arc<dyn Answers>,
    ) -> Self {
        let bytes = Arc::new(Semaphore::new(PEER_REQUEST_BYTES));
        let shared = Arc::new(Shared { introduction, answers, bytes });
        Self { listeners, shared, connections: Arc::new(Semaphore::new(PEER_CONNECTIONS)) }
    }

    /// Answers until it is dropped.
    pub(crate) async fn run(self) {
        let Self { listeners, shared, connections } = self;
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(listener, Arc::clone(&shared), Arc::clone(&connections)));
        }
        while accepting.join_next().await.is_some() {}
    }
}

async fn accept(listener: Box<dyn Listener>, shared: Arc<Shared>, room: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(connection) => match Arc::clone(&room).try_acquire_owned() {
                    Ok(room) => { connections.spawn(serve(connection, Arc::clone(&shared), room)); }
                    Err(_) => tracing::warn!(peer = %connection.peer, "too many connections"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection of another node was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(connection: net::Connection, shared: Arc<Shared>, room: OwnedSemaphorePermit) {
    let peer = connection.peer;
    if let Err(error) = talk(connection, &shared).await {
        if error.kind() == io::ErrorKind::PermissionDenied {
            tracing::warn!(%peer, %error, "a node was refused");
        } else {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }
    drop(room);
}

async fn talk(connection: net::Connection, shared: &Arc<Shared>) -> io::Result<()> {
    let mut reader = FrameReader::new(connection.reader, Some(Arc::clone(&shared.bytes)));
    let mut writer = connection.writer;
    let limit = Duration::from_millis(PEER_CONNECT_MS);
    let hello = hello::answer(&shared.introduction, &mut reader, &mut *writer);
    let them = timeout(limit, hello).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (answers, queued) = mpsc::channel(PEER_IN_FLIGHT);
    tokio::select! {
        ended = write(queued, writer) => ended,
        ended = take_requests(reader, them, shared, answers) => ended,
    }
}

/// Takes requests, as many at once as may be in flight, and has each answered by a task, which ends
/// with the connection.
async fn take_requests(
    mut reader: FrameReader,
    them: ReplicaKey,
    shared: &Arc<Shared>,
    answers: mpsc::Sender<Frame>,
) -> io::Result<()> {
    let in_flight = Arc::new(Semaphore::new(PEER_IN_FLIGHT));
    let mut tasks = JoinSet::new();
    while let Some(Read { bytes, room }) = reader.next(PEER_FRAME_BYTES).await? {
        while tasks.try_join_next().is_some() {}
        let request = Frame::decode(bytes).map_err(io::Error::other)?;
        if request.correlation == 0 {
            continue;
        }
        let Ok(turn) = Arc::clone(&in_flight).acquire_owned().await else { break };
        let (shared, answers) = (Arc::clone(shared), answers.clone());
        tasks.spawn(async move {
            let answer = answer(&*shared.answers, them, request).await;
            drop(room);
            // If the writer ended, so does the connection.
            let _ = answers.send(answer).await;
            drop(turn);
        });
    }
    Ok(())
}

async fn answer(answers: &dyn Answers, them: ReplicaKey, request: Frame) -> Frame {
    let Frame { correlation, kind, payload, .. } = request;
    let answered = match Kind::of(kind) {
        Some(kind) => answers.answer(them, kind, payload).await,
        None => Err(Refusal::invalid(format!("requests of kind {kind} are not known here"))),
    };
    match answered {
        Ok(payload) => Frame { correlation, payload, ..Frame::default() },
        Err(refusal) => Frame { correlation, refusal: Some((&refusal).into()), ..Frame::default() },
    }
}
