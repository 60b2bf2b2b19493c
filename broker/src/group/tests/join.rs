//! JoinGroup: every state and every error.

use kafka_protocol::ResponseError as E;
use odradek_common::limits;

use super::harness::*;
use crate::coordinator::{StateMachine, Token, When};
use crate::group::calls::Request;
use crate::group::settings::GroupSettings;
use crate::group::state::GroupState;

#[test]
fn a_new_member_is_given_an_id_and_leads_after_the_initial_delay() {
    let mut h = Harness::default();
    let token = h.join(4, joining(""));
    let given = h.joined(token);
    assert_eq!(given.error_code, E::MemberIdRequired.code());
    assert!(given.member_id.starts_with("client-"));
    assert_eq!(h.when(token), When::Now, "an id promises nothing");
    assert_eq!(h.state(GROUP), GroupState::Empty);
    assert_eq!(h.log.len(), 1, "the new group is written");

    let token = h.join(4, joining(&given.member_id));
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    h.pass(DELAY_MS - 1);
    assert!(h.is_open(token));
    h.pass(1);
    let joined = h.joined(token);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(joined.leader, given.member_id);
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata, subscription(&["t"]));
    assert_eq!(h.state(GROUP), GroupState::Completing);
}

#[test]
fn an_old_client_joins_at_once() {
    let mut h = Harness::default();
    let token = h.join(3, joining(""));
    h.pass(DELAY_MS);
    let joined = h.joined(token);
    assert_eq!(joined.error_code, 0);
    assert_eq!(joined.leader, joined.member_id);
}

#[test]
fn the_initial_delay_is_extended_by_new_members_up_to_the_rebalance_timeout() {
    let mut h = Harness::default();
    let first = h.join(3, joining("").with_rebalance_timeout_ms(7_000));
    for _ in 0..2 {
        h.pass(DELAY_MS - 1);
        h.join(3, joining("").with_rebalance_timeout_ms(7_000));
        h.pass(1);
        assert!(h.is_open(first));
    }
    h.join(3, joining("").with_rebalance_timeout_ms(7_000));
    h.pass(1_000);
    assert_eq!(h.joined(first).members.len(), 4);
}

#[test]
fn without_a_delay_the_first_member_goes_on_at_once() {
    let delay = std::time::Duration::ZERO;
    let mut h =
        Harness::new(GroupSettings { initial_rebalance_delay: delay, ..Default::default() });
    let token = h.join(3, joining(""));
    h.pass(0);
    assert_eq!(h.join_error(token), 0);
}

#[test]
fn a_member_of_a_group_that_is_not_there_is_unknown() {
    let mut h = Harness::default();
    let token = h.join(9, joining("someone"));
    assert_eq!(h.join_error(token), E::UnknownMemberId.code());
    assert!(h.machine.groups.is_empty() && h.log.is_empty());
}

#[test]
fn an_unknown_member_of_a_group_is_told_so_in_every_state() {
    let mut h = Harness::default();
    let (_, _) = h.join_new();
    let refused = |h: &mut Harness| {
        let token = h.join(9, joining("someone"));
        assert_eq!(h.join_error(token), E::UnknownMemberId.code());
    };
    refused(&mut h);
    h.pass(DELAY_MS * 2);
    assert_eq!(h.state(GROUP), GroupState::Completing);
    refused(&mut h);
    let mut h = Harness::default();
    h.stable(1);
    refused(&mut h);
    h.pass(SESSION_MS);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    refused(&mut h);
}

#[test]
fn protocols_must_fit() {
    let refused = |h: &mut Harness, request| {
        let token = h.join(3, request);
        assert_eq!(h.join_error(token), E::InconsistentGroupProtocol.code());
    };
    let mut h = Harness::default();
    refused(&mut h, joining("").with_protocols(vec![]));
    refused(&mut h, joining("").with_protocol_type(text("")));
    assert!(h.machine.groups.is_empty() && h.log.is_empty(), "a refused group is not made");
    let ids = h.stable(1);
    refused(&mut h, joining("").with_protocol_type(text("connect")));
    let others = vec![protocol("sticky", subscription(&["t"]))];
    refused(&mut h, joining("").with_protocols(others.clone()));
    refused(&mut h, joining(&ids[0]).with_protocols(others));
}

#[test]
fn the_protocol_that_most_like_best_among_the_common_ones_is_chosen() {
    let mut h = Harness::default();
    let offers: [&[&str]; 3] = [&["a", "b", "c"], &["c", "b"], &["d", "c", "b"]];
    let tokens: Vec<_> = offers
        .iter()
        .map(|names| {
            let protocols = names.iter().map(|name| protocol(name, subscription(&["t"])));
            h.join(3, joining("").with_protocols(protocols.collect()))
        })
        .collect();
    h.pass(DELAY_MS * 3);
    for token in tokens {
        // Votes: b, c, c.
        assert_eq!(h.joined(token).protocol_name.as_deref(), Some("c"));
    }
}

#[test]
fn a_protocol_offered_twice_counts_once() {
    let mut h = Harness::default();
    let twice = vec![protocol("range", subscription(&["t"])), protocol("range", subscription(&[]))];
    let token = h.join(3, joining("").with_protocols(twice));
    h.pass(DELAY_MS);
    assert_eq!(h.joined(token).members[0].metadata, subscription(&["t"]));
}

#[test]
fn a_full_group_takes_no_more() {
    let settings = GroupSettings { group_members_max: 2, ..GroupSettings::default() };
    let mut h = Harness::new(settings);
    let ids = h.stable(2);
    let token = h.join(3, joining(""));
    assert_eq!(h.join_error(token), E::GroupMaxSizeReached.code());
    assert_eq!(h.state(GROUP), GroupState::Stable);
    // Those who are in may join again.
    let again: Vec<_> = ids.iter().map(|id| h.join(9, joining(id))).collect();
    again.iter().for_each(|token| assert_eq!(h.join_error(*token), 0));
}

#[test]
fn a_group_that_is_larger_than_it_may_be_now_sheds_the_last_to_join_again() {
    let mut h = Harness::default();
    let ids = h.stable(3);
    h.settings.group_members_max = 2;
    let mut h = h.crash(h.log.len());
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    let tokens: Vec<_> = ids.iter().map(|id| h.join(9, joining(id))).collect();
    assert_eq!(h.join_error(tokens[2]), E::GroupMaxSizeReached.code());
    assert_eq!(h.joined(tokens[0]).members.len() + h.joined(tokens[1]).members.len(), 2);
}

#[test]
fn ids_given_out_have_a_limit() {
    let mut h = Harness::default();
    h.join(9, joining(""));
    for number in 1..limits::GROUP_PENDING_MEMBERS {
        // Past the harness, whose checks take their time with as many.
        let call = h.join_call(9, joining(""), number as u128 + 1_000_000);
        let effects = h.machine.handle(h.now, Token(u64::MAX), Request::Join(Box::new(call)));
        assert_eq!(effects.answers[0].2, When::Now);
    }
    let token = h.join(9, joining(""));
    assert_eq!(h.join_error(token), E::CoordinatorNotAvailable.code());
    h.pass(SESSION_MS);
    assert_eq!(h.machine.groups[GROUP].pending.len(), 0, "they do not stay for ever");
}

#[test]
fn a_join_that_is_repeated_is_answered_and_the_one_before_too() {
    let mut h = Harness::default();
    let (first, id) = h.join_new();
    let second = h.join(9, joining(&id));
    assert_eq!(h.join_error(first), E::RebalanceInProgress.code());
    h.pass(DELAY_MS * 2);
    assert_eq!(h.join_error(second), 0);
    // The answer may have been lost: the same again, in the same generation.
    let third = h.join(9, joining(&id));
    assert_eq!(h.joined(third), h.joined(second));
    assert_eq!(h.state(GROUP), GroupState::Completing);
}

#[test]
fn a_member_that_changed_makes_a_rebalance_while_completing() {
    let mut h = Harness::default();
    let (_, id) = h.join_new();
    h.pass(DELAY_MS * 2);
    let changed = vec![protocol("range", subscription(&["t", "u"]))];
    let token = h.join(9, joining(&id).with_protocols(changed));
    assert_eq!(h.joined(token).generation_id, 2);
}

#[test]
fn in_a_stable_group_the_leader_or_a_change_makes_a_rebalance_and_nothing_else() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let follower = h.join(9, joining(&ids[1]));
    let joined = h.joined(follower);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert!(joined.members.is_empty() && !joined.skip_assignment);
    assert_eq!(h.state(GROUP), GroupState::Stable);

    let changed = vec![protocol("range", subscription(&["u"]))];
    let follower = h.join(9, joining(&ids[1]).with_protocols(changed));
    assert!(h.is_open(follower));
    assert_eq!(h.state(GROUP), GroupState::Preparing);
    let leader = h.join(9, joining(&ids[0]));
    assert_eq!(h.joined(leader).generation_id, 2);
    assert_eq!(h.joined(follower).generation_id, 2);
    h.sync_all(&ids, 2);

    let leader = h.join(9, joining(&ids[0]));
    assert!(h.is_open(leader));
    assert_eq!(h.state(GROUP), GroupState::Preparing);
}

#[test]
fn who_does_not_join_again_in_time_is_out_and_another_leads() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    // The leader is silent but for heartbeats; the rebalance time-out takes it out.
    let (new, id) = h.join_new();
    let follower = h.join(9, joining(&ids[1]));
    for _ in 0..12 {
        h.pass(REBALANCE_MS / 12);
        h.heartbeat(&ids[0], 1);
    }
    let joined = h.joined(follower);
    assert_eq!(joined.generation_id, 2);
    assert_ne!(joined.leader.as_str(), ids[0]);
    assert_eq!(h.joined(new).leader, joined.leader);
    assert_eq!(h.heartbeat(&ids[0], 1), E::UnknownMemberId.code());
    assert!(h.machine.groups[GROUP].members.contains_key(id.as_str()));
}

#[test]
fn the_rebalance_timeout_is_the_longest_of_the_members() {
    let mut h = Harness::default();
    let long = joining("").with_rebalance_timeout_ms(100_000).with_session_timeout_ms(1_000_000);
    let token = h.join(3, long.clone());
    h.pass(DELAY_MS * 2);
    let id = h.joined(token).member_id.to_string();
    let leader = [id.clone()];
    h.sync_all(&leader, 1);
    let short = h.join(3, joining("").with_rebalance_timeout_ms(1_000));
    h.pass(99_999);
    assert!(h.is_open(short), "the leader has its time");
    h.pass(1);
    assert_eq!(h.joined(short).members.len(), 1);
}

#[test]
fn a_new_member_waits_five_minutes_at_most() {
    let mut h = Harness::default();
    let long = joining("").with_rebalance_timeout_ms(1_000_000).with_session_timeout_ms(1_000_000);
    let token = h.join(3, long);
    h.pass(DELAY_MS * 2);
    let id = h.joined(token).member_id.to_string();
    h.sync_all(&[id], 1);
    let new = h.join(3, joining(""));
    h.pass(299_999);
    assert!(h.is_open(new));
    h.pass(1);
    assert_eq!(h.join_error(new), E::UnknownMemberId.code());
}

#[test]
fn an_id_given_out_holds_up_the_others_only_for_its_session() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    let token = h.join(9, joining(""));
    assert_eq!(h.join_error(token), E::MemberIdRequired.code());
    let leader = h.join(9, joining(&ids[0]));
    h.pass(SESSION_MS - 1);
    assert!(h.is_open(leader), "the one who has an id is waited for");
    h.pass(1);
    assert_eq!(h.joined(leader).generation_id, 2);
}

#[test]
fn an_id_given_out_is_not_for_static_members() {
    let mut h = Harness::default();
    let token = h.join(9, joining(""));
    let id = h.joined(token).member_id.to_string();
    let token = h.join(9, joining_as("i", &id));
    assert_eq!(h.join_error(token), E::UnknownServerError.code());
}

#[test]
fn the_memory_of_members_has_a_limit() {
    let mut h = Harness::default();
    let large = || {
        let metadata = vec![0; limits::GROUP_RECORD_BYTES].into();
        joining("").with_protocols(vec![protocol("range", metadata)])
    };
    let room = limits::GROUP_MEMORY_BYTES / limits::GROUP_RECORD_BYTES as u64;
    let tokens: Vec<_> = (0..room).map(|_| h.join(3, large())).collect();
    assert!(tokens.iter().all(|token| h.is_open(*token)));
    let refused = h.join(3, joining(""));
    assert_eq!(h.join_error(refused), E::CoordinatorNotAvailable.code());
    h.pass(10 * DELAY_MS);
    h.pass(SESSION_MS + REBALANCE_MS);
    assert_eq!(h.state(GROUP), GroupState::Empty);
    let token = h.join(3, joining(""));
    assert!(h.is_open(token), "there is room again");
}
