//! A runtime of its own for each host, whose time goes on when it is told: who is paused is not told, and
//! who crashes is dropped with all its tasks.
//!
//! The process's clocks stand at the simulation's time when a runtime is made, and tokio takes its
//! beginning from them: instants of all hosts are of one timeline.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// What runs by itself does so for this long before the others take their turn.
pub const TICK_MS: u64 = 5;

/// A runtime whose time goes on when it is told.
pub struct Stepped {
    runtime: Runtime,
    began: Instant,
    began_ms: u64,
    at_ms: u64,
}

impl Stepped {
    /// One that begins now.
    pub fn new(now_ms: u64) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let began = runtime.block_on(async { Instant::now() });
        Ok(Self { runtime, began, began_ms: now_ms, at_ms: now_ms })
    }

    /// Starts a task on it.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(task)
    }

    /// Lets a tick of time pass, up to `to_ms`. What was missed before it is jumped over: all that was
    /// due in it is late.
    pub fn step(&mut self, to_ms: u64) {
        let missed_ms = (to_ms - TICK_MS).saturating_sub(self.at_ms);
        let until = self.began + Duration::from_millis(to_ms - self.began_ms);
        self.runtime.block_on(async {
            if missed_ms > 0 {
                tokio::time::advance(Duration::from_millis(missed_ms)).await;
            }
            tokio::time::sleep_until(until).await;
        });
        self.at_ms = to_ms;
    }

    /// What a task that is finished gave.
    pub fn finish<T>(&self, task: &mut JoinHandle<T>) -> Result<T, JoinError> {
        self.runtime.block_on(task)
    }
}
