//! Static members.

use kafka_protocol::ResponseError as E;
use kafka_protocol::messages::JoinGroupRequest;

use super::harness::*;
use crate::coordinator::When;
use crate::group::calls::Request;
use crate::group::records::GroupRecord;
use crate::group::state::GroupState;

/// A stable group of the static members `a` and `b`; the leader first, with its instance id.
fn stable(h: &mut Harness) -> [(&'static str, String); 2] {
    let tokens = ["a", "b"].map(|instance| (instance, h.join(9, joining_as(instance, ""))));
    h.pass(DELAY_MS * 3);
    let mut ids = tokens.map(|(instance, token)| (instance, h.joined(token).member_id.to_string()));
    let leader = h.joined(tokens[0].1).leader.to_string();
    ids.sort_by_key(|(_, id)| *id != leader);
    h.sync_all(&[ids[0].1.clone(), ids[1].1.clone()], 1);
    ids
}

#[test]
fn a_static_member_joins_without_the_round_for_an_id() {
    let mut h = Harness::default();
    let token = h.join(9, joining_as("a", ""));
    assert!(h.is_open(token));
    h.pass(DELAY_MS);
    let joined = h.joined(token);
    assert!(joined.member_id.starts_with("a-"));
    assert_eq!(joined.members[0].group_instance_id.as_deref(), Some("a"));
}

#[test]
fn a_restart_takes_the_place_without_a_rebalance() {
    let mut h = Harness::default();
    let [_, (instance, old)] = stable(&mut h);
    let before = h.log.len();
    let token = h.join(9, joining_as(instance, ""));
    let joined = h.joined(token);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_ne!(joined.member_id.as_str(), old);
    assert!(!joined.skip_assignment && joined.members.is_empty());
    assert_eq!(h.state(GROUP), GroupState::Stable);
    assert_eq!((h.log.len(), h.when(token)), (before + 1, When::Durable), "the new id is kept");
    let synced = h.sync(&joined.member_id, 1, &[]);
    assert_eq!(h.synced(synced).assignment.as_ref(), b"assigned");
    let kept = h.log.last().unwrap().value.clone().unwrap();
    let kept = GroupRecord::decode(&kept).unwrap();
    assert!(kept.members.iter().any(|m| *m.id == *joined.member_id.as_str()));
    assert!(kept.members.iter().all(|m| *m.id != *old));
}

#[test]
fn a_leader_that_restarts_is_told_to_keep_the_assignment() {
    let mut h = Harness::default();
    let [(instance, old), _] = stable(&mut h);
    let token = h.join(9, joining_as(instance, ""));
    let joined = h.joined(token);
    assert!(joined.skip_assignment);
    assert_eq!((joined.leader.clone(), joined.members.len()), (joined.member_id.clone(), 2));
    // An old client cannot be told; it is told of its former id as the leader.
    let token = h.join(8, joining_as(instance, ""));
    let again = h.joined(token);
    assert!(!again.skip_assignment && again.members.is_empty());
    assert_eq!(again.leader, joined.member_id);
    assert_ne!(again.leader.as_str(), old);
}

#[test]
fn a_restart_with_another_protocol_makes_a_rebalance() {
    let mut h = Harness::default();
    let offers = |names: [&str; 2]| names.map(|name| protocol(name, subscription(&["t"]))).to_vec();
    let first = joining_as("a", "").with_protocols(offers(["range", "sticky"]));
    let token = h.join(9, first.clone());
    h.pass(DELAY_MS * 2);
    let id = h.joined(token).member_id.to_string();
    h.sync_all(&[id], 1);
    let token = h.join(9, joining_as("a", "").with_protocols(offers(["sticky", "range"])));
    let joined = h.joined(token);
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn the_former_incarnation_is_fenced_everywhere() {
    let mut h = Harness::default();
    let [_, (instance, old)] = stable(&mut h);
    h.join(9, joining_as(instance, ""));
    let fenced = E::FencedInstanceId.code();
    assert_eq!(h.heartbeat_as(&old, Some(instance), 1), fenced);
    let last = *h.given.last_key_value().unwrap().0;
    assert_eq!(h.when(last), When::Durable, "what a client cannot recover from must be durable");
    let token = h.join(9, joining_as(instance, &old));
    assert_eq!(h.join_error(token), fenced);
    let sync = syncing(&old, 1, &[]).with_group_instance_id(Some(text(instance)));
    let token = h.ask(Request::Sync(sync));
    assert_eq!(h.synced(token).error_code, fenced);
    let commit = committing(&old, 1, 5).with_group_instance_id(Some(text(instance)));
    assert_eq!(h.commit(commit), fenced);
    assert_eq!(h.leave(&[(&old, Some(instance))]), vec![fenced]);
    assert_eq!(h.heartbeat(&old, 1), E::UnknownMemberId.code());
}

#[test]
fn the_former_incarnation_that_waits_is_told() {
    let mut h = Harness::default();
    let waiting = h.join(9, joining_as("a", ""));
    let token = h.join(9, joining_as("a", ""));
    assert_eq!(h.join_error(waiting), E::FencedInstanceId.code());
    h.pass(DELAY_MS * 2);
    assert_eq!(h.joined(token).members.len(), 1);
}

#[test]
fn a_restart_amid_the_assignment_makes_a_rebalance() {
    let mut h = Harness::default();
    let tokens = ["a", "b"].map(|instance| h.join(9, joining_as(instance, "")));
    h.pass(DELAY_MS * 3);
    let leader = h.joined(tokens[0]).leader.to_string();
    let (instance, id) = tokens
        .iter()
        .zip(["a", "b"])
        .map(|(token, instance)| (instance, h.joined(*token).member_id.to_string()))
        .find(|(_, id)| *id != leader)
        .unwrap();
    let parked = h.sync(&id, 1, &[]);
    let token = h.join(9, joining_as(instance, ""));
    assert_eq!(h.synced(parked).error_code, E::FencedInstanceId.code());
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    let other = h.join(9, joining(&leader));
    assert_eq!(h.join_error(other), 0);
    assert_eq!(h.joined(token).generation_id, 2);
}

#[test]
fn a_static_member_that_stays_away_from_a_rebalance_keeps_its_place_for_its_session() {
    let mut h = Harness::default();
    let long = |instance| -> JoinGroupRequest {
        joining_as(instance, "").with_session_timeout_ms(600_000).with_rebalance_timeout_ms(10_000)
    };
    let tokens = ["a", "b"].map(|instance| h.join(9, long(instance)));
    h.pass(DELAY_MS * 3);
    let ids = tokens.map(|token| h.joined(token).member_id.to_string());
    let leader = h.joined(tokens[0]).leader.to_string();
    let mut order = ids.to_vec();
    order.sort_by_key(|id| *id != leader);
    h.sync_all(&order, 1);
    let present = h.join(
        9,
        long("a")
            .with_member_id(text(&ids[0]))
            .with_protocols(vec![protocol("range", subscription(&["u"]))]),
    );
    h.pass(10_000);
    let joined = h.joined(present);
    assert_eq!(joined.leader.as_str(), ids[0], "it leads, being there");
    assert_eq!(joined.members.len(), 2, "the other is assigned to as well");
    let parked = h.sync(&ids[0], 2, &[]);
    assert_eq!(h.synced(parked).error_code, 0);
}

#[test]
fn static_members_who_all_stay_away_are_waited_for() {
    let mut h = Harness::default();
    let hurried = |request: JoinGroupRequest| {
        request.with_rebalance_timeout_ms(1).with_session_timeout_ms(600_000)
    };
    let tokens = [joining_as("a", ""), joining("")].map(|request| h.join(3, hurried(request)));
    h.pass(DELAY_MS);
    let ids = tokens.map(|token| h.joined(token).member_id.to_string());
    let leader = h.joined(tokens[0]).leader.to_string();
    let mut order = ids.to_vec();
    order.sort_by_key(|id| *id != leader);
    h.sync_all(&order, 1);
    assert_eq!(h.leave(&[(&ids[1], None)]), vec![0]);
    h.pass(30_000);
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    let token = h.join(9, hurried(joining_as("a", "")));
    assert_eq!(h.joined(token).members.len(), 1, "it has come back");
    h.pass(10);
    assert_eq!(h.state(GROUP), GroupState::Empty, "and did not fetch its assignment in time");
}

#[test]
fn an_administrator_removes_static_members_by_their_instance_id() {
    let mut h = Harness::default();
    let [(_, leader), (instance, _)] = stable(&mut h);
    let answers = h.leave(&[("", Some(instance)), ("", Some("nobody")), ("", None)]);
    assert_eq!(answers, vec![0, E::UnknownMemberId.code(), E::UnknownMemberId.code()]);
    let token = h.join(9, joining(&leader));
    assert_eq!(h.joined(token).members.len(), 1);
}
