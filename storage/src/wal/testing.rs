//! What the tests of this module share: batches, slots, and a store that misbehaves as told.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult,
};
use odradek_common::batch::{BatchHeader, HEADER_LENGTH, LOG_OVERHEAD};
use odradek_common::ids::{
    BrokerEpoch, BrokerId, ChainId, ClusterId, SlotNumber, TopicId, TopicPartition,
};
use odradek_common::random::{Random, SeededRandom};
use parking_lot::Mutex;

use super::slot::{BlockDraft, FrozenSlot, Nonce, SlotDraft};
use super::{AppendedBatch, LandedSlot, SlotSink};
use crate::names::{ChainRef, Names, SlotRef};

pub(crate) fn cluster() -> ClusterId {
    "cluster".parse().unwrap()
}

pub(crate) fn names() -> Names {
    Names::new(Path::default(), cluster())
}

/// A chain of broker 1, in the epoch `epoch`.
pub(crate) fn chain(epoch: u64) -> ChainRef {
    ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(epoch), chain: ChainId(0) }
}

pub(crate) fn at(slot: u64) -> SlotRef {
    chain(1).slot(SlotNumber(slot))
}

pub(crate) fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: TopicId(uuid::Uuid::from_u128(7)), partition: number }
}

pub(crate) fn random(seed: u64) -> Arc<SeededRandom> {
    Arc::new(SeededRandom::from_seed(seed))
}

/// A header of a batch of `count` records in `bytes` bytes.
pub(crate) fn header(base_offset: i64, count: i32, bytes: usize) -> BatchHeader {
    BatchHeader {
        base_offset,
        batch_length: i32::try_from(HEADER_LENGTH - LOG_OVERHEAD + bytes).unwrap(),
        leader_epoch: 3,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 1000 + base_offset,
        max_timestamp: 2000 + base_offset,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: count,
    }
}

pub(crate) fn with_header(
    partition: TopicPartition,
    header: BatchHeader,
    fill: u8,
) -> AppendedBatch {
    let bytes = header.size_bytes() - HEADER_LENGTH;
    let encoded_header = Bytes::copy_from_slice(&header.encode());
    AppendedBatch { partition, header, encoded_header, records: vec![fill; bytes].into() }
}

/// A batch of one record, which is told by its offset.
pub(crate) fn batch(number: i32, offset: i64, bytes: usize) -> AppendedBatch {
    let fill = u8::try_from(offset % 251).unwrap();
    with_header(partition(number), header(offset, 1, bytes), fill)
}

/// A frozen slot with one batch of `bytes` in partition 0, or none.
pub(crate) fn slot(at: SlotRef, bytes: usize) -> FrozenSlot {
    let offset = i64::try_from(at.slot.0).unwrap();
    let batches = if bytes == 0 { Vec::new() } else { vec![batch(0, offset, bytes)] };
    let blocks =
        batches.into_iter().map(|b| BlockDraft { partition: b.partition, batches: vec![b] });
    let predecessors: Arc<[_]> = if at.slot.0 == 0 { [].into() } else { [partition(0)].into() };
    let mut nonce = Nonce([0; 16]);
    random(at.slot.0).fill(&mut nonce.0);
    SlotDraft { cluster: cluster(), at, predecessors, blocks: blocks.collect() }.freeze(nonce)
}

/// All bytes of a slot.
pub(crate) fn whole(slot: &FrozenSlot) -> Bytes {
    slot.chunks.concat().into()
}

/// Remembers what landed.
#[derive(Debug, Default)]
pub(crate) struct Landings(pub(crate) Mutex<Vec<LandedSlot>>);

impl SlotSink for Landings {
    fn landed(&self, slot: &LandedSlot) {
        self.0.lock().push(slot.clone());
    }
}

impl Landings {
    pub(crate) fn slots(&self) -> Vec<u64> {
        self.0.lock().iter().map(|landed| landed.slot.slot.0).collect()
    }

    /// The offsets of partition `number` that landed, in order of landing.
    pub(crate) fn offsets(&self, number: i32) -> Vec<i64> {
        let landed = self.0.lock();
        let ranges = landed.iter().flat_map(|slot| &slot.ranges);
        let of_partition = ranges.filter(|range| range.partition == partition(number));
        of_partition.flat_map(|r| r.range.base_offset..r.range.next_offset).collect()
    }
}

/// What becomes of a put.
#[derive(Clone, Debug)]
pub(crate) enum PutFault {
    /// It works, after this long.
    Works(Duration),
    /// It fails and does nothing, after this long.
    Fails(Duration),
    /// It works, and the answer is lost.
    AnswerLost,
    /// It fails, and lands this long afterwards.
    LandsLater(Duration),
    /// It hangs and lands never.
    Hangs,
    /// It is refused, as by a store that says so of puts that collide, and does nothing.
    Collides,
    /// It is refused for want of rights.
    Denied,
}

/// What becomes of a read.
#[derive(Clone, Debug)]
pub(crate) enum GetFault {
    Works,
    Fails,
    /// Half of the bytes come.
    Cut,
    /// A bit is wrong in each byte.
    Flipped,
}

type PutScript = dyn FnMut(&Path, u64) -> PutFault + Send;
type GetScript = dyn FnMut(&Path, u64) -> GetFault + Send;

/// A store in memory whose puts and gets go as a script says, which is given the path and how
/// many of the kind came before.
#[derive(Clone)]
pub(crate) struct FaultyStore(Arc<Inner>);

struct Inner {
    store: InMemory,
    puts: Mutex<(u64, Box<PutScript>)>,
    gets: Mutex<(u64, Box<GetScript>)>,
    in_flight: Mutex<InFlight>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InFlight {
    pub(crate) puts: usize,
    pub(crate) bytes: usize,
    pub(crate) puts_max: usize,
    pub(crate) bytes_max: usize,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            store: InMemory::new(),
            puts: Mutex::new((0, Box::new(|_, _| PutFault::Works(Duration::ZERO)))),
            gets: Mutex::new((0, Box::new(|_, _| GetFault::Works))),
            in_flight: Mutex::default(),
        }))
    }

    pub(crate) fn script_puts(&self, script: impl FnMut(&Path, u64) -> PutFault + Send + 'static) {
        *self.0.puts.lock() = (0, Box::new(script));
    }

    pub(crate) fn script_gets(&self, script: impl FnMut(&Path, u64) -> GetFault + Send + 'static) {
        *self.0.gets.lock() = (0, Box::new(script));
    }

    /// Puts tried since the script was set.
    pub(crate) fn puts(&self) -> u64 {
        self.0.puts.lock().0
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        *self.0.in_flight.lock()
    }

    /// The store below, which works.
    pub(crate) fn below(&self) -> &InMemory {
        &self.0.store
    }

    /// The bytes at a slot's place.
    pub(crate) async fn stored(&self, at: SlotRef) -> Option<Bytes> {
        let got = self.0.store.get(&names().slot(at)).await.ok()?;
        got.bytes().await.ok()
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

struct Flying<'a>(&'a Inner, usize);

impl<'a> Flying<'a> {
    fn new(inner: &'a Inner, bytes: usize) -> Self {
        let mut now = inner.in_flight.lock();
        now.puts += 1;
        now.bytes += bytes;
        now.puts_max = now.puts_max.max(now.puts);
        now.bytes_max = now.bytes_max.max(now.bytes);
        Self(inner, bytes)
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        let mut now = self.0.in_flight.lock();
        now.puts -= 1;
        now.bytes -= self.1;
    }
}

fn unavailable() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "503 Service Unavailable".into() }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult, object_store::Error> {
        assert_eq!(opts.mode, PutMode::Create, "slots and seals are put if absent");
        let fault = {
            let mut puts = self.0.puts.lock();
            puts.0 += 1;
            let nth = puts.0 - 1;
            (puts.1)(location, nth)
        };
        let _flying = Flying::new(&self.0, payload.content_length());
        match fault {
            PutFault::Works(after) => {
                tokio::time::sleep(after).await;
                self.0.store.put_opts(location, payload, opts).await
            }
            PutFault::Fails(after) => {
                tokio::time::sleep(after).await;
                Err(unavailable())
            }
            PutFault::AnswerLost => {
                self.0.store.put_opts(location, payload, opts).await?;
                Err(unavailable())
            }
            PutFault::LandsLater(after) => {
                let (store, location) = (self.clone(), location.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = store.0.store.put_opts(&location, payload, opts).await;
                });
                Err(unavailable())
            }
            PutFault::Hangs => std::future::pending().await,
            PutFault::Collides => Err(object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: "409".into(),
            }),
            PutFault::Denied => Err(object_store::Error::PermissionDenied {
                path: location.to_string(),
                source: "403".into(),
            }),
        }
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> Result<GetResult, object_store::Error> {
        let fault = {
            let mut gets = self.0.gets.lock();
            gets.0 += 1;
            let nth = gets.0 - 1;
            (gets.1)(location, nth)
        };
        if matches!(fault, GetFault::Fails) {
            return Err(unavailable());
        }
        let got = self.0.store.get_opts(location, options).await?;
        let (meta, range, attributes) =
            (got.meta.clone(), got.range.clone(), got.attributes.clone());
        let bytes = got.bytes().await?;
        let bytes = match fault {
            GetFault::Cut => bytes.slice(..bytes.len() / 2),
            GetFault::Flipped => bytes.iter().map(|byte| byte ^ 0x10).collect(),
            GetFault::Works | GetFault::Fails => bytes,
        };
        let stream = futures::stream::once(async move { Ok(bytes) });
        let payload = GetResultPayload::Stream(Box::pin(stream));
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, object_store::Error> {
        unreachable!("slots are put whole")
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path, object_store::Error>>,
    ) -> BoxStream<'static, Result<Path, object_store::Error>> {
        self.0.store.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta, object_store::Error>> {
        self.0.store.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&Path>,
    ) -> Result<ListResult, object_store::Error> {
        self.0.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        _from: &Path,
        _to: &Path,
        _options: CopyOptions,
    ) -> Result<(), object_store::Error> {
        unreachable!("slots are never copied")
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, object_store::Error> {
        let mut all = Vec::new();
        for range in ranges {
            let range = Some(GetRange::Bounded(range.clone()));
            let options = GetOptions { range, ..GetOptions::default() };
            all.push(self.get_opts(location, options).await?.bytes().await?);
        }
        Ok(all)
    }
}
