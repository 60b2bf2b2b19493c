//! Finding a record by its timestamp: batches are found by what is stored of them, only the one
//! that holds the record is decoded.

use kafka_protocol::ResponseError;
use odradek_common::batch::{Batch, TimestampType};
use odradek_common::limits::DECOMPRESSED_BATCH_BYTES;
use odradek_protocol::records;

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
        let mut records = stamped(&batch)?.into_iter();
        let found = records.find(|r| r.offset >= start && r.timestamp >= timestamp);
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
    let Some(batch) = reading::batch_with_max_timestamp(core, log).await? else {
        return Ok(None);
    };
    let records = stamped(&batch)?;
    // Of equals `max_by_key` gives the last, so the order is turned round.
    Ok(records.into_iter().rev().max_by_key(|r| r.timestamp))
}

fn stamped(batch: &Batch) -> Result<Vec<Stamped>, ResponseError> {
    let header = &batch.header;
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Ok(vec![Stamped { offset: header.base_offset, timestamp: header.max_timestamp }]);
    }
    let records = records::decode(batch, DECOMPRESSED_BATCH_BYTES);
    records
        .map_err(|_| ResponseError::CorruptMessage)?
        .map(|record| {
            let record = record.map_err(|_| ResponseError::CorruptMessage)?;
            Ok(Stamped { offset: record.offset, timestamp: record.timestamp_ms })
        })
        .collect()
}
