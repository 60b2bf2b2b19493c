//! Committed offsets.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError as E;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
};

use super::harness::*;
use crate::coordinator::When;
use crate::group::calls::{Answer, CommitCall, FetchCall, Request};
use crate::group::settings::GroupSettings;
use crate::group::state::GroupState;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn with_metadata(mut request: OffsetCommitRequest, metadata: &str) -> OffsetCommitRequest {
    request.topics[0].partitions[0].committed_metadata = Some(text(metadata));
    request
}

fn of_topic(mut request: OffsetCommitRequest, topic: &str) -> OffsetCommitRequest {
    request.topics[0].name = TopicName(text(topic));
    request
}

fn delete(h: &mut Harness, topic: &str) -> OffsetDeleteResponse {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition]);
    let request =
        OffsetDeleteRequest::default().with_group_id(group(GROUP)).with_topics(vec![topic]);
    let token = h.ask(Request::DeleteOffsets(request));
    match h.answer(token) {
        Answer::DeleteOffsets(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_of_no_member_makes_a_simple_group() {
    let mut h = Harness::default();
    assert_eq!(h.commit(committing("", -1, 5)), 0);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    let last = *h.given.last_key_value().unwrap().0;
    assert_eq!((h.when(last), h.given[&last].position), (When::Durable, 1));
    assert_eq!(h.fetch("t", 0), 5);
    let last = *h.given.last_key_value().unwrap().0;
    assert_eq!(h.when(last), When::Confirmed);
    let mut h = h.crash(1);
    assert_eq!(h.fetch("t", 0), 5);
    assert_eq!(h.fetch("t", 1), -1);
    assert_eq!(h.fetch("u", 0), -1);
}

#[test]
fn a_generation_of_a_group_that_is_not_there_is_refused() {
    let mut h = Harness::default();
    assert_eq!(h.commit(committing("m", 1, 5)), E::GroupIdNotFound.code());
    let token = h.ask(commit_call(8, committing("m", 1, 5)));
    let Answer::Commit(answer) = h.answer(token) else { panic!() };
    assert_eq!(answer.topics[0].partitions[0].error_code, E::IllegalGeneration.code());
    assert!(h.machine.groups.is_empty());
}

#[test]
fn members_commit_in_their_generation_only() {
    let mut h = Harness::default();
    let (_, id) = h.join_new();
    h.pass(DELAY_MS * 2);
    assert_eq!(h.commit(committing(&id, 1, 5)), E::RebalanceInProgress.code(), "completing");
    h.sync_all(std::slice::from_ref(&id), 1);
    assert_eq!(h.commit(committing(&id, 1, 5)), 0);
    assert_eq!(h.commit(committing(&id, 0, 6)), E::IllegalGeneration.code());
    assert_eq!(h.commit(committing(&id, -1, 6)), E::IllegalGeneration.code());
    assert_eq!(h.commit(committing("someone", 1, 6)), E::UnknownMemberId.code());
    assert_eq!(h.commit(committing("", -1, 6)), E::UnknownMemberId.code());
    let stranger = committing(&id, 1, 6).with_group_instance_id(Some(text("i")));
    assert_eq!(h.commit(stranger), E::UnknownMemberId.code());
    let _ = h.join(3, joining(""));
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    assert_eq!(h.commit(committing(&id, 1, 7)), 0, "before it joins again");
    assert_eq!(h.fetch("t", 0), 7);
    h.pass(SESSION_MS + REBALANCE_MS * 10);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    assert_eq!(h.commit(committing("", -1, 8)), 0, "an administrator, while there are no members");
    assert_eq!(h.commit(committing(&id, 1, 9)), E::UnknownMemberId.code());
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    for offset in 0..10 {
        h.pass(SESSION_MS - 1);
        assert_eq!(h.commit(committing(&ids[0], 1, offset)), 0);
    }
    assert_eq!(h.state(GROUP), GroupState::Stable);
}

#[test]
fn metadata_has_a_limit_in_utf16_units() {
    let settings = GroupSettings { offset_metadata_max: 4, ..GroupSettings::default() };
    let mut h = Harness::new(settings);
    let too_large = E::OffsetMetadataTooLarge.code();
    assert_eq!(h.commit(with_metadata(committing("", -1, 1), "12345")), too_large);
    assert!(h.machine.groups.is_empty(), "nothing was committed");
    assert_eq!(h.commit(with_metadata(committing("", -1, 1), "\u{1f600}123")), too_large);
    assert_eq!(h.commit(with_metadata(committing("", -1, 1), "\u{1f600}12")), 0);
}

#[test]
fn one_partition_may_fail_and_the_others_not() {
    let settings = GroupSettings { offset_metadata_max: 4, ..GroupSettings::default() };
    let mut h = Harness::new(settings);
    let mut request = committing("", -1, 1);
    let mut other = request.topics[0].partitions[0].clone();
    other.partition_index = 1;
    other.committed_metadata = Some(text("12345"));
    request.topics[0].partitions.push(other);
    let token = h.ask(commit_call(9, request));
    let Answer::Commit(answer) = h.answer(token) else { panic!() };
    let codes: Vec<_> = answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, vec![0, E::OffsetMetadataTooLarge.code()]);
    assert_eq!((h.fetch("t", 0), h.fetch("t", 1)), (1, -1));
}

#[test]
fn all_offsets_can_be_asked_for() {
    let mut h = Harness::default();
    for (topic, offset) in [("u", 1), ("t", 2), ("v", 3)] {
        h.commit(with_metadata(of_topic(committing("", -1, offset), topic), "m"));
    }
    let all = FetchCall { group: group(GROUP), topics: None };
    let token = h.ask(Request::Fetch(all));
    let Answer::Fetch(fetch) = h.answer(token) else { panic!() };
    let read: Vec<_> = fetch
        .topics
        .iter()
        .map(|t| {
            (t.name.as_str(), t.partitions[0].committed_offset, t.partitions[0].metadata.as_deref())
        })
        .collect();
    assert_eq!(read, vec![("t", 2, Some("m")), ("u", 1, Some("m")), ("v", 3, Some("m"))]);
    let nobody = FetchCall { group: group("nobody"), topics: None };
    let token = h.ask(Request::Fetch(nobody));
    let Answer::Fetch(fetch) = h.answer(token) else { panic!() };
    assert_eq!((fetch.error_code, fetch.topics.len()), (0, 0));
}

#[test]
fn offsets_are_deleted_where_nobody_subscribes() {
    let mut h = Harness::default();
    assert_eq!(delete(&mut h, "t").error_code, E::GroupIdNotFound.code());
    let ids = h.stable(1);
    h.commit(committing(&ids[0], 1, 5));
    h.commit(of_topic(committing(&ids[0], 1, 6), "u"));
    let subscribed = delete(&mut h, "t");
    assert_eq!(subscribed.topics[0].partitions[0].error_code, E::GroupSubscribedToTopic.code());
    let free = delete(&mut h, "u");
    assert_eq!(free.topics[0].partitions[0].error_code, 0);
    let absent = delete(&mut h, "v");
    assert_eq!(absent.topics[0].partitions[0].error_code, 0, "as in Kafka");
    assert_eq!((h.fetch("t", 0), h.fetch("u", 0)), (5, -1));
    h.leave(&[(&ids[0], None)]);
    assert_eq!(delete(&mut h, "t").topics[0].partitions[0].error_code, 0, "nobody is left");
}

#[test]
fn subscriptions_that_cannot_be_read_may_be_to_anything() {
    let mut h = Harness::default();
    let opaque = vec![protocol("range", bytes::Bytes::from_static(b"?"))];
    let token = h.join(3, joining("").with_protocols(opaque));
    h.pass(DELAY_MS);
    let id = h.joined(token).member_id.to_string();
    h.sync_all(std::slice::from_ref(&id), 1);
    h.commit(committing(&id, 1, 5));
    let answer = delete(&mut h, "t");
    assert_eq!(answer.topics[0].partitions[0].error_code, E::GroupSubscribedToTopic.code());
    h.settings.offsets_retention = Duration::ZERO;
    let mut h = h.crash(h.log.len());
    for _ in 0..100 {
        h.pass(SESSION_MS - 1);
        h.heartbeat(&id, 1);
    }
    assert_eq!(h.fetch("t", 0), 5, "and so do not expire");
}

#[test]
fn offsets_of_a_living_group_of_another_kind_are_not_deleted() {
    let mut h = Harness::default();
    let token = h.join(3, joining("").with_protocol_type(text("connect")));
    h.pass(DELAY_MS);
    assert_eq!(h.join_error(token), 0);
    assert_eq!(delete(&mut h, "t").error_code, E::NonEmptyGroup.code());
}

#[test]
fn a_group_stays_when_its_last_offset_is_deleted() {
    let mut h = Harness::default();
    h.commit(committing("", -1, 5));
    delete(&mut h, "t");
    let h = h.crash(h.log.len());
    assert_eq!(h.state(GROUP), GroupState::Empty);
}

#[test]
fn the_offsets_of_deleted_topics_go() {
    let mut h = Harness::default();
    h.commit(committing("", -1, 5));
    h.commit(of_topic(committing("", -1, 6), "u"));
    let mut other = committing("", -1, 7);
    other.group_id = group("other");
    h.commit(other);
    let gone: Arc<[String]> = vec!["t".to_owned(), "none".to_owned()].into();
    let token = h.ask(Request::TopicsDeleted(gone, 7));
    assert_eq!(h.when(token), When::Durable);
    let mut h = h.crash(h.log.len());
    assert_eq!((h.fetch("t", 0), h.fetch("u", 0)), (-1, 6));
    let token = h.ask(Request::Committed(usize::MAX));
    let Answer::Committed(left) = h.answer(token) else { panic!() };
    assert_eq!(left.len(), 1);
    assert_eq!((&*left[0].group, &*left[0].topic, left[0].offset), (GROUP, "u", 6));
}

#[test]
fn a_commit_checked_before_its_topic_went_does_not_land_after() {
    let mut h = Harness::default();
    h.ask(Request::TopicsDeleted(vec!["t".to_owned()].into(), 7));
    let mut commit = |checked_at| {
        let request = committing("", -1, 5);
        let token = h.ask(Request::Commit(CommitCall { version: 9, checked_at, request }));
        let Answer::Commit(commit) = h.answer(token) else { panic!() };
        (commit.topics[0].partitions[0].error_code, h.fetch("t", 0))
    };
    assert_eq!(commit(6), (E::CoordinatorLoadInProgress.code(), -1));
    assert_eq!(commit(7), (0, 5), "a new topic of the same name, perhaps");
}

#[test]
fn offsets_of_simple_groups_expire_by_their_commit() {
    let mut h = Harness::default();
    h.commit(committing("", -1, 5));
    h.pass(4 * DAY_MS);
    h.commit(of_topic(committing("", -1, 6), "u"));
    h.pass(4 * DAY_MS);
    assert_eq!((h.fetch("t", 0), h.fetch("u", 0)), (-1, 6));
    assert_eq!(h.state(GROUP), GroupState::Empty);
    h.pass(4 * DAY_MS);
    assert!(h.machine.groups.is_empty(), "and the group with the last");
    assert!(h.crash(h.log.len()).machine.groups.is_empty());
}

#[test]
fn offsets_of_a_group_expire_when_it_has_been_empty_for_long() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    h.commit(committing(&ids[0], 1, 5));
    for _ in 0..20 {
        h.pass(SESSION_MS / 2);
        h.heartbeat(&ids[0], 1);
    }
    h.leave(&[(&ids[0], None)]);
    h.pass(7 * DAY_MS - 600_000);
    assert_eq!(h.fetch("t", 0), 5, "counted from when it was empty");
    // Also across a restart.
    let mut h = h.crash(h.log.len());
    h.pass(DAY_MS);
    assert!(h.machine.groups.is_empty());
}

#[test]
fn offsets_of_a_living_group_expire_where_it_no_longer_subscribes() {
    let settings = GroupSettings {
        offsets_retention: Duration::from_secs(60),
        offsets_retention_check: Duration::from_secs(1),
        ..GroupSettings::default()
    };
    let mut h = Harness::new(settings);
    let ids = h.stable(1);
    h.commit(committing(&ids[0], 1, 5));
    h.commit(of_topic(committing(&ids[0], 1, 6), "u"));
    for _ in 0..11 {
        h.pass(6_000);
        h.heartbeat(&ids[0], 1);
    }
    assert_eq!((h.fetch("t", 0), h.fetch("u", 0)), (5, -1));
}

#[test]
fn a_commit_may_say_itself_when_it_expires() {
    let mut h = Harness::default();
    h.commit(committing("", -1, 5).with_retention_time_ms(1_000_000));
    h.pass(900_000);
    assert_eq!(h.fetch("t", 0), 5);
    let mut h = h.crash(h.log.len());
    h.pass(800_000);
    assert!(h.machine.groups.is_empty());
}

#[test]
fn nothing_expires_at_load() {
    let mut h = Harness::default();
    h.commit(committing("", -1, 5));
    h.now.wall_ms += i64::try_from(30 * DAY_MS).unwrap();
    let mut h = h.crash(1);
    assert_eq!(h.fetch("t", 0), 5, "its consumers have the time to come back");
    h.pass(600_000);
    assert_eq!(h.fetch("t", 0), -1);
}

#[test]
fn a_group_that_someone_is_about_to_join_does_not_expire() {
    let settings = GroupSettings {
        offsets_retention_check: Duration::from_secs(1),
        ..GroupSettings::default()
    };
    let mut h = Harness::new(settings);
    let token = h.join(9, joining(""));
    let id = h.joined(token).member_id.to_string();
    h.pass(2_000);
    let token = h.join(9, joining(&id));
    assert!(h.is_open(token));
}
