//! Looks how much has gathered that is not yet in segments, also while a flush waits for the store.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;

const LOOK: Duration = Duration::from_millis(250);

/// Runs until it is dropped.
pub async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(LOOK).await;
        core.look_at_backlog();
    }
}
