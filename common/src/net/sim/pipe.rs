//! One direction of a connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::Reader;
use super::{HostId, SimNetwork, State};

pub(super) type PipeId = u64;

/// The other direction of the same connection.
fn twin(id: PipeId) -> PipeId {
    id ^ 1
}

/// Bytes that may be under way, or wait for the reader.
const WINDOW_BYTES: usize = 1 << 20;

pub(super) struct Pipe {
    pub(super) from: HostId,
    pub(super) to: HostId,
    segments: VecDeque<(Instant, Bytes)>,
    queued_bytes: usize,
    /// When the writer's end arrives.
    closed_at: Option<Instant>,
    /// The latest arrival so far: nothing overtakes.
    newest: Option<Instant>,
    is_broken: bool,
    reader_is_gone: bool,
    writer_is_gone: bool,
    read_waker: Option<Waker>,
    write_waker: Option<Waker>,
}

impl Pipe {
    pub(super) fn new(from: HostId, to: HostId) -> Self {
        Self {
            from,
            to,
            segments: VecDeque::new(),
            queued_bytes: 0,
            closed_at: None,
            newest: None,
            is_broken: false,
            reader_is_gone: false,
            writer_is_gone: false,
            read_waker: None,
            write_waker: None,
        }
    }

    pub(super) fn is_between(&self, from: HostId, to: HostId) -> bool {
        (self.from, self.to) == (from, to)
    }

    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        let wakers = [self.read_waker.take(), self.write_waker.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// When something that would arrive at `at` does.
    fn in_order(&mut self, at: Instant) -> Instant {
        let at = self.newest.map_or(at, |newest| newest.max(at));
        self.newest = Some(at);
        at
    }

    fn close(&mut self, at: Instant) {
        if self.closed_at.is_none() {
            self.closed_at = Some(self.in_order(at));
            self.wake();
        }
    }

    fn take(&mut self, buffer: &mut ReadBuf<'_>) {
        let now = Instant::now();
        while let Some((at, bytes)) = self.segments.front_mut() {
            if *at > now || buffer.remaining() == 0 {
                break;
            }
            let count = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..count]);
            bytes.advance(count);
            self.queued_bytes -= count;
            if bytes.is_empty() {
                self.segments.pop_front();
            }
        }
        if let Some(waker) = self.write_waker.take() {
            waker.wake();
        }
    }
}

/// Notes that an end is gone, and forgets the pipe when both are.
fn let_go(state: &mut State, id: PipeId, end: impl FnOnce(&mut Pipe)) {
    let Some(pipe) = state.pipes.get_mut(&id) else { return };
    end(pipe);
    if pipe.reader_is_gone && pipe.writer_is_gone {
        state.pipes.remove(&id);
    }
}

pub(super) struct SimReader {
    network: SimNetwork,
    id: PipeId,
    /// Until what comes next arrives.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl SimReader {
    pub(super) fn new(network: SimNetwork, id: PipeId) -> Self {
        Self { network, id, sleep: None }
    }

    /// Gives what has arrived, or when the next does if that is known.
    fn look(&self, context: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Look {
        let mut state = self.network.lock();
        let Some(pipe) = state.pipes.get(&self.id) else { return Look::Done(Ok(())) };
        let is_held = state.link(pipe.from, pipe.to).is_cut;
        let Some(pipe) = state.pipes.get_mut(&self.id) else { return Look::Done(Ok(())) };
        pipe.read_waker = Some(context.waker().clone());
        if pipe.is_broken {
            return Look::Done(Err(ErrorKind::ConnectionReset.into()));
        }
        if is_held {
            return Look::Wait(None);
        }
        let next = pipe.segments.front().map(|(at, _)| *at);
        match next.or(pipe.closed_at) {
            Some(at) if at <= Instant::now() => {
                // Nothing taken is the end.
                pipe.take(buffer);
                Look::Done(Ok(()))
            }
            at => Look::Wait(at),
        }
    }
}

enum Look {
    Done(io::Result<()>),
    Wait(Option<Instant>),
}

impl AsyncRead for SimReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.look(context, buffer) {
                Look::Done(result) => return Poll::Ready(result),
                Look::Wait(None) => return Poll::Pending,
                Look::Wait(Some(at)) => {
                    let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    if sleep.deadline() != at {
                        sleep.as_mut().reset(at);
                    }
                    ready!(sleep.as_mut().poll(context));
                }
            }
        }
    }
}

impl Reader for SimReader {
    fn is_peer_gone(&self) -> bool {
        let state = self.network.lock();
        let Some(pipe) = state.pipes.get(&self.id) else { return true };
        let has_closed = pipe.closed_at.is_some_and(|at| at <= Instant::now());
        pipe.is_broken || has_closed && !state.link(pipe.from, pipe.to).is_cut
    }
}

impl Drop for SimReader {
    fn drop(&mut self) {
        let_go(&mut self.network.lock(), self.id, |pipe| {
            pipe.reader_is_gone = true;
            pipe.wake();
        });
    }
}

pub(super) struct SimWriter {
    network: SimNetwork,
    id: PipeId,
}

impl SimWriter {
    pub(super) fn new(network: SimNetwork, id: PipeId) -> Self {
        Self { network, id }
    }

    /// Writes of `bytes` what the window has room for.
    fn write(&self, context: &Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut guard = self.network.lock();
        let state = &mut *guard;
        let Some(pipe) = state.pipes.get(&self.id) else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let (from, to) = (pipe.from, pipe.to);
        let at = state.arrival(from, to);
        let peer_answers =
            state.hosts[to].is_on && !state.link(from, to).is_cut && !state.link(to, from).is_cut;
        let Some(pipe) = state.pipes.get_mut(&self.id) else { return Poll::Pending };
        if pipe.is_broken || pipe.reader_is_gone && peer_answers {
            // Whoever is gone answers with a reset, which ends both directions.
            pipe.break_off();
            if let Some(back) = state.pipes.get_mut(&twin(self.id)) {
                back.break_off();
            }
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if pipe.closed_at.is_some() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let mut room = WINDOW_BYTES.saturating_sub(pipe.queued_bytes);
        if room == 0 {
            pipe.write_waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut taken = Vec::new();
        for part in bytes {
            let count = part.len().min(room);
            taken.extend_from_slice(&part[..count]);
            room -= count;
        }
        let count = taken.len();
        if count > 0 {
            if let Some(observer) = &state.observer {
                observer(&state.hosts[from].name, &state.hosts[to].name, &taken);
            }
            let at = pipe.in_order(at);
            pipe.queued_bytes += count;
            pipe.segments.push_back((at, taken.into()));
            if let Some(waker) = pipe.read_waker.take() {
                waker.wake();
            }
        }
        Poll::Ready(Ok(count))
    }

    fn close(&self) {
        let mut state = self.network.lock();
        let Some((from, to)) = state.pipes.get(&self.id).map(|pipe| (pipe.from, pipe.to)) else {
            return;
        };
        if state.hosts[from].is_on {
            let at = state.arrival(from, to);
            if let Some(pipe) = state.pipes.get_mut(&self.id) {
                pipe.close(at);
            }
        }
    }
}

impl AsyncWrite for SimWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimWriter {
    fn drop(&mut self) {
        self.close();
        let_go(&mut self.network.lock(), self.id, |pipe| pipe.writer_is_gone = true);
    }
}
