//! One connection: a reader that takes requests in order, a writer that answers in order. A request
//! is taken up as soon as the one before has fixed its place; only answers wait (pipelining).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::messages::ApiKey;
use odradek_common::limits::{
    CONNECTION_ANSWER_BYTES, CONNECTION_TURN, REQUEST_ELEMENTS, REQUEST_ELEMENTS_AT_ONCE,
};
use odradek_common::net::{self, Connection};
use odradek_protocol::frame::{FrameError, FrameReader};
use odradek_protocol::request::{self, Checked, DecodeError};
use odradek_protocol::response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::budget::{AnswerGrant, RequestLease};
use super::chunks::Chunks;
use super::turns::in_turns;
use crate::core::Core;
use crate::handlers::{self, Answer, Body, Context, RefusedBatches};
use crate::metric_names;

/// A peer that sends nothing in the middle of a frame, or reads nothing of an answer, is given up
/// after this; sooner when memory is short.
const STALL: Duration = Duration::from_secs(30);
const STALL_UNDER_PRESSURE: Duration = Duration::from_secs(2);

/// What tells the length of a frame.
const FRAME_LENGTH_BYTES: usize = 4;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("closed by the peer")]
    ByPeer,
    #[error("idle for connections.max.idle.ms")]
    Idle,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("the peer stalled in the middle of a request")]
    Stalled,
    #[error("requests of all connections together hold too much memory")]
    NoMemory,
    #[error("answers of all connections together hold too much memory")]
    NoMemoryToAnswer,
    #[error("an answer cannot be encoded")]
    Encode,
    #[error("an error of a request that wants no answer")]
    Unanswered,
    #[error("the writer ended")]
    Writer,
    #[error("the broker stops")]
    Stopping,
}

impl Ended {
    /// What was wrong with the request that ended the connection, as a metric names it; none if no
    /// request did.
    fn refused(&self) -> Option<&'static str> {
        match self {
            Self::Frame(_) => Some("frame"),
            Self::Decode(_) => Some("decode"),
            Self::Stalled => Some("stalled"),
            Self::NoMemory | Self::NoMemoryToAnswer => Some("memory"),
            Self::Encode => Some("encode"),
            Self::Unanswered => Some("unanswered"),
            Self::ByPeer | Self::Idle | Self::Io(_) | Self::Writer | Self::Stopping => None,
        }
    }
}

/// One request's place in the line of answers.
enum Due {
    /// An answer that is there already.
    Encoded {
        chunks: Vec<Bytes>,
        /// Its share of what all connections' answers may hold ...
        _grant: AnswerGrant,
        /// ... and of what this one's may.
        _room: OwnedSemaphorePermit,
    },
    /// An answer that is waited for.
    Later {
        body: BoxFuture<'static, Body>,
        context: Context,
        since: Instant,
        /// Whether it takes turns.
        is_large: bool,
    },
}

/// Serves one connection until it ends.
pub(super) async fn serve(core: Arc<Core>, connection: Connection, listener: Arc<str>) {
    let Connection { reader: read, writer: write, peer } = connection;
    let (due, queue) = mpsc::channel(odradek_common::limits::CONNECTION_IN_FLIGHT);
    let writer = tokio::spawn(write_answers(core.clone(), write, queue));
    let abort = writer.abort_handle();
    let mut reader = Reader {
        refused: RefusedBatches::new(&core.refused_bytes),
        core,
        stream: read,
        frames: FrameReader::new(0),
        peer,
        listener,
        due,
        room: Arc::new(Semaphore::new(CONNECTION_ANSWER_BYTES)),
    };
    let ended = reader.run().await;
    if let Some(reason) = ended.refused() {
        metrics::counter!(metric_names::REQUESTS_REFUSED, "reason" => reason).increment(1);
    }
    match &ended {
        Ended::ByPeer | Ended::Idle | Ended::Writer | Ended::Stopping => {
            debug!(%peer, reason = %ended, "connection ended")
        }
        Ended::Io(_) => debug!(%peer, reason = %ended, "connection lost"),
        _ => info!(%peer, reason = %ended, "connection closed"),
    }
    // What was asked before is still answered, within a limit, if the peer may be there to read it.
    let rest = match ended {
        Ended::Decode(_) => Some(STALL_UNDER_PRESSURE),
        Ended::Stopping => Some(STALL),
        _ => None,
    };
    drop(reader);
    if let Some(limit) = rest {
        let _ = tokio::time::timeout(limit, writer).await;
    }
    abort.abort();
}

struct Reader {
    core: Arc<Core>,
    stream: Box<dyn net::Reader>,
    frames: FrameReader,
    peer: SocketAddr,
    listener: Arc<str>,
    due: mpsc::Sender<Due>,
    /// Bytes that answers which are there already may take while they wait to be written.
    room: Arc<Semaphore>,
    /// Batches of producers that were refused.
    refused: RefusedBatches,
}

impl Reader {
    async fn run(&mut self) -> Ended {
        self.frames.set_cap_bytes(self.core.limits.frame_bytes_max);
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    /// Reads once and takes up every request that is complete then.
    async fn step(&mut self) -> Result<(), Ended> {
        let mut lease = self.core.request_bytes.lease();
        loop {
            let mut turn = Instant::now();
            while let Some(frame) = self.frames.next_frame()? {
                let mut held = self.core.request_bytes.lease();
                if !lease.resize(0) || !held.resize(frame.len()) {
                    return Err(Ended::NoMemory);
                }
                self.take_up(frame, held).await?;
                // Who pipelines takes no more than a turn at a time of the thread.
                if turn.elapsed() > CONNECTION_TURN {
                    tokio::task::yield_now().await;
                    turn = Instant::now();
                }
            }
            let held = self.frames.held_bytes() + self.frames.growth_bytes();
            if !self.frames.is_between_frames() && !lease.resize(held) {
                return Err(Ended::NoMemory);
            }
            self.read_some().await?;
            if self.frames.is_between_frames() {
                return Ok(());
            }
        }
    }

    async fn read_some(&mut self) -> Result<(), Ended> {
        let between = self.frames.is_between_frames();
        let idle = self.core.limits.connection_idle_max;
        let wait = if between { idle } else { stall(&self.core) };
        loop {
            let mut space = self.frames.space();
            let read = tokio::time::timeout(wait, self.stream.read_buf(&mut space));
            let stop = self.core.draining.cancelled();
            let read = tokio::select! {
                read = read => read,
                () = stop => return Err(Ended::Stopping),
            };
            match read {
                Ok(Ok(0)) => return Err(Ended::ByPeer),
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if !between => return Err(Ended::Stalled),
                // A client that waits for an answer is not idle.
                Err(_) if self.due.capacity() < self.due.max_capacity() => {}
                Err(_) => return Err(Ended::Idle),
            }
        }
    }

    async fn take_up(&mut self, frame: Bytes, lease: RequestLease) -> Result<(), Ended> {
        let since = Instant::now();
        let bytes = frame.len() + FRAME_LENGTH_BYTES;
        metrics::counter!(metric_names::RECEIVED_BYTES).increment(bytes as u64);
        match request::check(frame.clone(), REQUEST_ELEMENTS_AT_ONCE) {
            Ok(checked) => self.answer(checked, lease, since).await,
            Err(error) if error.is_too_many_elements() => {
                in_turns(async {
                    // Who has hung up meanwhile is not worth the turn.
                    if self.stream.is_peer_gone() {
                        return Err(Ended::ByPeer);
                    }
                    let checked = request::check(frame, REQUEST_ELEMENTS)?;
                    self.answer(checked, lease, since).await
                })
                .await
            }
            Err(DecodeError::UnsupportedVersion {
                api: ApiKey::ApiVersions,
                correlation_id,
                ..
            }) => {
                let context = Context::of_api_versions(correlation_id, self.peer, &self.listener);
                let frame = response::unsupported_api_versions(correlation_id);
                let due = self.encoded(&context, &Body::Frame(frame), since).await?;
                self.due.send(due).await.map_err(|_| Ended::Writer)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn answer(
        &mut self,
        checked: Checked,
        mut lease: RequestLease,
        since: Instant,
    ) -> Result<(), Ended> {
        if !lease.resize(checked.decoded_bytes()) {
            return Err(Ended::NoMemory);
        }
        let is_large = checked.elements() > REQUEST_ELEMENTS_AT_ONCE;
        let frame_bytes = checked.frame_bytes();
        let request = checked.decode()?;
        let mut context = Context::of(&request.header, self.peer, &self.listener);
        context.frame_bytes = frame_bytes;
        context.lease = Some(Arc::new(lease));
        // The place in the line comes first: when it is full, reading stops, and TCP tells the
        // client so.
        let place = self.due.reserve().await.map_err(|_| Ended::Writer)?;
        let (core, refused) = (&self.core, &mut self.refused);
        let due = match handlers::handle(core, &context, refused, request.body).await {
            Answer::Nothing => return Ok(()),
            Answer::Close => return Err(Ended::Unanswered),
            Answer::Later(body) => Due::Later { body, context, since, is_large },
            Answer::Ready(body) => {
                context.lease = None;
                self.encoded(&context, &body, since).await?
            }
        };
        place.send(due);
        Ok(())
    }

    /// An answer's bytes, once there is room for them: a peer that asks for much and reads little of
    /// it is not asked what else it wants.
    async fn encoded(&self, context: &Context, body: &Body, since: Instant) -> Result<Due, Ended> {
        metric_names::count_request(context.api, &body.errors(), since.elapsed());
        let chunks = encode(context, body).ok_or(Ended::Encode)?;
        let bytes = chunks.iter().map(Bytes::len).sum();
        let grant = self.core.answer_bytes.take(bytes).ok_or(Ended::NoMemoryToAnswer)?;
        let permits = u32::try_from(bytes.min(CONNECTION_ANSWER_BYTES)).unwrap_or(u32::MAX);
        tokio::select! {
            room = self.room.clone().acquire_many_owned(permits) => {
                let _room = room.map_err(|_| Ended::Writer)?;
                Ok(Due::Encoded { chunks, _grant: grant, _room })
            }
            () = self.due.closed() => Err(Ended::Writer),
        }
    }
}

/// The frame; `None` if the body cannot be said in the version asked for, which is logged.
fn encode(context: &Context, body: &Body) -> Option<Vec<Bytes>> {
    match body.encode(context) {
        Ok(chunks) => Some(chunks),
        Err(error) => {
            warn!(peer = %context.peer, api = ?context.api, version = context.version, %error,
                "could not encode an answer; the connection is closed");
            None
        }
    }
}

fn stall(core: &Core) -> Duration {
    let short = core.request_bytes.is_short() || core.answer_bytes.is_short();
    if short { STALL_UNDER_PRESSURE } else { STALL }
}

async fn write_answers(
    core: Arc<Core>,
    mut stream: Box<net::Writer>,
    mut queue: mpsc::Receiver<Due>,
) {
    let mut turn = Instant::now();
    while let Some(due) = queue.recv().await {
        let written = match due {
            Due::Encoded { chunks, _grant, _room } => write(&core, &mut stream, chunks).await,
            Due::Later { body, context, since, is_large } => {
                let body = if is_large { in_turns(body).await } else { body.await };
                metric_names::count_request(context.api, &body.errors(), since.elapsed());
                let Some(chunks) = encode(&context, &body) else { return };
                write(&core, &mut stream, chunks).await
            }
        };
        if let Err(error) = written {
            debug!(%error, "could not write an answer");
            return;
        }
        if turn.elapsed() > CONNECTION_TURN {
            tokio::task::yield_now().await;
            turn = Instant::now();
        }
    }
}

/// Writes one answer; a peer that takes nothing of it for the stall limit is given up.
async fn write(
    core: &Core,
    stream: &mut Box<net::Writer>,
    chunks: Vec<Bytes>,
) -> std::io::Result<()> {
    let mut chunks: Chunks = chunks.into_iter().collect();
    while bytes::Buf::has_remaining(&chunks) {
        let written = tokio::time::timeout(stall(core), stream.write_buf(&mut chunks)).await;
        if written.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?? == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}
