//! What a test may count and break in a [`super::SimFiles`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

/// A kind of operation on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Opening a file that exists.
    Open,
    /// Making a new file.
    Create,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Setting a length.
    SetLen,
    /// Reserving room.
    Allocate,
    /// Syncing a file.
    Sync,
    /// Trying a lock.
    Lock,
    /// Renaming a file.
    Rename,
    /// Linking a file.
    Link,
    /// Removing a file.
    RemoveFile,
    /// Making a directory.
    CreateDir,
    /// Removing a directory.
    RemoveDir,
    /// Syncing a directory.
    SyncDir,
    /// Listing a directory.
    List,
    /// Asking what a path is.
    Stat,
}

const OPS: usize = Op::Stat as usize + 1;

impl Op {
    /// True for what changes the file system or makes changes durable: a power cut before and
    /// after it are two different things.
    #[must_use]
    pub fn is_step(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::Lock | Self::List | Self::Stat)
    }

    fn is_sync(self) -> bool {
        matches!(self, Self::Sync | Self::SyncDir)
    }
}

/// What is to happen to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Do,
    /// It answers that it is done, and is not.
    Lie,
    /// It fails with an error of this kind, after having done what its worst failure does.
    Fail(ErrorKind),
}

/// Which syncs, by their kind and by the file or directory, are lies.
pub(super) struct Lies(pub(super) Which);

type Which = Box<dyn Fn(Op, &Path) -> bool + Send>;

impl fmt::Debug for Lies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lies")
    }
}

/// Counters and planned failures. Ordinals count from 1.
#[derive(Debug, Default)]
pub(super) struct Control {
    counts: [u64; OPS],
    steps: u64,
    syncs: u64,
    halt_at_step: Option<u64>,
    halted: bool,
    lie_at_sync: Option<u64>,
    lies: Option<Lies>,
    fail_once: Vec<(Op, u64, ErrorKind)>,
    fail_always: Vec<(Op, ErrorKind)>,
}

impl Control {
    pub(super) fn count(&self, op: Op) -> u64 {
        self.counts[op as usize]
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs
    }

    pub(super) fn halt_after(&mut self, steps: u64) {
        self.halt_at_step = Some(self.steps + steps);
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halted || self.halt_at_step.is_some_and(|at| self.steps >= at)
    }

    pub(super) fn lie_at(&mut self, nth_sync: u64) {
        self.lie_at_sync = Some(self.syncs + nth_sync);
    }

    pub(super) fn lie_where(&mut self, lies: Lies) {
        self.lies = Some(lies);
    }

    pub(super) fn fail_once(&mut self, op: Op, nth: u64, kind: ErrorKind) {
        self.fail_once.push((op, self.count(op) + nth, kind));
    }

    pub(super) fn fail_always(&mut self, op: Op, kind: ErrorKind) {
        self.fail_always.push((op, kind));
    }

    pub(super) fn heal(&mut self) {
        self.fail_once.clear();
        self.fail_always.clear();
        self.lie_at_sync = None;
        self.lies = None;
        self.halt_at_step = None;
        self.halted = false;
    }

    /// Counts an operation and says what is to happen to it.
    pub(super) fn enter(&mut self, op: Op) -> io::Result<Verdict> {
        if op.is_step() && self.halt_at_step.is_some_and(|at| self.steps >= at) {
            self.halted = true;
        }
        if self.halted {
            return Err(io::Error::other("the power is off"));
        }
        self.counts[op as usize] += 1;
        self.steps += u64::from(op.is_step());
        self.syncs += u64::from(op.is_sync());
        if op.is_sync() && self.lie_at_sync == Some(self.syncs) {
            return Ok(Verdict::Lie);
        }
        let count = self.count(op);
        let once = self.fail_once.iter().find(|(o, nth, _)| *o == op && *nth == count);
        let always = self.fail_always.iter().find(|(o, _)| *o == op);
        let kind = once.map(|(_, _, kind)| *kind).or(always.map(|(_, kind)| *kind));
        Ok(kind.map_or(Verdict::Do, Verdict::Fail))
    }

    /// As [`Control::enter`], for a sync of the file or directory `path`.
    pub(super) fn enter_sync(&mut self, op: Op, path: &Path) -> io::Result<Verdict> {
        let verdict = self.enter(op)?;
        let lies = self.lies.as_ref().is_some_and(|lies| lies.0(op, path));
        Ok(if lies { Verdict::Lie } else { verdict })
    }

    /// As [`Control::enter`], for an operation that has no effect when it fails.
    pub(super) fn enter_whole(&mut self, op: Op) -> io::Result<Verdict> {
        match self.enter(op)? {
            Verdict::Fail(kind) => Err(kind.into()),
            verdict => Ok(verdict),
        }
    }
}
