//! The side that is called: takes connections on the CONTROLLER listener and answers what nodes of the
//! cluster ask on them, within bounds for connections, requests and bytes. Where there is no secret
//! only this machine reaches it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::{
    PEER_CONNECTIONS, PEER_FRAME_BYTES, PEER_IN_FLIGHT, PEER_REQUEST_BYTES,
};
use odradek_common::net::Listener;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::connection::{Outgoing, write};
use super::frame::{FrameReader, Read};
use super::messages::Frame;
use super::strangers::{Known, Strangers};
use super::{Answer, Answers, Introduction, Kind, Refusal};
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
    let (mut strangers, mut connections) = (Strangers::default(), JoinSet::new());
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            known = strangers.known() => match Arc::clone(&room).try_acquire_owned() {
                Ok(room) => { connections.spawn(serve(known, Arc::clone(&shared), room)); }
                Err(_) => tracing::warn!(peer = %known.peer, "too many connections"),
            },
            accepted = listener.accept() => match accepted {
                Ok(connection) if shared.may_call(connection.peer) => {
                    strangers.greet(connection, &shared.introduction);
                }
                Ok(connection) => {
                    let peer = connection.peer;
                    tracing::warn!(%peer, "another machine was refused: the nodes share no secret");
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of another node was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Shared {
    fn may_call(&self, peer: SocketAddr) -> bool {
        self.introduction.has_secret() || peer.ip().to_canonical().is_loopback()
    }
}

async fn serve(known: Known, shared: Arc<Shared>, room: OwnedSemaphorePermit) {
    let Known { peer, them, reader, writer } = known;
    let reader = reader.within(Arc::clone(&shared.bytes));
    let (answers, queued) = mpsc::channel(PEER_IN_FLIGHT);
    let ended = tokio::select! {
        ended = write(queued, writer) => ended,
        ended = take_requests(reader, them, &shared, answers) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %them, %error, "a connection ended");
    }
    shared.answers.left(them);
    drop(room);
}

/// Takes requests, as many at once as may be in flight, and has each answered by a task, which ends
/// with the connection.
async fn take_requests(
    mut reader: FrameReader,
    them: ReplicaKey,
    shared: &Arc<Shared>,
    answers: mpsc::Sender<Outgoing>,
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

async fn answer(answers: &dyn Answers, them: ReplicaKey, request: Frame) -> Outgoing {
    let Frame { correlation, kind, payload, .. } = request;
    let answered = match Kind::of(kind) {
        Some(kind) => answers.answer(them, kind, payload).await,
        None => Err(Refusal::invalid(format!("requests of kind {kind} are not known here"))),
    };
    match answered {
        Ok(Answer { bytes: payload, room }) => {
            Outgoing { frame: Frame { correlation, payload, ..Frame::default() }, room }
        }
        Err(refusal) => {
            let refusal = Some((&refusal).into());
            Outgoing { frame: Frame { correlation, refusal, ..Frame::default() }, room: None }
        }
    }
}
