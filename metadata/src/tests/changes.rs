//! Changes of the voters that do not go through at once.

use std::collections::BTreeMap;

use tokio::time::timeout;

use super::cluster::{SOON, TestCluster, host, until};
use super::topic_number;
use crate::machine::tests::broker_of;
use crate::*;

/// A quorum with a node 4 that was to become a voter when the leader died, and who leads now.
async fn with_learner() -> (TestCluster, i32) {
    let mut cluster = TestCluster::formed().await;
    let former = cluster.leader(None).await;
    cluster.start_as(4, true).await;
    cluster.kill(4).await;
    let (metadata, voter) = (cluster.metadata(former), cluster.voter(4));
    let adding = tokio::spawn(async move { metadata.add_voter(&voter).await });
    let (one, other) = (former % 3 + 1, (former + 1) % 3 + 1);
    until("it is a learner", || cluster.has_member(one, 4) && cluster.has_member(other, 4)).await;
    cluster.kill(former).await;
    adding.abort();
    let leader = cluster.leader(Some(former)).await;
    timeout(SOON, cluster.metadata(leader).caught_up()).await.unwrap().unwrap();
    (cluster, leader)
}

/// A leader that is cut off appends a change, and does not know whether it will be.
#[tokio::test]
async fn a_change_that_is_not_committed_is_not_told_as_done() {
    let (cluster, leader) = with_learner().await;
    let other = cluster.nodes.keys().copied().find(|node| *node != leader).unwrap();
    let metadata = cluster.metadata(leader);
    cluster.hub.cut_off(&host(leader));
    let learner = cluster.key(4);
    let first = {
        let metadata = metadata.clone();
        tokio::spawn(async move { metadata.remove_voter(learner).await })
    };
    until("it is tried", || first.is_finished() || !cluster.has_member(leader, 4)).await;
    // Whoever asked goes away, and asks again.
    first.abort();
    let again = metadata.remove_voter(learner).await;
    assert!(again.is_err(), "it was told that it is done");
    assert!(cluster.has_member(other, 4), "it was not");
    cluster.hub.heal(&host(leader));
    let removed = async { while metadata.remove_voter(learner).await.is_err() {} };
    timeout(SOON, removed).await.unwrap();
    assert!(!cluster.has_member(cluster.leader(None).await, 4));
    cluster.stop().await;
}

/// A voter that has nothing counts for a majority, and helps nobody to one.
#[tokio::test]
async fn a_node_that_is_not_there_becomes_no_voter() {
    let (cluster, leader) = with_learner().await;
    let described = cluster.metadata(leader).describe_quorum().await.unwrap();
    assert!(described.voters.iter().all(|voter| voter.key != cluster.key(4)), "{described:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_change_goes_on_when_nobody_waits_for_it() {
    let mut cluster = TestCluster::formed().await;
    let leader = cluster.leader(None).await;
    cluster.start_as(4, true).await;
    cluster.kill(4).await;
    let (metadata, voter) = (cluster.metadata(leader), cluster.voter(4));
    let adding = tokio::spawn(async move { metadata.add_voter(&voter).await });
    until("it is a learner", || cluster.has_member(leader, 4)).await;
    adding.abort();
    cluster.start_as(4, true).await;
    let votes = async {
        loop {
            let described = cluster.metadata(leader).describe_quorum().await.unwrap();
            if described.voters.iter().any(|voter| voter.key == cluster.key(4)) {
                return;
            }
        }
    };
    timeout(SOON, votes).await.expect("it votes");
    cluster.stop().await;
}

/// A node whose settings name no voters takes itself for the only one.
#[tokio::test]
async fn a_start_that_finds_other_voters_says_so() {
    let mut cluster = TestCluster::formed().await;
    cluster.kill(1).await;
    let options = Options { voters: BTreeMap::new(), listen: None, ..cluster.options(1, true) };
    let refused = Metadata::start(options).await.map(drop).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, StartError::OtherVoters { .. }), "{text}");
    assert!(text.contains(&cluster.key(3).to_string()), "{text}");
    cluster.start(1).await;
    cluster.metadata(1).caught_up().await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_change_that_a_leader_left_half_done_is_finished() {
    let mut cluster = TestCluster::formed().await;
    cluster.metadata(1).propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    cluster.metadata(1).propose(topic_number(1)).await.unwrap();
    cluster.agree(1).await;
    for node in [1, 2, 3] {
        cluster.kill(node).await;
    }
    for node in [1, 2, 3] {
        cluster.leave_half_done(node, &[1, 2, 3], &[1, 2]);
    }
    for node in [1, 2, 3] {
        cluster.start(node).await;
    }
    let finished = async {
        loop {
            let described = cluster.metadata(1).describe_quorum().await;
            let voters = described.map(|quorum| quorum.voters).unwrap_or_default();
            let voters: Vec<_> = voters.into_iter().map(|voter| voter.key).collect();
            if voters == [cluster.key(1), cluster.key(2)] {
                return;
            }
        }
    };
    timeout(SOON, finished).await.expect("the change is finished");
    cluster.metadata(1).propose(topic_number(2)).await.unwrap();
    cluster.stop().await;
}
