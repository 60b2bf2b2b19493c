//! The task of one internal partition: mailbox in, records to the log, answers out.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use odradek_common::clock::SharedClock;
use odradek_common::limits;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::{AppendPosition, CoordinatorLog, CoordinatorRecord, LogError};
use super::machine::{Effects, Now, ReplayError, StateMachine, Token, When};
use super::rewrite::Rewrite;
use super::waiting::Waiting;

/// Why a shard has no answer. All of these are retriable for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The state is being read (COORDINATOR_LOAD_IN_PROGRESS).
    #[error("the coordinator is loading")]
    Loading,
    /// The partition is not, or no longer, owned by this broker (NOT_COORDINATOR).
    #[error("this broker is not the coordinator")]
    NotCoordinator,
    /// The shard takes no more calls, or did not answer in time (COORDINATOR_NOT_AVAILABLE).
    #[error("the coordinator is not available")]
    Busy,
}

type Reply<A> = oneshot::Sender<Result<A, Unavailable>>;

struct Call<S: StateMachine> {
    request: S::Request,
    reply: Reply<S::Answer>,
}

/// An answer that is on its way. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Pending<A>(Option<oneshot::Receiver<Result<A, Unavailable>>>, Unavailable);

impl<A> Pending<A> {
    /// An answer that will not come.
    #[must_use]
    pub fn refused(why: Unavailable) -> Self {
        Self(None, why)
    }
}

impl<A> Future for Pending<A> {
    type Output = Result<A, Unavailable>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(receiver) = &mut self.0 else { return Poll::Ready(Err(self.1)) };
        // A shard that ends drops the replies it owes.
        receiver.poll_unpin(cx).map(|sent| sent.unwrap_or(Err(Unavailable::NotCoordinator)))
    }
}

/// A handle on the task of one internal partition. The task ends when the handle is stopped or
/// dropped, and all that wait for it are then answered with [`Unavailable::NotCoordinator`].
pub struct Shard<S: StateMachine> {
    mailbox: mpsc::Sender<Call<S>>,
    stop: CancellationToken,
}

impl<S: StateMachine> std::fmt::Debug for Shard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("stopped", &self.stop.is_cancelled()).finish_non_exhaustive()
    }
}

impl<S: StateMachine> Drop for Shard<S> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<S: StateMachine> Shard<S> {
    /// A shard over `log`, and its task, to be spawned. `make` makes an empty state for each load;
    /// `name` is for the log lines.
    pub fn new(
        name: String,
        log: Arc<dyn CoordinatorLog>,
        clock: SharedClock,
        make: impl Fn() -> S + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (mailbox, calls) = mpsc::channel(limits::COORDINATOR_MAILBOX_CALLS);
        let stop = CancellationToken::new();
        let task = Task { name, log, clock, make, calls };
        let stopped = stop.clone();
        let run = async move {
            let mut task = task;
            // What the task owes is answered by being dropped with it.
            stopped.run_until_cancelled(task.supervise()).await;
        };
        (Self { mailbox, stop }, run)
    }

    /// Puts a request into the shard's order, waiting for a place at most `within`; the future
    /// returned completes when the answer is due.
    pub async fn call(&self, request: S::Request, within: Duration) -> Pending<S::Answer> {
        match tokio::time::timeout(within, self.mailbox.reserve()).await {
            Err(_) => Pending::refused(Unavailable::Busy),
            Ok(Err(_)) => Pending::refused(Unavailable::NotCoordinator),
            Ok(Ok(place)) => {
                let (reply, receiver) = oneshot::channel();
                place.send(Call { request, reply });
                Pending(Some(receiver), Unavailable::NotCoordinator)
            }
        }
    }

    /// Ends the task; see [`Shard`].
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// Why a run of the shard ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("no one calls any more")]
    Closed,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a record cannot be replayed: {0}")]
    Replay(#[from] ReplayError),
    #[error("the coordinator panicked")]
    Panic,
}

struct Task<S: StateMachine, F> {
    name: String,
    log: Arc<dyn CoordinatorLog>,
    clock: SharedClock,
    make: F,
    calls: mpsc::Receiver<Call<S>>,
}

impl<S: StateMachine, F: Fn() -> S + Send> Task<S, F> {
    /// Loads and runs, anew after a failure that is not a fence, until the partition is lost.
    async fn supervise(&mut self) {
        let mut pause = Duration::from_millis(limits::COORDINATOR_RELOAD_MS);
        loop {
            let end = AssertUnwindSafe(self.load_and_run(&mut pause))
                .catch_unwind()
                .await
                .unwrap_or(End::Panic);
            match end {
                End::Closed => return,
                End::Log(LogError::Fenced) => {
                    tracing::info!(partition = %self.name, "fenced: the state is discarded");
                    return;
                }
                end => {
                    let error: &dyn std::error::Error = &end;
                    tracing::error!(partition = %self.name, error, "the state is discarded and loaded anew");
                }
            }
            self.refuse_for(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }

    async fn load_and_run(&mut self, pause: &mut Duration) -> End {
        let began = Instant::now();
        let (log, make) = (Arc::clone(&self.log), &self.make);
        let machine = tokio::select! {
            biased;
            loaded = load(&self.name, log, make()) => match loaded {
                Ok(machine) => machine,
                Err(end) => return end,
            },
            () = refuse(&mut self.calls) => return End::Closed,
        };
        let took = began.elapsed();
        tracing::info!(partition = %self.name, live_bytes = machine.live_bytes(), ?took, "coordinator loaded");
        *pause = Duration::from_millis(limits::COORDINATOR_RELOAD_MS);
        let run = Run::new(&self.name, Arc::clone(&self.log), Arc::clone(&self.clock), machine);
        run.run(&mut self.calls).await
    }

    async fn refuse_for(&mut self, pause: Duration) {
        // The time-out is the purpose; an early end means that the mailbox is closed.
        let _ = tokio::time::timeout(pause, refuse(&mut self.calls)).await;
    }
}

/// Answers calls with `Loading` for as long as it is polled; ends when there can be no more.
async fn refuse<S: StateMachine>(calls: &mut mpsc::Receiver<Call<S>>) {
    while let Some(call) = calls.recv().await {
        // A caller that has gone needs no answer.
        let _ = call.reply.send(Err(Unavailable::Loading));
    }
}

async fn load<S: StateMachine>(
    name: &str,
    log: Arc<dyn CoordinatorLog>,
    mut machine: S,
) -> Result<S, End> {
    let mut from = None;
    loop {
        let page = match log.read(from).await {
            Ok(page) => page,
            Err(LogError::Unavailable(reason)) => {
                tracing::warn!(partition = name, reason, "the state cannot be read yet");
                tokio::time::sleep(Duration::from_millis(limits::COORDINATOR_RELOAD_MS)).await;
                continue;
            }
            Err(fenced) => return Err(fenced.into()),
        };
        for record in page.records {
            machine.replay(record)?;
        }
        match page.next {
            Some(next) if from.is_none_or(|from| next > from) => from = Some(next),
            Some(_) => return Err(LogError::Unavailable("the log stands still".into()).into()),
            None => return Ok(machine),
        }
    }
}

type Step<T> = Option<BoxFuture<'static, Result<T, LogError>>>;

/// One loaded state and all that depends on it.
struct Run<'a, S: StateMachine> {
    name: &'a str,
    log: Arc<dyn CoordinatorLog>,
    clock: SharedClock,
    began: Instant,
    machine: S,
    replies: HashMap<Token, Reply<S::Answer>>,
    next_token: u64,
    waiting: Waiting<S::Answer>,
    rewrite: Rewrite<S::Cursor>,
    /// Behind everything appended.
    position: AppendPosition,
    landing: Step<AppendPosition>,
    confirming: Step<()>,
    moving: Step<()>,
}

impl<'a, S: StateMachine> Run<'a, S> {
    fn new(name: &'a str, log: Arc<dyn CoordinatorLog>, clock: SharedClock, machine: S) -> Self {
        let position = log.end();
        Self {
            name,
            log,
            clock,
            began: Instant::now(),
            machine,
            replies: HashMap::new(),
            next_token: 0,
            waiting: Waiting::new(),
            rewrite: Rewrite::new(),
            position,
            landing: None,
            confirming: None,
            moving: None,
        }
    }

    async fn run(mut self, calls: &mut mpsc::Receiver<Call<S>>) -> End {
        match self.steps(calls).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn steps(
        &mut self,
        calls: &mut mpsc::Receiver<Call<S>>,
    ) -> Result<std::convert::Infallible, End> {
        let now = self.now();
        let effects = self.machine.loaded(now);
        self.perform(now, effects)?;
        let mut drained = Vec::with_capacity(limits::COORDINATOR_DRAIN_CALLS);
        loop {
            self.release();
            self.advance_rewrite()?;
            self.arm();
            let takes_calls = self.waiting.len() < limits::COORDINATOR_WAITING_ANSWERS
                && self.waiting.bytes() < limits::COORDINATOR_WAITING_BYTES;
            let due =
                self.machine.next_deadline_ms().map(|ms| self.began + Duration::from_millis(ms));
            tokio::select! {
                biased;
                landed = finished(&mut self.landing) => self.waiting.landed(landed?),
                confirmed = finished(&mut self.confirming) => self.confirmed(confirmed)?,
                moved = finished(&mut self.moving) => self.moved(moved)?,
                () = sleep_until(due) => {
                    let now = self.now();
                    let effects = self.machine.tick(now);
                    self.perform(now, effects)?;
                }
                count = calls.recv_many(&mut drained, limits::COORDINATOR_DRAIN_CALLS), if takes_calls => {
                    if count == 0 {
                        return Err(End::Closed);
                    }
                    self.handle(&mut drained)?;
                }
            }
        }
    }

    fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, wall_ms: self.clock.now_ms() }
    }

    /// Handles calls one after the other; their records go into one batch.
    fn handle(&mut self, calls: &mut Vec<Call<S>>) -> Result<(), End> {
        let now = self.now();
        let mut all = Effects::default();
        for call in calls.drain(..) {
            let token = Token(self.next_token);
            self.next_token += 1;
            self.replies.insert(token, call.reply);
            let effects = self.machine.handle(now, token, call.request);
            all.records.extend(effects.records);
            all.answers.extend(effects.answers);
        }
        self.perform(now, all)
    }

    /// Appends the records, then sends or keeps the answers.
    fn perform(&mut self, now: Now, effects: Effects<S::Answer>) -> Result<(), End> {
        self.append(now, &effects.records)?;
        for (token, answer, when) in effects.answers {
            if when == When::Now {
                self.reply(token, answer);
            } else {
                let bytes = S::answer_bytes(&answer);
                self.waiting.push(self.position, when, bytes, token, answer);
            }
        }
        Ok(())
    }

    fn append(&mut self, now: Now, records: &[CoordinatorRecord]) -> Result<(), End> {
        let mut rest = records;
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(batch_len(rest));
            self.position = self.log.append(batch, now.wall_ms)?;
            rest = behind;
        }
        Ok(())
    }

    fn reply(&mut self, token: Token, answer: S::Answer) {
        let reply = self.replies.remove(&token);
        debug_assert!(reply.is_some(), "an answer to a token that is not waiting");
        if let Some(reply) = reply {
            // A caller that has gone needs no answer.
            let _ = reply.send(Ok(answer));
        }
    }

    fn release(&mut self) {
        while let Some((token, answer)) = self.waiting.pop() {
            self.reply(token, answer);
        }
    }

    /// Starts what is waited for and not under way.
    fn arm(&mut self) {
        if self.landing.is_none() {
            let rewrite = self.rewrite.position().filter(|p| !self.waiting.is_durable(*p));
            if let Some(position) = self.waiting.next_position().into_iter().chain(rewrite).min() {
                let log = Arc::clone(&self.log);
                self.landing = Some(async move { log.durable(position).await }.boxed());
            }
        }
        if self.confirming.is_none() && self.waiting.wants_confirmation() {
            self.waiting.begin_round();
            self.confirm_after(Duration::ZERO);
        }
    }

    fn confirm_after(&mut self, pause: Duration) {
        let log = Arc::clone(&self.log);
        let confirm = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            log.confirm().await
        };
        self.confirming = Some(confirm.boxed());
    }

    fn confirmed(&mut self, outcome: Result<(), LogError>) -> Result<(), End> {
        match outcome {
            Ok(()) => self.waiting.end_round(),
            Err(LogError::Unavailable(reason)) => {
                // The round goes on: its answers wait until ownership is known, or are given up
                // by their callers.
                tracing::warn!(partition = self.name, reason, "ownership is not confirmed yet");
                self.confirm_after(Duration::from_millis(limits::COORDINATOR_RELOAD_MS));
            }
            Err(fenced) => return Err(fenced.into()),
        }
        Ok(())
    }

    fn advance_rewrite(&mut self) -> Result<(), End> {
        let (start, after) = match &mut self.rewrite {
            Rewrite::Moving => return Ok(()),
            Rewrite::Idle { .. } => {
                if !self.rewrite.is_due(self.log.bytes(), self.machine.live_bytes()) {
                    return Ok(());
                }
                (self.position, None)
            }
            Rewrite::Writing { start, cursor, written } => {
                if !self.waiting.is_durable(*written) {
                    return Ok(());
                }
                let Some(cursor) = cursor.take() else {
                    let (log, offset) = (Arc::clone(&self.log), start.0);
                    self.moving = Some(async move { log.set_log_start(offset).await }.boxed());
                    self.rewrite = Rewrite::Moving;
                    return Ok(());
                };
                (*start, Some(cursor))
            }
        };
        let (records, cursor) = self.machine.rewrite(after, limits::COORDINATOR_BATCH_BYTES);
        let now = self.now();
        self.append(now, &records)?;
        self.rewrite = Rewrite::Writing { start, cursor, written: self.position };
        Ok(())
    }

    fn moved(&mut self, outcome: Result<(), LogError>) -> Result<(), End> {
        match outcome {
            Ok(()) => tracing::debug!(partition = self.name, "the log was written anew"),
            Err(LogError::Unavailable(reason)) => {
                tracing::warn!(partition = self.name, reason, "the log start did not move");
            }
            Err(fenced) => return Err(fenced.into()),
        }
        self.rewrite.ended(self.log.bytes());
        Ok(())
    }
}

/// How many records make the next batch: at least one, and no more bytes than a batch may have
/// unless one record alone has them.
fn batch_len(records: &[CoordinatorRecord]) -> usize {
    let mut bytes = 0;
    let fitting = records.iter().take_while(|record| {
        bytes += record.size_bytes();
        bytes <= limits::COORDINATOR_BATCH_BYTES
    });
    fitting.count().max(1)
}

/// The outcome of `step` when it is there, and `step` is then empty; never, when it is empty.
async fn finished<T>(step: &mut Step<T>) -> Result<T, LogError> {
    let Some(running) = step else { return std::future::pending().await };
    let outcome = running.await;
    *step = None;
    outcome
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
