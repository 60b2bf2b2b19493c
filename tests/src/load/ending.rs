//! The end of clients, which must not hold up a test that has its answer.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::program::say;

/// How long clients may take to leave: longer than any session of theirs.
const LIMIT: Duration = Duration::from_secs(60);

/// Ends clients on a thread of its own. librdkafka may wait for ever in the end of a consumer whose group is rebalanced
/// just then, as it is when two members leave at once (its issue 4884): such a client is told of and left behind.
pub async fn end_clients(end: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let (done, ended) = oneshot::channel();
    std::thread::spawn(move || {
        // Who waited may have gone on.
        let _ = done.send(end());
    });
    match timeout(LIMIT, ended).await {
        Ok(ended) => ended.context("the end of a client panicked")?,
        Err(_) => say(&format!("clients have not ended within {LIMIT:?}: they are left behind")),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_is_left() {
        let (_never, released) = std::sync::mpsc::sync_channel::<()>(1);
        end_clients(move || Ok(released.recv()?)).await.unwrap();
    }

    #[tokio::test]
    async fn who_fails_is_told() {
        end_clients(|| Ok(())).await.unwrap();
        assert!(end_clients(|| bail!("no")).await.is_err());
    }
}
