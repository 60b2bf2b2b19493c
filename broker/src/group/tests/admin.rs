//! ListGroups, DescribeGroups, DeleteGroups.

use kafka_protocol::ResponseError as E;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use odradek_common::limits;

use super::harness::*;
use crate::coordinator::When;
use crate::group::calls::{Answer, Request};

fn list(h: &mut Harness, states: &[&str], types: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let token = h.ask(Request::List(owned(states), owned(types)));
    assert_eq!(h.when(token), When::Confirmed);
    match h.answer(token) {
        Answer::List(groups) => groups
            .iter()
            .map(|g| {
                let name = g.group_id.as_str();
                format!("{name} {} {} {}", g.protocol_type, g.group_state, g.group_type)
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn describe(h: &mut Harness, version: i16, id: &str) -> DescribedGroup {
    let token = h.ask(Request::Describe(version, vec![group(id)]));
    assert_eq!(h.when(token), When::Confirmed);
    match h.answer(token) {
        Answer::Describe(groups) => groups[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn delete(h: &mut Harness, ids: &[&str]) -> Vec<i16> {
    let token = h.ask(Request::DeleteGroups(ids.iter().map(|id| group(id)).collect()));
    match h.answer(token) {
        Answer::DeleteGroups(results) => results.iter().map(|r| r.error_code).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut h = Harness::default();
    h.stable(1);
    let mut simple = committing("", -1, 5);
    simple.group_id = group("simple");
    h.commit(simple);
    let (stable, simple) = ("g consumer Stable classic", "simple  Empty classic");
    assert_eq!(list(&mut h, &[], &[]), vec![stable, simple]);
    assert_eq!(list(&mut h, &["stable"], &[]), vec![stable]);
    assert_eq!(list(&mut h, &["empty", "dead"], &["classic"]), vec![simple]);
    assert_eq!(list(&mut h, &[], &["consumer"]), Vec::<String>::new());
    assert_eq!(list(&mut h, &["nonsense"], &[]), Vec::<String>::new());
}

#[test]
fn a_stable_group_is_described_with_assignments() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let described = describe(&mut h, 6, GROUP);
    assert_eq!(described.group_state.as_str(), "Stable");
    assert_eq!(described.protocol_type.as_str(), "consumer");
    assert_eq!(described.protocol_data.as_str(), "range");
    assert_eq!(described.members.len(), 2);
    let member = &described.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!(member.member_metadata, subscription(&["t"]));
    assert_eq!(member.member_assignment.as_ref(), b"assigned");

    h.join(9, joining(&ids[0]));
    let described = describe(&mut h, 6, GROUP);
    assert_eq!(described.group_state.as_str(), "PreparingRebalance");
    assert_eq!((described.protocol_data.as_str(), described.members.len()), ("", 2));
    assert!(described.members.iter().all(|m| m.member_metadata.is_empty()));
    h.join(9, joining(&ids[1]));
    assert_eq!(describe(&mut h, 6, GROUP).group_state.as_str(), "CompletingRebalance");
}

#[test]
fn a_group_that_is_not_there_is_dead() {
    let mut h = Harness::default();
    let old = describe(&mut h, 5, "nobody");
    assert_eq!((old.error_code, old.group_state.as_str()), (0, "Dead"));
    assert_eq!(old.error_message, None);
    let new = describe(&mut h, 6, "nobody");
    assert_eq!(new.error_code, E::GroupIdNotFound.code());
    assert_eq!(new.error_message.as_deref(), Some("Group nobody not found."));
}

#[test]
fn only_empty_groups_are_deleted() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    h.commit(committing(&ids[0], 1, 5));
    let (busy, absent) = (E::NonEmptyGroup.code(), E::GroupIdNotFound.code());
    assert_eq!(delete(&mut h, &[GROUP, "nobody"]), vec![busy, absent]);
    h.leave(&[(&ids[0], None)]);
    assert_eq!(delete(&mut h, &[GROUP, GROUP]), vec![0, absent]);
    assert_eq!(list(&mut h, &[], &[]), Vec::<String>::new());
    let mut h = h.crash(h.log.len());
    assert!(h.machine.groups.is_empty());
    assert_eq!(h.fetch("t", 0), -1);
}

#[test]
fn a_deletion_that_was_cut_off_can_be_done_again() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    h.commit(committing(&ids[0], 1, 5));
    h.leave(&[(&ids[0], None)]);
    let before = h.log.len();
    delete(&mut h, &[GROUP]);
    assert_eq!(h.log.len(), before + 2);
    for records in before..before + 2 {
        let mut cut = h.crash(records);
        assert_eq!(delete(&mut cut, &[GROUP]), vec![0]);
    }
}

#[test]
fn a_group_with_an_id_given_out_can_be_deleted() {
    let mut h = Harness::default();
    let token = h.join(9, joining(""));
    let id = h.joined(token).member_id.to_string();
    assert_eq!(delete(&mut h, &[GROUP]), vec![0]);
    let token = h.join(9, joining(&id));
    assert_eq!(h.join_error(token), E::UnknownMemberId.code());
    h.pass(SESSION_MS * 2);
}

#[test]
fn one_answer_describes_only_so_much() {
    let mut h = Harness::default();
    let count = limits::COORDINATOR_WAITING_BYTES / limits::GROUP_RECORD_BYTES + 2;
    let ids: Vec<_> = (0..count).map(|i| group(&format!("g{i}"))).collect();
    for id in &ids {
        let metadata = vec![0; limits::GROUP_RECORD_BYTES - 1_000].into();
        let request = joining("").with_protocols(vec![protocol("range", metadata)]);
        let token = h.join(3, request.with_group_id(id.clone()).with_session_timeout_ms(1_000_000));
        h.pass(DELAY_MS);
        let joined = h.joined(token);
        let sync = syncing(&joined.member_id, 1, &[]).with_group_id(id.clone());
        let token = h.ask(Request::Sync(sync));
        assert_eq!(h.synced(token).error_code, 0);
    }
    let token = h.ask(Request::Describe(6, ids));
    let Answer::Describe(groups) = h.answer(token) else { panic!() };
    let codes: Vec<_> = groups.iter().map(|g| g.error_code).collect();
    assert_eq!(codes[0], 0);
    assert_eq!(codes[count - 1], E::CoordinatorNotAvailable.code());
}
