//! Heartbeats, time-outs and leaving.

use kafka_protocol::ResponseError as E;

use super::harness::*;
use crate::coordinator::When;
use crate::group::state::GroupState;

#[test]
fn heartbeats_tell_where_the_group_stands() {
    let mut h = Harness::default();
    assert_eq!(h.heartbeat("someone", 1), E::UnknownMemberId.code(), "no such group");
    let (_, id) = h.join_new();
    assert_eq!(h.heartbeat(&id, 0), E::RebalanceInProgress.code());
    h.pass(DELAY_MS * 2);
    assert_eq!(h.heartbeat(&id, 1), 0, "completing");
    assert_eq!(h.heartbeat(&id, 0), E::IllegalGeneration.code());
    h.sync_all(std::slice::from_ref(&id), 1);
    assert_eq!(h.heartbeat(&id, 1), 0);
    assert_eq!(h.heartbeat("someone", 1), E::UnknownMemberId.code());
    assert_eq!(h.heartbeat_as(&id, Some("i"), 1), E::UnknownMemberId.code());
    h.pass(SESSION_MS);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    assert_eq!(h.heartbeat(&id, 1), E::UnknownMemberId.code());
    assert!(h.given.values().all(|g| g.when == When::Now || !is_heartbeat(&g.answer)));
}

fn is_heartbeat(answer: &crate::group::Answer) -> bool {
    matches!(answer, crate::group::Answer::Heartbeat(_))
}

#[test]
fn a_member_lives_as_long_as_it_beats() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    for _ in 0..10 {
        h.pass(SESSION_MS - 1);
        assert_eq!(h.heartbeat(&ids[0], 1), 0);
        assert_eq!(h.heartbeat(&ids[1], 1), 0);
    }
    h.pass(SESSION_MS - 1);
    h.heartbeat(&ids[0], 1);
    h.pass(1);
    assert_eq!(h.state(GROUP), GroupState::Preparing, "the other is gone");
    assert_eq!(h.heartbeat(&ids[0], 1), E::RebalanceInProgress.code());
    let token = h.join(9, joining(&ids[0]));
    assert_eq!((h.joined(token).generation_id, h.joined(token).members.len()), (2, 1));
}

#[test]
fn who_waits_for_the_others_need_not_beat() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let waiting = h.join(9, joining(&ids[0]));
    for _ in 0..5 {
        h.pass(SESSION_MS - 1);
        h.heartbeat(&ids[1], 1);
    }
    assert!(h.is_open(waiting));
    let other = h.join(9, joining(&ids[1]));
    assert_eq!(h.joined(waiting).generation_id, 2);
    let parked = h.sync(&ids[1], 2, &[]);
    h.pass(SESSION_MS - 1);
    h.heartbeat(&ids[0], 2);
    h.pass(SESSION_MS - 1);
    h.heartbeat(&ids[0], 2);
    assert!(h.is_open(parked));
    h.sync(&ids[0], 2, &[]);
    assert_eq!(h.synced(parked).error_code, 0);
    // Its session begins with the answer.
    h.pass(SESSION_MS - 1);
    assert_eq!(h.heartbeat(&ids[1], 2), 0);
    assert!(!h.is_open(other));
}

#[test]
fn an_empty_group_is_written_and_goes_on_counting_generations() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    let before = h.log.len();
    assert_eq!(h.leave(&[(&ids[0], None)]), vec![0]);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    assert_eq!(h.log.len(), before + 1);
    let mut h = h.crash(h.log.len());
    let (token, _) = h.join_new();
    h.pass(DELAY_MS * 2);
    assert_eq!(h.joined(token).generation_id, 3);
}

#[test]
fn members_leave_and_the_others_go_on() {
    let mut h = Harness::default();
    let ids = h.stable(3);
    let gone = [(ids[0].as_str(), None), (ids[1].as_str(), None), ("someone", None)];
    assert_eq!(h.leave(&gone), vec![0, 0, E::UnknownMemberId.code()]);
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    let token = h.join(9, joining(&ids[2]));
    assert_eq!(h.joined(token).leader.as_str(), ids[2]);
}

#[test]
fn leaving_lets_a_rebalance_complete() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let waiting = h.join(9, joining(&ids[0]));
    assert_eq!(h.leave(&[(&ids[1], None)]), vec![0]);
    assert_eq!(h.joined(waiting).generation_id, 2);
}

#[test]
fn who_leaves_while_waiting_is_answered() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let waiting = h.join(9, joining(&ids[0]));
    assert_eq!(h.leave(&[(&ids[0], None)]), vec![0]);
    assert_eq!(h.join_error(waiting), E::UnknownMemberId.code());
    let token = h.join(9, joining(&ids[1]));
    assert_eq!(h.join_error(token), 0);
    let _ = h.join(3, joining(""));
    let again = h.join(9, joining(&ids[1]));
    let syncing = h.sync(&ids[1], 3, &[]);
    assert!(!h.is_open(again), "all have joined");
    let parked = if h.is_open(syncing) { syncing } else { return };
    h.leave(&[(&ids[1], None)]);
    assert_eq!(h.synced(parked).error_code, E::UnknownMemberId.code());
}

#[test]
fn an_id_that_was_given_out_may_leave() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    let token = h.join(9, joining(""));
    let pending = h.joined(token).member_id.to_string();
    let leader = h.join(9, joining(&ids[0]));
    assert!(h.is_open(leader));
    assert_eq!(h.leave(&[(&pending, None)]), vec![0]);
    assert_eq!(h.joined(leader).generation_id, 2, "nobody is left to wait for");
}

#[test]
fn leaving_a_group_that_is_not_there_is_an_error_of_the_member() {
    let mut h = Harness::default();
    assert_eq!(h.leave(&[("a", None)]), vec![E::UnknownMemberId.code()]);
    h.commit(committing("", -1, 5));
    assert_eq!(h.leave(&[("a", None), ("", None)]), vec![E::UnknownMemberId.code(); 2]);
    assert_eq!(h.state(GROUP), GroupState::Empty);
}

#[test]
fn a_whole_group_that_fell_silent_empties_itself() {
    let mut h = Harness::default();
    h.stable(3);
    h.pass(SESSION_MS + REBALANCE_MS);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    assert!(h.machine.groups[GROUP].members.is_empty());
}

#[test]
fn members_that_were_kept_have_a_session_to_come_back() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let mut h = h.crash(h.log.len());
    assert_eq!(h.state(GROUP), GroupState::Stable);
    assert_eq!(h.heartbeat(&ids[0], 1), 0);
    h.pass(SESSION_MS - 1);
    assert_eq!(h.heartbeat(&ids[0], 1), 0);
    h.pass(1);
    assert_eq!(h.heartbeat(&ids[0], 1), E::RebalanceInProgress.code());
}
