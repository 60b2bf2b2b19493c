//! Frames: a length in front, looked at before anything is allocated. What a frame takes grows with
//! what has come of it, and is counted against a budget of all connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use odradek_common::limits::{PEER_FRAME_FIRST_STEP_BYTES, PEER_FRAME_MS, PEER_SILENCE_MS};
use odradek_common::net::{Reader, Writer};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of the length.
const LENGTH_BYTES: usize = 4;

/// Reads frames up to a size.
pub(super) struct FrameReader {
    reader: Box<dyn Reader>,
    /// Bytes that frames of all connections may take together.
    budget: Option<Arc<Semaphore>>,
}

/// A frame, and the room that its bytes take.
pub(super) struct Read {
    pub(super) bytes: Bytes,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl FrameReader {
    pub(super) fn new(reader: Box<dyn Reader>, budget: Option<Arc<Semaphore>>) -> Self {
        Self { reader, budget }
    }

    /// The same, with what frames take counted from now on.
    pub(super) fn within(self, budget: Arc<Semaphore>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The next frame, of `limit` bytes at most; none if the peer closed the connection between two.
    /// A peer that is silent, slow or wants too much is an error.
    pub(super) async fn next(&mut self, limit: usize) -> io::Result<Option<Read>> {
        let silence = Duration::from_millis(PEER_SILENCE_MS);
        let mut length = [0; LENGTH_BYTES];
        let first = timeout(silence, self.reader.read(&mut length)).await;
        let first = first.map_err(|_| timed_out("nothing was heard for too long"))??;
        if first == 0 {
            return Ok(None);
        }
        let whole = Duration::from_millis(PEER_FRAME_MS);
        let rest = async {
            self.reader.read_exact(&mut length[first..]).await?;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > limit {
                let reason = format!("a frame of {length} bytes where {limit} are allowed");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            self.body(length).await
        };
        timeout(whole, rest).await.map_err(|_| timed_out("a frame came too slowly"))?.map(Some)
    }

    async fn body(&mut self, length: usize) -> io::Result<Read> {
        let mut bytes = BytesMut::new();
        let mut room = None;
        while bytes.len() < length {
            // As much again as has come, so that a length alone costs nothing.
            let step = bytes.len().max(PEER_FRAME_FIRST_STEP_BYTES).min(length - bytes.len());
            self.take_room(step, &mut room)?;
            bytes.reserve(step);
            let end = bytes.len() + step;
            while bytes.len() < end {
                let missing = end - bytes.len();
                let mut part = (&mut bytes).limit(missing);
                if self.reader.read_buf(&mut part).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(Read { bytes: bytes.freeze(), room })
    }

    fn take_room(&self, step: usize, room: &mut Option<OwnedSemaphorePermit>) -> io::Result<()> {
        let Some(budget) = &self.budget else { return Ok(()) };
        let step = u32::try_from(step).map_err(io::Error::other)?;
        let more = Arc::clone(budget).try_acquire_many_owned(step);
        let more = more.map_err(|_| io::Error::other("other nodes ask for too much at once"))?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}

/// Writes one message as a frame.
pub(super) async fn write_frame(writer: &mut Writer, message: &impl Message) -> io::Result<()> {
    let mut bytes = BytesMut::with_capacity(LENGTH_BYTES + message.encoded_len());
    bytes.put_u32(u32::try_from(message.encoded_len()).map_err(io::Error::other)?);
    message.encode(&mut bytes).map_err(io::Error::other)?;
    let written = timeout(Duration::from_millis(PEER_FRAME_MS), writer.write_all(&bytes)).await;
    written.map_err(|_| timed_out("the peer does not read"))?
}

fn timed_out(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}
