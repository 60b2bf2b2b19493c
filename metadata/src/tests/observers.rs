//! Nodes that are no voters: they follow the feed, propose and read like any other. And changes of
//! the voters.

use tokio::time::timeout;

use super::cluster::{SOON, TestCluster, host, until};
use super::topic_number;
use crate::machine::tests::{broker_of, topic};
use crate::*;

#[tokio::test]
async fn an_observer_follows_and_proposes() {
    let mut cluster = TestCluster::formed().await;
    cluster.metadata(1).propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    cluster.start(7).await;
    let observer = cluster.metadata(7);
    let image = timeout(SOON, observer.caught_up()).await.unwrap().unwrap();
    assert!(image.cluster().is_some());
    assert_eq!(observer.propose(topic_number(1)).await, Ok(Outcome::TopicCreated));
    assert!(observer.image().topic(topic(1)).is_some(), "the image of the proposer holds it");
    cluster.metadata(2).propose(topic_number(2)).await.unwrap();
    assert!(observer.confirm().await.unwrap().topic(topic(2)).is_some());
    assert!(!observer.is_leader());
    let described = all_caught_up(&observer).await;
    assert_eq!(described.leader.node.0, cluster.leader(None).await);
    assert_eq!(described.voters.len(), 3);
    let observers: Vec<_> = described.observers.iter().map(|one| one.key).collect();
    assert_eq!(observers, [cluster.key(7)]);
    assert!(described.observers[0].last_index >= Some(1), "{described:?}");
    cluster.stop().await;
}

/// The description of a quorum all of whose voters have all that is committed.
async fn all_caught_up(metadata: &Metadata) -> QuorumDescription {
    let described = async {
        loop {
            let described = metadata.describe_quorum().await.unwrap();
            let is_there = |voter: &ReplicaState| {
                voter.last_index >= Some(described.high_watermark) && voter.caught_up.is_some()
            };
            if described.voters.iter().all(is_there) {
                return described;
            }
        }
    };
    timeout(SOON, described).await.expect("all voters catch up")
}

#[tokio::test]
async fn an_observer_goes_on_with_another_voter() {
    let mut cluster = TestCluster::formed().await;
    cluster.metadata(1).propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    cluster.start(7).await;
    let observer = cluster.metadata(7);
    observer.caught_up().await.unwrap();
    let mut applied = observer.applied_index();
    for (number, voter) in [(1, 1), (2, 2), (3, 3)] {
        cluster.kill(voter).await;
        let other = voter % 3 + 1;
        cluster.metadata(other).caught_up().await.unwrap();
        cluster.metadata(other).propose(topic_number(number)).await.unwrap();
        until("the observer follows", || observer.image().topic(topic(number)).is_some()).await;
        assert!(observer.applied_index() > applied, "it went back");
        applied = observer.applied_index();
        cluster.start(voter).await;
    }
    cluster.stop().await;
}

/// The voter that an observer follows is cut off from the others, not from the observer.
#[tokio::test]
async fn an_observer_leaves_a_voter_that_knows_no_leader() {
    let mut cluster = TestCluster::formed().await;
    cluster.metadata(1).propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    cluster.start(7).await;
    let observer = cluster.metadata(7);
    observer.caught_up().await.unwrap();
    assert_eq!(cluster.followers(2).await, [cluster.key(7)]);
    cluster.hub.cut_pair(&host(2), &host(1));
    cluster.hub.cut_pair(&host(2), &host(3));
    cluster.leader(Some(2)).await;
    cluster.metadata(1).propose(topic_number(1)).await.unwrap();
    until("the observer follows", || observer.image().topic(topic(1)).is_some()).await;
    cluster.stop().await;
}

#[tokio::test]
async fn observers_begin_with_different_voters() {
    let mut cluster = TestCluster::formed().await;
    for node in [6, 7, 8] {
        cluster.start(node).await;
        cluster.metadata(node).caught_up().await.unwrap();
    }
    for (voter, observer) in [(1, 6), (2, 7), (3, 8)] {
        assert_eq!(cluster.followers(voter).await, [cluster.key(observer)]);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn an_observer_that_is_far_behind_gets_a_snapshot() {
    let mut cluster = TestCluster::of(&[1, 2, 3]).with_snapshots_after(10);
    cluster.form().await;
    cluster.metadata(1).propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    for number in 1..=60 {
        cluster.metadata(1).propose(topic_number(number)).await.unwrap();
    }
    cluster.start(7).await;
    let observer = cluster.metadata(7);
    timeout(SOON, observer.caught_up()).await.unwrap().unwrap();
    cluster.agree(1).await;
    cluster.metadata(2).propose(topic_number(100)).await.unwrap();
    assert!(observer.confirm().await.unwrap().topic(topic(100)).is_some());
    cluster.stop().await;
}

#[tokio::test]
async fn a_single_voter_grows_to_three_and_shrinks() {
    let mut cluster = TestCluster::of(&[1]);
    cluster.form().await;
    cluster.metadata(1).propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    for node in [2, 3] {
        cluster.start_as(node, true).await;
        assert_eq!(cluster.metadata(node).applied_index(), 0, "it waits to be added");
        let voter = cluster.voter(node);
        cluster.metadata(node).add_voter(&voter).await.unwrap();
        cluster.metadata(1).add_voter(&voter).await.expect("done already is done");
        cluster.agree(1).await;
    }
    let described = cluster.metadata(3).describe_quorum().await.unwrap();
    assert_eq!(described.voters.len(), 3);
    // The first may leave now, though it leads.
    let first = cluster.key(1);
    cluster.metadata(2).remove_voter(first).await.unwrap();
    cluster.kill(1).await;
    cluster.metadata(2).caught_up().await.unwrap();
    cluster.metadata(3).propose(topic_number(1)).await.unwrap();
    let described = cluster.metadata(3).describe_quorum().await.unwrap();
    let voters: Vec<_> = described.voters.iter().map(|voter| voter.key).collect();
    assert_eq!(voters, [cluster.key(2), cluster.key(3)]);
    cluster.stop().await;
}
