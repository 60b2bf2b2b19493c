//! The phase board: which steps towards durability are under way right now, in a small file that
//! outlives the process.
//!
//! A test that kills a broker has to show *where* the kill fell: two hundred kills that all meet an
//! idle broker prove nothing. A broker that is given a board counts there, for each [`Phase`], how
//! often it was entered and how often it was left. What was written stays in the page cache when the
//! process is killed, so a phase that was entered more often than left was cut in its middle.
//!
//! Nobody else has a use for it. Without a board ([`Phases::none`], the default) entering a phase is
//! a look at an empty `Option`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::files::{File, Files, OpenMode};

/// A step that a crash may cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A slot is written and synced, or put into the store.
    WalWrite,
    /// Segments and index objects are written.
    Flush,
    /// What was flushed, merged or taken over is committed to the metadata.
    Commit,
    /// The trim point is raised.
    Trim,
    /// A snapshot of the metadata is written.
    Snapshot,
    /// Objects or slots are deleted.
    Deletion,
}

impl Phase {
    /// All of them, in the order of the board.
    pub const ALL: [Self; 6] =
        [Self::WalWrite, Self::Flush, Self::Commit, Self::Trim, Self::Snapshot, Self::Deletion];

    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WalWrite => "wal write",
            Self::Flush => "flush",
            Self::Commit => "commit",
            Self::Trim => "trim",
            Self::Snapshot => "snapshot",
            Self::Deletion => "deletion",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::WalWrite => 0,
            Self::Flush => 1,
            Self::Commit => 2,
            Self::Trim => 3,
            Self::Snapshot => 4,
            Self::Deletion => 5,
        }
    }
}

/// How often a phase was entered and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Times it was entered.
    pub entered: u64,
    /// Times it was left, by success or failure.
    pub left: u64,
}

impl Count {
    /// Whether it was under way.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        self.entered > self.left
    }
}

/// Bytes of a board: for each phase both counts, little-endian.
pub const BOARD_BYTES: usize = Phase::ALL.len() * COUNT_BYTES;
const COUNT_BYTES: usize = 16;

/// What a board says, in the order of [`Phase::ALL`].
#[must_use]
pub fn decode(board: &[u8; BOARD_BYTES]) -> [Count; Phase::ALL.len()] {
    let mut counts = [Count::default(); Phase::ALL.len()];
    for (count, bytes) in counts.iter_mut().zip(board.as_chunks::<COUNT_BYTES>().0) {
        let both = u128::from_le_bytes(*bytes);
        let (entered, left) = (both & u128::from(u64::MAX), both >> u64::BITS);
        count.entered = u64::try_from(entered).unwrap_or(u64::MAX);
        count.left = u64::try_from(left).unwrap_or(u64::MAX);
    }
    counts
}

/// Notes phases on a board, if there is one. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Phases(Option<Arc<Board>>);

#[derive(Debug)]
struct Board {
    file: Arc<dyn File>,
    /// Held while it is written down, so that the file never goes back.
    counts: Mutex<[Count; Phase::ALL.len()]>,
}

impl Phases {
    /// Notes nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Notes on the board `path`, which begins empty.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn on_board(files: &dyn Files, path: &Path) -> io::Result<Self> {
        let file = files.open(path, OpenMode::ReadWrite)?;
        file.set_len(0)?;
        file.write_all_at(&[0; BOARD_BYTES], 0)?;
        Ok(Self(Some(Arc::new(Board { file, counts: Mutex::default() }))))
    }

    /// Enters a phase, which is left when what this gives is dropped.
    #[must_use = "the phase is left when this is dropped"]
    pub fn enter(&self, phase: Phase) -> Option<Entered> {
        let board = self.0.clone()?;
        board.count(phase, |count| count.entered += 1);
        Some(Entered { board, phase })
    }
}

/// A phase that is under way.
#[derive(Debug)]
pub struct Entered {
    board: Arc<Board>,
    phase: Phase,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.board.count(self.phase, |count| count.left += 1);
    }
}

impl Board {
    /// A board that cannot be written any more proves nothing, and who reads it fails for that; the
    /// broker goes on.
    fn count(&self, phase: Phase, change: impl FnOnce(&mut Count)) {
        let mut counts = self.counts.lock();
        let count = &mut counts[phase.index()];
        change(count);
        let both = u128::from(count.left) << u64::BITS | u128::from(count.entered);
        let position = (phase.index() * COUNT_BYTES) as u64;
        let _ = self.file.write_all_at(&both.to_le_bytes(), position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RealFiles;

    fn read(path: &Path) -> [Count; Phase::ALL.len()] {
        decode(&std::fs::read(path).unwrap().try_into().unwrap())
    }

    #[test]
    fn the_board_shows_what_is_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("board");
        let phases = Phases::on_board(&RealFiles, &path).unwrap();
        assert_eq!(read(&path), [Count::default(); 6]);
        let first = phases.enter(Phase::WalWrite);
        let second = phases.clone().enter(Phase::WalWrite);
        let deletion = phases.enter(Phase::Deletion);
        drop((first, deletion));
        let counts = read(&path);
        assert_eq!(counts[0], Count { entered: 2, left: 1 });
        assert!(counts[0].is_under_way());
        assert_eq!(counts[5], Count { entered: 1, left: 1 });
        assert!(!counts[5].is_under_way());
        drop(second);
        assert!(!read(&path)[0].is_under_way());
        let _again = Phases::on_board(&RealFiles, &path).unwrap();
        assert_eq!(read(&path), [Count::default(); 6], "a new process begins anew");
    }

    #[test]
    fn the_order_of_the_board_is_that_of_the_list() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase.index(), index);
        }
    }

    #[test]
    fn without_a_board_nothing_is_noted() {
        assert!(Phases::none().enter(Phase::Flush).is_none());
    }
}
