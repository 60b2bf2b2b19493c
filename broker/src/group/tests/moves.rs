//! Any sequence of commits while the coordinator moves: what was answered is there.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{OffsetCommitResponse, OffsetFetchRequest};
use odradek_common::clock::ManualClock;
use odradek_common::random::SeededRandom;
use proptest::prelude::*;

use super::harness::*;
use crate::coordinator::CoordinatorLog;
use crate::coordinator::memory::MemoryLog;
use crate::group::GroupService;
use crate::group::settings::GroupSettings;

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];

/// What happens to a coordinator and its log.
#[derive(Clone, Debug)]
enum Event {
    Commit {
        group: usize,
    },
    Land {
        records: i64,
    },
    Time {
        ms: u64,
    },
    /// Another takes over from what is durable.
    Move,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..GROUPS.len()).prop_map(|group| Event::Commit { group }),
        3 => (0..4i64).prop_map(|records| Event::Land { records }),
        1 => (0..3_000u64).prop_map(|ms| Event::Time { ms }),
        1 => Just(Event::Move),
    ]
}

type Commit = (usize, i64, crate::group::Deferred<OffsetCommitResponse>);

/// Takes the commits that were answered with success out of `open`.
async fn answered(open: &mut Vec<Commit>, last: &mut [i64]) {
    let mut still = Vec::new();
    for (group, offset, mut answer) in open.drain(..) {
        match (&mut answer).now_or_never() {
            None => still.push((group, offset, answer)),
            Some(answer) if answer.topics[0].partitions[0].error_code == 0 => {
                last[group] = last[group].max(offset);
            }
            Some(_) => {}
        }
    }
    *open = still;
}

async fn moves_and_commits(events: Vec<Event>) {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let random = Arc::new(SeededRandom::from_seed(1));
    let service = GroupService::new(GroupSettings::default(), clock, random);
    service.set_partitions(1);
    let mut log = MemoryLog::new(false);
    service.owned(0, Arc::new(log.clone()));
    settle().await;
    let (mut open, mut landed) = (Vec::new(), 0);
    // By group: the last offset that was answered, and the last that was sent.
    let (mut acked, mut sent) = ([-1; GROUPS.len()], [-1; GROUPS.len()]);
    for event in events {
        match event {
            Event::Commit { group } => {
                sent[group] += 1;
                let mut request = committing("", -1, sent[group]);
                request.group_id = super::harness::group(GROUPS[group]);
                open.push((group, sent[group], service.commit(9, request, u64::MAX).await));
            }
            Event::Land { records } => {
                landed = (landed + records).min(log.end().0);
                log.land(landed);
            }
            Event::Time { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Event::Move => {
                let next = log.after_crash();
                log.fence();
                next.set_lands(false);
                log = next;
                service.owned(0, Arc::new(log.clone()));
            }
        }
        settle().await;
        answered(&mut open, &mut acked).await;
    }
    let next = log.after_crash();
    service.owned(0, Arc::new(next));
    settle().await;
    answered(&mut open, &mut acked).await;
    assert!(open.is_empty(), "all are answered");
    for (group, name) in GROUPS.iter().enumerate() {
        let all = OffsetFetchRequestGroup::default()
            .with_group_id(super::harness::group(name))
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![all]);
        let answer = service.fetch(9, request).await.await;
        assert_eq!(answer.groups[0].error_code, 0);
        let found = answer.groups[0].topics.first();
        let found = found.map_or(-1, |topic| topic.partitions[0].committed_offset);
        assert!(
            (acked[group]..=sent[group]).contains(&found),
            "{found} of {name}: {acked:?} {sent:?}"
        );
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Over shards, logs and moves of the coordinator: what was answered is never lost.
    #[test]
    fn an_answered_commit_survives_every_move(events in prop::collection::vec(event(), 1..80)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(moves_and_commits(events));
    }
}
