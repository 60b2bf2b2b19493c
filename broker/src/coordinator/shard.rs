//! The handle on the task of one internal partition.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use odradek_common::clock::SharedClock;
use odradek_common::limits;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::log::CoordinatorLog;
use super::machine::StateMachine;
use super::task::Task;

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

/// Where an answer goes.
pub(super) type Reply<A> = oneshot::Sender<Result<A, Unavailable>>;

/// A request in the mailbox.
pub(super) struct Call<S: StateMachine> {
    pub(super) request: S::Request,
    pub(super) reply: Reply<S::Answer>,
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
        let stopped = stop.clone();
        let run = async move {
            let mut task = Task { name, log, clock, make, calls };
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
