//! What becomes of the log of offsets: those of deleted topics go, and it stays short.

use super::*;

#[tokio::test(start_paused = true)]
async fn deleted_topics_are_told_to_loading_shards_too() {
    let world = world().await;
    world.service.commit(9, committing("", -1, 7), NOW).await.await;
    let log = world.log(GROUP).after_crash();
    log.set_fails_reads(true);
    world.service.owned(world.service.partition_for(GROUP).unwrap(), Arc::new(log.clone()));
    let done = tokio::spawn(world.service.topics_deleted(vec!["t".into()], 7).await);
    // It tries again, and nobody is told meanwhile that it is done.
    log.failed_reads(3).await;
    assert!(!done.is_finished());
    log.set_fails_reads(false);
    done.await.unwrap();
    let fetch = world.service.fetch(9, fetching(&[GROUP])).await.await;
    assert_eq!(fetch.groups[0].topics[0].partitions[0].committed_offset, -1);
}

/// Java's consumer knows no answer to SyncGroup that says so.
#[tokio::test(start_paused = true)]
async fn who_syncs_with_a_loading_shard_is_to_join_again() {
    let world = world().await;
    let log = world.log(GROUP).after_crash();
    log.set_fails_reads(true);
    world.service.owned(world.service.partition_for(GROUP).unwrap(), Arc::new(log.clone()));
    log.failed_reads(1).await;
    let mut request = syncing("m", 1, &[]);
    request.protocol_type = Some(text("consumer"));
    request.protocol_name = Some(text("range"));
    let synced = world.service.sync(5, request).await.await;
    assert_eq!(synced.error_code, E::RebalanceInProgress.code());
}

/// The handler of a commit looks at the metadata, is held up while the topic is deleted and its
/// offsets go, and only then reaches the shard, be that the same or one that was loaded since.
#[tokio::test(start_paused = true)]
async fn a_commit_that_was_overtaken_by_a_deletion_is_to_come_again() {
    let world = world().await;
    world.service.commit(9, committing("", -1, 7), NOW).await.await;
    world.service.topics_deleted(vec!["t".into()], NOW + 1).await.await;
    let loading = E::CoordinatorLoadInProgress.code();
    let late = world.service.commit(9, committing("", -1, 8), NOW).await.await;
    assert_eq!(late.topics[0].partitions[0].error_code, loading);
    let log = world.log(GROUP).after_crash();
    world.service.owned(world.service.partition_for(GROUP).unwrap(), Arc::new(log));
    settle().await;
    let later = world.service.commit(9, committing("", -1, 8), NOW).await.await;
    assert_eq!(later.topics[0].partitions[0].error_code, loading);
    let fetch = world.service.fetch(9, fetching(&[GROUP])).await.await;
    assert_eq!(fetch.groups[0].topics[0].partitions[0].committed_offset, -1);
    let again = world.service.commit(9, committing("", -1, 8), NOW + 1).await.await;
    assert_eq!(again.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_life_of_commits_keeps_the_log_short() {
    let world = world().await;
    let metadata = "m".repeat(4_000);
    for offset in 0..2_000 {
        let mut request = committing("", -1, offset);
        request.topics[0].partitions[0].committed_metadata = Some(text(&metadata));
        world.service.commit(9, request, NOW).await.await;
    }
    settle().await;
    let log = world.log(GROUP);
    assert!(log.start() > 1_000, "the log starts at {}", log.start());
    let next = log.after_crash();
    world.service.owned(world.service.partition_for(GROUP).unwrap(), Arc::new(next));
    settle().await;
    let fetch = world.service.fetch(9, fetching(&[GROUP])).await.await;
    assert_eq!(fetch.groups[0].topics[0].partitions[0].committed_offset, 1_999);
}
