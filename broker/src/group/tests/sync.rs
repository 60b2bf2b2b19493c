//! SyncGroup: every state and every error.

use bytes::Bytes;
use kafka_protocol::ResponseError as E;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use odradek_common::limits;

use super::harness::*;
use crate::coordinator::When;
use crate::group::calls::Request;
use crate::group::records::GroupRecord;
use crate::group::state::GroupState;

/// Two members in Completing, the leader first.
fn completing(h: &mut Harness) -> [String; 2] {
    let (first, a) = h.join_new();
    let (_, b) = h.join_new();
    h.pass(DELAY_MS * 3);
    assert_eq!(h.state(GROUP), GroupState::Completing);
    if h.joined(first).leader.as_str() == a { [a, b] } else { [b, a] }
}

#[test]
fn followers_wait_for_the_leader_and_all_for_durability() {
    let mut h = Harness::default();
    let [leader, follower] = completing(&mut h);
    let early = h.sync(&follower, 1, &[]);
    assert!(h.is_open(early));
    let before = h.log.len();
    let own = h.sync(&leader, 1, &[(&leader, b"l"), (&follower, b"f"), ("stranger", b"s")]);
    assert_eq!(h.log.len(), before + 1);
    assert_eq!(h.synced(early).assignment, Bytes::from_static(b"f"));
    assert_eq!(h.synced(own).assignment, Bytes::from_static(b"l"));
    assert_eq!(h.synced(own).protocol_name.as_deref(), Some("range"));
    for token in [early, own] {
        assert_eq!((h.when(token), h.given[&token].position), (When::Durable, before + 1));
    }
    let again = h.sync(&follower, 1, &[]);
    assert_eq!(h.synced(again).assignment, Bytes::from_static(b"f"));
    let value = h.log.last().unwrap().value.clone().unwrap();
    let kept = GroupRecord::decode(&value).unwrap();
    assert_eq!(kept.members.len(), 2);
    assert_eq!(kept.leader.as_deref(), Some(leader.as_str()));
}

#[test]
fn a_member_that_the_leader_forgot_gets_nothing() {
    let mut h = Harness::default();
    let [leader, follower] = completing(&mut h);
    let early = h.sync(&follower, 1, &[]);
    h.sync(&leader, 1, &[(&leader, b"l")]);
    assert_eq!((h.synced(early).error_code, h.synced(early).assignment.len()), (0, 0));
}

#[test]
fn what_is_wrong_is_told() {
    let mut h = Harness::default();
    let token = h.sync("someone", 1, &[]);
    assert_eq!(h.synced(token).error_code, E::UnknownMemberId.code(), "no such group");
    let [leader, _] = completing(&mut h);
    let refused = |h: &mut Harness, request, error: E| {
        let token = h.ask(Request::Sync(request));
        assert_eq!(h.synced(token).error_code, error.code());
    };
    refused(&mut h, syncing("someone", 1, &[]), E::UnknownMemberId);
    refused(&mut h, syncing(&leader, 0, &[]), E::IllegalGeneration);
    let other = syncing(&leader, 1, &[]).with_protocol_type(Some(text("connect")));
    refused(&mut h, other, E::InconsistentGroupProtocol);
    let other = syncing(&leader, 1, &[]).with_protocol_name(Some(text("sticky")));
    refused(&mut h, other, E::InconsistentGroupProtocol);
    let stranger = syncing(&leader, 1, &[]).with_group_instance_id(Some(text("i")));
    refused(&mut h, stranger, E::UnknownMemberId);
    let silent = syncing(&leader, 1, &[]).with_protocol_type(None).with_protocol_name(None);
    let token = h.ask(Request::Sync(silent));
    assert_eq!(h.synced(token).error_code, 0, "old clients do not say");
}

#[test]
fn a_rebalance_sends_those_back_who_wait() {
    let mut h = Harness::default();
    let [_, follower] = completing(&mut h);
    let waiting = h.sync(&follower, 1, &[]);
    let _ = h.join(3, joining(""));
    assert_eq!(h.synced(waiting).error_code, E::RebalanceInProgress.code());
    let late = h.sync(&follower, 1, &[]);
    assert_eq!(h.synced(late).error_code, E::RebalanceInProgress.code());
}

#[test]
fn a_sync_that_is_repeated_is_answered_and_the_one_before_too() {
    let mut h = Harness::default();
    let [leader, follower] = completing(&mut h);
    let first = h.sync(&follower, 1, &[]);
    let second = h.sync(&follower, 1, &[]);
    assert_eq!(h.synced(first).error_code, E::RebalanceInProgress.code());
    h.sync(&leader, 1, &[(&follower, b"f")]);
    assert_eq!(h.synced(second).assignment, Bytes::from_static(b"f"));
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut h = Harness::default();
    let [leader, follower] = completing(&mut h);
    let waiting = h.sync(&follower, 1, &[]);
    for _ in 0..12 {
        h.pass(REBALANCE_MS / 12);
        h.heartbeat(&leader, 1);
    }
    assert_eq!(h.synced(waiting).error_code, E::RebalanceInProgress.code());
    assert_eq!(h.heartbeat(&leader, 1), E::UnknownMemberId.code());
    let token = h.join(9, joining(&follower));
    assert_eq!(h.joined(token).leader.as_str(), follower);
}

#[test]
fn in_a_stable_group_too() {
    let mut h = Harness::default();
    let [leader, follower] = completing(&mut h);
    h.sync(&leader, 1, &[]);
    assert_eq!(h.state(GROUP), GroupState::Stable);
    for _ in 0..12 {
        h.pass(REBALANCE_MS / 12);
        h.heartbeat(&leader, 1);
        h.heartbeat(&follower, 1);
    }
    assert_eq!(h.heartbeat(&follower, 1), E::UnknownMemberId.code());
    assert_eq!(h.heartbeat(&leader, 1), E::RebalanceInProgress.code());
}

#[test]
fn an_assignment_that_cannot_be_kept_fails_and_rebalances() {
    let mut h = Harness::default();
    let [leader, follower] = completing(&mut h);
    let waiting = h.sync(&follower, 1, &[]);
    let large = SyncGroupRequestAssignment::default()
        .with_member_id(text(&leader))
        .with_assignment(vec![0; limits::GROUP_RECORD_BYTES].into());
    let before = h.log.len();
    let token = h.ask(Request::Sync(syncing(&leader, 1, &[]).with_assignments(vec![large])));
    assert_eq!(h.synced(token).error_code, E::UnknownServerError.code());
    assert_eq!(h.synced(waiting).error_code, E::UnknownServerError.code());
    assert_eq!(h.log.len(), before);
    assert_eq!(h.state(GROUP), GroupState::Preparing);
}
