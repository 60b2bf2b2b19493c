//! Lost parts of a data directory, and processes that die while it is made.

use std::sync::atomic::{AtomicU64, Ordering};

use odradek_common::files::RealFiles;
use odradek_common::files::sim::SimFiles;
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
