//! A log in memory whose durability, confirmations and fence a test controls.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::log::{
    AppendPosition, CoordinatorLog, CoordinatorRecord, LogError, LogPage, StoredRecord,
};

/// Records of a page, so that a load takes several.
const PAGE_RECORDS: usize = 7;

#[derive(Debug, Clone, Copy)]
struct Progress {
    durable: i64,
    /// Whether appends land at once.
    lands: bool,
    /// Whether confirmations come.
    confirms: bool,
    fenced: bool,
    confirmations: usize,
    failed_reads: usize,
}

#[derive(Debug, Default)]
struct Contents {
    start: i64,
    records: Vec<StoredRecord>,
    batches: usize,
    fails_appends: bool,
    fails_reads: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    contents: Arc<Mutex<Contents>>,
    progress: watch::Sender<Progress>,
}

impl MemoryLog {
    /// An empty log; with `lands`, what is appended is durable at once.
    pub fn new(lands: bool) -> Self {
        let progress = Progress {
            durable: 0,
            lands,
            confirms: true,
            fenced: false,
            confirmations: 0,
            failed_reads: 0,
        };
        Self { contents: Arc::default(), progress: watch::Sender::new(progress) }
    }

    /// Whether appends land at once from now on; with `true`, what is there lands.
    pub fn set_lands(&self, lands: bool) {
        let end = self.end().0;
        self.progress.send_modify(|p| {
            p.lands = lands;
            p.durable = if lands { end } else { p.durable };
        });
    }

    /// Everything before `offset` lands.
    pub fn land(&self, offset: i64) {
        let to = offset.min(self.end().0);
        self.progress.send_modify(|p| p.durable = p.durable.max(to));
    }

    /// Whether confirmations come.
    pub fn set_confirms(&self, confirms: bool) {
        self.progress.send_modify(|p| p.confirms = confirms);
    }

    /// How many confirmations were asked for.
    pub fn confirmations(&self) -> usize {
        self.progress.borrow().confirmations
    }

    /// The ownership ends: nothing more lands.
    pub fn fence(&self) {
        self.progress.send_modify(|p| p.fenced = true);
    }

    /// Whether appends fail.
    pub fn set_fails_appends(&self, fails: bool) {
        self.contents.lock().fails_appends = fails;
    }

    /// Whether reads fail.
    pub fn set_fails_reads(&self, fails: bool) {
        self.contents.lock().fails_reads = fails;
    }

    /// Waits until so many reads have failed.
    pub async fn failed_reads(&self, count: usize) {
        let mut progress = self.progress.subscribe();
        let failed = progress.wait_for(|p| p.failed_reads >= count).await;
        failed.expect("the log has its own sender");
    }

    /// What a new owner finds: the durable records.
    pub fn after_crash(&self) -> Self {
        let durable = self.progress.borrow().durable;
        let contents = self.contents.lock();
        let records: Vec<_> =
            contents.records.iter().filter(|r| r.offset < durable).cloned().collect();
        let next = Self::new(true);
        *next.contents.lock() = Contents { start: contents.start, records, ..Contents::default() };
        next.progress.send_modify(|p| p.durable = durable);
        next
    }

    /// All records.
    pub fn records(&self) -> Vec<StoredRecord> {
        self.contents.lock().records.clone()
    }

    /// How many batches were appended.
    pub fn batches(&self) -> usize {
        self.contents.lock().batches
    }

    /// The log start.
    pub fn start(&self) -> i64 {
        self.contents.lock().start
    }
}

#[async_trait]
impl CoordinatorLog for MemoryLog {
    fn append(
        &self,
        records: &[CoordinatorRecord],
        now_ms: i64,
    ) -> Result<AppendPosition, LogError> {
        assert!(!records.is_empty());
        if self.progress.borrow().fenced {
            return Err(LogError::Fenced);
        }
        let end = {
            let mut contents = self.contents.lock();
            if contents.fails_appends {
                return Err(LogError::Unavailable("on purpose".into()));
            }
            contents.batches += 1;
            let mut end = contents.records.last().map_or(contents.start, |r| r.offset + 1);
            for record in records.iter().cloned() {
                let CoordinatorRecord { key, value } = record;
                let stored = StoredRecord { offset: end, timestamp_ms: now_ms, key, value };
                contents.records.push(stored);
                end += 1;
            }
            end
        };
        self.progress.send_modify(|p| p.durable = if p.lands { end } else { p.durable });
        Ok(AppendPosition(end))
    }

    fn end(&self) -> AppendPosition {
        let contents = self.contents.lock();
        AppendPosition(contents.records.last().map_or(contents.start, |r| r.offset + 1))
    }

    fn bytes(&self) -> u64 {
        let size = |r: &StoredRecord| r.key.len() + r.value.as_ref().map_or(0, |v| v.len());
        self.contents.lock().records.iter().map(|r| size(r) as u64).sum()
    }

    async fn read(&self, from: Option<i64>) -> Result<LogPage, LogError> {
        tokio::task::yield_now().await;
        let contents = self.contents.lock();
        if contents.fails_reads {
            self.progress.send_modify(|p| p.failed_reads += 1);
            return Err(LogError::Unavailable("on purpose".into()));
        }
        let from = from.unwrap_or(contents.start);
        let mut rest = contents.records.iter().filter(|r| r.offset >= from);
        let records = rest.by_ref().take(PAGE_RECORDS).cloned().collect();
        Ok(LogPage { records, next: rest.next().map(|r| r.offset) })
    }

    async fn durable(&self, position: AppendPosition) -> Result<AppendPosition, LogError> {
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|p| p.fenced || p.durable >= position.0).await;
        let seen = seen.map_err(|_| LogError::Fenced)?;
        if seen.durable >= position.0 {
            return Ok(AppendPosition(seen.durable));
        }
        Err(LogError::Fenced)
    }

    async fn confirm(&self) -> Result<(), LogError> {
        self.progress.send_modify(|p| p.confirmations += 1);
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|p| p.fenced || p.confirms).await;
        if seen.map_err(|_| LogError::Fenced)?.fenced { Err(LogError::Fenced) } else { Ok(()) }
    }

    async fn set_log_start(&self, offset: i64) -> Result<(), LogError> {
        assert!(self.progress.borrow().durable >= offset, "what follows is durable");
        let mut contents = self.contents.lock();
        contents.start = offset;
        contents.records.retain(|r| r.offset >= offset);
        Ok(())
    }
}
