//! The writer: one thread, one slot after the other, each with one sync.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use odradek_common::ids::SlotNumber;
use odradek_common::limits::DISK_FULL_RETRY;
use odradek_common::phases::{Phase, Phases};
use parking_lot::Mutex;

use super::DiskError;
use super::index::Index;
use super::layout::{Frame, frame_bytes};
use super::pool::{Current, Pool};
use super::queue::{DeleteJob, Job, PutJob, Queue, Taken};
use crate::names::{ChainRef, SlotRef};
use crate::wal::PutError;

/// Chunks from this on are written as they are; smaller ones are copied together first.
const DIRECT_BYTES: usize = 64 << 10;

/// What the writer shares with those who read.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) index: Mutex<Index>,
    pub(super) queue: Queue,
    pub(super) trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    pool: Pool,
    current: Current,
    /// The next slot of each chain that was written to.
    next: HashMap<ChainRef, SlotNumber>,
    /// Slots that wait for their turn: each is durable only behind the one before it.
    waiting: BTreeMap<SlotRef, PutJob>,
    staging: Vec<u8>,
    phases: Phases,
}

/// Closes the queue however the thread ends, so that nobody waits for it in vain.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, pool: Pool, current: Current, phases: Phases) -> Self {
        let staging = Vec::with_capacity(2 * DIRECT_BYTES);
        let (next, waiting) = (HashMap::new(), BTreeMap::new());
        Self { shared, pool, current, next, waiting, staging, phases }
    }

    /// Runs until the queue is closed or the disk fails.
    pub(super) fn run(mut self) {
        let _close = CloseOnDrop(Arc::clone(&self.shared));
        let mut full = false;
        loop {
            match self.shared.queue.take(full.then_some(DISK_FULL_RETRY)) {
                Taken::Job(Job::Put(put)) => self.accept(put),
                Taken::Job(Job::Delete(delete)) => self.delete(delete),
                Taken::Nothing => {}
                Taken::Closed => return,
            }
            full = match self.write_waiting() {
                Ok(()) => {
                    self.calm(full);
                    false
                }
                Err(error @ DiskError::Full { .. }) => {
                    self.complain(full, &error);
                    true
                }
                Err(_) => return,
            };
        }
    }

    fn complain(&self, again: bool, error: &DiskError) {
        if !again {
            tracing::error!(%error, "cannot write; producers wait until there is room");
            *self.shared.trouble.lock() = Some(error.to_string());
        }
    }

    fn calm(&self, was_full: bool) {
        if was_full {
            tracing::info!("there is room on the disk again");
            *self.shared.trouble.lock() = None;
        }
    }

    fn accept(&mut self, put: PutJob) {
        if put.at.slot < self.next_of(put.at.chain) {
            let what = "a slot that was written before".to_owned();
            let _ = put.done.send(Err(PutError::Foreign { at: put.at, what }));
        } else {
            self.waiting.insert(put.at, put);
        }
    }

    fn next_of(&self, chain: ChainRef) -> SlotNumber {
        let known = self.next.get(&chain).copied();
        known.unwrap_or_else(|| self.shared.index.lock().end(chain))
    }

    /// Writes all slots whose turn it is.
    fn write_waiting(&mut self) -> Result<(), DiskError> {
        while let Some(put) = self.take_due() {
            match self.write(&put) {
                Ok(()) => {
                    self.next.insert(put.at.chain, put.at.slot.next());
                    let _ = put.done.send(Ok(()));
                }
                Err(error @ DiskError::Full { .. }) => {
                    self.waiting.insert(put.at, put);
                    return Err(error);
                }
                Err(error) => {
                    tracing::error!(%error, "the disk of the write-ahead log failed");
                    let error = Arc::new(error);
                    let _ = put.done.send(Err(PutError::Disk(Arc::clone(&error))));
                    return Err(DiskError::Stopped);
                }
            }
        }
        Ok(())
    }

    fn take_due(&mut self) -> Option<PutJob> {
        let due = self.waiting.keys().find(|at| at.slot == self.next_of(at.chain)).copied()?;
        self.waiting.remove(&due)
    }

    fn write(&mut self, put: &PutJob) -> Result<(), DiskError> {
        let _in = self.phases.enter(Phase::WalWrite);
        let bytes = frame_bytes(put.length);
        if self.current.position + bytes > self.current.capacity {
            self.roll(bytes)?;
        }
        let frame = Frame { position: self.current.position, at: put.at, length: put.length };
        self.write_frame(&frame, put)?;
        let path = &self.current.file.path;
        self.current.file.file.sync().map_err(DiskError::io("sync", path))?;
        self.current.position = frame.end();
        self.shared.index.lock().insert(self.current.generation, &frame);
        Ok(())
    }

    fn write_frame(&mut self, frame: &Frame, put: &PutJob) -> Result<(), DiskError> {
        let mut position = frame.position;
        self.staging.clear();
        self.staging.extend_from_slice(&frame.encode(self.current.nonce));
        for chunk in &put.chunks {
            let direct = chunk.len() >= DIRECT_BYTES;
            if direct || self.staging.len() + chunk.len() > self.staging.capacity() {
                position += self.current.write(&self.staging, position)?;
                self.staging.clear();
            }
            if direct {
                position += self.current.write(chunk, position)?;
            } else {
                self.staging.extend_from_slice(chunk);
            }
        }
        self.current.write(&self.staging, position)?;
        Ok(())
    }

    /// Goes on in another file. All of this one is durable.
    fn roll(&mut self, bytes: u64) -> Result<(), DiskError> {
        let next = self.pool.take(bytes)?;
        self.shared.index.lock().add_file(next.generation, next.file.clone());
        let done = std::mem::replace(&mut self.current, next);
        if self.shared.index.lock().is_empty(done.generation) {
            self.give_back(done.generation)?;
        }
        Ok(())
    }

    fn delete(&mut self, job: DeleteJob) {
        let _in = self.phases.enter(Phase::Deletion);
        let result = self.delete_slots(&job.slots);
        let _ = job.done.send(result);
    }

    fn delete_slots(&mut self, slots: &[SlotRef]) -> Result<(), DiskError> {
        let empty: Vec<_> = {
            let mut index = self.shared.index.lock();
            slots.iter().filter_map(|&at| index.remove(at)).collect()
        };
        for generation in empty {
            if generation != self.current.generation {
                self.give_back(generation)?;
            }
        }
        Ok(())
    }

    fn give_back(&mut self, generation: u64) -> Result<(), DiskError> {
        let file = self.shared.index.lock().remove_file(generation);
        file.map_or(Ok(()), |file| self.pool.give_back(generation, &file))
    }
}

impl Current {
    /// Writes at `position`; gives back how much.
    fn write(&self, bytes: &[u8], position: u64) -> Result<u64, DiskError> {
        let written = self.file.file.write_all_at(bytes, position);
        written.map_err(DiskError::io("write", &self.file.path))?;
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }
}
