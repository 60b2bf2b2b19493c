//! One loaded state, running: mailbox in, records to the log, answers out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use odradek_common::clock::SharedClock;
use odradek_common::limits;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::log::{AppendPosition, CoordinatorLog, CoordinatorRecord, LogError};
use super::machine::{Effects, Now, StateMachine, Token, When};
use super::rewrite::Rewrite;
use super::shard::{Call, Reply, Unavailable};
use super::task::End;
use super::unlanded::Unlanded;
use super::waiting::Waiting;

/// How long a full shard waits before it looks again for callers that have gone.
const FULL_PAUSE: Duration = Duration::from_millis(100);

type Step<T> = Option<BoxFuture<'static, Result<T, LogError>>>;

/// One loaded state and all that depends on it.
pub(super) struct Run<'a, S: StateMachine> {
    name: &'a str,
    log: Arc<dyn CoordinatorLog>,
    clock: SharedClock,
    began: Instant,
    machine: S,
    replies: HashMap<Token, Reply<S::Answer>>,
    next_token: u64,
    waiting: Waiting<S::Answer>,
    unlanded: Unlanded,
    rewrite: Rewrite<S::Cursor>,
    /// Behind everything appended.
    position: AppendPosition,
    landing: Step<AppendPosition>,
    confirming: Step<()>,
    moving: Step<()>,
}

impl<'a, S: StateMachine> Run<'a, S> {
    pub(super) fn new(
        name: &'a str,
        log: Arc<dyn CoordinatorLog>,
        clock: SharedClock,
        machine: S,
    ) -> Self {
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
            unlanded: Unlanded::default(),
            rewrite: Rewrite::new(),
            position,
            landing: None,
            confirming: None,
            moving: None,
        }
    }

    /// Runs until the partition is lost or something fails; what is owed is dropped with it.
    pub(super) async fn run(mut self, calls: &mut mpsc::Receiver<Call<S>>) -> End {
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
            let full = self.is_full();
            let due =
                self.machine.next_deadline_ms().map(|ms| self.began + Duration::from_millis(ms));
            let retry = full.then(|| Instant::now() + FULL_PAUSE);
            tokio::select! {
                biased;
                landed = finished(&mut self.landing) => self.landed(landed?),
                confirmed = finished(&mut self.confirming) => self.confirmed(confirmed)?,
                moved = finished(&mut self.moving) => self.moved(moved)?,
                () = sleep_until(due) => {
                    let now = self.now();
                    let effects = self.machine.tick(now);
                    self.perform(now, effects)?;
                }
                () = sleep_until(retry) => {}
                count = calls.recv_many(&mut drained, limits::COORDINATOR_DRAIN_CALLS), if !full => {
                    if count == 0 {
                        return Err(End::Closed);
                    }
                    self.handle(&mut drained)?;
                }
            }
        }
    }

    /// Whether so much waits that no calls are taken. What waits for callers that have gone, since
    /// they gave up or their connections broke, is let go of first.
    fn is_full(&mut self) -> bool {
        let is_full = |waiting: &Waiting<S::Answer>| {
            waiting.len() >= limits::COORDINATOR_WAITING_ANSWERS
                || waiting.bytes() >= limits::COORDINATOR_WAITING_BYTES
        };
        if !is_full(&self.waiting) {
            return false;
        }
        let replies = &mut self.replies;
        self.waiting.retain(|token| {
            let waits = replies.get(&token).is_some_and(|reply| !reply.is_closed());
            if !waits {
                replies.remove(&token);
            }
            waits
        });
        is_full(&self.waiting)
    }

    fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, wall_ms: self.clock.now_ms() }
    }

    /// Handles calls one after the other; their records go into one batch.
    fn handle(&mut self, calls: &mut Vec<Call<S>>) -> Result<(), End> {
        let now = self.now();
        let mut all = Effects::default();
        let may_write = self.unlanded.bytes() < limits::COORDINATOR_UNLANDED_BYTES;
        for call in calls.drain(..) {
            if !may_write && S::may_write(&call.request) {
                // A caller that has gone needs no answer.
                let _ = call.reply.send(Err(Unavailable::Busy));
                continue;
            }
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
            let bytes = batch.iter().map(CoordinatorRecord::size_bytes).sum();
            self.unlanded.appended(self.position, bytes);
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
            let positions = [self.waiting.next_position(), rewrite, self.unlanded.first()];
            if let Some(position) = positions.into_iter().flatten().min() {
                let log = Arc::clone(&self.log);
                self.landing = Some(async move { log.durable(position).await }.boxed());
            }
        }
        if self.confirming.is_none() && self.waiting.wants_confirmation() {
            self.waiting.begin_round();
            self.confirm_after(Duration::ZERO);
        }
    }

    fn landed(&mut self, to: AppendPosition) {
        self.waiting.landed(to);
        self.unlanded.landed(to);
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
