//! The bytes of one file: as readers see them, and as a power cut may leave them.

use std::io::{self, ErrorKind};

use crate::random::Random;

/// The unit in which a disk writes: whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Longest file of a simulation, so that a wild offset is an error and not the end of the process.
const FILE_BYTES_MAX: u64 = 1 << 32;

/// One change of a file's bytes or length.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write {
        offset: usize,
        bytes: Box<[u8]>,
    },
    SetLen(usize),
    /// Extends to at least this length.
    Allocate(usize),
}

impl Change {
    pub(super) fn write(bytes: &[u8], offset: u64) -> io::Result<Self> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        checked_len(end)?;
        Ok(Self::Write { offset: checked_len(offset)?, bytes: bytes.into() })
    }

    pub(super) fn set_len(len: u64) -> io::Result<Self> {
        Ok(Self::SetLen(checked_len(len)?))
    }

    pub(super) fn allocate(len: u64) -> io::Result<Self> {
        Ok(Self::Allocate(checked_len(len)?))
    }

    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if !bytes.is_empty() && to.len() < end {
                    to.resize(end, 0);
                }
                if !bytes.is_empty() {
                    to[*offset..end].copy_from_slice(bytes);
                }
            }
            Self::SetLen(len) => to.resize(*len, 0),
            Self::Allocate(len) if to.len() < *len => to.resize(*len, 0),
            Self::Allocate(_) => {}
        }
    }
}

fn checked_len(len: u64) -> io::Result<usize> {
    if len > FILE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge.into())
}

/// How sure it is that a change survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not synced yet.
    Pending,
    /// A sync of it failed: no later sync vouches for it.
    Doubtful,
    /// Synced, behind a change that is doubtful.
    Durable,
}

/// The bytes of one file.
#[derive(Debug, Default)]
pub(super) struct FileBytes {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// What led from `durable` to `current`, in order.
    changes: Vec<(Standing, Change)>,
}

impl FileBytes {
    /// A file after a power cut: what it holds is on the disk.
    pub(super) fn from_disk(bytes: Vec<u8>) -> Self {
        Self { current: bytes.clone(), durable: bytes, changes: Vec::new() }
    }

    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.changes.push((Standing::Pending, change));
    }

    pub(super) fn sync(&mut self) {
        for (standing, _) in &mut self.changes {
            if *standing == Standing::Pending {
                *standing = Standing::Durable;
            }
        }
        let synced = self.changes.iter().take_while(|(s, _)| *s == Standing::Durable).count();
        for (_, change) in self.changes.drain(..synced) {
            change.apply(&mut self.durable);
        }
    }

    /// The kernel drops dirty pages whose writing failed and forgets about them.
    pub(super) fn sync_failed(&mut self) {
        for (standing, _) in &mut self.changes {
            if *standing == Standing::Pending {
                *standing = Standing::Doubtful;
            }
        }
    }

    /// What may be on the disk after a power cut now. Of every sector touched since the last sync
    /// the disk has the state after some change; the length likewise.
    pub(super) fn after_power_cut(&self, random: &dyn Random) -> Vec<u8> {
        let mut cache = self.durable.clone();
        let mut disk = Disk { bytes: self.durable.clone(), len: self.durable.len() };
        let plan = Plan::draw(self.changes.len(), random);
        for (index, (standing, change)) in self.changes.iter().enumerate() {
            let fate = match standing {
                Standing::Durable => Fate::Kept,
                Standing::Pending | Standing::Doubtful => plan.fate(index, random),
            };
            let len_before = cache.len();
            change.apply(&mut cache);
            disk.take(change, &cache, len_before, fate, random);
            if *standing == Standing::Durable {
                disk.reach(change);
            }
        }
        disk.bytes.resize(disk.len, 0);
        disk.bytes
    }
}

/// What becomes of one unsynced change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
    Torn,
}

impl Fate {
    fn keeps(self, random: &dyn Random) -> bool {
        match self {
            Self::Kept => true,
            Self::Dropped => false,
            Self::Torn => random.next_u64() & 1 == 0,
        }
    }
}

/// The overall picture of a power cut: the extremes must not be rare.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// The first so many changes are kept.
    First(usize),
    /// Each change has a fate of its own.
    Each,
}

impl Plan {
    fn draw(changes: usize, random: &dyn Random) -> Self {
        match random.next_u64() % 4 {
            0 => Self::First(0),
            1 => Self::First(changes),
            2 => Self::First(below(changes + 1, random)),
            _ => Self::Each,
        }
    }

    fn fate(self, index: usize, random: &dyn Random) -> Fate {
        match self {
            Self::First(kept) if index < kept => Fate::Kept,
            Self::First(_) => Fate::Dropped,
            Self::Each => match random.next_u64() % 3 {
                0 => Fate::Kept,
                1 => Fate::Dropped,
                _ => Fate::Torn,
            },
        }
    }
}

/// A random number below `limit`.
fn below(limit: usize, random: &dyn Random) -> usize {
    usize::try_from(random.next_u64() % limit as u64).unwrap_or(0)
}

/// The platters.
struct Disk {
    /// Sectors, also those past `len` whose length did not reach the disk (yet).
    bytes: Vec<u8>,
    len: usize,
}

impl Disk {
    /// Takes over what `fate` lets through of a change after which the page cache holds `cache`.
    fn take(
        &mut self,
        change: &Change,
        cache: &[u8],
        len_before: usize,
        fate: Fate,
        random: &dyn Random,
    ) {
        if cache.len() != len_before && fate.keeps(random) {
            self.len = cache.len();
            if cache.len() < len_before {
                self.bytes.truncate(cache.len());
            }
        }
        let Change::Write { offset, bytes } = change else { return };
        if bytes.is_empty() {
            return;
        }
        let sectors = offset / SECTOR_BYTES..=(offset + bytes.len() - 1) / SECTOR_BYTES;
        for sector in sectors {
            if fate.keeps(random) {
                self.take_sector(sector * SECTOR_BYTES, cache);
            }
        }
    }

    /// A sync vouches for the length that it takes to read what was written, also where an earlier
    /// sync failed to make the file so long.
    fn reach(&mut self, change: &Change) {
        if let Change::Write { offset, bytes } = change
            && !bytes.is_empty()
        {
            self.len = self.len.max(offset + bytes.len());
        }
    }

    fn take_sector(&mut self, start: usize, cache: &[u8]) {
        let end = (start + SECTOR_BYTES).min(cache.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(&cache[start..end]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::SeededRandom;

    fn outcomes(file: &FileBytes) -> BTreeSet<Vec<u8>> {
        let random = SeededRandom::from_seed(1);
        (0..2000).map(|_| file.after_power_cut(&random)).collect()
    }

    fn write(file: &mut FileBytes, bytes: &[u8], offset: u64) {
        file.change(Change::write(bytes, offset).unwrap());
    }

    #[test]
    fn what_is_synced_stays() {
        let mut file = FileBytes::default();
        write(&mut file, b"abc", 0);
        file.sync();
        assert_eq!(outcomes(&file), BTreeSet::from([b"abc".to_vec()]));
    }

    #[test]
    fn what_is_not_is_kept_dropped_or_torn() {
        let mut file = FileBytes::default();
        write(&mut file, &[1; 1024], 0);
        let all = outcomes(&file);
        let half = |a: u8, b: u8| [[a; 512], [b; 512]].concat();
        let expected = [vec![], vec![0; 1024], half(1, 0), half(0, 1), vec![1; 1024]];
        assert_eq!(all, BTreeSet::from(expected));
    }

    #[test]
    fn a_sector_is_never_torn_and_holds_a_state_that_was() {
        let mut file = FileBytes::default();
        write(&mut file, &[0; 4], 0);
        file.sync();
        write(&mut file, b"a", 0);
        write(&mut file, b"b", 1);
        let expected = [b"\0\0\0\0".to_vec(), b"a\0\0\0".to_vec(), b"ab\0\0".to_vec()];
        assert_eq!(outcomes(&file), BTreeSet::from(expected));
    }

    #[test]
    fn after_a_failed_sync_no_later_one_vouches() {
        let mut file = FileBytes::default();
        write(&mut file, &[1; 512], 0);
        file.sync_failed();
        write(&mut file, &[2; 512], 512);
        file.sync();
        let expected = [[[0; 512], [2; 512]].concat(), [[1; 512], [2; 512]].concat()];
        assert_eq!(outcomes(&file), BTreeSet::from(expected));
    }

    #[test]
    fn what_a_failed_sync_dropped_is_durable_once_it_is_written_again() {
        let mut file = FileBytes::default();
        file.change(Change::set_len(1024).unwrap());
        write(&mut file, &[1; 1024], 0);
        file.sync_failed();
        assert_eq!(file.current(), [1; 1024]);
        file.sync();
        assert!(outcomes(&file).contains(&vec![]), "a later sync alone vouches for nothing");
        write(&mut file, &[1; 1024], 0);
        file.sync();
        assert_eq!(outcomes(&file), BTreeSet::from([vec![1; 1024]]));
    }

    #[test]
    fn lengths_are_lost_too() {
        let mut file = FileBytes::default();
        write(&mut file, b"abcd", 0);
        file.sync();
        file.change(Change::set_len(2).unwrap());
        assert_eq!(outcomes(&file), BTreeSet::from([b"ab".to_vec(), b"abcd".to_vec()]));
        file.sync();
        file.change(Change::allocate(3).unwrap());
        assert_eq!(outcomes(&file), BTreeSet::from([b"ab".to_vec(), b"ab\0".to_vec()]));
    }
}
