//! Waiting for what a broker does by itself.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::Failed;

/// How long that may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what nobody tells of.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until it is so; panics with `what` if that takes too long.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes a call that may pass by itself until it has an answer.
pub async fn answered<T>(mut call: impl AsyncFnMut() -> Result<T, Failed>) -> T {
    let mut answer = None;
    until("an answer", async || {
        answer = call().await.ok();
        answer.is_some()
    })
    .await;
    answer.unwrap()
}
