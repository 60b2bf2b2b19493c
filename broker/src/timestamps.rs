//! Finding a record by its timestamp: batches are found by what is stored of them, only the one
//! that holds the record is decoded.

use kafka_protocol::ResponseError;
use odradek_common::batch::{Batch, TimestampType};
use odradek_protocol::records::{self, Head, RecordsError};

use crate::aside;
use crate::core::Core;
use crate::partition::PartitionLog;
use crate::reading;

/// A record's offset and timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in ms.
    pub timestamp: i64,
}

/// The first durable record whose timestamp is at or after `timestamp`; `None` if there is none.
///
/// # Errors
/// `KafkaStorageError` if what is stored cannot be read now.
pub async fn at_or_after(
    core: &Core,
    log: &PartitionLog,
    timestamp: i64,
) -> Result<Option<Stamped>, ResponseError> {
    let start = log.offsets().log_start;
    let mut from = start;
    while let Some(batch) = reading::batch_at_or_after(core, log, from, timestamp).await? {
        let found = aside::look_into(&batch, move |batch, cap_bytes| {
            let fits = |r: &Stamped| r.timestamp >= timestamp;
            let mut records = stamped(batch, cap_bytes, start)?;
            records.find(|r| r.as_ref().map_or(true, fits)).transpose()
        });
        let found = found.await.map_err(corrupt)?;
        if found.is_some() {
            return Ok(found);
        }
        from = batch.header.next_offset();
    }
    Ok(None)
}

/// The first of the durable records with the largest timestamp; `None` in an empty log.
///
/// # Errors
/// `KafkaStorageError` if what is stored cannot be read now.
pub async fn with_max_timestamp(
    core: &Core,
    log: &PartitionLog,
) -> Result<Option<Stamped>, ResponseError> {
    let start = log.offsets().log_start;
    let Some(batch) = reading::batch_with_max_timestamp(core, log, start).await? else {
        return Ok(None);
    };
    let within = first_of_largest(&batch, start).await?;
    if batch.header.base_offset >= start {
        return Ok(within);
    }
    // The log start lies within it, and what gives it its timestamp may lie below.
    let behind = batch.header.next_offset();
    let behind = match reading::batch_with_max_timestamp(core, log, behind).await? {
        Some(batch) => first_of_largest(&batch, behind).await?,
        None => None,
    };
    Ok(match (within, behind) {
        (Some(within), Some(behind)) if behind.timestamp > within.timestamp => Some(behind),
        (within, behind) => within.or(behind),
    })
}

/// The first of the records of a batch, from `start` on, with the largest timestamp.
async fn first_of_largest(batch: &Batch, start: i64) -> Result<Option<Stamped>, ResponseError> {
    let look = move |batch: &Batch, cap_bytes| {
        let mut best: Option<Stamped> = None;
        for record in stamped(batch, cap_bytes, start)? {
            let record = record?;
            if best.is_none_or(|best| record.timestamp > best.timestamp) {
                best = Some(record);
            }
        }
        Ok(best)
    };
    aside::look_into(batch, look).await.map_err(corrupt)
}

/// Offsets and timestamps of a batch's records from the log start on, which may lie within it. With
/// log-append time all have the same, so that the first is answered for all of them and nothing need be
/// decompressed.
fn stamped(
    batch: &Batch,
    cap_bytes: usize,
    start: i64,
) -> Result<Box<dyn Iterator<Item = Result<Stamped, RecordsError>> + '_>, RecordsError> {
    let header = &batch.header;
    if header.timestamp_type() == TimestampType::LogAppendTime {
        let offset = header.base_offset.max(start);
        let first = Stamped { offset, timestamp: header.max_timestamp };
        return Ok(Box::new((offset < header.next_offset()).then_some(Ok(first)).into_iter()));
    }
    let of = |head: Head| Stamped { offset: head.offset, timestamp: head.timestamp_ms };
    let all = records::heads(batch, cap_bytes)?.map(move |head| head.map(of));
    Ok(Box::new(all.filter(move |r| r.as_ref().map_or(true, |r| r.offset >= start))))
}

fn corrupt(_: RecordsError) -> ResponseError {
    ResponseError::CorruptMessage
}
