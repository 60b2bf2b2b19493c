//! The block cache: aligned blocks of segments, and whole ranges of slots, in memory. Who asks for
//! a block that somebody else is reading waits for that one; neighbouring blocks that are missing
//! are read in one request.

use std::collections::HashMap;
use std::ops::Range as Span;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::Shared;
use futures::{FutureExt, StreamExt};
use object_store::{GetOptions, GetRange, GetResult, ObjectStore};
use odradek_common::limits;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::ReadError;
use super::rope::Rope;
use crate::metric_names;
use crate::names::{Names, ObjectName};
use crate::range::{Place, Range};
use crate::slots::{SlotError, SlotRangeError, SlotReader, read_ranges};

const BLOCK: u64 = limits::CACHE_BLOCK_BYTES;

/// What a cached value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    /// Of a segment, the block's number; of a slot, the position of the range.
    number: u64,
}

type Found = Result<Bytes, ReadError>;
type Waiting = Shared<oneshot::Receiver<Found>>;

/// A block that is there, or that somebody is reading.
enum Block {
    There(Bytes),
    Coming(Waiting),
}

/// Blocks of one object that are to be read, each with those who wait for it.
type Claims = Vec<(Key, oneshot::Sender<Found>)>;

/// The block cache.
#[derive(Clone, Debug)]
pub(super) struct Blocks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    names: Names,
    slots: Arc<dyn SlotReader>,
    cache: foyer::Cache<Key, Bytes>,
    /// What is being read. A key is taken out only after its block is in the cache, so that who
    /// looks into both under the lock misses nothing.
    coming: Mutex<HashMap<Key, Waiting>>,
    requests: Arc<Semaphore>,
}

impl Blocks {
    pub fn new(
        store: Arc<dyn ObjectStore>,
        names: Names,
        slots: Arc<dyn SlotReader>,
        cache_bytes: usize,
    ) -> Self {
        let shards = (cache_bytes / limits::CACHE_SHARD_BYTES).clamp(1, 16);
        let largest = cache_bytes / shards / 2;
        let cache = foyer::CacheBuilder::new(cache_bytes)
            .with_name("blocks")
            .with_shards(shards)
            .with_eviction_config(foyer::LruConfig::default())
            // One that takes most of its shard would drive out all others.
            .with_filter(move |_: &Key, bytes: &Bytes| bytes.len() <= largest)
            .with_weighter(|_: &Key, bytes: &Bytes| bytes.len() + limits::CACHE_ENTRY_BYTES)
            .build();
        let requests = Arc::new(Semaphore::new(limits::READ_REQUESTS));
        let coming = Mutex::default();
        Self(Arc::new(Inner { store, names, slots, cache, coming, requests }))
    }

    /// Bytes in the cache.
    pub fn cached_bytes(&self) -> usize {
        self.0.cache.usage()
    }

    /// The bytes of `object` in `span`, which is not empty.
    pub async fn read(&self, object: ObjectName, span: Span<u64>) -> Result<Rope, ReadError> {
        let place = Place::Segment(object);
        let (blocks, claims) = self.look_up(object, &span);
        let there = blocks.iter().filter(|block| matches!(block, Block::There(_))).count();
        metrics::counter!(metric_names::BLOCK_CACHE_HITS).increment(there as u64);
        let missing = (blocks.len() - there) as u64;
        metrics::counter!(metric_names::BLOCK_CACHE_MISSES).increment(missing);
        for run in runs(claims) {
            // A task of its own: if this reader goes away, others may be waiting for it.
            tokio::spawn(self.clone().fetch(object, run, None));
        }
        let mut rope = Rope::default();
        for (number, block) in (span.start / BLOCK..).zip(blocks) {
            let bytes = match block {
                Block::There(bytes) => bytes,
                Block::Coming(waiting) => wait(place, waiting).await?,
            };
            let first = number * BLOCK;
            let from = to_usize(span.start.saturating_sub(first));
            let to = to_usize((span.end - first).min(BLOCK));
            if bytes.len() < to {
                let position = first + bytes.len() as u64;
                return Err(ReadError::Damaged { place, position, what: "it ends too early" });
            }
            rope.push(bytes.slice(from..to), bytes.len());
        }
        Ok(rope)
    }

    /// Begins to read what of `span` is not there, if requests are to spare: nobody waits for a
    /// read-ahead, so it must not keep others waiting.
    pub fn read_ahead(&self, object: ObjectName, span: &Span<u64>) {
        let mut start = span.start;
        while start < span.end && self.0.requests.available_permits() > limits::READ_REQUESTS / 2 {
            // The permit first: what is claimed must be read, others may wait for it at once.
            let Ok(permit) = Arc::clone(&self.0.requests).try_acquire_owned() else { return };
            let end = span.end.min((start / BLOCK + RUN_BLOCKS) * BLOCK);
            let mut permit = Some(permit);
            for run in runs(self.look_up(object, &(start..end)).1) {
                tokio::spawn(self.clone().fetch(object, run, permit.take()));
            }
            start = end;
        }
    }

    /// Reads anew the blocks of `span`: the cached bytes were damaged.
    pub async fn refresh(&self, object: ObjectName, span: Span<u64>) -> Result<(), ReadError> {
        let _permit = self.0.requests.acquire().await;
        let mut number = span.start / BLOCK;
        while number * BLOCK < span.end {
            let last = span.end.div_ceil(BLOCK).min(number + RUN_BLOCKS);
            let mut fresh = Vec::new();
            self.get(object, number..last, |number, bytes| fresh.push((number, bytes))).await?;
            for (number, bytes) in fresh {
                self.0.cache.insert(Key { place: Place::Segment(object), number }, bytes);
            }
            number = last;
        }
        Ok(())
    }

    /// The bytes of a range that lies in a slot, checked against its CRC.
    pub async fn slot_range(&self, range: &Range) -> Result<Bytes, ReadError> {
        let key = Key { place: range.place, number: range.position };
        let (block, claim) = self.claim(key);
        if let Some(claim) = claim {
            tokio::spawn(self.clone().fetch_slot(*range, claim));
        }
        let bytes = match block {
            Block::There(bytes) => bytes,
            Block::Coming(waiting) => wait(key.place, waiting).await?,
        };
        // Another range at the same position would be another image of a reused name.
        if bytes.len() as u64 == range.length {
            return Ok(bytes);
        }
        let what = "two ranges begin at one position";
        Err(ReadError::Damaged { place: range.place, position: range.position, what })
    }

    /// Waits until nothing is being read, and all permits are back.
    #[cfg(test)]
    pub async fn wait_until_idle(&self) {
        let all = u32::try_from(limits::READ_REQUESTS).unwrap();
        let all = self.0.requests.acquire_many(all).await.unwrap();
        assert!(self.0.coming.lock().is_empty());
        drop(all);
    }

    fn look_up(&self, object: ObjectName, span: &Span<u64>) -> (Vec<Block>, Claims) {
        let mut blocks = Vec::new();
        let mut claims = Vec::new();
        for number in span.start / BLOCK..span.end.div_ceil(BLOCK) {
            let (block, claim) = self.claim(Key { place: Place::Segment(object), number });
            blocks.push(block);
            claims.extend(
                claim.map(|sender| (Key { place: Place::Segment(object), number }, sender)),
            );
        }
        (blocks, claims)
    }

    /// A block, and, if nobody has it or reads it, the duty to read it.
    fn claim(&self, key: Key) -> (Block, Option<oneshot::Sender<Found>>) {
        if let Some(entry) = self.0.cache.get(&key) {
            return (Block::There(entry.value().clone()), None);
        }
        let mut coming = self.0.coming.lock();
        if let Some(waiting) = coming.get(&key) {
            return (Block::Coming(waiting.clone()), None);
        }
        if let Some(entry) = self.0.cache.get(&key) {
            return (Block::There(entry.value().clone()), None);
        }
        let (sender, receiver) = oneshot::channel();
        let waiting = receiver.shared();
        coming.insert(key, waiting.clone());
        (Block::Coming(waiting), Some(sender))
    }

    async fn fetch(self, object: ObjectName, run: Claims, permit: Option<OwnedSemaphorePermit>) {
        let mut unread = Unread::new(&self, run);
        let permit = match permit {
            Some(permit) => Ok(permit),
            None => Arc::clone(&self.0.requests).acquire_owned().await,
        };
        let Some(span) = unread.span() else { return };
        let read = self.get(object, span, |number, bytes| unread.found(number, bytes)).await;
        drop(permit);
        if let Err(error) = read {
            unread.failed(&error);
        }
    }

    async fn fetch_slot(self, range: Range, claim: oneshot::Sender<Found>) {
        let key = Key { place: range.place, number: range.position };
        let mut unread = Unread::new(&self, vec![(key, claim)]);
        let permit = self.0.requests.acquire().await;
        let read = read_ranges(&*self.0.slots, &[range]).await;
        drop(permit);
        match read.map(|mut ranges| ranges.pop()) {
            Ok(Some(Ok(bytes))) => unread.found(key.number, owned(bytes)),
            Ok(None) => {}
            Ok(Some(Err(error))) | Err(error) => unread.failed(&of_slot(error)),
        }
    }

    /// Reads blocks in one request and hands each out when it is complete, in a buffer of its own:
    /// slices of one large buffer would keep all of it as long as one of them is in use.
    async fn get(
        &self,
        object: ObjectName,
        numbers: Span<u64>,
        mut found: impl FnMut(u64, Bytes),
    ) -> Result<(), ReadError> {
        let place = Place::Segment(object);
        let failed = |source: object_store::Error| match source {
            object_store::Error::NotFound { .. } => ReadError::Stale(place),
            source => ReadError::Store { place, source: Arc::new(source) },
        };
        let wanted = numbers.start * BLOCK..numbers.end * BLOCK;
        let range = Some(GetRange::Bounded(wanted.clone()));
        let options = GetOptions { range, ..GetOptions::default() };
        let path = self.0.names.object(&object);
        let result = self.0.store.get_opts(&path, options).await.map_err(failed)?;
        let end = expected_end(&result, &wanted);
        let end = end.ok_or(ReadError::Damaged {
            place,
            position: wanted.start,
            what: "the store gave another part of it",
        })?;
        let mut stream = result.into_stream();
        let mut cutter = Cutter { number: numbers.start, at: wanted.start, end, open: None };
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(failed)?;
            metrics::counter!(metric_names::READ_BYTES).increment(chunk.len() as u64);
            cutter.push(&chunk, &mut found);
        }
        if cutter.at == end {
            return Ok(());
        }
        let what = "it was cut off on its way";
        Err(ReadError::Damaged { place, position: cutter.at, what })
    }
}

async fn wait(place: Place, waiting: Waiting) -> Result<Bytes, ReadError> {
    waiting.await.map_err(|_| ReadError::GivenUp(place))?
}

/// Blocks of one request.
const RUN_BLOCKS: u64 = limits::READ_REQUEST_BYTES / BLOCK;

/// Where the bytes that were asked for end: with the object, if that is shorter. `None` if the
/// store gave something else.
fn expected_end(result: &GetResult, wanted: &Span<u64>) -> Option<u64> {
    let end = wanted.end.min(result.meta.size);
    (result.range == (wanted.start..end)).then_some(end)
}

/// Cuts claims into runs of neighbouring blocks that are read in one request each.
fn runs(claims: Claims) -> Vec<Claims> {
    let mut runs: Vec<Claims> = Vec::new();
    for claim in claims {
        let joins = |run: &Claims| {
            let short = (run.len() as u64) < RUN_BLOCKS;
            short && run.last().is_some_and(|(last, _)| last.number + 1 == claim.0.number)
        };
        match runs.last_mut() {
            Some(run) if joins(run) => run.push(claim),
            _ => runs.push(vec![claim]),
        }
    }
    runs
}

/// Cuts a stream of bytes into blocks.
struct Cutter {
    number: u64,
    at: u64,
    end: u64,
    open: Option<BytesMut>,
}

impl Cutter {
    fn push(&mut self, mut chunk: &[u8], found: &mut impl FnMut(u64, Bytes)) {
        while !chunk.is_empty() && self.at < self.end {
            let block_end = ((self.number + 1) * BLOCK).min(self.end);
            let missing = to_usize(block_end - self.at);
            let block_bytes = to_usize(block_end - self.number * BLOCK);
            let open = self.open.get_or_insert_with(|| BytesMut::with_capacity(block_bytes));
            let (taken, rest) = chunk.split_at(missing.min(chunk.len()));
            open.extend_from_slice(taken);
            self.at += taken.len() as u64;
            chunk = rest;
            if self.at == block_end {
                let block = self.open.take().unwrap_or_default();
                found(self.number, block.freeze());
                self.number += 1;
            }
        }
    }
}

/// Blocks claimed and not yet read. What is left when it is dropped was given up: those who wait
/// are told, and the next who asks reads it.
struct Unread {
    blocks: Blocks,
    claims: Claims,
}

impl Unread {
    fn new(blocks: &Blocks, claims: Claims) -> Self {
        Self { blocks: blocks.clone(), claims }
    }

    fn span(&self) -> Option<Span<u64>> {
        let (first, last) = (self.claims.first()?, self.claims.last()?);
        Some(first.0.number..last.0.number + 1)
    }

    fn found(&mut self, number: u64, bytes: Bytes) {
        if let Some(at) = self.claims.iter().position(|(key, _)| key.number == number) {
            let (key, sender) = self.claims.swap_remove(at);
            self.blocks.0.cache.insert(key, bytes.clone());
            self.blocks.0.coming.lock().remove(&key);
            // Nobody may be waiting: a read-ahead.
            let _ = sender.send(Ok(bytes));
        }
    }

    fn failed(&mut self, error: &ReadError) {
        for (key, sender) in self.claims.drain(..) {
            self.blocks.0.coming.lock().remove(&key);
            let _ = sender.send(Err(error.clone()));
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let mut coming = self.blocks.0.coming.lock();
        for (key, _) in &self.claims {
            coming.remove(key);
        }
    }
}

/// A buffer that holds these bytes and no more.
fn owned(bytes: Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(own) if own.capacity() == own.len() => own.freeze(),
        Ok(shared) => Bytes::copy_from_slice(&shared),
        Err(shared) => Bytes::copy_from_slice(&shared),
    }
}

fn of_slot(error: SlotRangeError) -> ReadError {
    match error {
        SlotRangeError::Slot { place, source: SlotError::Gone } => ReadError::Stale(place),
        SlotRangeError::Slot { place, source } => {
            ReadError::Slot { place, source: Arc::new(source) }
        }
        SlotRangeError::Damaged { place, position, what } => {
            ReadError::Damaged { place, position, what }
        }
    }
}

/// A number of bytes that is known to be in memory, or is about to be.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
