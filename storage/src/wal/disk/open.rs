//! Opening the directory: every file is scanned, and nothing is written over but the last slot, with
//! what it holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use odradek_common::files::{DirEntry, OpenMode, SharedFiles};
use odradek_common::random::SharedRandom;

use super::index::{Index, LiveFile};
use super::layout::{FileHeader, Frame, Role};
use super::pool::{Current, Pool};
use super::{DiskError, DiskOptions, scan};
use crate::wal::slot::Nonce;

/// What a directory holds, and the file to go on with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) pool: Pool,
    pub(super) current: Current,
}

/// One file and its frames.
struct Scanned {
    file: LiveFile,
    generation: u64,
    frames: Vec<Frame>,
}

/// Opens the directory, which nobody else may use. The log goes on in a file of its own: behind a
/// torn slot nothing is ever written.
pub(super) fn open(
    options: DiskOptions,
    files: SharedFiles,
    random: SharedRandom,
) -> Result<Opened, DiskError> {
    let DiskOptions { dir, cluster, file_bytes, .. } = options;
    files.create_dir_all(&dir).map_err(DiskError::io("make", &dir))?;
    let entries = files.list(&dir).map_err(DiskError::io("list", &dir))?;
    let mut pool = Pool {
        files,
        dir,
        cluster,
        random,
        file_bytes,
        next_generation: 0,
        spares: Vec::new(),
        // A process that died may have renamed and not synced.
        spares_unsynced: true,
    };
    let mut scanned = pool.scan(entries)?;
    drop_torn(&mut scanned, &pool)?;
    let mut index = Index::default();
    for Scanned { file, generation, frames } in scanned {
        if frames.is_empty() {
            pool.give_back(generation, &file)?;
            continue;
        }
        index.add_file(generation, file);
        for frame in &frames {
            index.insert(generation, frame);
        }
    }
    let current = pool.take(0)?;
    index.add_file(current.generation, current.file.clone());
    Ok(Opened { index, pool, current })
}

impl Pool {
    /// Reads all live files, in order, and takes in what else there is.
    fn scan(&mut self, entries: Vec<DirEntry>) -> Result<Vec<Scanned>, DiskError> {
        let mut live = BTreeMap::new();
        let mut spares = Vec::new();
        for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
            let generation = match Role::of(&entry.path) {
                Role::Live(generation) => {
                    live.insert(generation, entry.path);
                    generation
                }
                Role::Spare(generation) => {
                    spares.push(entry.path);
                    generation
                }
                Role::New(generation) => {
                    self.remove(&entry.path)?;
                    generation
                }
                Role::Owner => continue,
                Role::Foreign => {
                    tracing::warn!(path = %entry.path.display(), "not a file of ours, left alone");
                    continue;
                }
            };
            self.next_generation = self.next_generation.max(generation + 1);
        }
        for spare in spares {
            self.take_in_spare(spare, &live)?;
        }
        let newest = live.last_key_value().map(|(&generation, _)| generation);
        live.into_iter()
            .map(|(generation, path)| self.scan_file(generation, path, Some(generation) == newest))
            .collect()
    }

    fn scan_file(
        &self,
        generation: u64,
        path: PathBuf,
        is_newest: bool,
    ) -> Result<Scanned, DiskError> {
        let file = self.files.open(&path, OpenMode::ReadWrite);
        let file = LiveFile { file: file.map_err(DiskError::io("open", &path))?, path };
        let FileHeader { nonce, .. } = scan::read_header(&file, generation, &self.cluster)?;
        let frames = scan::frames(&file, nonce)?;
        if is_newest {
            self.prove_last(&file, nonce, &frames)?;
        }
        Ok(Scanned { file, generation, frames })
    }

    /// What a dead process wrote and did not sync reads well until the power fails. So does what it
    /// *failed* to sync: Linux then takes the pages for written, and a sync alone would do nothing.
    /// Therefore it is written again first. It can only be the last slot of the newest file: each
    /// is synced before the next is written, and before the next file is taken into use.
    fn prove_last(&self, file: &LiveFile, nonce: Nonce, frames: &[Frame]) -> Result<(), DiskError> {
        if let Some(last) = frames.last()
            && let Some(slot) = scan::whole_slot(file, last, &self.cluster)?
        {
            let write = |bytes: &[u8], position| {
                let written = file.file.write_all_at(bytes, position);
                written.map_err(DiskError::io("write", &file.path))
            };
            write(&last.encode(nonce), last.position)?;
            write(&slot, last.slot_position())?;
        }
        file.file.sync().map_err(DiskError::io("sync", &file.path))
    }

    /// A power cut may leave a renamed file both names. By its header it is then the live one, and
    /// the other name goes.
    fn take_in_spare(
        &mut self,
        path: PathBuf,
        live: &BTreeMap<u64, PathBuf>,
    ) -> Result<(), DiskError> {
        let file = self.files.open(&path, OpenMode::Read);
        let file = LiveFile { file: file.map_err(DiskError::io("open", &path))?, path };
        let generation = scan::generation(&file)?;
        if generation.is_some_and(|generation| live.contains_key(&generation)) {
            self.remove(&file.path)
        } else {
            self.spares.push(file.path);
            Ok(())
        }
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.files.remove_file(path).map_err(DiskError::io("remove", path))
    }
}

/// The last frame of a file was perhaps being written when the process died: it counts if it is
/// whole. If the next file goes on with the chain's next slot, it was durable.
fn drop_torn(scanned: &mut [Scanned], pool: &Pool) -> Result<(), DiskError> {
    let mut following: Option<Frame> = None;
    for Scanned { file, frames, .. } in scanned.iter_mut().rev() {
        let first = frames.first().copied();
        if let Some(last) = frames.last() {
            let next = last.at.chain.slot(last.at.slot.next());
            let went_on = following.is_some_and(|frame| frame.at == next);
            if !went_on && scan::whole_slot(file, last, &pool.cluster)?.is_none() {
                tracing::info!(
                    file = %file.path.display(), offset = last.position,
                    "the last slot was not written to its end; it was never acknowledged"
                );
                frames.pop();
            }
        }
        following = first.or(following);
    }
    Ok(())
}
