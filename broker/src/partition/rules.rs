//! What a batch has to meet before it may join a partition's log, apart from its sequence.

use kafka_protocol::ResponseError;
use odradek_common::batch::{Batch, BatchError, NO_TIMESTAMP, TimestampType};
use odradek_protocol::records::{self, RecordsError};

use crate::aside;
use crate::topic_settings::{self, TopicConfig};

/// The topic settings that an append obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendRules {
    /// `max.message.bytes`: largest batch, header included.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// True if `cleanup.policy` has `compact`: every record needs a key.
    pub compacted: bool,
}

/// Why a batch is not appended: the code for the client and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AppendError {
    /// Kafka's code.
    pub code: ResponseError,
    /// What was wrong.
    pub message: String,
}

impl AppendError {
    /// An error with `code` and its sentence.
    pub fn new(code: ResponseError, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        let code = match error {
            // Bytes that hold no whole batch are to Kafka a request without one.
            BatchError::Count { .. }
            | BatchError::Record { .. }
            | BatchError::Truncated { .. }
            | BatchError::Magic(0 | 1) => ResponseError::InvalidRecord,
            BatchError::Compression(_) => ResponseError::UnsupportedCompressionType,
            BatchError::Crc { .. } | BatchError::Length(_) | BatchError::Magic(_) => {
                ResponseError::CorruptMessage
            }
        };
        Self::new(code, error.to_string())
    }
}

impl AppendRules {
    /// Those of a topic's settings.
    #[must_use]
    pub fn of(config: &TopicConfig) -> Self {
        Self {
            max_message_bytes: config.max_message_bytes,
            timestamp_type: match config.timestamp_type {
                topic_settings::TimestampType::CreateTime => TimestampType::CreateTime,
                topic_settings::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            before_max_ms: config.timestamp_before_max_ms,
            after_max_ms: config.timestamp_after_max_ms,
            compacted: config.compact,
        }
    }

    /// Checks a batch from a client and stamps it where the topic has log-append time. Done before
    /// the partition's lock is taken: it reads every byte.
    ///
    /// # Errors
    /// Kafka's code for the first thing that is wrong.
    pub async fn admit(&self, batch: &mut Batch, now_ms: i64) -> Result<(), AppendError> {
        let newest = self.check_outside(batch)?;
        let mut newest = newest.unwrap_or(batch.header.max_timestamp);
        let mut oldest = batch.header.base_timestamp;
        if self.looks_inside(newest < oldest) {
            let inside = Inside::of(batch).await.map_err(inside_error)?;
            if self.compacted && !inside.every_key {
                return Err(AppendError::new(
                    ResponseError::InvalidRecord,
                    "compacted topic cannot accept message without key",
                ));
            }
            oldest = oldest.min(inside.oldest_ms);
            newest = inside.newest_ms;
        }
        match self.timestamp_type {
            TimestampType::LogAppendTime => {
                let records = batch.records();
                batch.header.set_log_append_time(now_ms, &records);
                Ok(())
            }
            TimestampType::CreateTime => {
                if newest != batch.header.max_timestamp {
                    // As Kafka: some producers (Sarama until 2025) state none, and retention and
                    // searches by time go by it.
                    let records = batch.records();
                    batch.header.set_max_timestamp(newest, &records);
                }
                self.check_timestamps(batch, oldest, now_ms)
            }
        }
    }

    /// Whether a topic of these settings has to know more than the header says, which cannot be
    /// right where the newest record is older than the first.
    fn looks_inside(&self, newest_is_wrong: bool) -> bool {
        let bounds_the_past = self.before_max_ms < i64::MAX;
        let by_time = self.timestamp_type == TimestampType::CreateTime;
        self.compacted || (by_time && (bounds_the_past || newest_is_wrong))
    }

    /// Returns the largest timestamp of the records, `None` if they are compressed.
    fn check_outside(&self, batch: &Batch) -> Result<Option<i64>, AppendError> {
        let size = batch.bytes.len();
        if size > self.max_message_bytes {
            return Err(AppendError::new(
                ResponseError::MessageTooLarge,
                format!(
                    "the batch has {size} bytes, more than max.message.bytes={}",
                    self.max_message_bytes
                ),
            ));
        }
        let newest = batch.verify_newest()?;
        let header = &batch.header;
        if header.is_control() {
            return Err(AppendError::new(
                ResponseError::InvalidRecord,
                "clients are not allowed to write control records",
            ));
        }
        if header.is_transactional() {
            return Err(AppendError::new(
                ResponseError::InvalidTxnState,
                "this release does not serve transactions",
            ));
        }
        if header.has_producer() && (header.base_sequence < 0 || header.producer_epoch < 0) {
            return Err(AppendError::new(
                ResponseError::InvalidRecord,
                "an idempotent batch needs a producer epoch and a sequence of at least 0",
            ));
        }
        Ok(newest)
    }

    /// The largest timestamp is that of the header. `oldest` is that of the first record, or of
    /// the oldest where the topic bounds the past.
    fn check_timestamps(
        &self,
        batch: &Batch,
        oldest_ms: i64,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let header = &batch.header;
        if header.timestamp_type() == TimestampType::LogAppendTime {
            return Err(AppendError::new(
                ResponseError::InvalidTimestamp,
                "a producer may not set the timestamp type LogAppendTime",
            ));
        }
        let latest = now_ms.saturating_add(self.after_max_ms);
        let earliest = now_ms.saturating_sub(self.before_max_ms);
        let bounds_the_past = self.before_max_ms < i64::MAX;
        if header.max_timestamp <= latest && (!bounds_the_past || oldest_ms >= earliest) {
            return Ok(());
        }
        Err(AppendError::new(
            ResponseError::InvalidTimestamp,
            format!("timestamps must lie between {earliest} and {latest} on this topic"),
        ))
    }
}

/// What only the records themselves tell.
#[derive(Clone, Copy, Debug)]
struct Inside {
    /// No record has a key of null.
    every_key: bool,
    /// The smallest timestamp in ms.
    oldest_ms: i64,
    /// The largest, -1 for none.
    newest_ms: i64,
}

impl Inside {
    async fn of(batch: &Batch) -> Result<Self, RecordsError> {
        aside::look_into(batch, |batch, cap_bytes| {
            let mut inside = Self { every_key: true, oldest_ms: i64::MAX, newest_ms: NO_TIMESTAMP };
            for head in records::heads(batch, cap_bytes)? {
                let head = head?;
                inside.every_key &= head.has_key;
                inside.oldest_ms = inside.oldest_ms.min(head.timestamp_ms);
                inside.newest_ms = inside.newest_ms.max(head.timestamp_ms);
            }
            Ok(inside)
        })
        .await
    }
}

/// Kafka says of records that it cannot walk that they are invalid, and of those that it cannot
/// decompress that they are corrupt.
fn inside_error(error: RecordsError) -> AppendError {
    match error {
        RecordsError::Batch(error) => error.into(),
        error @ RecordsError::Decompress(_) => {
            AppendError::new(ResponseError::CorruptMessage, error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::batch_of;
    use super::*;
    use futures::FutureExt;

    const RULES: AppendRules = AppendRules {
        max_message_bytes: 1_000,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compacted: false,
    };

    fn code(rules: AppendRules, batch: &Batch, now_ms: i64) -> Option<ResponseError> {
        let mut batch = batch.clone();
        let admitted = rules.admit(&mut batch, now_ms).now_or_never();
        admitted.expect("looked through at once").err().map(|e| e.code)
    }

    #[test]
    fn size_and_time_are_bounded() {
        let batch = batch_of(&[(Some("k"), "v")], 5_000);
        assert_eq!(code(RULES, &batch, 5_000), None);
        let small = AppendRules { max_message_bytes: 50, ..RULES };
        assert_eq!(code(small, &batch, 5_000), Some(ResponseError::MessageTooLarge));
        let late = AppendRules { after_max_ms: 10, ..RULES };
        assert_eq!(code(late, &batch, 4_000), Some(ResponseError::InvalidTimestamp));
        assert_eq!(code(late, &batch, 4_990), None);
        let early = AppendRules { before_max_ms: 10, ..RULES };
        assert_eq!(code(early, &batch, 6_000), Some(ResponseError::InvalidTimestamp));
        assert_eq!(code(early, &batch, 5_010), None);
    }

    #[test]
    fn the_newest_record_is_dated_by_the_broker_where_the_producer_did_not() {
        for stated in [-1, 7_000] {
            let mut batch = batch_of(&[(None, "v")], 5_000);
            let records = batch.records();
            batch.header.set_max_timestamp(stated, &records);
            let mut whole = batch.header.encode().to_vec();
            whole.extend(records);
            batch.bytes = whole.into();
            let rules = AppendRules { after_max_ms: 0, ..RULES };
            rules.admit(&mut batch, 5_000).now_or_never().unwrap().unwrap();
            assert_eq!(batch.header.max_timestamp, 5_000);
            let mut crc_of = batch.header;
            crc_of.set_crc(&batch.records());
            assert_eq!(batch.header.crc, crc_of.crc);
        }
    }

    #[test]
    fn compacted_topics_need_keys() {
        let rules = AppendRules { compacted: true, ..RULES };
        let batch = batch_of(&[(Some("k"), "v"), (None, "v")], 1);
        assert_eq!(code(rules, &batch, 1), Some(ResponseError::InvalidRecord));
        assert_eq!(code(RULES, &batch, 1), None);
    }

    #[test]
    fn log_append_time_is_stamped() {
        let rules = AppendRules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
        let mut batch = batch_of(&[(None, "v")], 1);
        rules.admit(&mut batch, 77).now_or_never().unwrap().unwrap();
        assert_eq!(batch.header.max_timestamp, 77);
        assert_eq!(batch.header.timestamp_type(), TimestampType::LogAppendTime);
    }

    #[test]
    fn a_flipped_bit_is_a_corrupt_message() {
        let mut batch = batch_of(&[(None, "v")], 1);
        let mut bytes = batch.bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        batch.bytes = bytes.into();
        assert_eq!(code(RULES, &batch, 1), Some(ResponseError::CorruptMessage));
    }
    #[test]
    fn what_is_no_batch_has_the_code_that_kafka_gives_it() {
        let code = |error| AppendError::from(error).code;
        let truncated = BatchError::Truncated { got: 3, need: 61 };
        assert_eq!(code(truncated), ResponseError::InvalidRecord);
        assert_eq!(code(BatchError::Magic(1)), ResponseError::InvalidRecord);
        assert_eq!(code(BatchError::Magic(3)), ResponseError::CorruptMessage);
        assert_eq!(code(BatchError::Length(-1)), ResponseError::CorruptMessage);
    }
}
