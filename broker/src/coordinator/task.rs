//! The task of one internal partition: it loads the state, runs it, and does so anew after a
//! failure, until the partition is lost.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use odradek_common::clock::SharedClock;
use odradek_common::limits;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::log::{CoordinatorLog, LogError};
use super::machine::{ReplayError, StateMachine};
use super::run::Run;
use super::shard::{Call, Unavailable};

/// Why a run of the shard ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("no one calls any more")]
    Closed,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a record cannot be replayed: {0}")]
    Replay(#[from] ReplayError),
    #[error("the coordinator panicked")]
    Panic,
}

/// See the module.
pub(super) struct Task<S: StateMachine, F> {
    pub(super) name: String,
    pub(super) log: Arc<dyn CoordinatorLog>,
    pub(super) clock: SharedClock,
    pub(super) make: F,
    pub(super) calls: mpsc::Receiver<Call<S>>,
}

impl<S: StateMachine, F: Fn() -> S + Send> Task<S, F> {
    /// Loads and runs, anew after a failure that is not a fence, until the partition is lost.
    pub(super) async fn supervise(&mut self) {
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
        let (took, live_bytes) = (began.elapsed(), machine.live_bytes());
        // Most have nothing in them, and whole brokers of them move at once.
        if live_bytes > 0 {
            tracing::info!(partition = %self.name, live_bytes, ?took, "coordinator loaded");
        }
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
