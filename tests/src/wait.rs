//! Waiting for a condition, with a limit.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Polls until `condition` holds; fails with `what` when `limit` is over or the condition fails.
pub async fn within(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let until = Instant::now() + limit;
    while !condition().await? {
        if Instant::now() >= until {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
