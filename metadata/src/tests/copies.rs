//! Copies of what is committed: what they give back, and who waits for them.

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::cluster::{SOON, TestCluster};
use super::topic_number;
use crate::machine::tests::broker_of;
use crate::*;

/// The tails from an index on, piece by piece, as a leader copies them.
async fn tails(metadata: &Metadata, from: u64) -> Vec<CommittedTail> {
    let (mut next, mut tails) = (from, Vec::new());
    while let CopyPiece::Tail(tail) = metadata.committed_from(next).await.unwrap() {
        assert_eq!(tail.first, next);
        next = tail.last + 1;
        tails.push(tail);
    }
    tails
}

fn bytes_of(tails: &[CommittedTail]) -> Vec<Bytes> {
    tails.iter().map(|tail| tail.bytes.clone()).collect()
}

async fn cluster_with_topics(count: u128) -> (TestCluster, Metadata) {
    let cluster = TestCluster::formed().await;
    let leader = cluster.metadata(cluster.leader(None).await);
    leader.propose(Command::RegisterBroker(broker_of(1))).await.unwrap();
    for number in 1..=count {
        leader.propose(topic_number(number)).await.unwrap();
    }
    (cluster, leader)
}

#[tokio::test]
async fn a_snapshot_and_the_tails_behind_it_give_the_image_back() {
    let (cluster, leader) = cluster_with_topics(3).await;
    let before = leader.image();
    let snapshot = snapshot_copy(&before);
    assert_eq!(restore(&snapshot, &[]).unwrap(), *before);
    let mut copied = Vec::new();
    let mut next = before.applied_index() + 1;
    for number in 4..=8 {
        leader.propose(topic_number(number)).await.unwrap();
        let more = tails(&leader, next).await;
        next = more.last().unwrap().last + 1;
        copied.extend(more);
    }
    let after = leader.image();
    assert_eq!(restore(&snapshot, &bytes_of(&copied)).unwrap(), *after);
    // Another leader's tails overlap with them.
    let mut both = tails(&leader, before.applied_index()).await;
    both.extend(copied.clone());
    assert_eq!(restore(&snapshot, &bytes_of(&both)).unwrap(), *after);
    // Where one is missing, it ends.
    let gap = bytes_of(&[copied[0].clone(), copied[2].clone()]);
    assert_eq!(restore(&snapshot, &gap).unwrap().applied_index(), copied[0].last);
    cluster.stop().await;
}

#[tokio::test]
async fn damaged_copies_are_refused() {
    let (cluster, leader) = cluster_with_topics(2).await;
    let image = leader.image();
    let snapshot = snapshot_copy(&image);
    let tail = tails(&leader, 1).await.remove(0).bytes;
    for at in 0..tail.len() {
        let mut damaged = tail.to_vec();
        damaged[at] ^= 1;
        assert!(restore(&snapshot, &[damaged.into()]).is_err(), "byte {at} of a tail");
        assert!(restore(&snapshot, &[tail.slice(..at)]).is_err(), "{at} bytes of a tail");
    }
    for at in 0..snapshot.len() {
        let mut damaged = snapshot.to_vec();
        damaged[at] ^= 1;
        assert!(restore(&damaged, &[]).is_err(), "byte {at} of a snapshot");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn who_wants_a_copy_is_answered_by_the_leader_that_made_it() {
    let (cluster, leader) = cluster_with_topics(1).await;
    let follower = cluster.leader(None).await % 3 + 1;
    let follower = cluster.metadata(follower);
    let index = leader.applied_index();
    let asked = follower.clone();
    let mut waiting = tokio::spawn(async move { asked.copied(index).await });
    timeout(SOON, leader.copy_wanted(index)).await.expect("the leader hears of it");
    leader.note_copied(index - 1);
    let early = timeout_at(Instant::now(), &mut waiting).await;
    assert!(early.is_err(), "not all is copied yet: {early:?}");
    leader.note_copied(index);
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap(), Ok(()));
    assert_eq!(leader.copied(index).await, Ok(()));
    leader.note_copied(1);
    assert_eq!(leader.copied(index).await, Ok(()), "it is never less than before");
    cluster.stop().await;
}
