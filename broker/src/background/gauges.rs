//! Gauges that are looked up rather than counted.

use std::sync::Arc;
use std::time::Duration;

use odradek_common::limits::{ANSWER_BYTES, REQUEST_BYTES};

use crate::core::Core;
use crate::metric_names as names;
use crate::topics::LiveTopics;

const EVERY: Duration = Duration::from_secs(5);

/// Sets the gauges every few seconds.
pub async fn run(core: Arc<Core>) {
    loop {
        set(&core);
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn set(core: &Core) {
    let image = core.image();
    let logs = core.logs.all();
    let offline = image.partitions().filter(|(_, p)| !image.is_live(p.owner)).count();
    let unflushed: u64 = logs.iter().map(|log| log.unflushed_bytes()).sum();
    metrics::gauge!(names::TOPICS).set(image.live_topics().count() as f64);
    metrics::gauge!(names::PARTITIONS).set(image.partition_count() as f64);
    metrics::gauge!(names::PARTITIONS_OWNED).set(logs.len() as f64);
    metrics::gauge!(names::OFFLINE_PARTITIONS).set(offline as f64);
    metrics::gauge!(names::CONNECTIONS).set(core.connections.open() as f64);
    metrics::gauge!(names::UNFLUSHED_BYTES).set(unflushed as f64);
    metrics::gauge!(names::ACTIVE_CONTROLLER).set(f64::from(u8::from(core.metadata.is_leader())));
    metrics::gauge!(names::METADATA_APPLIED_INDEX).set(image.applied_index() as f64);
    metrics::gauge!(names::BROKER_EPOCH).set(core.me.epoch.0 as f64);
    budget("requests", core.request_bytes.used(), REQUEST_BYTES);
    budget("answers", core.answer_bytes.used(), ANSWER_BYTES);
    budget("log cache", core.logs.cached_bytes(), core.settings().cache.log_bytes);
    let chain = core.chain.stats();
    budget("write-ahead log", chain.unlanded_bytes, core.settings().wal.unlanded_bytes);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn budget(name: &'static str, used: usize, limit: usize) {
    metrics::gauge!(names::MEMORY_USED_BYTES, "budget" => name).set(used as f64);
    metrics::gauge!(names::MEMORY_LIMIT_BYTES, "budget" => name).set(limit as f64);
}
