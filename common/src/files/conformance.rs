//! What holds for every file system, and that the simulated one does what the machine's does.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::sim::SimFiles;
use super::{File, Files, OpenMode, RealFiles};

/// Both file systems, each with an empty directory to work in.
fn both(test: impl Fn(&dyn Files, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    test(&RealFiles, dir.path());
    let sim = SimFiles::new();
    sim.create_dir_all(dir.path()).unwrap();
    test(&sim, dir.path());
}

fn read(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_lock_is_held_until_its_handle_goes() {
    both(|files, dir| {
        let path = dir.join("lock");
        let first = files.open(&path, OpenMode::ReadWrite).unwrap();
        let second = files.open(&path, OpenMode::ReadWrite).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    both(|files, dir| {
        let path = dir.join("a");
        let file = files.open(&path, OpenMode::CreateNew).unwrap();
        file.write_all_at(b"abc", 0).unwrap();
        files.remove_file(&path).unwrap();
        file.write_all_at(b"d", 3).unwrap();
        file.sync().unwrap();
        assert_eq!(read(&*file), b"abcd");
        assert_eq!(files.stat(&path).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn what_is_open_to_read_cannot_be_written() {
    both(|files, dir| {
        let path = dir.join("a");
        files.open(&path, OpenMode::CreateNew).unwrap();
        let file = files.open(&path, OpenMode::Read).unwrap();
        assert!(file.write_all_at(b"x", 0).is_err());
        assert!(file.is_empty().unwrap());
    });
}

#[test]
fn directories_are_made_with_their_parents() {
    both(|files, dir| {
        files.create_dir_all(&dir.join("a/b/c")).unwrap();
        files.create_dir_all(&dir.join("a/b/c")).unwrap();
        files.create_dir_all(&dir.join("a/b/d")).unwrap();
        assert_eq!(files.list(&dir.join("a/b")).unwrap().len(), 2);
        files.open(&dir.join("file"), OpenMode::CreateNew).unwrap();
        for below_a_file in ["file", "file/a"] {
            let error = files.create_dir_all(&dir.join(below_a_file)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotADirectory);
        }
    });
}

#[test]
fn relative_paths_work_on_the_machine() {
    let files = RealFiles;
    assert!(files.stat(Path::new(".")).unwrap().is_dir);
    files.create_dir_all(Path::new("src")).unwrap();
    assert!(files.list(Path::new("src")).unwrap().iter().any(|e| e.path.ends_with("lib.rs")));
}

#[derive(Clone, Debug)]
enum Step {
    Write(&'static str, OpenMode, u16, Vec<u8>),
    SetLen(&'static str, u16),
    Allocate(&'static str, u16),
    Read(&'static str, u16, u8),
    Rename(&'static str, &'static str),
    Link(&'static str, &'static str),
    RemoveFile(&'static str),
    RemoveDir(&'static str),
    CreateDir(&'static str),
    CreateDirAll(&'static str),
    SyncDir(&'static str),
    List(&'static str),
    Stat(&'static str),
}

const FILES: [&str; 5] = ["a", "b", "d/a", "d/b", "d/e/a"];
const DIRS: [&str; 3] = ["d", "d/e", "g"];

fn step() -> impl Strategy<Value = Step> {
    let file = || prop::sample::select(&FILES[..]);
    let dir = || prop::sample::select(&DIRS[..]);
    let either = || prop_oneof![file(), dir()];
    let mode =
        prop::sample::select(&[OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateNew][..]);
    let bytes = prop::collection::vec(any::<u8>(), 0..700);
    prop_oneof![
        4 => (either(), mode, 0u16..2000, bytes).prop_map(|(p, m, o, b)| Step::Write(p, m, o, b)),
        1 => (file(), 0u16..2000).prop_map(|(p, n)| Step::SetLen(p, n)),
        1 => (file(), 0u16..2000).prop_map(|(p, n)| Step::Allocate(p, n)),
        1 => (file(), 0u16..2000, any::<u8>()).prop_map(|(p, o, n)| Step::Read(p, o, n)),
        2 => (file(), either()).prop_map(|(p, q)| Step::Rename(p, q)),
        2 => (file(), either()).prop_map(|(p, q)| Step::Link(p, q)),
        1 => file().prop_map(Step::RemoveFile),
        1 => either().prop_map(Step::RemoveDir),
        2 => either().prop_map(Step::CreateDir),
        1 => either().prop_map(Step::CreateDirAll),
        1 => either().prop_map(Step::SyncDir),
        1 => either().prop_map(Step::List),
        1 => either().prop_map(Step::Stat),
    ]
}

/// Does a step and gives what can be seen of it.
fn take(files: &dyn Files, root: &Path, step: &Step) -> io::Result<Vec<u8>> {
    let at = |path: &str| root.join(path);
    let open = |path: &str| files.open(&at(path), OpenMode::ReadWrite);
    let is_dir = |path: &str| files.stat(&at(path)).is_ok_and(|entry| entry.is_dir);
    let done = |()| Vec::new();
    match step {
        Step::Write(path, mode, offset, bytes) => {
            let file = files.open(&at(path), *mode)?;
            if *mode != OpenMode::Read {
                file.write_all_at(bytes, u64::from(*offset))?;
            }
            file.sync()?;
            Ok(read(&*file))
        }
        Step::SetLen(path, len) => open(path)?.set_len(u64::from(*len)).map(done),
        Step::Allocate(path, len) => open(path)?.allocate(u64::from(*len)).map(done),
        Step::Read(path, offset, len) => {
            let mut bytes = vec![0; usize::from(*len)];
            let file = files.open(&at(path), OpenMode::Read)?;
            file.read_exact_at(&mut bytes, u64::from(*offset)).map(|()| bytes)
        }
        // Renaming or linking a directory is not in the contract.
        Step::Rename(from, _) | Step::Link(from, _) if is_dir(from) => Ok(Vec::new()),
        // Over a directory it fails, in one of several ways.
        Step::Rename(from, to) if is_dir(to) => {
            files.rename(&at(from), &at(to)).map(done).map_err(|_| ErrorKind::Other.into())
        }
        Step::Rename(from, to) => files.rename(&at(from), &at(to)).map(done),
        Step::Link(from, to) => files.hard_link(&at(from), &at(to)).map(done),
        Step::RemoveFile(path) => files.remove_file(&at(path)).map(done),
        Step::RemoveDir(path) => files.remove_dir(&at(path)).map(done),
        Step::CreateDir(path) => files.create_dir(&at(path)).map(done),
        Step::CreateDirAll(path) => files.create_dir_all(&at(path)).map(done),
        Step::SyncDir(path) => files.sync_dir(&at(path)).map(done),
        Step::List(path) => {
            let entries = files.list(&at(path))?;
            let mut seen: Vec<_> = entries.into_iter().map(|e| (e.path, e.is_dir, e.len)).collect();
            seen.sort();
            Ok(format!("{seen:?}").into_bytes())
        }
        Step::Stat(path) => {
            let entry = files.stat(&at(path))?;
            Ok(format!("{:?}", (entry.is_dir, entry.len)).into_bytes())
        }
    }
}

/// All that is below a directory.
fn tree(files: &dyn Files, dir: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut entries = files.list(dir).unwrap();
    entries.sort();
    for entry in entries {
        if entry.is_dir {
            found.push((entry.path.clone(), None));
            found.extend(tree(files, &entry.path));
        } else {
            let file: Arc<dyn File> = files.open(&entry.path, OpenMode::Read).unwrap();
            found.push((entry.path, Some(read(&*file))));
        }
    }
    found
}

proptest! {
    #[test]
    fn the_simulation_shows_what_the_machine_shows(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let sim = SimFiles::new();
        sim.create_dir_all(dir.path()).unwrap();
        for step in &steps {
            let real = take(&RealFiles, dir.path(), step).map_err(|e| e.kind());
            let simulated = take(&sim, dir.path(), step).map_err(|e| e.kind());
            prop_assert_eq!(real, simulated, "{:?}", step);
        }
        prop_assert_eq!(tree(&RealFiles, dir.path()), tree(&sim, dir.path()));
    }
}
