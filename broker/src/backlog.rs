//! What is acknowledged and not yet in segments. It lies in the write-ahead log, with its index in memory, and while
//! the store takes no segments, or the quorum no flush, it grows: producers are slowed, then held, before the disk or
//! the memory ends.

use std::iter::Sum;
use std::time::Duration;

use odradek_common::limits::BACKLOG_INDEX_BYTES;
use odradek_common::pressure;
use tokio::sync::watch;
use tracing::{info, warn};

/// So many times `flush.bytes` fit at least: a flush begins before producers are slowed.
const FLUSHES: u64 = 4;

/// What has gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Bytes of batches in the log.
    pub log_bytes: u64,
    /// Bytes of memory that tell what lies where.
    pub index_bytes: u64,
}

impl Sum for Gathered {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            log_bytes: sum.log_bytes + one.log_bytes,
            index_bytes: sum.index_bytes + one.index_bytes,
        })
    }
}

/// The room that is left for what is not yet in segments.
#[derive(Debug)]
pub struct Backlog {
    log_bytes_max: u64,
    /// How long an append has to wait; `None`: until there is room.
    delay: watch::Sender<Option<Duration>>,
}

impl Backlog {
    /// With `flush.backlog.max.bytes`, none where the log is no disk that could be full, and `flush.bytes`; and
    /// nothing gathered.
    #[must_use]
    pub fn new(max_bytes: Option<u64>, flush_bytes: u64) -> Self {
        let least = flush_bytes.saturating_mul(FLUSHES);
        Self {
            log_bytes_max: max_bytes.map_or(u64::MAX, |max_bytes| max_bytes.max(least)),
            delay: watch::Sender::new(Some(Duration::ZERO)),
        }
    }

    /// So much has gathered by now.
    pub fn set(&self, now: Gathered) {
        let by_log = pressure::delay(now.log_bytes, self.log_bytes_max);
        let by_index = pressure::delay(now.index_bytes, BACKLOG_INDEX_BYTES);
        let delay = by_log.zip(by_index).map(|(log, index)| log.max(index));
        let before = self.delay.send_replace(delay);
        let Gathered { log_bytes, index_bytes } = now;
        if delay.is_none() && before.is_some() {
            warn!(log_bytes, index_bytes, "producers wait: too much is not yet in segments");
        } else if delay.is_some() && before.is_none() {
            info!(log_bytes, index_bytes, "producers go on: there is room before segments again");
        }
    }

    /// Bytes in the log at which producers are held.
    #[must_use]
    pub fn log_bytes_max(&self) -> u64 {
        self.log_bytes_max
    }

    /// Slows a request that is to append.
    pub async fn slow(&self) {
        let delay = self.delay.borrow().unwrap_or_default();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Waits while nothing may be appended. The caller bounds the wait.
    pub async fn room(&self) {
        if self.delay.borrow().is_none() {
            // The sender is this, so it is there.
            let _ = self.delay.subscribe().wait_for(Option::is_some).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn log_bytes(log_bytes: u64) -> Gathered {
        Gathered { log_bytes, index_bytes: 0 }
    }

    async fn waits(backlog: &Backlog) -> Option<Duration> {
        let begun = Instant::now();
        backlog.slow().await;
        let room = tokio::time::timeout(Duration::from_secs(3600), backlog.room()).await;
        room.ok().map(|()| begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn producers_are_slowed_then_held_by_either_limit() {
        let backlog = Backlog::new(Some(1000), 1);
        assert_eq!(waits(&backlog).await, Some(Duration::ZERO));
        backlog.set(log_bytes(900));
        let slowed = waits(&backlog).await.unwrap();
        assert!(!slowed.is_zero() && slowed < Duration::from_secs(1), "{slowed:?}");
        backlog.set(log_bytes(1000));
        assert_eq!(waits(&backlog).await, None);
        backlog.set(Gathered { log_bytes: 0, index_bytes: BACKLOG_INDEX_BYTES });
        assert_eq!(waits(&backlog).await, None);
        backlog.set(log_bytes(0));
        assert_eq!(waits(&backlog).await, Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_held_goes_on_when_there_is_room() {
        let backlog = Backlog::new(Some(1000), 1);
        backlog.set(log_bytes(1000));
        let mut held = std::pin::pin!(backlog.room());
        assert!(futures::poll!(held.as_mut()).is_pending());
        backlog.set(log_bytes(10));
        held.await;
    }

    #[test]
    fn several_flushes_fit_at_least() {
        assert_eq!(Backlog::new(Some(1), 1000).log_bytes_max, 1000 * FLUSHES);
        assert_eq!(Backlog::new(Some(u64::MAX), u64::MAX).log_bytes_max, u64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_index_has_a_limit_where_the_log_is_no_disk() {
        let backlog = Backlog::new(None, 1);
        backlog.set(log_bytes(1 << 50));
        assert_eq!(waits(&backlog).await, Some(Duration::ZERO));
        backlog.set(Gathered { log_bytes: 0, index_bytes: BACKLOG_INDEX_BYTES });
        assert_eq!(waits(&backlog).await, None);
    }
}
