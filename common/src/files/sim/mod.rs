//! A file system in memory that loses what was not synced.
//!
//! [`SimFiles::power_cut`] gives the file system as a power cut may leave it: of bytes that were
//! not synced each sector is kept or lost, of names in directories that were not synced each is
//! kept or lost, within what a file system with a journal may do. Besides, a test may make any
//! operation fail, cut the power after any step, and make any one sync a lie, and so prove that
//! none of them can be left out.

mod bytes;
mod control;
mod names;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use self::bytes::Change;
pub use self::control::Op;
use self::control::{Control, Lies, Verdict};
use self::names::{DirNode, FileNode, Node, PowerCut, SharedDir, SharedFile};
use super::{DirEntry, File, Files, OpenMode};
use crate::clock::{ManualClock, SharedClock};
use crate::random::Random;

/// A file system in memory; clones are the same file system. Paths are taken from its root.
#[derive(Clone, Debug)]
pub struct SimFiles(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    root: SharedDir,
    control: Control,
    clock: SharedClock,
    next_op: u64,
    next_handle: u64,
}

impl Default for SimFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl SimFiles {
    /// An empty file system whose clock stands still.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(ManualClock::at(0)))
    }

    /// An empty file system that stamps changes with the time of `clock`.
    #[must_use]
    pub fn with_clock(clock: SharedClock) -> Self {
        Self::from_root(SharedDir::default(), clock)
    }

    fn from_root(root: SharedDir, clock: SharedClock) -> Self {
        let control = Control::default();
        Self(Arc::new(Mutex::new(State { root, control, clock, next_op: 0, next_handle: 0 })))
    }

    /// The file system after a power cut now, with no lock held and nothing planned or counted.
    /// This one goes on as if nothing had happened, so that a test can cut one state many times.
    #[must_use]
    pub fn power_cut(&self, random: &dyn Random) -> Self {
        let state = self.0.lock();
        let root = PowerCut::new(state.next_op, random).dir(&state.root);
        Self::from_root(root, state.clock.clone())
    }

    /// How many operations of this kind were tried.
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.0.lock().control.count(op)
    }

    /// How many operations that [are steps](Op::is_step) were tried.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.lock().control.steps()
    }

    /// How many syncs, of files and of directories, were tried.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.0.lock().control.syncs()
    }

    /// Lets `steps` more [steps](Op::is_step) happen; from then on every operation fails.
    pub fn halt_after(&self, steps: u64) {
        self.0.lock().control.halt_after(steps);
    }

    /// Makes the `nth` sync from now (1 is the next), of a file or a directory, do nothing and
    /// answer that it is done.
    pub fn lie_at_sync(&self, nth: u64) {
        self.0.lock().control.lie_at(nth);
    }

    /// True once a halt has come: nothing changes any more.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.0.lock().control.is_halted()
    }

    /// Makes every sync from now on for which `lies` says so, by its kind ([`Op::Sync`] or
    /// [`Op::SyncDir`]) and by what is synced, do nothing and answer that it is done. A file goes
    /// by the name that it was opened by or renamed to last.
    pub fn lie_where(&self, lies: impl Fn(Op, &Path) -> bool + Send + 'static) {
        self.0.lock().control.lie_where(Lies(Box::new(lies)));
    }

    /// Makes the `nth` operation of this kind from now (1 is the next) fail. A write that fails
    /// leaves half of its bytes. What a sync failed to write reads well until the power fails, and
    /// no later sync writes it unless it is written again, as on Linux.
    pub fn fail_nth(&self, op: Op, nth: u64, kind: ErrorKind) {
        self.0.lock().control.fail_once(op, nth, kind);
    }

    /// Makes every operation of this kind fail.
    pub fn fail_always(&self, op: Op, kind: ErrorKind) {
        self.0.lock().control.fail_always(op, kind);
    }

    /// Takes back all that was planned: failures, lies and the halt.
    pub fn heal(&self) {
        self.0.lock().control.heal();
    }

    fn handle(&self, state: &mut State, file: SharedFile, writable: bool) -> Arc<dyn File> {
        let id = state.next_handle;
        state.next_handle += 1;
        Arc::new(SimFile { files: self.clone(), file, id, writable })
    }
}

impl State {
    fn op(&mut self) -> u64 {
        self.next_op += 1;
        self.next_op - 1
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Dir(self.root.clone());
        for name in components(path) {
            let Node::Dir(dir) = &node else { return Err(ErrorKind::NotADirectory.into()) };
            let next = dir.lock().get(&name).cloned();
            node = next.ok_or(ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    fn dir(&self, path: &Path) -> io::Result<SharedDir> {
        match self.node(path)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// The directory that `path` is a name in, the name, and what it stands for.
    fn slot(&self, path: &Path) -> io::Result<(SharedDir, OsString, Option<Node>)> {
        let mut parts = components(path);
        let name = parts.pop().ok_or(ErrorKind::AlreadyExists)?;
        let dir = self.dir(&parts.iter().collect::<PathBuf>())?;
        let node = dir.lock().get(&name).cloned();
        Ok((dir, name, node))
    }

    fn file(&self, path: &Path) -> io::Result<SharedFile> {
        match self.node(path)? {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    /// Sets a name, in an operation of its own.
    fn set(&mut self, dir: &SharedDir, name: &OsStr, to: Option<Node>) {
        let (op, now_ms) = (self.op(), self.clock.now_ms());
        let mut dir = dir.lock();
        dir.set(op, name, to);
        dir.modified_ms = now_ms;
    }
}

fn components(path: &Path) -> Vec<OsString> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::ParentDir => _ = parts.pop(),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts
}

impl Files for SimFiles {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        let existing = match state.slot(path) {
            Ok((_, _, node)) => node,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Some(Node::Dir(state.root.clone())),
            Err(e) => return Err(e),
        };
        match existing {
            Some(_) if mode == OpenMode::CreateNew => Err(ErrorKind::AlreadyExists.into()),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            Some(Node::File(file)) => {
                state.control.enter_whole(Op::Open)?;
                file.lock().path = path.to_owned();
                Ok(self.handle(&mut state, file, mode != OpenMode::Read))
            }
            None if mode == OpenMode::Read => Err(ErrorKind::NotFound.into()),
            None => {
                state.control.enter_whole(Op::Create)?;
                let modified_ms = state.clock.now_ms();
                let node = FileNode { modified_ms, path: path.to_owned(), ..FileNode::default() };
                let file = Arc::new(Mutex::new(node));
                let (dir, name, _) = state.slot(path)?;
                state.set(&dir, &name, Some(Node::File(file.clone())));
                Ok(self.handle(&mut state, file, true))
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::Rename)?;
        let (from_dir, from_name, _) = state.slot(from)?;
        let (to_dir, to_name, there) = state.slot(to)?;
        let renamed = state.file(from)?;
        let file = Node::File(renamed.clone());
        match there {
            Some(Node::Dir(_)) => return Err(ErrorKind::IsADirectory.into()),
            Some(there) if there.same_file(&file) => return Ok(()),
            _ => {}
        }
        let op = state.op();
        to_dir.lock().set(op, &to_name, Some(file));
        from_dir.lock().moved_away(op, &from_name, to_dir.clone());
        renamed.lock().path = to.to_owned();
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::Link)?;
        let file = state.file(from)?;
        let (dir, name, there) = state.slot(to)?;
        if there.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.set(&dir, &name, Some(Node::File(file)));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::RemoveFile)?;
        state.file(path)?;
        let (dir, name, _) = state.slot(path)?;
        state.set(&dir, &name, None);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::RemoveDir)?;
        if !state.dir(path)?.lock().is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let (dir, name, _) = state.slot(path)?;
        state.set(&dir, &name, None);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::CreateDir)?;
        let (dir, name, there) = state.slot(path)?;
        if there.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let mut new = DirNode::default();
        new.modified_ms = state.clock.now_ms();
        state.set(&dir, &name, Some(Node::Dir(Arc::new(Mutex::new(new)))));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let dir = state.dir(path)?;
        match state.control.enter_sync(Op::SyncDir, path)? {
            Verdict::Do => names::sync(&dir),
            Verdict::Lie => {}
            Verdict::Fail(kind) => return Err(kind.into()),
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::List)?;
        let dir = state.dir(path)?;
        let dir = dir.lock();
        Ok(dir.entries().map(|(name, node)| dir_entry(path.join(name), node)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<DirEntry> {
        let mut state = self.0.lock();
        state.control.enter_whole(Op::Stat)?;
        Ok(dir_entry(path.to_owned(), &state.node(path)?))
    }
}

fn dir_entry(path: PathBuf, node: &Node) -> DirEntry {
    match node {
        Node::Dir(dir) => {
            DirEntry { path, is_dir: true, len: 0, modified_ms: dir.lock().modified_ms }
        }
        Node::File(file) => {
            let file = file.lock();
            let len = file.bytes.current().len() as u64;
            DirEntry { path, is_dir: false, len, modified_ms: file.modified_ms }
        }
    }
}

#[derive(Debug)]
struct SimFile {
    files: SimFiles,
    file: SharedFile,
    id: u64,
    writable: bool,
}

impl SimFile {
    fn change(&self, op: Op, change: Change, halved: Option<Change>) -> io::Result<()> {
        let mut state = self.files.0.lock();
        if !self.writable {
            return Err(io::Error::other("the file is open to read only"));
        }
        let (change, result) = match state.control.enter(op)? {
            Verdict::Fail(kind) => (halved, Err(kind.into())),
            Verdict::Do | Verdict::Lie => (Some(change), Ok(())),
        };
        if let Some(change) = change {
            let mut file = self.file.lock();
            file.bytes.change(change);
            file.modified_ms = state.clock.now_ms();
        }
        result
    }

    fn enter(&self, op: Op) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.files.0.lock();
        state.control.enter_whole(op)?;
        Ok(state)
    }
}

impl File for SimFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let _state = self.enter(Op::Read)?;
        let file = self.file.lock();
        let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let found = start
            .checked_add(buf.len())
            .and_then(|end| file.bytes.current().get(start..end))
            .or_else(|| buf.is_empty().then_some(&[][..]))
            .ok_or(ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let halved = Change::write(&buf[..buf.len() / 2], offset)?;
        self.change(Op::Write, Change::write(buf, offset)?, Some(halved))
    }

    fn len(&self) -> io::Result<u64> {
        let _state = self.enter(Op::Stat)?;
        Ok(self.file.lock().bytes.current().len() as u64)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let _state = self.enter(Op::Stat)?;
        Ok(self.file.lock().modified_ms)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Op::SetLen, Change::set_len(len)?, None)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(Op::Allocate, Change::allocate(len)?, None)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.files.0.lock();
        let mut file = self.file.lock();
        match state.control.enter_sync(Op::Sync, &file.path)? {
            Verdict::Do => file.bytes.sync(),
            Verdict::Lie => {}
            Verdict::Fail(kind) => {
                file.bytes.sync_failed();
                return Err(kind.into());
            }
        }
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        let _state = self.enter(Op::Lock)?;
        let mut file = self.file.lock();
        let free = file.locked_by.is_none_or(|holder| holder == self.id);
        if free {
            file.locked_by = Some(self.id);
        }
        Ok(free)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut file = self.file.lock();
        if file.locked_by == Some(self.id) {
            file.locked_by = None;
        }
    }
}

#[cfg(test)]
mod tests;
