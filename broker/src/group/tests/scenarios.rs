//! Whole stories.

use kafka_protocol::ResponseError as E;

use super::harness::*;
use crate::group::state::GroupState;

/// All members hear of the rebalance by a heartbeat and join again; the generation after it.
fn rejoin(h: &mut Harness, ids: &[String], generation: i32) -> i32 {
    let tokens: Vec<_> = ids
        .iter()
        .map(|id| {
            assert_eq!(h.heartbeat(id, generation), E::RebalanceInProgress.code());
            h.join(9, joining(id))
        })
        .collect();
    let next: Vec<_> = tokens.iter().map(|token| h.joined(*token).generation_id).collect();
    assert!(next.iter().all(|g| *g == next[0]));
    next[0]
}

fn leader_first(h: &Harness, mut ids: Vec<String>) -> Vec<String> {
    let leader = h.machine.groups[GROUP].leader.as_ref().unwrap().to_string();
    ids.sort_by_key(|id| *id != leader);
    ids
}

#[test]
fn three_members_are_restarted_one_after_the_other() {
    let mut h = Harness::default();
    let mut ids = h.stable(3);
    let mut generation = 1;
    for _ in 0..3 {
        let gone = ids.remove(0);
        assert_eq!(h.leave(&[(&gone, None)]), vec![0]);
        generation = rejoin(&mut h, &ids, generation);
        ids = leader_first(&h, ids);
        h.sync_all(&ids, generation);
        h.commit(committing(&ids[0], generation, i64::from(generation)));

        let (token, new) = h.join_new();
        let next = rejoin(&mut h, &ids, generation);
        assert_eq!(h.joined(token).generation_id, next);
        generation = next;
        ids.push(new);
        ids = leader_first(&h, ids);
        h.sync_all(&ids, generation);
    }
    assert_eq!(generation, 7);
    assert_eq!(h.fetch("t", 0), 6);
    // The next coordinator goes on with the same members in the same generation.
    let mut h = h.crash(h.log.len());
    for id in &ids {
        assert_eq!(h.heartbeat(id, generation), 0);
        let token = h.sync(id, generation, &[]);
        assert_eq!(h.synced(token).assignment.as_ref(), b"assigned");
    }
}

#[test]
fn three_members_fail_in_a_row_without_a_word() {
    let mut h = Harness::default();
    let ids = h.stable(3);
    let mut generation = 1;
    for alive in (1..3).rev() {
        for _ in 0..2 {
            h.pass(SESSION_MS / 2);
            for id in &ids[..alive] {
                h.heartbeat(id, generation);
            }
        }
        generation = rejoin(&mut h, &ids[..alive], generation);
        let left = leader_first(&h, ids[..alive].to_vec());
        h.sync_all(&left, generation);
    }
    assert_eq!(generation, 3);
}

#[test]
fn a_cooperative_rebalance_takes_two_steps() {
    // In the first the old member is told to give up a partition, which nobody gets yet; it does
    // so and joins again, which makes the second, in which the new member gets it. The coordinator
    // only carries the assignments.
    let mut h = Harness::default();
    let old = h.stable(1).remove(0);
    let (new, new_id) = h.join_new();
    let generation = rejoin(&mut h, std::slice::from_ref(&old), 1);
    assert_eq!(h.joined(new).leader.as_str(), old);
    let waiting = h.sync(&new_id, generation, &[]);
    let first = h.sync(&old, generation, &[(&old, b"kept"), (&new_id, b"")]);
    assert_eq!(h.synced(first).assignment.as_ref(), b"kept");
    assert!(h.synced(waiting).assignment.is_empty());
    assert_eq!(h.state(GROUP), GroupState::Stable);

    // The old member gave up a partition: its subscription says what it owns, so it has changed.
    let owns_less = vec![protocol("range", subscription(&["t", "less"]))];
    let leader = h.join(9, joining(&old).with_protocols(owns_less));
    assert_eq!(h.heartbeat(&new_id, generation), E::RebalanceInProgress.code());
    // Cooperative members commit and go on consuming meanwhile.
    assert_eq!(h.commit(committing(&old, generation, 9)), 0);
    let follower = h.join(9, joining(&new_id));
    let next = h.joined(leader).generation_id;
    assert_eq!(h.joined(follower).generation_id, next);
    let waiting = h.sync(&new_id, next, &[]);
    h.sync(&old, next, &[(&old, b"kept"), (&new_id, b"given up")]);
    assert_eq!(h.synced(waiting).assignment.as_ref(), b"given up");
    assert_eq!(next, 3);
}

#[test]
fn members_of_a_rebalance_cut_off_by_a_crash_join_again() {
    let mut h = Harness::default();
    let ids = h.stable(2);
    let tokens: Vec<_> = ids.iter().map(|id| h.join(9, joining(id))).collect();
    let generation = h.joined(tokens[0]).generation_id;
    assert_eq!((generation, h.state(GROUP)), (2, GroupState::Completing));
    let mut h = h.crash(h.log.len());
    for id in &ids {
        assert_eq!(h.heartbeat(id, generation), E::IllegalGeneration.code());
        let token = h.sync(id, generation, &[]);
        assert_eq!(h.synced(token).error_code, E::IllegalGeneration.code());
        assert_eq!(h.commit(committing(id, generation, 1)), E::IllegalGeneration.code());
    }
    let leader = h.join(9, joining(&ids[0]));
    let follower = h.join(9, joining(&ids[1]));
    assert_eq!((h.join_error(leader), h.join_error(follower)), (0, 0));
    h.sync_all(&ids, 2);
}

#[test]
fn a_client_gone_for_good_amid_its_first_join_does_not_hold_up_the_others() {
    let mut h = Harness::default();
    let ids = h.stable(1);
    // It asks for an id, joins with it, and is never heard of again.
    let (lost, _) = h.join_new();
    let leader = h.join(9, joining(&ids[0]));
    assert_eq!(h.join_error(lost), 0);
    assert_eq!(h.joined(leader).members.len(), 2);
    h.sync(&ids[0], 2, &[]);
    h.pass(SESSION_MS - 1);
    h.heartbeat(&ids[0], 2);
    h.pass(1);
    let leader = h.join(9, joining(&ids[0]));
    assert_eq!(h.joined(leader).members.len(), 1);
}
