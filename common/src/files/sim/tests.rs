use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::random::SeededRandom;

fn write(files: &SimFiles, path: &str, bytes: &[u8]) {
    let file = files.open(Path::new(path), OpenMode::ReadWrite).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

fn write_synced(files: &SimFiles, path: &str, bytes: &[u8]) {
    let file = files.open(Path::new(path), OpenMode::ReadWrite).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync().unwrap();
}

fn read(files: &SimFiles, path: &str) -> Option<Vec<u8>> {
    let file = files.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// All names below the root and what is in the files.
fn tree(files: &SimFiles, dir: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in files.list(Path::new(dir)).unwrap() {
        let path = entry.path.to_str().unwrap();
        if entry.is_dir {
            found.push(format!("{path}/"));
            found.extend(tree(files, path));
        } else {
            let bytes = read(files, path).unwrap();
            found.push(format!("{path}={}", String::from_utf8_lossy(&bytes)));
        }
    }
    found
}

/// Everything that a power cut now may leave.
fn outcomes(files: &SimFiles) -> BTreeSet<String> {
    let random = SeededRandom::from_seed(7);
    (0..1000).map(|_| tree(&files.power_cut(&random), "/").join(" ")).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn sync_dir(files: &SimFiles, path: &str) {
    files.sync_dir(Path::new(path)).unwrap();
}

fn rename(files: &SimFiles, from: &str, to: &str) {
    files.rename(Path::new(from), Path::new(to)).unwrap();
}

#[test]
fn a_name_needs_its_directory_synced_and_bytes_need_the_file_synced() {
    let files = SimFiles::new();
    write_synced(&files, "/a", b"x");
    assert_eq!(outcomes(&files), set(&["", "/a=x"]));
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["/a=x"]));
    write(&files, "/b", b"y");
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["/a=x /b=", "/a=x /b=\0", "/a=x /b=y"]));
}

#[test]
fn names_are_lost_one_by_one() {
    let files = SimFiles::new();
    write_synced(&files, "/a", b"x");
    write_synced(&files, "/b", b"y");
    assert_eq!(outcomes(&files), set(&["", "/a=x", "/b=y", "/a=x /b=y"]));
    sync_dir(&files, "/");
    files.remove_file(Path::new("/a")).unwrap();
    assert_eq!(outcomes(&files), set(&["/b=y", "/a=x /b=y"]));
}

#[test]
fn a_new_directory_and_what_is_in_it_hang_on_its_parent() {
    let files = SimFiles::new();
    files.create_dir(Path::new("/d")).unwrap();
    write_synced(&files, "/d/a", b"x");
    sync_dir(&files, "/d");
    assert_eq!(outcomes(&files), set(&["", "/d/ /d/a=x"]));
    files.create_dir_all(Path::new("/d")).unwrap();
    assert_eq!(outcomes(&files), set(&["/d/ /d/a=x"]));
}

#[test]
fn create_dir_all_leaves_nothing_to_chance() {
    let files = SimFiles::new();
    files.create_dir_all(Path::new("/a/b/c")).unwrap();
    assert_eq!(outcomes(&files), set(&["/a/ /a/b/ /a/b/c/"]));
    assert_eq!(files.syncs(), 3);
    // Not even where a process died halfway, at any step.
    for steps in 0..6 {
        let files = SimFiles::new();
        files.halt_after(steps);
        files.create_dir_all(Path::new("/a/b/c")).unwrap_err();
        files.heal();
        files.create_dir_all(Path::new("/a/b/c")).unwrap();
        assert_eq!(outcomes(&files), set(&["/a/ /a/b/ /a/b/c/"]), "after {steps} steps");
    }
    for nth in 1..=3 {
        let files = SimFiles::new();
        files.lie_at_sync(nth);
        files.create_dir_all(Path::new("/a/b/c")).unwrap();
        assert!(outcomes(&files).len() > 1, "sync {nth} is not needed");
    }
}

#[test]
fn a_rename_may_leave_both_names_but_never_none() {
    let files = SimFiles::new();
    files.create_dir_all(Path::new("/d")).unwrap();
    write_synced(&files, "/a", b"x");
    sync_dir(&files, "/");
    rename(&files, "/a", "/d/b");
    let all = set(&["/a=x /d/", "/d/ /d/b=x", "/a=x /d/ /d/b=x"]);
    assert_eq!(outcomes(&files), all);
    let other = files.power_cut(&SeededRandom::from_seed(1));
    drop(other);
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["/d/ /d/b=x"]));
}

#[test]
fn a_rename_over_a_file_leaves_the_one_or_the_other() {
    let files = SimFiles::new();
    write_synced(&files, "/a", b"old");
    sync_dir(&files, "/");
    write_synced(&files, "/b", b"new");
    sync_dir(&files, "/");
    rename(&files, "/b", "/a");
    assert_eq!(outcomes(&files), set(&["/a=old /b=new", "/a=new", "/a=new /b=new"]));
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["/a=new"]));
}

#[test]
fn two_names_of_a_file_are_one_file_also_afterwards() {
    let files = SimFiles::new();
    write_synced(&files, "/a", b"x");
    files.hard_link(Path::new("/a"), Path::new("/b")).unwrap();
    sync_dir(&files, "/");
    let after = files.power_cut(&SeededRandom::from_seed(1));
    write(&after, "/a", b"y");
    assert_eq!(read(&after, "/b").unwrap(), b"y");
    assert_eq!(read(&files, "/b").unwrap(), b"x");
}

#[test]
fn a_directory_with_names_on_the_disk_does_not_go() {
    let files = SimFiles::new();
    files.create_dir_all(Path::new("/d")).unwrap();
    write_synced(&files, "/d/a", b"x");
    sync_dir(&files, "/d");
    rename(&files, "/d/a", "/b");
    files.remove_dir(Path::new("/d")).unwrap();
    for outcome in outcomes(&files) {
        assert!(outcome.contains("=x"), "the file is lost: '{outcome}'");
    }
}

#[test]
fn a_lock_dies_with_the_power() {
    let files = SimFiles::new();
    let file = files.open(Path::new("/lock"), OpenMode::CreateNew).unwrap();
    sync_dir(&files, "/");
    assert!(file.try_lock().unwrap());
    let after = files.power_cut(&SeededRandom::from_seed(1));
    assert!(after.open(Path::new("/lock"), OpenMode::ReadWrite).unwrap().try_lock().unwrap());
}

#[test]
fn a_lie_is_told_once_at_the_sync_it_was_asked_for() {
    let files = SimFiles::new();
    write_synced(&files, "/a", b"x");
    files.lie_at_sync(2);
    write_synced(&files, "/a", b"y");
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["", "/a=y"]));
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["/a=y"]));
    assert_eq!((files.count(Op::Sync), files.count(Op::SyncDir), files.syncs()), (2, 2, 4));
}

#[test]
fn failures_come_when_planned() {
    let files = SimFiles::new();
    files.fail_nth(Op::Write, 2, ErrorKind::StorageFull);
    let file = files.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"1234", 0).unwrap();
    let error = file.write_all_at(b"5678", 4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(read(&files, "/a").unwrap(), b"123456");
    files.fail_always(Op::Sync, ErrorKind::Other);
    file.sync().unwrap_err();
    file.sync().unwrap_err();
    files.heal();
    // The pages were dropped by the failed sync; this one vouches for nothing.
    file.sync().unwrap();
    sync_dir(&files, "/");
    assert!(outcomes(&files).contains("/a="));
}

#[test]
fn once_halted_nothing_works() {
    let files = SimFiles::new();
    files.halt_after(1);
    let file = files.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    assert_eq!(files.steps(), 1);
    file.write_all_at(b"x", 0).unwrap_err();
    files.list(Path::new("/")).unwrap_err();
    assert!(tree(&files.power_cut(&SeededRandom::from_seed(1)), "/").len() < 2);
}

proptest! {
    /// However a power cut falls, what was synced is there, and doing it again from the same
    /// seed gives the same.
    #[test]
    fn what_was_synced_survives_and_the_seed_decides(
        seed: u64,
        rounds in prop::collection::vec((0usize..3, any::<bool>(), any::<bool>(), 1u8..), 1..20),
    ) {
        let files = SimFiles::new();
        let mut durable = [None; 3];
        let mut named = [false; 3];
        for (which, sync_file, sync_names, value) in rounds {
            let path = format!("/{which}");
            let bytes = [value; 2];
            if sync_file {
                write_synced(&files, &path, &bytes);
                durable[which] = Some(bytes);
            } else {
                write(&files, &path, &bytes);
                durable[which] = None;
            }
            if sync_names {
                sync_dir(&files, "/");
                for (i, named) in named.iter_mut().enumerate() {
                    *named = files.stat(Path::new(&format!("/{i}"))).is_ok();
                }
            }
        }
        let after = files.power_cut(&SeededRandom::from_seed(seed));
        for i in 0..3 {
            let found = read(&after, &format!("/{i}"));
            prop_assert!(found.is_some() || !named[i]);
            if let (Some(found), Some(bytes)) = (found, durable[i]) {
                prop_assert_eq!(found, bytes);
            }
        }
        let again = files.power_cut(&SeededRandom::from_seed(seed));
        prop_assert_eq!(tree(&after, "/"), tree(&again, "/"));
    }
}

#[test]
fn syncs_are_lies_by_what_they_sync() {
    let files = SimFiles::new();
    files.lie_where(|op, path| op == Op::Sync && path.ends_with("b"));
    write_synced(&files, "/a", b"x");
    let renamed = files.open(Path::new("/a"), OpenMode::ReadWrite).unwrap();
    write_synced(&files, "/c", b"z");
    rename(&files, "/a", "/b");
    renamed.write_all_at(b"y", 0).unwrap();
    renamed.sync().unwrap();
    sync_dir(&files, "/");
    assert_eq!(outcomes(&files), set(&["/b=x /c=z", "/b=y /c=z"]));
    files.heal();
    renamed.sync().unwrap();
    assert_eq!(outcomes(&files), set(&["/b=y /c=z"]));
}

#[test]
fn a_halt_shows() {
    let files = SimFiles::new();
    files.halt_after(1);
    assert!(!files.is_halted());
    files.create_dir(Path::new("/d")).unwrap();
    assert!(files.is_halted());
    files.create_dir(Path::new("/e")).unwrap_err();
    files.heal();
    assert!(!files.is_halted());
}
