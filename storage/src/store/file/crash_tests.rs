//! What the store promises, against every power cut; and that each of its syncs is needed.

use std::future::Future;
use std::path::Path as FsPath;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error, ObjectStoreExt, PutMode};
use odradek_common::files::Files;
use odradek_common::files::sim::{Op, SimFiles};
use odradek_common::random::SeededRandom;

use super::*;

const ROOT: &str = "/data/store";
const CUTS: u64 = 200;

fn open(files: &SimFiles) -> FileStore {
    FileStore::open(Arc::new(files.clone()), FsPath::new(ROOT)).unwrap()
}

async fn create(store: &FileStore, key: &str, bytes: Vec<u8>) -> Result<PutResult> {
    store.put_opts(&Path::from(key), bytes.into(), PutMode::Create.into()).await
}

async fn read(store: &FileStore, key: &str) -> Option<Bytes> {
    match store.get(&Path::from(key)).await {
        Ok(result) => Some(result.bytes().await.unwrap()),
        Err(Error::NotFound { .. }) => None,
        Err(e) => panic!("{e}"),
    }
}

/// 1500 bytes: three sectors that a power cut can keep or lose, none like the zeroes of a hole.
fn payload(value: u8) -> Vec<u8> {
    vec![value; 1500]
}

/// Looks at the store after many power cuts; true if `holds` is true after all of them.
async fn survives<F>(files: &SimFiles, holds: impl Fn(FileStore) -> F) -> bool
where
    F: Future<Output = bool>,
{
    let random = SeededRandom::from_seed(11);
    for _ in 0..CUTS {
        if !holds(open(&files.power_cut(&random))).await {
            return false;
        }
    }
    true
}

/// Does `work` in a new store, and proves that `holds` afterwards whatever power cut comes, and
/// that it does not if any one of the syncs of `work` is a lie.
async fn every_sync_is_needed<W, H>(
    before: impl AsyncFn(&SimFiles),
    work: impl Fn(SimFiles) -> W,
    holds: impl Fn(FileStore) -> H,
    syncs: u64,
) where
    W: Future<Output = ()>,
    H: Future<Output = bool>,
{
    let files = SimFiles::new();
    before(&files).await;
    let syncs_before = files.syncs();
    work(files.clone()).await;
    assert!(survives(&files, &holds).await, "it is not safe with all its syncs");
    assert_eq!(files.syncs() - syncs_before, syncs, "syncs of this work");
    for nth in 1..=syncs {
        let files = SimFiles::new();
        before(&files).await;
        files.lie_at_sync(nth);
        work(files.clone()).await;
        assert!(!survives(&files, &holds).await, "sync {nth} of {syncs} is not needed");
    }
}

async fn nothing(_: &SimFiles) {}

#[tokio::test]
async fn the_first_put_needs_each_of_its_syncs() {
    // /, /data, /data/store, a, the file, b
    every_sync_is_needed(
        nothing,
        async |files| _ = create(&open(&files), "a/b/c", payload(1)).await.unwrap(),
        async |store| read(&store, "a/b/c").await.is_some_and(|bytes| bytes == payload(1)),
        6,
    )
    .await;
}

#[tokio::test]
async fn a_later_put_needs_both() {
    let files = SimFiles::new();
    let store = open(&files);
    create(&store, "a/b", payload(1)).await.unwrap();
    for (nth, safe) in [(0, true), (1, false), (2, false)] {
        let syncs = files.syncs();
        files.lie_at_sync(nth);
        let key = format!("a/{nth}");
        create(&store, &key, payload(2)).await.unwrap();
        assert_eq!(files.syncs() - syncs, 2);
        let holds = async |store: FileStore| {
            read(&store, &key).await.is_some_and(|bytes| bytes == payload(2))
        };
        assert_eq!(survives(&files, holds).await, safe, "without sync {nth}");
        files.heal();
    }
}

#[tokio::test]
async fn an_overwrite_needs_each_of_its_syncs_and_leaves_old_or_new() {
    let before =
        async |files: &SimFiles| _ = create(&open(files), "a/b", payload(1)).await.unwrap();
    let overwrite = async |files: SimFiles| {
        open(&files).put(&Path::from("a/b"), payload(2).into()).await.map(drop)
    };
    // The store's root into its parent, a into the root (both may be left by the dead), the file,
    // its name.
    every_sync_is_needed_but(
        &[1, 2],
        before,
        async |files| overwrite(files).await.unwrap(),
        async |store| read(&store, "a/b").await.is_some_and(|bytes| bytes == payload(2)),
        4,
    )
    .await;
    for steps in 0.. {
        let files = SimFiles::new();
        before(&files).await;
        files.halt_after(steps);
        // An open that fails is one more place to die.
        let store = FileStore::open(Arc::new(files.clone()), FsPath::new(ROOT));
        let done = match store {
            Ok(store) => store.put(&Path::from("a/b"), payload(2).into()).await.is_ok(),
            Err(_) => false,
        };
        let holds = async |store: FileStore| {
            let found = read(&store, "a/b").await.unwrap();
            found == payload(2) || (!done && found == payload(1))
        };
        assert!(survives(&files, holds).await, "after {steps} steps");
        if done {
            break;
        }
    }
}

/// As [`every_sync_is_needed`], except for those that make sure of what a dead process has left,
/// which here it has not.
async fn every_sync_is_needed_but<W, H>(
    spare: &[u64],
    before: impl AsyncFn(&SimFiles),
    work: impl Fn(SimFiles) -> W,
    holds: impl Fn(FileStore) -> H,
    syncs: u64,
) where
    W: Future<Output = ()>,
    H: Future<Output = bool>,
{
    for nth in 0..=syncs {
        let files = SimFiles::new();
        before(&files).await;
        let syncs_before = files.syncs();
        files.lie_at_sync(nth);
        work(files.clone()).await;
        assert_eq!(files.syncs() - syncs_before, syncs, "syncs of this work");
        let safe = nth == 0 || spare.contains(&nth);
        assert_eq!(survives(&files, &holds).await, safe, "without sync {nth} of {syncs}");
    }
}

#[tokio::test]
async fn an_upload_in_parts_needs_each_of_its_syncs() {
    every_sync_is_needed(
        nothing,
        async |files| {
            let mut upload = open(&files).put_multipart(&Path::from("a/b")).await.unwrap();
            upload.put_part(payload(1).into()).await.unwrap();
            upload.put_part(payload(2).into()).await.unwrap();
            upload.complete().await.unwrap();
        },
        async |store| {
            let expected = [payload(1), payload(2)].concat();
            read(&store, "a/b").await.is_some_and(|bytes| bytes == expected)
        },
        5,
    )
    .await;
}

#[tokio::test]
async fn a_delete_and_a_copy_are_for_good() {
    let before =
        async |files: &SimFiles| _ = create(&open(files), "a/b", payload(1)).await.unwrap();
    every_sync_is_needed_but(
        &[1],
        before,
        async |files| open(&files).delete(&Path::from("a/b")).await.unwrap(),
        async |store| read(&store, "a/b").await.is_none(),
        2,
    )
    .await;
    every_sync_is_needed_but(
        &[1],
        before,
        async |files| open(&files).copy(&Path::from("a/b"), &Path::from("c/d")).await.unwrap(),
        async |store| read(&store, "c/d").await.is_some_and(|bytes| bytes == payload(1)),
        3,
    )
    .await;
}

/// Wherever the power is cut, the object is there as a whole or not at all, an acknowledged one is
/// there, no temporary file stays, and the store works.
#[tokio::test]
async fn a_put_cut_short_leaves_all_or_nothing() {
    for steps in 0.. {
        let files = SimFiles::new();
        files.halt_after(steps);
        let store = FileStore::open(Arc::new(files.clone()), FsPath::new(ROOT));
        let done = match store {
            Ok(store) => create(&store, "a/b", payload(1)).await.is_ok(),
            Err(_) => false,
        };
        let random = SeededRandom::from_seed(steps);
        for _ in 0..CUTS {
            let after = files.power_cut(&random);
            let store = open(&after);
            let found = read(&store, "a/b").await;
            assert!(found.is_some() || !done, "lost after {steps} steps");
            assert!(found.is_none_or(|bytes| bytes == payload(1)), "torn after {steps} steps");
            let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
            assert!(listed.iter().all(|meta| meta.location.as_ref() == "a/b" && meta.size == 1500));
            let temporaries = after.list(&layout::temporaries(FsPath::new(ROOT))).unwrap();
            assert_eq!(temporaries.len(), 1, "only the lock");
            match create(&store, "a/b", payload(2)).await {
                Ok(_) | Err(Error::AlreadyExists { .. }) => {}
                Err(e) => panic!("{e}"),
            }
        }
        if done {
            return;
        }
    }
}

/// A process dies, the machine does not: the next process may see names that are not durable. What
/// it shows must survive a power cut that comes later.
#[tokio::test]
async fn what_is_seen_after_a_process_died_is_there_to_stay() {
    seen_after_a_death("a/b").await;
    // Here the temporary name is too short to tell the directory.
    let long = "x".repeat(150);
    seen_after_a_death(&format!("{long}/{long}/b")).await;
}

async fn seen_after_a_death(key: &str) {
    let mut seen_undurable = false;
    for steps in 0.. {
        let dead = async || {
            let files = SimFiles::new();
            files.halt_after(steps);
            let store = FileStore::open(Arc::new(files.clone()), FsPath::new(ROOT));
            let done = match store {
                Ok(store) => create(&store, key, payload(1)).await.is_ok(),
                Err(_) => false,
            };
            files.heal();
            (files, done)
        };
        let (files, done) = dead().await;
        let store = open(&files);
        let seen = read(&store, key).await.is_some();
        let exists =
            matches!(create(&store, key, payload(2)).await, Err(Error::AlreadyExists { .. }));
        assert_eq!(seen, exists);
        drop(store);
        let expected = if seen { payload(1) } else { payload(2) };
        let holds =
            async |store: FileStore| read(&store, key).await.is_some_and(|bytes| bytes == expected);
        assert!(survives(&files, holds).await, "after {steps} steps");

        // The sync that opening does is needed: without it, what is seen may go.
        let (files, _) = dead().await;
        files.fail_always(Op::RemoveFile, ErrorKind::Other);
        let syncs = files.syncs();
        let _ = FileStore::open(Arc::new(files.clone()), FsPath::new(ROOT));
        for nth in 1..=files.syncs() - syncs {
            let (files, _) = dead().await;
            files.lie_at_sync(nth);
            let store = open(&files);
            let seen = read(&store, key).await.is_some();
            drop(store);
            let holds = async |store: FileStore| read(&store, key).await.is_some();
            seen_undurable |= seen && !survives(&files, holds).await;
        }
        if done {
            break;
        }
    }
    assert!(seen_undurable, "the sync at opening makes no difference");
}
