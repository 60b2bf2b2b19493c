//! Lost parts of a data directory, and processes that die while it is made.

use std::sync::atomic::{AtomicU64, Ordering};

use odradek_common::files::sim::SimFiles;
use odradek_common::files::{Files, RealFiles};
use odradek_common::random::SeededRandom;

use super::*;

#[test]
fn an_id_stays_and_a_second_process_or_node_is_refused() {
    let files: SharedFiles = Arc::new(RealFiles);
    let random = SeededRandom::from_seed(1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let open = |node| DataDirectory::open(&files, &path, node, &random);
    let first = open(1).unwrap();
    let id = first.id;
    drop(first);
    let held = open(1).unwrap();
    assert_eq!(held.id, id);
    drop(held);
    assert!(matches!(open(2), Err(DirectoryError::OtherNode { of: 1, node: 2, .. })));
    std::fs::write(path.join(IDENTITY), b"{").unwrap();
    assert!(matches!(open(1), Err(DirectoryError::Identity { .. })));
}

fn open_sim(files: &SimFiles) -> Result<DataDirectory, DirectoryError> {
    /// Another process draws another id.
    static SEED: AtomicU64 = AtomicU64::new(0);
    let files: SharedFiles = Arc::new(files.clone());
    let random = SeededRandom::from_seed(SEED.fetch_add(1, Ordering::Relaxed));
    DataDirectory::open(&files, Path::new("/data"), 1, &random)
}

fn form(files: &SimFiles) -> Result<DataDirectory, DirectoryError> {
    open_sim(files)?.note_formed("c".parse().unwrap())
}

fn claim(files: &SimFiles, is_to_be: bool, is_needed: bool) -> Result<bool, DirectoryError> {
    Ok(open_sim(files)?.claim_wal(is_to_be, is_needed)?.has_wal())
}

const COPY: &str = "/data/wal/directory.json";

fn lose_wal(files: &SimFiles) {
    files.remove_file(Path::new(COPY)).unwrap();
}

/// Copies a file to the write-ahead log, as an operator would.
fn give_wal(files: &SimFiles, from: &SimFiles, path: &str) {
    let from = from.open(Path::new(path), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(from.len().unwrap()).unwrap()];
    from.read_exact_at(&mut bytes, 0).unwrap();
    files.create_dir_all(Path::new("/data/wal")).unwrap();
    let to = files.open(Path::new(COPY), OpenMode::ReadWrite).unwrap();
    to.write_all_at(&bytes, 0).unwrap();
}

#[test]
fn a_wal_that_may_hold_records_is_not_done_without() {
    let files = SimFiles::new();
    assert!(!claim(&files, false, false).unwrap());
    claim(&files, false, true).unwrap_err();
    assert!(claim(&files, true, false).unwrap());
    for is_to_be in [true, false] {
        assert!(claim(&files, is_to_be, true).unwrap());
    }
    // The directory is there, as that of a file system that is not mounted is; and then is not.
    lose_wal(&files);
    for is_to_be in [true, false, true] {
        let refused = claim(&files, is_to_be, true).unwrap_err();
        assert!(matches!(refused, DirectoryError::OtherWal { .. }), "{refused}");
        let _ = files.remove_dir(Path::new("/data/wal"));
    }
    // It is given up.
    give_wal(&files, &files, "/data/directory.json");
    assert!(claim(&files, true, true).unwrap());
    lose_wal(&files);
    // It is not needed any more: another is made, or there is none.
    assert!(claim(&files, true, false).unwrap());
    lose_wal(&files);
    assert!(!claim(&files, false, false).unwrap());
}

#[test]
fn the_wal_of_another_is_refused_needed_or_not() {
    let (files, others) = (SimFiles::new(), SimFiles::new());
    for files in [&files, &others] {
        claim(files, true, false).unwrap();
    }
    give_wal(&files, &others, COPY);
    for (is_to_be, is_needed) in [(true, true), (true, false), (false, false)] {
        let refused = claim(&files, is_to_be, is_needed).unwrap_err();
        assert!(refused.to_string().contains("that of data directory"), "{refused}");
    }
}

/// A process is killed, or the power goes, at any step of a first claim: the next one succeeds,
/// and one that succeeded is never forgotten.
#[test]
fn a_claim_may_be_interrupted_anywhere() {
    let whole = SimFiles::new();
    claim(&whole, true, false).unwrap();
    for halt in 0..=whole.steps() {
        let files = SimFiles::new();
        files.halt_after(halt);
        let claimed = claim(&files, true, false).is_ok();
        files.heal();
        let cuts = (0..8).map(|seed| files.power_cut(&SeededRandom::from_seed(seed)));
        for after in cuts.collect::<Vec<_>>().iter().chain([&files]) {
            if claimed {
                assert!(claim(after, false, true).unwrap(), "step {halt}");
            }
            assert!(claim(after, true, false).unwrap(), "step {halt}");
            let after = after.power_cut(&SeededRandom::from_seed(halt));
            assert!(claim(&after, false, true).unwrap(), "step {halt}, after a power cut");
            lose_wal(&after);
            claim(&after, true, true).unwrap_err();
        }
    }
}

/// A process is killed at any step; what the next one reads is there for good.
#[test]
fn an_id_and_a_note_that_were_read_stay() {
    let whole = SimFiles::new();
    form(&whole).unwrap();
    for halt in 0..=whole.steps() {
        let files = SimFiles::new();
        files.halt_after(halt);
        let noted = form(&files).is_ok();
        files.heal();
        let found = open_sim(&files).unwrap();
        assert!(found.cluster.is_some() || !noted, "step {halt}");
        for seed in 0..8 {
            let after = files.power_cut(&SeededRandom::from_seed(seed));
            let after = open_sim(&after).unwrap();
            let (after, found) = ((after.id, after.cluster), (found.id, found.cluster.clone()));
            assert_eq!(after, found, "step {halt}, seed {seed}");
        }
    }
}
