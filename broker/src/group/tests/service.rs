//! The service on shards with logs in memory.

mod log;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use kafka_protocol::ResponseError as E;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::Encodable;
use odradek_common::clock::ManualClock;
use odradek_common::limits;
use odradek_common::random::SeededRandom;

use super::harness::*;
use crate::coordinator::memory::MemoryLog;
use crate::group::{GroupService, GroupSettings};

const PARTITIONS: i32 = 5;
/// Where the metadata stands when a commit is checked.
const NOW: u64 = 9;

struct World {
    service: GroupService,
    logs: Vec<MemoryLog>,
}

/// A service that owns all partitions and has loaded them.
async fn world() -> World {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let random = Arc::new(SeededRandom::from_seed(7));
    let service = GroupService::new(GroupSettings::default(), clock, random);
    service.set_partitions(PARTITIONS);
    let logs: Vec<_> = (0..PARTITIONS).map(|_| MemoryLog::new(true)).collect();
    for (partition, log) in (0..).zip(&logs) {
        service.owned(partition, Arc::new(log.clone()));
    }
    settle().await;
    World { service, logs }
}

impl World {
    fn log(&self, group: &str) -> &MemoryLog {
        &self.logs[usize::try_from(self.service.partition_for(group).unwrap()).unwrap()]
    }

    async fn join(&self, version: i16, member: &str) -> JoinGroupResponse {
        let request = joining(member);
        self.service.join(version, "client", "/127.0.0.1", request).await.await
    }

    /// A member of generation 1, stable.
    async fn stable(&self) -> String {
        let id = self.join(9, "").await.member_id.to_string();
        let joined = self.join(9, &id).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        let synced = self.service.sync(5, syncing(&id, 1, &[(&id, b"a")])).await.await;
        assert_eq!(synced.error_code, 0);
        id
    }
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn encodes(message: &impl Encodable, version: i16) {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap_or_else(|e| panic!("version {version}: {e}"));
}

fn beat(member: &str) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(text(member))
        .with_generation_id(1)
}

fn fetching(ids: &[&str]) -> OffsetFetchRequest {
    let groups = ids.iter().map(|id| {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(TopicName(text("t")))
            .with_partition_indexes(vec![0]);
        OffsetFetchRequestGroup::default().with_group_id(group(id)).with_topics(Some(vec![topic]))
    });
    OffsetFetchRequest::default().with_groups(groups.collect())
}

#[tokio::test(start_paused = true)]
async fn a_member_lives_and_dies_by_the_clock() {
    let world = world().await;
    let began = tokio::time::Instant::now();
    let id = world.stable().await;
    assert_eq!(began.elapsed().as_millis(), u128::from(DELAY_MS), "the initial delay");
    assert_eq!(world.service.heartbeat(beat(&id)).await.await.error_code, 0);
    tokio::time::sleep(Duration::from_millis(SESSION_MS - 1)).await;
    assert_eq!(world.service.heartbeat(beat(&id)).await.await.error_code, 0);
    let counts = world.service.counts();
    assert_eq!((counts.groups, counts.members, counts.rebalances), ([0, 0, 0, 1], 1, 1));
    tokio::time::sleep(Duration::from_millis(SESSION_MS + 1)).await;
    let beat = world.service.heartbeat(beat(&id)).await.await;
    assert_eq!(beat.error_code, E::UnknownMemberId.code());
    assert_eq!(world.service.counts().groups, [1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_connection_pipeline_in_order() {
    let world = world().await;
    world.log(GROUP).set_lands(false);
    let mut answers = Vec::new();
    for offset in 0..5 {
        answers.push(world.service.commit(9, committing("", -1, offset), NOW).await);
    }
    let fetch = world.service.fetch(9, fetching(&[GROUP])).await;
    settle().await;
    assert!(answers.iter_mut().all(|answer| answer.now_or_never().is_none()));
    world.log(GROUP).set_lands(true);
    for answer in answers {
        assert_eq!(answer.await.topics[0].partitions[0].error_code, 0);
    }
    assert_eq!(fetch.await.groups[0].topics[0].partitions[0].committed_offset, 4);
}

#[tokio::test(start_paused = true)]
async fn members_outlive_an_outage_of_the_store() {
    let world = world().await;
    let id = world.stable().await;
    world.log(GROUP).set_lands(false);
    let commit = world.service.commit(9, committing(&id, 1, 5), NOW).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(SESSION_MS / 2)).await;
        assert_eq!(world.service.heartbeat(beat(&id)).await.await.error_code, 0);
    }
    let answer = commit.await;
    let late = E::CoordinatorNotAvailable.code();
    assert_eq!(answer.topics[0].partitions[0].error_code, late, "it may have landed");
    let newer = world.service.commit(9, committing(&id, 1, 6), NOW).await;
    world.log(GROUP).set_lands(true);
    assert_eq!(newer.await.topics[0].partitions[0].error_code, 0);
    let fetch = world.service.fetch(9, fetching(&[GROUP])).await.await;
    assert_eq!(fetch.groups[0].topics[0].partitions[0].committed_offset, 6, "not the late one");
}

#[tokio::test(start_paused = true)]
async fn a_lost_partition_answers_all_who_wait() {
    let world = world().await;
    let id = world.stable().await;
    let waiting = world.service.join(9, "client", "/h", joining(&id)).await.await;
    assert_eq!(waiting.error_code, 0, "alone, it need not wait");
    world.service.sync(5, syncing(&id, 2, &[])).await.await;
    world.log(GROUP).set_lands(false);
    let commit = world.service.commit(9, committing(&id, 2, 5), NOW).await;
    let other = world.service.join(3, "client", "/h", joining("")).await;
    settle().await;
    world.service.lost(world.service.partition_for(GROUP).unwrap());
    let not = E::NotCoordinator.code();
    assert_eq!(commit.await.topics[0].partitions[0].error_code, not);
    assert_eq!(other.await.error_code, not);
    assert_eq!(world.service.heartbeat(beat(&id)).await.await.error_code, not);
    assert_eq!(world.service.fetch(9, fetching(&[GROUP])).await.await.groups[0].error_code, not);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_coordinator_vouches_for_nothing_and_the_next_one_goes_on() {
    let world = world().await;
    let id = world.stable().await;
    let commit = world.service.commit(9, committing(&id, 1, 5), NOW).await.await;
    assert_eq!(commit.topics[0].partitions[0].error_code, 0);
    let log = world.log(GROUP);
    log.set_lands(false);
    log.set_confirms(false);
    let lost = world.service.commit(9, committing(&id, 1, 6), NOW).await;
    let stale = world.service.fetch(9, fetching(&[GROUP])).await;
    settle().await;
    let next = log.after_crash();
    log.fence();
    assert_eq!(lost.await.topics[0].partitions[0].error_code, E::NotCoordinator.code());
    assert_eq!(stale.await.groups[0].error_code, E::NotCoordinator.code());
    world.service.owned(world.service.partition_for(GROUP).unwrap(), Arc::new(next));
    settle().await;
    let fetch = world.service.fetch(9, fetching(&[GROUP])).await.await;
    assert_eq!(fetch.groups[0].topics[0].partitions[0].committed_offset, 5);
    assert_eq!(world.service.heartbeat(beat(&id)).await.await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn while_it_loads_members_are_kept_calm() {
    let world = world().await;
    let id = world.stable().await;
    let log = world.log(GROUP).after_crash();
    log.set_fails_reads(true);
    world.service.owned(world.service.partition_for(GROUP).unwrap(), Arc::new(log));
    let loading = E::CoordinatorLoadInProgress.code();
    assert_eq!(world.service.heartbeat(beat(&id)).await.await.error_code, 0);
    assert_eq!(world.join(9, &id).await.error_code, loading);
    assert_eq!(
        world.service.fetch(9, fetching(&[GROUP])).await.await.groups[0].error_code,
        loading
    );
    let list = world.service.list(5, ListGroupsRequest::default()).await.await;
    assert_eq!(list.error_code, loading);
}

#[tokio::test(start_paused = true)]
async fn without_the_topic_there_is_no_coordinator() {
    let world = world().await;
    world.service.set_partitions(0);
    assert_eq!(world.service.partition_for(GROUP), None);
    assert_eq!(world.join(9, "").await.error_code, E::NotCoordinator.code());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_told_at_once() {
    let world = world().await;
    let service = &world.service;
    let join = |request| async { service.join(9, "c", "/h", request).await.await.error_code };
    assert_eq!(join(joining("").with_group_id(group(""))).await, E::InvalidGroupId.code());
    let timeout = E::InvalidSessionTimeout.code();
    for ms in [-1, 5_999, 1_800_001] {
        assert_eq!(join(joining("").with_session_timeout_ms(ms)).await, timeout);
    }
    let long = "x".repeat(0x8000);
    let invalid = E::InvalidRequest.code();
    assert_eq!(join(joining("").with_group_id(group(&long))).await, invalid);
    assert_eq!(join(joining_as(&long, "")).await, invalid);
    let name = vec![protocol(&long, subscription(&[]))];
    assert_eq!(join(joining("").with_protocols(name)).await, invalid);
    let no_group = syncing("m", 1, &[]).with_group_id(group(""));
    assert_eq!(service.sync(5, no_group).await.await.error_code, E::InvalidGroupId.code());
    let silent = syncing("m", 1, &[]).with_protocol_type(None);
    let answer = service.sync(5, silent.clone()).await.await;
    assert_eq!(answer.error_code, E::InconsistentGroupProtocol.code());
    assert_eq!(service.sync(4, silent).await.await.error_code, E::UnknownMemberId.code());
    let no_group = beat("m").with_group_id(group(""));
    assert_eq!(service.heartbeat(no_group).await.await.error_code, E::InvalidGroupId.code());
    let leave = service.leave(5, LeaveGroupRequest::default()).await.await;
    assert_eq!(leave.error_code, E::InvalidGroupId.code());
    let delete = service.delete_offsets(OffsetDeleteRequest::default()).await.await;
    assert_eq!(delete.error_code, E::InvalidGroupId.code());
    let mut commit = committing("", -1, 5);
    commit.group_id = group(&long);
    let commit = service.commit(9, commit, NOW).await.await;
    assert_eq!(commit.topics[0].partitions[0].error_code, invalid);
    let mut many = committing("", -1, 5);
    let partition = many.topics[0].partitions[0].clone();
    many.topics[0].partitions = vec![partition; limits::OFFSETS_OF_A_REQUEST + 1];
    let commit = service.commit(9, many, NOW).await.await;
    assert_eq!(commit.topics[0].partitions[0].error_code, invalid);
    let mut many = fetching(&[GROUP]);
    many.groups[0].topics.as_mut().unwrap()[0].partition_indexes =
        vec![0; limits::OFFSETS_OF_A_REQUEST + 1];
    let fetch = service.fetch(9, many).await.await;
    assert_eq!(fetch.groups.len(), 0);
    encodes(&fetch, 9);
    let names = (0..=limits::GROUP_PROTOCOLS).map(|i| protocol(&i.to_string(), subscription(&[])));
    assert_eq!(join(joining("").with_protocols(names.collect())).await, invalid);
    // The empty group id is Kafka's for clients without one: they may commit and fetch.
    let commit = service.commit(9, committing("", -1, 5).with_group_id(group("")), NOW).await.await;
    assert_eq!(commit.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn version_0_has_one_timeout_for_both() {
    let world = world().await;
    let request = joining("").with_rebalance_timeout_ms(-1);
    let joined = world.service.join(0, "c", "/h", request).await.await;
    assert_eq!(joined.error_code, 0);
    encodes(&joined, 0);
}

#[tokio::test(start_paused = true)]
async fn old_clients_leave_one_by_one() {
    let world = world().await;
    let id = world.stable().await;
    let request = LeaveGroupRequest::default().with_group_id(group(GROUP));
    let unknown = request.clone().with_member_id(text("nobody"));
    let answer = world.service.leave(2, unknown).await.await;
    assert_eq!((answer.error_code, answer.members.len()), (E::UnknownMemberId.code(), 0));
    encodes(&answer, 2);
    let answer = world.service.leave(0, request.with_member_id(text(&id))).await.await;
    assert_eq!(answer.error_code, 0);
    encodes(&answer, 0);
}

#[tokio::test(start_paused = true)]
async fn answers_encode_in_every_version() {
    let world = world().await;
    let service = &world.service;
    for version in 0..=9 {
        // Static members, whose instance ids old versions cannot carry.
        let joined = service.join(version, "c", "/h", joining_as("i", "")).await.await;
        assert_eq!(joined.error_code, 0);
        encodes(&joined, version);
        let refused = service.join(version, "c", "/h", joining("nobody")).await.await;
        encodes(&refused, version);
        if version <= 5 {
            let member = joined.member_id.as_str();
            let request = syncing(member, joined.generation_id, &[(member, b"a")]);
            let synced = service.sync(version, request).await.await;
            assert_eq!(synced.error_code, 0);
            encodes(&synced, version);
        }
        if version <= 6 {
            let request =
                DescribeGroupsRequest::default().with_groups(vec![group(GROUP), group("nobody")]);
            encodes(&service.describe(version, request).await.await, version);
        }
        if version <= 5 {
            let list = service.list(version, ListGroupsRequest::default()).await.await;
            assert_eq!(list.groups.len(), 1);
            encodes(&list, version);
        }
    }
    for version in 2..=9 {
        let request = committing("", -1, 5).with_group_id(group("simple"));
        encodes(&service.commit(version, request, NOW).await.await, version);
    }
    for version in 1..=9 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partition_indexes(vec![0, 1]);
        let request = match version {
            8.. => fetching(&["simple"]),
            _ => OffsetFetchRequest::default()
                .with_group_id(group("simple"))
                .with_topics(Some(vec![topic])),
        };
        let fetch = service.fetch(version, request.clone()).await.await;
        encodes(&fetch, version);
        let offset = match version {
            8.. => fetch.groups[0].topics[0].partitions[0].committed_offset,
            _ => fetch.topics[0].partitions[0].committed_offset,
        };
        assert_eq!(offset, 5);
        service.set_partitions(0);
        let refused = service.fetch(version, request).await.await;
        service.set_partitions(PARTITIONS);
        encodes(&refused, version);
        let code = match version {
            8.. => refused.groups[0].error_code,
            2.. => refused.error_code,
            _ => refused.topics[0].partitions[1].error_code,
        };
        assert_eq!(code, E::NotCoordinator.code());
    }
}

#[tokio::test(start_paused = true)]
async fn groups_of_many_partitions_are_asked_for_at_once() {
    let world = world().await;
    let service = &world.service;
    let ids: Vec<String> = (0..20).map(|i| format!("group-{i}")).collect();
    for id in &ids {
        service.commit(9, committing("", -1, 7).with_group_id(group(id)), NOW).await.await;
    }
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let fetch = service.fetch(9, fetching(&names)).await.await;
    for (answer, id) in fetch.groups.iter().zip(&ids) {
        assert_eq!(answer.group_id.as_str(), id);
        assert_eq!(answer.topics[0].partitions[0].committed_offset, 7);
    }
    let all: Vec<_> = names.iter().map(|id| group(id)).collect();
    let request = DescribeGroupsRequest::default().with_groups(all.clone());
    let described = service.describe(6, request).await.await;
    let order: Vec<_> = described.groups.iter().map(|g| g.group_id.clone()).collect();
    assert_eq!(order, all);
    let twice = vec![group("group-1"), group("group-2"), group("group-1")];
    let request = DescribeGroupsRequest::default().with_groups(twice);
    assert_eq!(service.describe(6, request).await.await.groups.len(), 2, "each once");
    assert_eq!(service.fetch(9, fetching(&["group-1", "group-1"])).await.await.groups.len(), 1);
    assert_eq!(service.committed_offsets(100).await.0.len(), 20);
    let list = ListGroupsRequest::default().with_states_filter(vec![text("EMPTY")]);
    assert_eq!(service.list(5, list).await.await.groups.len(), 20);
    let request = DeleteGroupsRequest::default().with_groups_names(all.clone());
    let deleted = service.delete_groups(request).await.await;
    assert!(deleted.results.iter().zip(&all).all(|(r, id)| r.error_code == 0 && r.group_id == *id));
    assert_eq!(service.committed_offsets(100).await.0.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_every_task() {
    let world = world().await;
    let id = world.stable().await;
    world.service.shutdown().await;
    let beat = world.service.heartbeat(beat(&id)).await.await;
    assert_eq!(beat.error_code, E::NotCoordinator.code());
}
