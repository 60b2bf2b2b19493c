//! Forgets idempotent producers that have been idle for `producer.id.expiration.ms`.

use std::sync::Arc;

use crate::core::Core;

/// Looks every `producer.id.expiration.check.interval.ms`.
pub async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(core.settings().producers.id_expiration_check_interval).await;
        let (now_ms, expiration_ms) = (core.clock.now_ms(), core.producer_expiration_ms());
        for log in core.logs.all() {
            log.expire_producers(now_ms, expiration_ms);
        }
    }
}
