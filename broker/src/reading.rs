//! Reads of a partition's log, wherever its bytes lie: cache, slots, segments.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use odradek_common::batch::Batch;
use odradek_metadata::Image;
use odradek_storage::catalog::{Catalog, CatalogError};
use odradek_storage::names::ObjectName;
use odradek_storage::range::PartitionRanges;
use odradek_storage::reader::ReadError;
use tracing::warn;

use crate::confirmation::Confirmation;
use crate::core::Core;
use crate::metric_names;
use crate::partition::{Found, PartitionLog};

/// How often a read that met metadata older than the bucket looks at newer.
const STALE_RETRIES: usize = 5;

/// Why the ranges of a log are not known.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    /// The catalog cannot say.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The ranges do not make up the log.
    #[error(transparent)]
    Coverage(#[from] odradek_storage::range::CoverageError),
    /// The metadata has a name that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The partition is gone from the metadata.
    #[error("the partition is deleted")]
    Deleted,
}

/// The metadata names an object by a text that is no name.
#[derive(Debug, thiserror::Error)]
#[error("the metadata names an object '{0}'")]
pub struct BadName(String);

/// Whole batches from the one that holds `offset` on, below the high watermark; nothing at its end.
///
/// # Errors
/// `OffsetOutOfRange` above the end only after the owner was confirmed (law 5.2), `KafkaStorageError` if the bytes cannot be read now.
pub async fn read(
    core: &Core,
    log: &PartitionLog,
    offset: i64,
    max_bytes: usize,
    min_one: bool,
) -> Result<Vec<Bytes>, ResponseError> {
    match log.find(offset, max_bytes, min_one) {
        Found::Nothing => Ok(Vec::new()),
        Found::Cached(chunks) => {
            metrics::counter!(metric_names::LOG_CACHE_HITS).increment(1);
            Ok(chunks)
        }
        Found::OutOfRange => out_of_range(core, log, offset).await,
        Found::Stored if max_bytes == 0 && !min_one => Ok(Vec::new()),
        Found::Stored => {
            metrics::counter!(metric_names::LOG_CACHE_MISSES).increment(1);
            let read = |ranges: Arc<PartitionRanges>| async move {
                core.reader.read(&ranges, offset, max_bytes, min_one).await
            };
            from_store(core, log, read).await
        }
    }
}

/// The first durable batch that reaches to or past `from` whose largest timestamp is at or after
/// `timestamp`.
///
/// # Errors
/// `KafkaStorageError` if what is stored cannot be read now.
pub async fn batch_at_or_after(
    core: &Core,
    log: &PartitionLog,
    from: i64,
    timestamp: i64,
) -> Result<Option<Batch>, ResponseError> {
    let read = |ranges: Arc<PartitionRanges>| async move {
        core.reader.first_batch_at_or_after_timestamp(&ranges, from, timestamp).await
    };
    from_store(core, log, read).await
}

/// Of the durable batches that reach past `from`, the first that has the largest timestamp.
///
/// # Errors
/// `KafkaStorageError` if what is stored cannot be read now.
pub async fn batch_with_max_timestamp(
    core: &Core,
    log: &PartitionLog,
    from: i64,
) -> Result<Option<Batch>, ResponseError> {
    let read = |ranges: Arc<PartitionRanges>| async move {
        core.reader.batch_with_max_timestamp(&ranges, from).await
    };
    from_store(core, log, read).await
}

/// A consumer that is told so resets its position, so only a confirmed owner may say it.
async fn out_of_range(
    core: &Core,
    log: &PartitionLog,
    offset: i64,
) -> Result<Vec<Bytes>, ResponseError> {
    if offset > log.offsets().append_end {
        Confirmation::new(core).of(log).await?;
        if offset <= log.offsets().append_end {
            return Ok(Vec::new());
        }
    }
    Err(ResponseError::OffsetOutOfRange)
}

/// Reads with the ranges of now; an object that is gone was merged away or collected meanwhile, and
/// newer metadata names what stands in its place.
async fn from_store<T, F>(
    core: &Core,
    log: &PartitionLog,
    read: impl Fn(Arc<PartitionRanges>) -> F,
) -> Result<T, ResponseError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut last = String::new();
    for _ in 0..STALE_RETRIES {
        let ranges = match durable_ranges(core, log).await {
            Ok(ranges) => ranges,
            Err(RangesError::Catalog(error @ CatalogError::Stale(_))) => {
                last = error.to_string();
                continue;
            }
            Err(RangesError::Deleted) => return Err(ResponseError::UnknownTopicOrPartition),
            Err(error) => {
                warn!(topic = %log.topic, partition = log.id.partition, %error, "cannot find a log's ranges");
                return Err(ResponseError::KafkaStorageError);
            }
        };
        match read(ranges).await {
            Ok(found) => return Ok(found),
            Err(error @ ReadError::Stale(_)) => last = error.to_string(),
            Err(error) => {
                warn!(topic = %log.topic, partition = log.id.partition, %error, "cannot read a log");
                return Err(ResponseError::KafkaStorageError);
            }
        }
    }
    warn!(topic = %log.topic, partition = log.id.partition, error = %last, "an object is missing");
    Err(ResponseError::KafkaStorageError)
}

/// Where the durable log lies, from its start to the high watermark: what the metadata names up to
/// its flushed end, and this owner's un-flushed slots behind it.
///
/// # Errors
/// See [`RangesError`].
pub async fn durable_ranges(
    core: &Core,
    log: &PartitionLog,
) -> Result<Arc<PartitionRanges>, RangesError> {
    // The log first: a flush that is committed meanwhile then stands in both, never in neither.
    let (offsets, slots) = log.unflushed();
    let flushed = flushed_ranges(&core.catalog, &core.image(), log.id).await?;
    let end = flushed.end().max(offsets.high_watermark);
    let slots = slots.into_iter().filter(|r| r.base_offset >= flushed.end());
    let ranges = flushed.ranges().iter().copied().chain(slots).collect();
    let start = flushed.start().max(offsets.log_start);
    let whole = PartitionRanges::new(log.id, start, end, ranges, Bytes::new())?;
    Ok(Arc::new(whole))
}

/// Where the flushed log lies, as `image` has it, with the producers at its end.
///
/// # Errors
/// See [`RangesError`].
pub async fn flushed_ranges(
    catalog: &Catalog,
    image: &Image,
    id: odradek_common::ids::TopicPartition,
) -> Result<Arc<PartitionRanges>, RangesError> {
    let partition = image.partition(id).ok_or(RangesError::Deleted)?;
    let manifest = image.group(partition.group).and_then(|g| g.manifest.as_deref());
    let manifest = manifest.map(parse).transpose()?;
    let index_objects: Vec<ObjectName> = image
        .index_objects_with(id)
        .map(|(name, _)| parse(name))
        .collect::<Result<_, BadName>>()?;
    let (start, end) = (partition.log_start, partition.flushed_end);
    Ok(catalog.ranges(id, manifest, &index_objects, start, end).await?)
}

/// The name of an object, as the metadata holds it.
///
/// # Errors
/// If it is none.
pub fn parse(name: &str) -> Result<ObjectName, BadName> {
    name.parse().map_err(|_| BadName(name.to_owned()))
}
