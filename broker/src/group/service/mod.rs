//! The handle by which the rest of the broker asks the group coordinator.
//!
//! Every method first fixes the request's place in the order of its group's shard, and then returns
//! a future with the answer, so that a connection can go on with its next request meanwhile.

mod admin;
mod members;
mod offsets;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::GroupId;
use odradek_common::clock::SharedClock;
use odradek_common::limits;
use odradek_common::random::SharedRandom;
use parking_lot::RwLock;
use tokio_util::task::TaskTracker;

use super::calls::{Answer, CommittedOffset, Request};
use super::gauges::{AllShards, GroupCounts, ShardGauges};
use super::machine::GroupMachine;
use super::settings::GroupSettings;
use crate::coordinator::{CoordinatorLog, Pending, Shard, Unavailable};

/// An answer when it is due. Dropping it takes nothing back.
pub type Deferred<T> = BoxFuture<'static, T>;

/// The group coordinator of this broker: a cheap handle.
#[derive(Clone, Debug)]
pub struct GroupService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Arc<GroupSettings>,
    clock: SharedClock,
    random: SharedRandom,
    /// Partitions of `__consumer_offsets`; 0 while there is no such topic.
    partitions: AtomicI32,
    owned: RwLock<HashMap<i32, Owned>>,
    all: AllShards,
    /// The Raft index at which topics were last told to be gone.
    topics_deleted_at: Arc<AtomicU64>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Owned {
    shard: Arc<Shard<GroupMachine>>,
    gauges: Arc<ShardGauges>,
}

impl GroupService {
    /// A coordinator that owns nothing yet.
    #[must_use]
    pub fn new(settings: GroupSettings, clock: SharedClock, random: SharedRandom) -> Self {
        Self(Arc::new(Inner {
            settings: Arc::new(settings),
            clock,
            random,
            partitions: AtomicI32::new(0),
            owned: RwLock::default(),
            all: AllShards::default(),
            topics_deleted_at: Arc::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The topic `__consumer_offsets` has this many partitions. It never changes while the topic
    /// is there: groups would be looked for elsewhere.
    pub fn set_partitions(&self, partitions: i32) {
        self.0.partitions.store(partitions, Ordering::Relaxed);
    }

    pub(super) fn partition_for(&self, group: &str) -> Option<i32> {
        partition_of(group, self.0.partitions.load(Ordering::Relaxed))
    }

    /// This broker owns a partition from now on: its state is loaded from `log`, anew if it was
    /// owned before. To be called within a tokio runtime.
    pub fn owned(&self, partition: i32, log: Arc<dyn CoordinatorLog>) {
        let gauges = Arc::new(ShardGauges::among(&self.0.all));
        let (settings, counts) = (Arc::clone(&self.0.settings), Arc::clone(&gauges));
        let deleted_at = Arc::clone(&self.0.topics_deleted_at);
        let make = move || {
            let (settings, counts) = (Arc::clone(&settings), Arc::clone(&counts));
            GroupMachine::new(settings, counts, deleted_at.load(Ordering::Acquire))
        };
        let name = format!("__consumer_offsets-{partition}");
        let (shard, task) = Shard::new(name, log, Arc::clone(&self.0.clock), make);
        let owned = Owned { shard: Arc::new(shard), gauges };
        if let Some(before) = self.0.owned.write().insert(partition, owned) {
            before.shard.stop();
        }
        self.0.tasks.spawn(task);
    }

    /// This broker no longer owns a partition: all who wait for it are told.
    pub fn lost(&self, partition: i32) {
        if let Some(before) = self.0.owned.write().remove(&partition) {
            before.shard.stop();
        }
    }

    /// Ends all shards and waits until their tasks have ended.
    pub async fn shutdown(&self) {
        self.0.owned.write().drain().for_each(|(_, owned)| owned.shard.stop());
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Counts of the groups coordinated here.
    #[must_use]
    pub fn counts(&self) -> GroupCounts {
        let mut counts = GroupCounts::default();
        self.0.owned.read().values().for_each(|owned| owned.gauges.add_to(&mut counts));
        counts
    }

    /// Offsets committed in the partitions owned here, as far as they are loaded, at most `most`;
    /// false if there are more. They need not be durable yet.
    pub async fn committed_offsets(&self, most: usize) -> (Vec<CommittedOffset>, bool) {
        let mut found = Vec::new();
        for (_, shard) in self.shards() {
            // One more than is wanted tells that there are more.
            let wanted = most.saturating_sub(found.len()).saturating_add(1);
            let pending = shard.call(Request::Committed(wanted), self.commit_timeout()).await;
            if let Ok(Answer::Committed(offsets)) = self.in_time(pending).await {
                found.extend(offsets);
            }
            if found.len() > most {
                found.truncate(most);
                return (found, false);
            }
        }
        (found, true)
    }

    /// Topics of these names are gone from the metadata at the Raft index `at`: their offsets go
    /// too, and commits that were checked before it are refused from then on. The future returned
    /// completes when that is durable in all partitions owned here; what is loading is waited for.
    pub async fn topics_deleted(&self, topics: Vec<String>, at: u64) -> Deferred<()> {
        // Before the shards are told: one that loads anew after it was has to know it too.
        self.0.topics_deleted_at.fetch_max(at, Ordering::AcqRel);
        let topics: Arc<[String]> = topics.into();
        let mut pending = Vec::new();
        for (partition, shard) in self.shards() {
            let request = Request::TopicsDeleted(Arc::clone(&topics), at);
            pending.push((shard.call(request, self.commit_timeout()).await, (partition, shard)));
        }
        let (timeout, inner) = (self.commit_timeout(), Arc::clone(&self.0));
        async move {
            for (mut answer, (partition, shard)) in pending {
                while let Err(reason) = answer.await {
                    // A shard that fails says so too, and loads again.
                    let is_owned = || {
                        let owned = inner.owned.read();
                        owned.get(&partition).is_some_and(|owned| Arc::ptr_eq(&owned.shard, &shard))
                    };
                    if reason == Unavailable::NotCoordinator && !is_owned() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(limits::COORDINATOR_RELOAD_MS)).await;
                    let request = Request::TopicsDeleted(Arc::clone(&topics), at);
                    answer = shard.call(request, timeout).await;
                }
            }
        }
        .boxed()
    }

    /// The shards, in the order of their partitions.
    fn shards(&self) -> Vec<(i32, Arc<Shard<GroupMachine>>)> {
        let owned = self.0.owned.read();
        let mut shards: Vec<_> = owned.iter().map(|(p, o)| (*p, Arc::clone(&o.shard))).collect();
        shards.sort_unstable_by_key(|(partition, _)| *partition);
        shards
    }

    /// Asks the shard of `group`.
    async fn call(&self, group: &GroupId, request: Request) -> Pending<Answer> {
        self.call_partition(self.partition_for(group), request).await
    }

    async fn call_partition(&self, partition: Option<i32>, request: Request) -> Pending<Answer> {
        let shard = partition.and_then(|partition| {
            self.0.owned.read().get(&partition).map(|owned| Arc::clone(&owned.shard))
        });
        match shard {
            Some(shard) => shard.call(request, self.commit_timeout()).await,
            None => Pending::refused(Unavailable::NotCoordinator),
        }
    }

    fn commit_timeout(&self) -> Duration {
        self.0.settings.commit_timeout
    }

    /// The answer, or [`Unavailable::Busy`] if it is late: then the request's effect is unknown to
    /// the caller, who asks again; its records stay in their order before any later ones.
    fn in_time(
        &self,
        pending: Pending<Answer>,
    ) -> impl Future<Output = Result<Answer, Unavailable>> + Send + 'static {
        let late = tokio::time::Instant::now() + self.commit_timeout();
        async move { tokio::time::timeout_at(late, pending).await.unwrap_or(Err(Unavailable::Busy)) }
    }
}

/// The partition of `__consumer_offsets` that a group belongs to, `None` if it has none. Kafka's place of a
/// group: Java's `String.hashCode`, over UTF-16 units, without its sign.
#[must_use]
pub fn partition_of(group: &str, partitions: i32) -> Option<i32> {
    if partitions <= 0 {
        return None;
    }
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit.cast_signed()) & 0xffff)
    });
    // Kafka's Utils.abs: of the smallest number, which has no positive, 0.
    Some(hash.checked_abs().unwrap_or(0) % partitions)
}

/// The error that tells a client why there is no answer.
fn error_of(why: Unavailable) -> ResponseError {
    match why {
        Unavailable::Loading => ResponseError::CoordinatorLoadInProgress,
        Unavailable::NotCoordinator => ResponseError::NotCoordinator,
        Unavailable::Busy => ResponseError::CoordinatorNotAvailable,
    }
}

/// The answer of the kind that `pick` takes.
fn answered<T>(
    outcome: Result<Answer, Unavailable>,
    pick: impl FnOnce(Answer) -> Option<T>,
) -> Result<T, ResponseError> {
    let answer = outcome.map_err(error_of)?;
    pick(answer).ok_or(ResponseError::UnknownServerError)
}

/// Whether a text of this length fits the records that it may come into.
fn fits(length: usize) -> bool {
    length <= limits::GROUP_TEXT_BYTES
}

/// Whether all of these do.
fn fit<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    texts.all(|text| fits(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lie_where_kafka_looks_for_them() {
        for (group, partition) in [
            ("", 0),
            ("group", 47),
            ("my-group", 12),
            ("gr\u{fc}ppe", 12),
            ("\u{1f600}emoji", 27),
            ("polygenelubricants", 0),
            ("console-consumer-12345", 6),
        ] {
            assert_eq!(partition_of(group, 50), Some(partition), "{group}");
        }
        assert_eq!(partition_of("group", 0), None);
    }
}
