//! An internal topic's partition as its coordinator sees it: the coordinator's records go through
//! the same chain as everybody's, and so are fenced by it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use odradek_common::limits::{COORDINATOR_BATCH_BYTES, DECOMPRESSED_BATCH_BYTES};
use odradek_protocol::records::{self, BatchBuilder};
use parking_lot::Mutex;

use crate::confirmation::{Confirmation, NotConfirmed};
use crate::coordinator::{
    AppendPosition, CoordinatorLog, CoordinatorRecord, LogError, LogPage, StoredRecord,
};
use crate::core::Core;
use crate::partition::{NotSequenced, PartitionLog};
use crate::{log_start, reading};

/// Bytes of batches read at once at load.
const PAGE_BYTES: usize = 4 << 20;
/// A coordinator's batch may hold this much more than what it aims at: one record of its own size.
const BATCH_BYTES_MAX: usize = 16 * COORDINATOR_BATCH_BYTES;
/// How finely the log's size is known.
const STEP_BYTES: u64 = 64 << 10;

/// The log of one internal partition, for as long as this broker owns it.
pub struct InternalLog {
    /// The core owns the coordinators, and they this.
    core: Weak<Core>,
    log: Arc<PartitionLog>,
    sizes: Mutex<Sizes>,
}

/// Bytes of the log by where they end, in steps, so that it is known what a new log start leaves.
#[derive(Debug, Default)]
struct Sizes {
    steps: VecDeque<(i64, u64)>,
}

impl Sizes {
    fn add(&mut self, next_offset: i64, bytes: u64) {
        match self.steps.back_mut() {
            Some((end, step)) if *step < STEP_BYTES => {
                *end = next_offset;
                *step += bytes;
            }
            _ => self.steps.push_back((next_offset, bytes)),
        }
    }

    fn cut(&mut self, log_start: i64) {
        while self.steps.front().is_some_and(|(end, _)| *end <= log_start) {
            self.steps.pop_front();
        }
    }

    fn bytes(&self) -> u64 {
        self.steps.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl InternalLog {
    /// Over `log`, which has `bytes` so far.
    #[must_use]
    pub fn new(core: &Arc<Core>, log: Arc<PartitionLog>, bytes: u64) -> Self {
        let mut sizes = Sizes::default();
        sizes.add(log.offsets().append_end, bytes);
        Self { core: Arc::downgrade(core), log, sizes: Mutex::new(sizes) }
    }

    fn core(&self) -> Result<Arc<Core>, LogError> {
        self.core.upgrade().ok_or(LogError::Fenced)
    }

    async fn wait_durable(&self, offset: i64) -> Result<AppendPosition, LogError> {
        self.log.durable_to(offset).await.map(AppendPosition).map_err(|_| LogError::Fenced)
    }
}

impl fmt::Debug for InternalLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InternalLog({}-{})", self.log.topic, self.log.id.partition)
    }
}

#[async_trait]
impl CoordinatorLog for InternalLog {
    fn append(
        &self,
        records: &[CoordinatorRecord],
        now_ms: i64,
    ) -> Result<AppendPosition, LogError> {
        let mut builder = BatchBuilder::new(BATCH_BYTES_MAX);
        for record in records {
            builder
                .push(now_ms, Some(&record.key), record.value.as_deref(), &[])
                .map_err(|full| LogError::Unavailable(full.to_string()))?;
        }
        let batch = builder.build().ok_or_else(|| LogError::Unavailable("no records".into()))?;
        let appended = self.log.append_internal(&batch).map_err(|error| match error {
            NotSequenced::Frozen => LogError::Unavailable(error.to_string()),
            NotSequenced::Refused(_) => LogError::Fenced,
        })?;
        let bytes = u64::try_from(batch.bytes.len()).unwrap_or(0);
        self.sizes.lock().add(appended.next_offset, bytes);
        Ok(AppendPosition(appended.next_offset))
    }

    fn end(&self) -> AppendPosition {
        AppendPosition(self.log.offsets().append_end)
    }

    fn bytes(&self) -> u64 {
        self.sizes.lock().bytes()
    }

    async fn read(&self, from: Option<i64>) -> Result<LogPage, LogError> {
        let core = self.core()?;
        // What was appended and is not durable yet is waited for: nothing else is readable.
        let end = self.wait_durable(self.log.offsets().append_end).await?.0;
        let from = from.unwrap_or(self.log.offsets().log_start);
        if from >= end {
            return Ok(LogPage::default());
        }
        let unavailable = |what: String| LogError::Unavailable(what);
        let chunks = reading::read(&core, &self.log, from, PAGE_BYTES, true)
            .await
            .map_err(|code| unavailable(code.to_string()))?;
        let bytes = chunks.concat().into();
        let mut page = LogPage::default();
        let mut next = from;
        for batch in odradek_common::batch::batches(bytes) {
            let batch = batch.map_err(|e| unavailable(e.to_string()))?;
            next = batch.header.next_offset();
            let records = records::decode(&batch, DECOMPRESSED_BATCH_BYTES)
                .map_err(|e| unavailable(e.to_string()))?;
            for record in records {
                let record = record.map_err(|e| unavailable(e.to_string()))?;
                if record.offset < from {
                    continue;
                }
                page.records.push(StoredRecord {
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms,
                    key: record.key.unwrap_or_default(),
                    value: record.value,
                });
            }
        }
        if next == from {
            return Err(unavailable(format!("nothing could be read at offset {from}")));
        }
        page.next = (next < end).then_some(next);
        Ok(page)
    }

    async fn durable(&self, position: AppendPosition) -> Result<AppendPosition, LogError> {
        self.wait_durable(position.0).await
    }

    async fn confirm(&self) -> Result<(), LogError> {
        let core = self.core()?;
        let confirmed = Confirmation::new(&core).of(&self.log).await;
        confirmed.map_err(|error| match error {
            NotConfirmed::Elsewhere => LogError::Fenced,
            NotConfirmed::Unknown if self.log.is_closed() => LogError::Fenced,
            NotConfirmed::Unknown => LogError::Unavailable("who owns it is not known now".into()),
        })
    }

    async fn set_log_start(&self, offset: i64) -> Result<(), LogError> {
        let core = self.core()?;
        let raised = log_start::raise(&core, &self.log, offset).await;
        let log_start = raised.map_err(|code| LogError::Unavailable(code.to_string()))?;
        self.sizes.lock().cut(log_start);
        Ok(())
    }
}
