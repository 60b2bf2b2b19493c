//! A quorum of several voters: it elects, takes proposals through each node, and goes on without its
//! leader.

use std::time::Duration;

use odradek_common::ids::BrokerId;
use tokio::time::{Instant, timeout};

use super::cluster::{SOON, TestCluster, host, until};
use super::topic_number;
use crate::machine::tests::{broker_of, topic};
use crate::*;

/// A broker to own what topics are created.
async fn register(cluster: &TestCluster, through: i32) {
    let registered = cluster.metadata(through).propose(Command::RegisterBroker(broker_of(1))).await;
    registered.unwrap();
}

async fn create(cluster: &TestCluster, through: i32, number: u128) {
    let created = cluster.metadata(through).propose(topic_number(number)).await;
    assert_eq!(created, Ok(Outcome::TopicCreated), "through node {through}");
    let image = cluster.metadata(through).image();
    assert!(image.topic(topic(number)).is_some(), "the image of the proposer holds it");
}

#[tokio::test]
async fn each_node_may_propose_and_read() {
    let cluster = TestCluster::formed().await;
    register(&cluster, 1).await;
    for number in 1..=9 {
        let node = i32::try_from(number % 3 + 1).unwrap();
        create(&cluster, node, number).await;
        for reader in 1..=3 {
            let image = cluster.metadata(reader).confirm().await.unwrap();
            assert!(image.topic(topic(number)).is_some(), "node {reader} reads something old");
        }
    }
    let again = cluster.metadata(2).propose(topic_number(3)).await;
    assert!(matches!(again, Err(ProposeError::Refused(Refusal::TopicIdTaken(_)))), "{again:?}");
    cluster.agree(1).await;
    cluster.stop().await;
}

#[tokio::test]
async fn the_others_go_on_when_the_leader_dies() {
    let mut cluster = TestCluster::formed().await;
    register(&cluster, 1).await;
    let leader = cluster.leader(None).await;
    let through = leader % 3 + 1;
    create(&cluster, through, 1).await;
    cluster.hub.kill(&host(leader));
    let died = Instant::now();
    cluster.kill(leader).await;
    create(&cluster, through, 2).await;
    assert!(died.elapsed() < Duration::from_secs(2), "it took {:?}", died.elapsed());
    create(&cluster, (leader + 1) % 3 + 1, 3).await;
    cluster.start(leader).await;
    cluster.agree(through).await;
    create(&cluster, leader, 4).await;
    cluster.agree(leader).await;
    cluster.stop().await;
}

/// A leader that comes back before the others miss it does not know what it had committed.
#[tokio::test]
async fn a_leader_that_restarts_within_its_term_confirms_nothing_old() {
    let mut cluster = TestCluster::of(&[1, 2, 3]).with_snapshots_after(10);
    cluster.form().await;
    register(&cluster, 1).await;
    let leader = cluster.leader(None).await;
    // The last of them are in no snapshot.
    for number in 1..=25 {
        create(&cluster, leader, number).await;
    }
    let term = cluster.term(leader);
    cluster.kill(leader).await;
    cluster.start(leader).await;
    let image = cluster.metadata(leader).caught_up().await.unwrap();
    for number in 1..=25 {
        assert!(image.topic(topic(number)).is_some(), "what is confirmed lacks topic {number}");
    }
    assert!(cluster.term(leader) > term, "it went on without an election");
    create(&cluster, leader, 26).await;
    cluster.agree(leader).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_voter_that_is_far_behind_gets_a_snapshot() {
    let mut cluster = TestCluster::of(&[1, 2, 3]).with_snapshots_after(10);
    cluster.form().await;
    register(&cluster, 1).await;
    let leader = cluster.leader(None).await;
    let late = leader % 3 + 1;
    let other = late % 3 + 1;
    cluster.kill(late).await;
    for number in 1..=60 {
        create(&cluster, other, number).await;
    }
    cluster.start(late).await;
    cluster.agree(other).await;
    create(&cluster, late, 100).await;
    // And it starts from what it was sent.
    cluster.kill(late).await;
    cluster.start(late).await;
    cluster.agree(other).await;
    cluster.stop().await;
}

/// A leader that is cut off does not know what the others do meanwhile, and does not claim to.
#[tokio::test]
async fn a_leader_that_is_cut_off_confirms_nothing() {
    let cluster = TestCluster::formed().await;
    register(&cluster, 1).await;
    let old = cluster.leader(None).await;
    let other = old % 3 + 1;
    create(&cluster, other, 1).await;
    cluster.agree(other).await;
    cluster.hub.cut_off(&host(old));
    let lost = {
        let metadata = cluster.metadata(old);
        tokio::spawn(async move { metadata.propose(topic_number(50)).await })
    };
    // What was sent to the old leader may or may not have been done: one looks, and asks again.
    let made = async {
        while cluster.metadata(other).image().topic(topic(2)).is_none() {
            let _ = cluster.metadata(other).propose(topic_number(2)).await;
        }
    };
    timeout(SOON, made).await.expect("the others go on");
    let stale = cluster.metadata(old).confirm().await;
    assert!(
        matches!(stale, Err(NotConfirmed::TimedOut | NotConfirmed::NotLeader { .. })),
        "{stale:?}"
    );
    assert!(!cluster.metadata(old).is_leader(), "it takes itself for the leader still");
    let lost = timeout(SOON, lost).await.unwrap().unwrap();
    assert!(matches!(lost, Err(ProposeError::Unknown)), "{lost:?}");
    cluster.hub.heal(&host(old));
    cluster.agree(other).await;
    let image = cluster.metadata(old).confirm().await.unwrap();
    assert!(image.topic(topic(2)).is_some());
    assert!(image.topic(topic(50)).is_none(), "what only the old leader had is gone");
    create(&cluster, old, 3).await;
    cluster.stop().await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_proposed_or_confirmed() {
    let mut cluster = TestCluster::formed().await;
    register(&cluster, 1).await;
    let leader = cluster.leader(None).await;
    let left = leader % 3 + 1;
    cluster.kill(leader).await;
    cluster.kill(left % 3 + 1).await;
    let alone = cluster.metadata(left);
    until("it notices", || alone.leader().is_none()).await;
    let proposed = alone.propose(topic_number(1)).await;
    assert!(matches!(proposed, Err(ProposeError::NotLeader { .. })), "{proposed:?}");
    let confirmed = alone.confirm().await;
    assert!(
        matches!(confirmed, Err(NotConfirmed::NotLeader { .. } | NotConfirmed::TimedOut)),
        "{confirmed:?}"
    );
    cluster.start(leader).await;
    create(&cluster, left, 2).await;
    assert!(cluster.metadata(left).image().topic(topic(1)).is_none());
    cluster.stop().await;
}

/// A node that lost its disk forgot its vote and its log. It is not taken for the former one.
#[tokio::test]
async fn a_wiped_voter_is_another() {
    let mut cluster = TestCluster::formed().await;
    register(&cluster, 1).await;
    let leader = cluster.leader(None).await;
    let (wiped, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    create(&cluster, leader, 1).await;
    let former = cluster.voter(wiped);
    cluster.kill(wiped).await;
    cluster.wipe(wiped);
    cluster.start(wiped).await;
    // It is no voter: with it alone the leader has no majority.
    cluster.kill(other).await;
    let confirmed = cluster.metadata(leader).confirm().await;
    assert!(confirmed.is_err(), "it was confirmed with the help of a node that forgot everything");
    assert_eq!(cluster.metadata(wiped).applied_index(), 0);
    let founders = [former.clone(), cluster.voter(leader), cluster.voter(other)];
    cluster.metadata(wiped).initialise(&founders).await.unwrap();
    assert_eq!(cluster.metadata(wiped).applied_index(), 0, "it is not among the founders");
    cluster.start(other).await;
    cluster.metadata(other).caught_up().await.unwrap();
    // It becomes a voter under its new directory once the former one is removed.
    let new = cluster.voter(wiped);
    let refused = cluster.metadata(other).add_voter(&new).await;
    assert!(
        matches!(&refused, Err(QuorumCallError::Refused(reason)) if reason.contains("same node id")),
        "{refused:?}"
    );
    cluster.metadata(other).remove_voter(former.key).await.unwrap();
    cluster.metadata(other).add_voter(&new).await.unwrap();
    cluster.agree(leader).await;
    create(&cluster, wiped, 2).await;
    let described = cluster.metadata(wiped).describe_quorum().await.unwrap();
    assert_eq!(described.voters.len(), 3);
    assert!(described.voters.iter().any(|voter| voter.key == new.key));
    assert!(described.voters.iter().all(|voter| voter.key != former.key));
    cluster.stop().await;
}

#[tokio::test]
async fn many_proposals_through_all_nodes_have_each_one_outcome() {
    let cluster = TestCluster::formed().await;
    let registered = cluster.metadata(2).propose(Command::RegisterBroker(broker_of(1))).await;
    let Ok(Outcome::Registered { epoch }) = registered else { panic!("{registered:?}") };
    let by = Incarnation { broker: BrokerId(1), epoch };
    let ask = |number: i32| {
        let metadata = cluster.metadata(number % 3 + 1);
        let ids = AllocateProducerIds { by, count: 1000 };
        tokio::spawn(async move { metadata.propose(Command::AllocateProducerIds(ids)).await })
    };
    let mut firsts = std::collections::BTreeSet::new();
    for asked in (0..300).map(ask).collect::<Vec<_>>() {
        let Ok(Outcome::ProducerIds { first, .. }) = asked.await.unwrap() else { panic!() };
        assert!(firsts.insert(first), "ids were given twice");
    }
    cluster.stop().await;
}
