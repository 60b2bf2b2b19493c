//! The names in directories: as everybody sees them, and as a power cut may leave them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bytes::FileBytes;
use crate::random::Random;

/// A file: its bytes and who holds its lock.
#[derive(Debug, Default)]
pub(super) struct FileNode {
    pub(super) bytes: FileBytes,
    pub(super) modified_ms: i64,
    /// The name that it was opened by or renamed to last.
    pub(super) path: PathBuf,
    /// The handle that holds the lock.
    pub(super) locked_by: Option<u64>,
}

/// A shared file.
pub(super) type SharedFile = Arc<Mutex<FileNode>>;
/// A shared directory.
pub(super) type SharedDir = Arc<Mutex<DirNode>>;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(SharedFile),
    Dir(SharedDir),
}

impl Node {
    pub(super) fn same_file(&self, other: &Self) -> bool {
        matches!((self, other), (Self::File(a), Self::File(b)) if Arc::ptr_eq(a, b))
    }
}

/// A change of one name that is not durable yet.
#[derive(Debug)]
struct NameChange {
    /// The operation it is a part of; later ones have higher numbers.
    op: u64,
    name: OsString,
    /// What the name stands for afterwards.
    to: Option<Node>,
    /// For the old name of a renamed file: the directory that the new name is in. No file system
    /// with a journal forgets the old name and not the rename.
    moved_to: Option<SharedDir>,
}

/// A directory.
#[derive(Debug, Default)]
pub(super) struct DirNode {
    current: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
    changes: Vec<NameChange>,
    pub(super) modified_ms: i64,
}

impl DirNode {
    pub(super) fn get(&self, name: &OsStr) -> Option<&Node> {
        self.current.get(name)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&OsString, &Node)> {
        self.current.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// Sets what `name` stands for in operation `op`.
    pub(super) fn set(&mut self, op: u64, name: &OsStr, to: Option<Node>) {
        self.change(NameChange { op, name: name.to_owned(), to, moved_to: None });
    }

    /// Removes `name`, whose file has got a name in `moved_to` in the same operation `op`.
    pub(super) fn moved_away(&mut self, op: u64, name: &OsStr, moved_to: SharedDir) {
        let moved_to = Some(moved_to);
        self.change(NameChange { op, name: name.to_owned(), to: None, moved_to });
    }

    fn change(&mut self, change: NameChange) {
        assign(&mut self.current, &change.name, change.to.clone());
        self.changes.push(change);
    }

    /// Makes what `op` did to names in this directory durable, as its other half is.
    fn settle(&mut self, op: u64) {
        let (settled, rest) =
            std::mem::take(&mut self.changes).into_iter().partition(|c| c.op == op);
        self.changes = rest;
        let settled: Vec<NameChange> = settled;
        for change in settled {
            // What happened to that name before is overtaken.
            self.changes.retain(|c| c.name != change.name || c.op > op);
            assign(&mut self.durable, &change.name, change.to);
        }
    }
}

fn assign(names: &mut BTreeMap<OsString, Node>, name: &OsStr, to: Option<Node>) {
    match to {
        Some(node) => _ = names.insert(name.to_owned(), node),
        None => _ = names.remove(name),
    }
}

/// Makes all names in `dir` durable.
pub(super) fn sync(dir: &SharedDir) {
    let changes = std::mem::take(&mut dir.lock().changes);
    for change in changes {
        if let Some(other) = change.moved_to.filter(|other| !Arc::ptr_eq(other, dir)) {
            other.lock().settle(change.op);
        }
        assign(&mut dir.lock().durable, &change.name, change.to);
    }
}

/// One power cut: decides, consistently over all directories, what became of each operation.
pub(super) struct PowerCut<'a> {
    random: &'a dyn Random,
    plan: Plan,
    fates: BTreeMap<u64, Fate>,
    files: BTreeMap<usize, SharedFile>,
}

/// The overall picture: the extremes must not be rare.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// All operations before this one are kept, as in a journal.
    Before(u64),
    /// Each operation has a fate of its own.
    Each,
}

/// What becomes of an operation that is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
    /// Of a rename, the new name is there and the old one too.
    BothNames,
}

impl<'a> PowerCut<'a> {
    /// A power cut when the next operation would have the number `next_op`.
    pub(super) fn new(next_op: u64, random: &'a dyn Random) -> Self {
        let plan = match random.next_u64() % 4 {
            0 => Plan::Before(0),
            1 => Plan::Before(next_op),
            2 => Plan::Before(random.next_u64() % (next_op + 1)),
            _ => Plan::Each,
        };
        Self { random, plan, fates: BTreeMap::new(), files: BTreeMap::new() }
    }

    fn fate(&mut self, op: u64) -> Fate {
        match self.plan {
            Plan::Before(end) if op < end => Fate::Kept,
            Plan::Before(_) => Fate::Dropped,
            Plan::Each => {
                *self.fates.entry(op).or_insert_with(|| match self.random.next_u64() % 4 {
                    0 | 1 => Fate::Dropped,
                    2 => Fate::Kept,
                    _ => Fate::BothNames,
                })
            }
        }
    }

    /// The directory as the disk has it, all of it durable.
    pub(super) fn dir(&mut self, dir: &SharedDir) -> SharedDir {
        let dir = dir.lock();
        let mut names = dir.durable.clone();
        for change in &dir.changes {
            let kept = match self.fate(change.op) {
                Fate::Kept => true,
                Fate::Dropped => false,
                Fate::BothNames => change.moved_to.is_none(),
            };
            if kept && self.may_go(names.get(&change.name), change.to.as_ref()) {
                assign(&mut names, &change.name, change.to.clone());
            }
        }
        let names: BTreeMap<_, _> =
            names.into_iter().map(|(name, node)| (name, self.node(&node))).collect();
        let modified_ms = dir.modified_ms;
        let (current, durable) = (names.clone(), names);
        Arc::new(Mutex::new(DirNode { current, durable, changes: Vec::new(), modified_ms }))
    }

    /// A directory does not go as long as the disk has names in it.
    fn may_go(&mut self, from: Option<&Node>, to: Option<&Node>) -> bool {
        match (from, to) {
            (Some(Node::Dir(dir)), None) => self.dir(dir).lock().is_empty(),
            _ => true,
        }
    }

    fn node(&mut self, node: &Node) -> Node {
        match node {
            Node::Dir(dir) => Node::Dir(self.dir(dir)),
            Node::File(file) => Node::File(self.file(file)),
        }
    }

    /// A file as the disk has it, one and the same under all its names.
    fn file(&mut self, file: &SharedFile) -> SharedFile {
        let key = Arc::as_ptr(file).addr();
        if let Some(known) = self.files.get(&key) {
            return known.clone();
        }
        let old = file.lock();
        let bytes = FileBytes::from_disk(old.bytes.after_power_cut(self.random));
        let new = FileNode { bytes, modified_ms: old.modified_ms, ..FileNode::default() };
        let new = Arc::new(Mutex::new(new));
        self.files.insert(key, new.clone());
        new
    }
}
