//! The caller's end of a connection: requests go out one behind the other, answers come in any order.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use odradek_common::limits::{PEER_FRAME_BYTES, PEER_IN_FLIGHT, PEER_KEEPALIVE_MS};
use odradek_common::net::Writer;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::frame::{FrameReader, write_frame};
use super::messages::Frame;
use super::{CallError, Kind, Refusal};
use crate::ids::ReplicaKey;

type Answer = oneshot::Sender<Result<Bytes, Refusal>>;

/// Who waits for which answer; none once the connection ended.
type Waiting = Mutex<Option<HashMap<u64, Answer>>>;

/// A frame on its way, and the room that it takes until then.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// A connection to another node. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    them: ReplicaKey,
    requests: mpsc::Sender<Outgoing>,
    waiting: Arc<Waiting>,
    room: Semaphore,
    last: AtomicU64,
}

impl Connection {
    /// Goes on after the hello of `them`.
    pub(super) fn start(them: ReplicaKey, reader: FrameReader, writer: Box<Writer>) -> Self {
        let (requests, queued) = mpsc::channel(PEER_IN_FLIGHT);
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let answers = Arc::clone(&waiting);
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = write(queued, writer) => ended,
                ended = read(reader, &answers) => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(%them, %error, "a connection ended");
            }
            *answers.lock() = None;
        });
        let (room, last) = (Semaphore::new(PEER_IN_FLIGHT), AtomicU64::new(0));
        Self { them, requests, waiting, room, last }
    }

    /// Who is at the other end.
    pub(crate) fn them(&self) -> ReplicaKey {
        self.them
    }

    /// Whether it is of no use any more.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.lock().is_none()
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call(
        &self,
        kind: Kind,
        payload: Bytes,
        until: Instant,
    ) -> Result<Bytes, CallError> {
        let not_sent = |reason: &str| CallError::NotSent(format!("{}: {reason}", self.them));
        let lost = |reason: &str| CallError::Lost(format!("{}: {reason}", self.them));
        let room = timeout_at(until, self.room.acquire()).await;
        let room = room.map_err(|_| not_sent("too many requests wait"))?;
        let _room = room.map_err(|_| not_sent("the connection ended"))?;
        let correlation = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        let _entry = Entry { waiting: &self.waiting, correlation };
        match &mut *self.waiting.lock() {
            Some(waiting) => waiting.insert(correlation, answer),
            None => return Err(not_sent("the connection ended")),
        };
        let frame = Frame { correlation, kind: kind.number(), payload, refusal: None };
        match timeout_at(until, self.requests.send(Outgoing { frame, room: None })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(not_sent("the connection ended")),
            Err(_) => return Err(not_sent("requests are not taken")),
        }
        match timeout_at(until, answered).await {
            Ok(Ok(answer)) => answer.map_err(CallError::Refused),
            Ok(Err(_)) => Err(lost("the connection ended")),
            Err(_) => Err(lost("no answer in time")),
        }
    }
}

/// Takes a waiting call off the list, however it ends.
struct Entry<'a> {
    waiting: &'a Waiting,
    correlation: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut *self.waiting.lock() {
            waiting.remove(&self.correlation);
        }
    }
}

/// Sends what is queued, and a sign of life where there is nothing, until the sender is dropped.
pub(super) async fn write(
    mut queued: mpsc::Receiver<Outgoing>,
    mut writer: Box<Writer>,
) -> io::Result<()> {
    loop {
        let idle = Duration::from_millis(PEER_KEEPALIVE_MS);
        let Outgoing { frame, room } = match timeout(idle, queued.recv()).await {
            Ok(Some(outgoing)) => outgoing,
            Ok(None) => return Ok(()),
            Err(_) => Outgoing::default(),
        };
        write_frame(&mut *writer, &frame).await?;
        drop(room);
    }
}

async fn read(mut reader: FrameReader, waiting: &Waiting) -> io::Result<()> {
    while let Some(read) = reader.next(PEER_FRAME_BYTES).await? {
        let frame = Frame::decode(read.bytes).map_err(io::Error::other)?;
        let waits = waiting.lock().as_mut().and_then(|w| w.remove(&frame.correlation));
        // Whoever asked may have gone.
        if let Some(answer) = waits {
            let _ = answer.send(frame.refusal.map_or(Ok(frame.payload), |no| Err(no.into())));
        }
    }
    Ok(())
}
