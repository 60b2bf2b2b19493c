//! Requests of many elements take their turns: what they cost is computed a few at a time, so that
//! threads are left to everybody else, however many such requests there are.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::ready;

use futures::future::BoxFuture;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Half of the threads that serve connections.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((threads / 2).max(1)))
});

/// Runs a future of which each step takes a turn. Between the steps, while it waits for something,
/// the turn is another's.
pub(super) async fn in_turns<F: Future>(future: F) -> F::Output {
    in_turns_of(&TURNS, future).await
}

async fn in_turns_of<F: Future>(turns: &Arc<Semaphore>, future: F) -> F::Output {
    type Waiting = BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>;
    let mut future = pin!(future);
    let mut waiting: Option<Waiting> = None;
    std::future::poll_fn(move |context| {
        let turn = waiting.get_or_insert_with(|| Box::pin(Arc::clone(turns).acquire_owned()));
        // The semaphore is never closed.
        let _turn = ready!(turn.as_mut().poll(context));
        waiting = None;
        future.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_step_waits_for_its_turn_and_keeps_none_while_it_waits() {
        let turns = Arc::new(Semaphore::new(1));
        let taken = Arc::clone(&turns).try_acquire_owned().unwrap();
        let (send, receive) = oneshot::channel();
        let mut steps = Box::pin(in_turns_of(&turns, async {
            let received = receive.await;
            received.unwrap()
        }));
        assert!((&mut steps).now_or_never().is_none(), "no turn yet");
        drop(taken);
        assert!((&mut steps).now_or_never().is_none(), "nothing was sent yet");
        assert_eq!(turns.available_permits(), 1, "it waits without a turn");
        send.send(7).unwrap();
        assert_eq!(steps.await, 7);
        assert_eq!(turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn steps_are_taken_one_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let turns = Arc::new(Semaphore::new(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (turns, inside) = (Arc::clone(&turns), Arc::clone(&inside));
                tokio::spawn(async move {
                    in_turns_of(&turns, async {
                        for _ in 0..10 {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                        }
                    })
                    .await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
