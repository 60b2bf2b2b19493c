//! Gauges that are looked up rather than counted.

use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::TopicPartition;
use odradek_common::limits::{
    ANSWER_BYTES, BACKLOG_INDEX_BYTES, COORDINATORS_LIVE_BYTES, GROUP_LAG_SERIES,
    GROUPS_MEMORY_BYTES,
};
use odradek_storage::metric_names as storage_names;
use tracing::warn;

use crate::admin_http::recorder::Shown;
use crate::backlog::Gathered;
use crate::core::Core;
use crate::group::{CommittedOffset, GroupState};
use crate::metric_names as names;
use crate::topics::LiveTopics;

const EVERY: Duration = Duration::from_secs(5);

/// Sets the gauges every few seconds.
pub async fn run(core: Arc<Core>, shown: Shown) {
    loop {
        set(&core);
        groups(&core, &shown).await;
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn set(core: &Core) {
    let image = core.image();
    let logs = core.logs.all();
    let offline = image.partitions().filter(|(_, p)| !image.is_live(p.owner)).count();
    let unflushed: Gathered = logs.iter().map(|log| log.gathered()).sum();
    metrics::gauge!(names::TOPICS).set(image.live_topics().count() as f64);
    metrics::gauge!(names::PARTITIONS).set(image.partition_count() as f64);
    metrics::gauge!(names::PARTITIONS_OWNED).set(logs.len() as f64);
    metrics::gauge!(names::OFFLINE_PARTITIONS).set(offline as f64);
    metrics::gauge!(names::CONNECTIONS).set(core.connections.open() as f64);
    metrics::gauge!(names::UNFLUSHED_BYTES).set(unflushed.log_bytes as f64);
    metrics::gauge!(names::ACTIVE_CONTROLLER).set(f64::from(u8::from(core.metadata.is_leader())));
    metrics::gauge!(names::METADATA_APPLIED_INDEX).set(image.applied_index() as f64);
    metrics::gauge!(names::BROKER_EPOCH).set(core.me.epoch.0 as f64);
    memory(core);
    metrics::gauge!(names::UNFLUSHED_LIMIT_BYTES).set(core.backlog.log_bytes_max() as f64);
    budget("index of the backlog", unflushed.index_bytes, BACKLOG_INDEX_BYTES);
    // The chain sets these when it moves; while it does not, it is the age that tells.
    let chain = core.chain.stats();
    let age = chain.oldest_unlanded.as_secs_f64();
    metrics::gauge!(storage_names::WAL_SLOTS_IN_FLIGHT).set(chain.slots_in_flight as f64);
    metrics::gauge!(storage_names::WAL_UNLANDED_BYTES).set(chain.unlanded_bytes as f64);
    metrics::gauge!(storage_names::WAL_OLDEST_UNLANDED_SECONDS).set(age);
}

/// Everything that may hold much, with the most that it may hold.
fn memory(core: &Core) {
    let (settings, groups) = (core.settings(), core.groups.counts());
    let (cache, sessions, catalog) = (&settings.cache, &core.fetch_sessions, &core.catalog);
    let sized = |name, used: usize, limit: usize| budget(name, used as u64, limit as u64);
    sized("requests", core.request_bytes.used(), core.request_bytes.limit());
    sized("answers", core.answer_bytes.used(), ANSWER_BYTES);
    sized("write-ahead log", core.chain.stats().unlanded_bytes, settings.wal.unlanded_bytes);
    sized("log cache", core.logs.cached_bytes(), cache.log_bytes);
    sized("block cache", core.reader.cached_bytes(), cache.block_bytes);
    sized("fetch sessions", sessions.memory_bytes(), sessions.memory_bytes_max());
    budget("catalog cache", catalog.cached_bytes(), catalog.cached_bytes_max());
    budget("group records", groups.live_bytes, COORDINATORS_LIVE_BYTES);
    budget("group members", groups.memory_bytes, GROUPS_MEMORY_BYTES);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn budget(name: &'static str, used: u64, limit: u64) {
    metrics::gauge!(names::MEMORY_USED_BYTES, "budget" => name).set(used as f64);
    metrics::gauge!(names::MEMORY_LIMIT_BYTES, "budget" => name).set(limit as f64);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
async fn groups(core: &Core, shown: &Shown) {
    let counts = core.groups.counts();
    for (state, count) in GroupState::ALL.iter().zip(counts.groups) {
        metrics::gauge!(names::GROUPS, "state" => state.name()).set(count as f64);
    }
    metrics::gauge!(names::GROUP_MEMBERS).set(counts.members as f64);
    metrics::counter!(names::GROUP_REBALANCES).absolute(counts.rebalances);
    let committed = core.groups.committed_offsets(GROUP_LAG_SERIES);
    // Shards that are slow to answer keep the other gauges from being set: what was shown stays.
    let Ok((committed, all)) = tokio::time::timeout(EVERY, committed).await else { return };
    metrics::gauge!(names::GROUP_LAG_CUT).set(f64::from(u8::from(!all)));
    let set = || committed.into_iter().for_each(|offset| lag(core, offset));
    if let Err(error) = shown.replace_passing(set) {
        warn!(%error, "the lag of groups cannot be shown");
    }
}

/// A partition that is not owned here has no lag that is known.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn lag(core: &Core, committed: CommittedOffset) {
    let CommittedOffset { group, topic, partition, offset } = committed;
    let Some(id) = core.topic_id(&topic) else { return };
    let Some(log) = core.logs.get(&TopicPartition { topic: id, partition }) else { return };
    let lag = log.offsets().high_watermark.saturating_sub(offset).max(0);
    let partition = partition.to_string();
    let labels =
        [("group", group.to_string()), ("topic", topic.to_string()), ("partition", partition)];
    metrics::gauge!(names::GROUP_LAG, &labels).set(lag as f64);
}
