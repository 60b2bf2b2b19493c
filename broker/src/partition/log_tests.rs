//! A log over a real chain, whose slots go to a store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use object_store::memory::InMemory;
use object_store::path::Path;
use odradek_common::batch::TimestampType;
use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, ClusterId, GroupId, LeaderEpoch, TopicId, TopicPartition,
};
use odradek_common::limits::SEQUENCES_SETTLE;
use odradek_common::random::{SeededRandom, SharedRandom};
use odradek_storage::names::{ChainRef, Names};
use odradek_storage::wal::{Chain, ChainHandle, ChainOptions, ObjectOptions, ObjectWal};
use tokio_util::sync::CancellationToken;

use super::producers::Producers;
use super::testing::{batch_of, sequenced};
use super::{AppendRules, Found, LogStart, NotSequenced, PartitionLog};
use crate::logs::Logs;

const AT: TopicPartition = TopicPartition { topic: TopicId::NIL, partition: 0 };

fn rules() -> AppendRules {
    AppendRules {
        max_message_bytes: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        compacted: false,
    }
}

fn chain(logs: &Arc<Logs>) -> ChainHandle {
    let random: SharedRandom = Arc::new(SeededRandom::from_seed(1));
    let cluster: ClusterId = "c".parse().unwrap();
    let names = Names::new(Path::default(), cluster.clone());
    let store = Arc::new(InMemory::new());
    let wal = ObjectWal::new(store, names, ObjectOptions::default(), random.clone());
    let of = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(1), chain: ChainId(0) };
    let options = ChainOptions::new(of, cluster);
    let (chain, handle) = Chain::new(options, Arc::new(wal), logs.clone(), random);
    tokio::spawn(chain.run(CancellationToken::new()));
    handle
}

fn log_from(flushed_end: i64) -> (Arc<Logs>, Arc<PartitionLog>) {
    let logs = Arc::new(Logs::new(1 << 20));
    let start = LogStart {
        id: AT,
        topic: "t".into(),
        group: GroupId(0),
        leader_epoch: LeaderEpoch(4),
        log_start: 0,
        flushed_end,
    };
    let log = Arc::new(PartitionLog::new(start, Producers::default(), rules(), chain(&logs)));
    logs.insert(log.clone());
    (logs, log)
}

#[tokio::test]
async fn appends_go_on_at_the_committed_end_and_show_when_durable() {
    let (_logs, log) = log_from(10);
    let appended = log.append(batch_of(&[(None, "a"), (None, "b")], 5), 5).await.unwrap();
    assert_eq!((appended.base_offset, appended.next_offset), (10, 12));
    assert_eq!(log.durable_to(12).await.unwrap(), 12);
    assert!(matches!(log.find(10, 1 << 20, true), Found::Cached(chunks) if chunks.len() == 2));
    assert!(matches!(log.find(9, 1 << 20, true), Found::Stored));
    assert!(matches!(log.find(12, 1 << 20, true), Found::Nothing));
    assert!(matches!(log.find(13, 1 << 20, true), Found::OutOfRange));
    log.evict_below(12);
    assert!(matches!(log.find(10, 1 << 20, true), Found::Stored));
}

#[tokio::test]
async fn a_duplicate_names_the_original_and_waits_for_its_slot() {
    let (_logs, log) = log_from(0);
    let first = log.append(sequenced(7, 0, 0, 3), 1).await.unwrap();
    let again = log.append(sequenced(7, 0, 0, 3), 1).await.unwrap();
    assert_eq!((again.base_offset, again.next_offset, again.slot), (0, 3, first.slot));
    assert_eq!(log.offsets().append_end, 3, "nothing was appended twice");
    let gap = log.append(sequenced(7, 0, 5, 1), 1).await.unwrap_err();
    assert_eq!(gap.code, ResponseError::OutOfOrderSequenceNumber);
}

#[tokio::test(start_paused = true)]
async fn gaps_count_when_the_partition_was_here_for_a_while() {
    let (_logs, log) = log_from(0);
    assert!(!log.is_settled());
    tokio::time::advance(SEQUENCES_SETTLE).await;
    assert!(log.is_settled());
}

#[tokio::test]
async fn a_flush_takes_what_is_durable_with_the_producers_at_its_end() {
    let (_logs, log) = log_from(0);
    log.append(sequenced(7, 0, 0, 3), 1).await.unwrap();
    log.durable_to(3).await.unwrap();
    let plan = log.plan_flush(None, 1, i64::MAX).unwrap();
    assert_eq!((plan.base_offset, plan.next_offset), (0, 3));
    assert!(plan.cached.is_some() && !plan.slots.is_empty());
    let after_first = plan.producers;
    log.append(sequenced(7, 0, 3, 1), 1).await.unwrap();
    log.durable_to(4).await.unwrap();
    log.flushed(3);
    let plan = log.plan_flush(None, 1, i64::MAX).unwrap();
    assert_eq!((plan.base_offset, plan.next_offset), (3, 4));
    assert_ne!(plan.producers, after_first, "each checkpoint is of its own range's end");
    log.flushed(4);
    assert!(log.plan_flush(None, 1, i64::MAX).is_none() && log.oldest_unflushed_slot().is_none());
}

/// The records here are all of the first millisecond: what counts is when they were appended.
#[tokio::test]
async fn a_flush_remembers_who_produced_lately_however_old_the_records() {
    let (_logs, log) = log_from(0);
    let known = |producers: &Producers| [7, 8].map(|id| producers.knows(id));
    log.append(sequenced(7, 0, 0, 3), 1_000_000).await.unwrap();
    log.durable_to(3).await.unwrap();
    let plan = log.plan_flush(None, 1_000_000, 10).unwrap();
    assert_eq!(known(&plan.producers), [true, false]);
    log.flushed(3);
    log.append(sequenced(8, 0, 0, 1), 1_000_009).await.unwrap();
    log.durable_to(4).await.unwrap();
    let plan = log.plan_flush(None, 1_000_009, 10).unwrap();
    assert_eq!(known(&plan.producers), [true, true]);
    let plan = log.plan_flush(None, 1_000_010, 10).unwrap();
    assert_eq!(known(&plan.producers), [false, true], "idle for ten milliseconds");
}

#[tokio::test]
async fn a_flush_may_end_with_any_slot() {
    let (_logs, log) = log_from(0);
    let mut slots = Vec::new();
    for first in [0, 3, 6] {
        slots.push(log.append(sequenced(7, 0, first, 3), 1).await.unwrap().slot.unwrap());
        log.durable_to(i64::from(first) + 3).await.unwrap();
    }
    let mut by_slot = BTreeMap::new();
    log.add_unflushed(&mut by_slot);
    assert!(by_slot.keys().copied().eq(slots.iter().copied()));
    assert_eq!(by_slot.values().sum::<u64>(), log.gathered().log_bytes);
    let all = log.plan_flush(None, 1, i64::MAX).unwrap();
    assert_eq!((all.next_offset, all.slots.len()), (9, 3));
    for (slot, base) in slots.iter().zip([0, 3, 6]) {
        let next = base + 3;
        let plan = log.plan_flush(Some(*slot), 1, i64::MAX).unwrap();
        assert_eq!((plan.base_offset, plan.next_offset, plan.slots.len()), (base, next, 1));
        let cached: usize = plan.cached.unwrap().iter().map(bytes::Bytes::len).sum();
        assert_eq!(cached as u64, plan.slots[0].length, "no batch behind its end");
        let newest = plan.producers.newest().next().unwrap();
        assert_eq!(newest.last_offset, next - 1, "the producers at its end");
        log.flushed(next);
        assert!(log.plan_flush(Some(*slot), 1, i64::MAX).is_none());
    }
}

#[tokio::test]
async fn a_closed_log_takes_nothing() {
    let (_logs, log) = log_from(0);
    log.close();
    let refused = log.append(batch_of(&[(None, "a")], 1), 1).await.unwrap_err();
    assert_eq!(refused.code, ResponseError::NotLeaderOrFollower);
}

/// An append that waits for a log that is being handed over.
fn parked(log: &Arc<PartitionLog>, first: i32) -> tokio::task::JoinHandle<Option<ResponseError>> {
    let log = log.clone();
    let append =
        async move { log.append(sequenced(7, 0, first, 1), 1).await.err().map(|e| e.code) };
    tokio::spawn(append)
}

#[tokio::test]
async fn appends_wait_while_a_partition_is_frozen() {
    let (_logs, log) = log_from(0);
    assert!(log.freeze() && !log.freeze());
    let first = parked(&log, 0);
    tokio::task::yield_now().await;
    assert_eq!(log.offsets().append_end, 0);
    assert!(!log.has_left());
    log.thaw();
    assert_eq!(first.await.unwrap(), None);
    assert_eq!(log.offsets().append_end, 1);
    let internal = log.append_internal(&batch_of(&[(Some("k"), "v")], 1));
    assert_eq!(internal.unwrap().base_offset, 1);
}

#[tokio::test]
async fn what_left_comes_back_only_as_refused() {
    let (_logs, log) = log_from(0);
    assert!(!log.leave(), "only what is frozen leaves");
    assert!(log.freeze() && log.leave());
    log.thaw();
    assert!(log.has_left(), "an abort comes too late");
    assert!(matches!(
        log.append_internal(&batch_of(&[(Some("k"), "v")], 1)),
        Err(NotSequenced::Frozen)
    ));
    let waits = parked(&log, 0);
    tokio::task::yield_now().await;
    log.stay();
    assert_eq!(waits.await.unwrap(), None);
}

#[tokio::test]
async fn what_waits_is_refused_when_the_partition_is_elsewhere() {
    let (_logs, log) = log_from(0);
    assert!(log.freeze() && log.leave());
    let waits = parked(&log, 0);
    tokio::task::yield_now().await;
    log.close();
    assert_eq!(waits.await.unwrap(), Some(ResponseError::NotLeaderOrFollower));
    log.stay();
    assert!(log.is_closed() && !log.freeze() && !log.leave());
    assert_eq!(log.offsets().append_end, 0);
}
