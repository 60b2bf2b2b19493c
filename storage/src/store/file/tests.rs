use std::collections::BTreeMap;
use std::path::Path as FsPath;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::{Error, GetRange, ObjectStoreExt, PutMode};
use odradek_common::files::sim::{Op, SimFiles};
use odradek_common::files::{DirEntry, Files, RealFiles};
use odradek_common::limits::FILE_READ_BYTES;
use proptest::prelude::*;

use super::*;

fn on_disk() -> (tempfile::TempDir, FileStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(Arc::new(RealFiles), &dir.path().join("store")).unwrap();
    (dir, store)
}

async fn create(store: &dyn ObjectStore, key: &str, bytes: &'static [u8]) -> Result<PutResult> {
    store.put_opts(&Path::from(key), Bytes::from_static(bytes).into(), PutMode::Create.into()).await
}

async fn read(store: &dyn ObjectStore, key: &str) -> Result<Bytes> {
    store.get(&Path::from(key)).await?.bytes().await
}

async fn keys(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let prefix = Path::from(prefix);
    let found = store.list(Some(&prefix)).map_ok(|meta| meta.location.to_string());
    found.try_collect().await.unwrap()
}

#[tokio::test]
async fn one_writer_wins_and_what_it_wrote_is_there() {
    let (_dir, store) = on_disk();
    let payloads: Vec<Bytes> = (0..16u8).map(|i| vec![i; 10_000].into()).collect();
    let path = Path::from("a/b/c");
    let puts = payloads
        .iter()
        .map(|bytes| store.put_opts(&path, bytes.clone().into(), PutMode::Create.into()));
    let results = futures::future::join_all(puts).await;
    let winners: Vec<usize> = (0..16).filter(|i| results[*i].is_ok()).collect();
    assert_eq!(winners.len(), 1);
    for result in results.into_iter().filter_map(Result::err) {
        assert!(matches!(result, Error::AlreadyExists { .. }), "{result:?}");
    }
    assert_eq!(read(&store, "a/b/c").await.unwrap(), payloads[winners[0]]);
}

#[tokio::test]
async fn ranges_are_cut_at_the_end() {
    let (_dir, store) = on_disk();
    create(&store, "a", b"0123456789").await.unwrap();
    let path = Path::from("a");
    assert_eq!(&store.get_range(&path, 3..5).await.unwrap()[..], b"34");
    assert_eq!(&store.get_range(&path, 8..50).await.unwrap()[..], b"89");
    store.get_range(&path, 10..11).await.unwrap_err();
    store.get_range(&path, 50..60).await.unwrap_err();
    let suffix = GetOptions { range: Some(GetRange::Suffix(4)), ..GetOptions::default() };
    let result = store.get_opts(&path, suffix).await.unwrap();
    assert_eq!((result.range.clone(), result.meta.size), (6..10, 10));
    assert_eq!(&result.bytes().await.unwrap()[..], b"6789");
    create(&store, "empty", b"").await.unwrap();
    assert!(read(&store, "empty").await.unwrap().is_empty());
    assert_eq!(store.head(&path).await.unwrap().size, 10);
}

#[tokio::test]
async fn what_is_longer_than_one_read_comes_in_pieces() {
    let (_dir, store) = on_disk();
    let len = usize::try_from(FILE_READ_BYTES * 2 + 77).unwrap();
    let bytes: Bytes = (0..=250u8).cycle().take(len).collect();
    store.put(&Path::from("big"), bytes.clone().into()).await.unwrap();
    let result = store.get(&Path::from("big")).await.unwrap();
    let pieces: Vec<Bytes> = result.into_stream().try_collect().await.unwrap();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces.concat(), bytes);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_dir, store) = on_disk();
    create(&store, "a/b", b"x").await.unwrap();
    for key in ["x", "a", "a/b/c"] {
        assert!(matches!(read(&store, key).await, Err(Error::NotFound { .. })), "{key}");
        let error = store.delete(&Path::from(key)).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{key}: {error:?}");
        let error = store.copy(&Path::from(key), &Path::from("z")).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{key}: {error:?}");
    }
}

#[tokio::test]
async fn a_key_in_a_key_is_an_error_and_not_a_lost_race() {
    let (_dir, store) = on_disk();
    create(&store, "a/b", b"x").await.unwrap();
    for key in ["a", "a/b/c"] {
        for mode in [PutMode::Create, PutMode::Overwrite] {
            let put = store.put_opts(&Path::from(key), "y".into(), mode.into()).await;
            let error = put.unwrap_err();
            assert!(matches!(error, Error::Generic { .. }), "{key}: {error:?}");
            assert!(error.to_string().contains("folder of another key"), "{error}");
        }
    }
}

#[tokio::test]
async fn listings_go_by_whole_parts_in_order_and_show_no_temporaries() {
    let (dir, store) = on_disk();
    for key in ["a/b", "a/c/d", "a-b", "ab/x", "b"] {
        create(&store, key, b"x").await.unwrap();
    }
    let mut upload = store.put_multipart(&Path::from("a/open")).await.unwrap();
    upload.put_part("part".into()).await.unwrap();
    assert_eq!(keys(&store, "").await, ["a-b", "a/b", "a/c/d", "ab/x", "b"]);
    assert_eq!(keys(&store, "a").await, ["a/b", "a/c/d"]);
    assert!(keys(&store, "a/b").await.is_empty());
    assert!(keys(&store, "nothing/here").await.is_empty());
    assert!(keys(&store, ".tmp").await.is_empty());
    for after in ["a", "a-b", "a/", "a/b", "a/c", "a/c/d", "a/z", "ab", "b", "c"] {
        let behind: Vec<_> =
            store.list_with_offset(None, &Path::from(after)).try_collect().await.unwrap();
        let behind: Vec<_> = behind.iter().map(|meta| meta.location.to_string()).collect();
        let mut expected = keys(&store, "").await;
        expected.retain(|key| key.as_str() > Path::from(after).as_ref());
        assert_eq!(behind, expected, "behind {after}");
    }
    let shallow = store.list_with_delimiter(Some(&Path::from("a"))).await.unwrap();
    let objects: Vec<_> = shallow.objects.iter().map(|meta| meta.location.as_ref()).collect();
    assert_eq!((objects, shallow.common_prefixes), (vec!["a/b"], vec![Path::from("a/c")]));
    assert_eq!(std::fs::read_dir(dir.path().join("store/.tmp")).unwrap().count(), 2);
    drop(upload);
    assert_eq!(std::fs::read_dir(dir.path().join("store/.tmp")).unwrap().count(), 1);
}

#[tokio::test]
async fn deleting_takes_empty_directories_along() {
    let (dir, store) = on_disk();
    create(&store, "a/b/c", b"x").await.unwrap();
    create(&store, "a/d", b"x").await.unwrap();
    store.delete(&Path::from("a/b/c")).await.unwrap();
    assert!(!dir.path().join("store/a/b").exists());
    create(&store, "a/b/c", b"y").await.unwrap();
    assert_eq!(&read(&store, "a/b/c").await.unwrap()[..], b"y");
    let all = store.list(None).map_ok(|meta| meta.location).boxed();
    assert_eq!(store.delete_stream(all).try_collect::<Vec<_>>().await.unwrap().len(), 2);
    assert!(!dir.path().join("store/a").exists());
    assert!(dir.path().join("store").exists());
}

#[tokio::test]
async fn puts_and_deletes_in_one_directory_do_not_trip_over_one_another() {
    let (_dir, store) = on_disk();
    let one = |i: u32| {
        let store = store.clone();
        async move {
            let path = Path::from(format!("a/b/{i}"));
            for _ in 0..20 {
                store.put_opts(&path, "x".into(), PutMode::Create.into()).await.unwrap();
                store.delete(&path).await.unwrap();
            }
        }
    };
    let tasks: Vec<_> = (0..8).map(|i| tokio::spawn(one(i))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(keys(&store, "").await.is_empty());
}

#[tokio::test]
async fn parts_become_an_object_only_when_complete() {
    let (_dir, store) = on_disk();
    let path = Path::from("a/b");
    let mut upload = store.put_multipart(&path).await.unwrap();
    let (first, second) = (upload.put_part("first ".into()), upload.put_part("second".into()));
    second.await.unwrap();
    upload.complete().await.unwrap_err();
    assert!(matches!(read(&store, "a/b").await, Err(Error::NotFound { .. })));
    first.await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(&read(&store, "a/b").await.unwrap()[..], b"first second");
    upload.complete().await.unwrap_err();

    let mut upload = store.put_multipart(&Path::from("c")).await.unwrap();
    upload.put_part("x".into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(matches!(read(&store, "c").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn copies_and_renames_keep_to_their_mode() {
    let (dir, store) = on_disk();
    create(&store, "a", b"1").await.unwrap();
    create(&store, "b", b"2").await.unwrap();
    let (a, b, c) = (Path::from("a"), Path::from("b"), Path::from("d/c"));
    let error = store.copy_if_not_exists(&a, &b).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    store.copy(&a, &b).await.unwrap();
    store.copy(&a, &b).await.unwrap();
    store.copy(&a, &a).await.unwrap();
    store.rename_if_not_exists(&b, &c).await.unwrap();
    assert_eq!(keys(&store, "").await, ["a", "d/c"]);
    assert_eq!(&read(&store, "d/c").await.unwrap()[..], b"1");
    assert_eq!(std::fs::read_dir(dir.path().join("store/.tmp")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_directory_serves_one_store_at_a_time() {
    let (dir, store) = on_disk();
    let root = dir.path().join("store");
    let error = FileStore::open(Arc::new(RealFiles), &root).unwrap_err();
    assert!(matches!(error, FileStoreError::InUse(_)), "{error}");
    drop(store);
    FileStore::open(Arc::new(RealFiles), &root).unwrap();
}

#[tokio::test]
async fn old_temporaries_are_swept() {
    let (dir, store) = on_disk();
    drop(store);
    let root = dir.path().join("store");
    for name in ["0-a%2Fb", "17", "3-..%2F..%2Fx", "rubbish"] {
        std::fs::write(root.join(".tmp").join(name), "x").unwrap();
    }
    let store = FileStore::open(Arc::new(RealFiles), &root).unwrap();
    assert_eq!(std::fs::read_dir(root.join(".tmp")).unwrap().count(), 1);
    create(&store, "a/b/c", b"x").await.unwrap();
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind_and_is_over_when_it_is_over() {
    let files = SimFiles::new();
    let store = FileStore::open(Arc::new(files.clone()), FsPath::new("/s")).unwrap();
    files.fail_nth(Op::Write, 1, ErrorKind::StorageFull);
    let error = create(&store, "a/b", b"x").await.unwrap_err();
    assert!(matches!(error, Error::Generic { .. }), "{error:?}");
    assert!(matches!(read(&store, "a/b").await, Err(Error::NotFound { .. })));
    assert_eq!(files.list(FsPath::new("/s/.tmp")).unwrap().len(), 1);
    create(&store, "a/b", b"x").await.unwrap();
}

#[tokio::test]
async fn after_a_directory_failed_to_sync_the_store_refuses_all_work() {
    let files = SimFiles::new();
    let store = FileStore::open(Arc::new(files.clone()), FsPath::new("/s")).unwrap();
    create(&store, "a/b", b"x").await.unwrap();
    files.fail_nth(Op::SyncDir, 1, ErrorKind::Other);
    create(&store, "a/c", b"x").await.unwrap_err();
    for key in ["a/b", "a/c"] {
        let error = read(&store, key).await.unwrap_err();
        assert!(error.to_string().contains("could not be synced"), "{error}");
    }
    drop(store);
    let store = FileStore::open(Arc::new(files), FsPath::new("/s")).unwrap();
    assert_eq!(keys(&store, "").await, ["a/b", "a/c"]);
}

/// A file system whose directory syncs wait for a permit.
#[derive(Debug)]
struct SlowSyncs {
    files: SimFiles,
    reached: std::sync::Mutex<std::sync::mpsc::SyncSender<()>>,
    go_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Files for SlowSyncs {
    fn sync_dir(&self, path: &FsPath) -> io::Result<()> {
        if path.ends_with("a") {
            self.reached.lock().unwrap().send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
        self.files.sync_dir(path)
    }
    fn open(&self, path: &FsPath, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.files.open(path, mode)
    }
    fn rename(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn hard_link(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        self.files.hard_link(from, to)
    }
    fn remove_file(&self, path: &FsPath) -> io::Result<()> {
        self.files.remove_file(path)
    }
    fn remove_dir(&self, path: &FsPath) -> io::Result<()> {
        self.files.remove_dir(path)
    }
    fn create_dir(&self, path: &FsPath) -> io::Result<()> {
        self.files.create_dir(path)
    }
    fn list(&self, path: &FsPath) -> io::Result<Vec<DirEntry>> {
        self.files.list(path)
    }
    fn stat(&self, path: &FsPath) -> io::Result<DirEntry> {
        self.files.stat(path)
    }
}

/// What a reader has seen, an acknowledgement may follow from: so it must be durable by then.
#[tokio::test]
async fn nobody_sees_an_object_before_its_name_is_durable() {
    let (reached, is_reached) = std::sync::mpsc::sync_channel(1);
    let (release, go_on) = std::sync::mpsc::sync_channel(1);
    let (reached, go_on) = (reached.into(), go_on.into());
    let files = Arc::new(SlowSyncs { files: SimFiles::new(), reached, go_on });
    let store = FileStore::open(files.clone(), FsPath::new("/s")).unwrap();
    let putting = {
        let store = store.clone();
        tokio::spawn(async move { create(&store, "a/b", b"x").await })
    };
    tokio::task::spawn_blocking(move || is_reached.recv().unwrap()).await.unwrap();
    assert!(files.stat(FsPath::new("/s/a/b")).is_ok(), "it has its name already");

    let mut reader = Box::pin(read(&store, "a/b"));
    let mut lister = Box::pin(keys(&store, "a"));
    let mut rival = Box::pin(create(&store, "a/b", b"y"));
    let (from, to) = (Path::from("a/b"), Path::from("c"));
    let mut copy = Box::pin(store.copy(&from, &to));
    let short = std::time::Duration::from_millis(100);
    tokio::select! {
        _ = &mut reader => panic!("it was read"),
        _ = &mut lister => panic!("it was listed"),
        _ = &mut rival => panic!("it was found to exist"),
        _ = &mut copy => panic!("it was copied"),
        () = tokio::time::sleep(short) => {}
    }
    release.send(()).unwrap();
    putting.await.unwrap().unwrap();
    assert_eq!(&reader.await.unwrap()[..], b"x");
    assert_eq!(lister.await, ["a/b"]);
    assert!(matches!(rival.await, Err(Error::AlreadyExists { .. })));
    copy.await.unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Put(&'static str, bool, Vec<u8>),
    Get(&'static str, Option<(u8, u8)>),
    Delete(&'static str),
    Copy(&'static str, &'static str, bool),
    Rename(&'static str, &'static str, bool),
    List(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select(&["a/x", "a/y", "b", "c/d/e"][..]);
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let range = prop::option::of((any::<u8>(), any::<u8>()));
    prop_oneof![
        3 => (key(), any::<bool>(), bytes).prop_map(|(k, c, b)| Step::Put(k, c, b)),
        3 => (key(), range).prop_map(|(k, r)| Step::Get(k, r)),
        2 => key().prop_map(Step::Delete),
        1 => (key(), key(), any::<bool>()).prop_map(|(k, l, c)| Step::Copy(k, l, c)),
        1 => (key(), key(), any::<bool>()).prop_map(|(k, l, c)| Step::Rename(k, l, c)),
        1 => prop::sample::select(&["", "a", "c", "c/d"][..]).prop_map(Step::List),
    ]
}

async fn take(store: &dyn ObjectStore, step: &Step) -> Result<Vec<u8>, &'static str> {
    let at = |key: &str| Path::from(key);
    let kind = |e: Error| match e {
        Error::NotFound { .. } => "not found",
        Error::AlreadyExists { .. } => "already exists",
        _ => "other",
    };
    match step {
        Step::Put(key, create, bytes) => {
            let mode = if *create { PutMode::Create } else { PutMode::Overwrite };
            let put = store.put_opts(&at(key), bytes.clone().into(), mode.into()).await;
            put.map(|_| Vec::new()).map_err(kind)
        }
        Step::Get(key, range) => {
            let range = range.map(|(from, len)| {
                GetRange::Bounded(u64::from(from)..u64::from(from) + u64::from(len))
            });
            let options = GetOptions { range, ..GetOptions::default() };
            let result = store.get_opts(&at(key), options).await.map_err(kind)?;
            let seen = format!("{:?} {}", result.range, result.meta.size).into_bytes();
            Ok([seen, result.bytes().await.map_err(kind)?.to_vec()].concat())
        }
        Step::Delete(key) => match store.delete(&at(key)).await.map_err(kind) {
            // A store may answer a delete of nothing either way.
            Ok(()) | Err("not found") => Ok(Vec::new()),
            Err(error) => Err(error),
        },
        // Onto itself, stores differ.
        Step::Copy(from, to, _) | Step::Rename(from, to, _) if from == to => Ok(Vec::new()),
        Step::Copy(from, to, true) => {
            store.copy_if_not_exists(&at(from), &at(to)).await.map(|()| Vec::new()).map_err(kind)
        }
        Step::Copy(from, to, false) => {
            store.copy(&at(from), &at(to)).await.map(|()| Vec::new()).map_err(kind)
        }
        Step::Rename(from, to, true) => {
            store.rename_if_not_exists(&at(from), &at(to)).await.map(|()| Vec::new()).map_err(kind)
        }
        Step::Rename(from, to, false) => {
            store.rename(&at(from), &at(to)).await.map(|()| Vec::new()).map_err(kind)
        }
        Step::List(prefix) => {
            let prefix = at(prefix);
            let metas: Vec<ObjectMeta> =
                store.list(Some(&prefix)).try_collect().await.map_err(kind)?;
            let seen: BTreeMap<_, _> = metas.into_iter().map(|m| (m.location, m.size)).collect();
            Ok(format!("{seen:?}").into_bytes())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_does_what_other_stores_do(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let files = Arc::new(SimFiles::new());
            let store = FileStore::open(files, FsPath::new("/s")).unwrap();
            let other = InMemory::new();
            for step in &steps {
                let (this, that) = (take(&store, step).await, take(&other, step).await);
                prop_assert_eq!(this, that, "{:?}", step);
            }
            Ok(())
        })?;
    }
}
