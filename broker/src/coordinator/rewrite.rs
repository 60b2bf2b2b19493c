//! Keeping the log short: the live records written anew at its end, then its start moved up.
//!
//! The rewriting goes in steps, with requests handled in between. That is right because every step
//! writes keys as they are at that moment: a key that no request touched since the rewriting began
//! is written by it; one that was touched has a newer record, or a tombstone, behind the place
//! where it began. So all that counts lies behind that place when the last step is done.

use odradek_common::limits;

use super::log::AppendPosition;

/// How a rewriting stands.
pub(super) enum Rewrite<C> {
    /// None goes on.
    Idle {
        /// Bytes of the log below which none begins: what the last one left and some more, so that
        /// a log whose start moves late is not written anew again and again.
        above_bytes: u64,
    },
    /// Live records are being written.
    Writing {
        /// Where the rewriting began, the log start to be.
        start: AppendPosition,
        /// How far it has come; `None` when the last record is written.
        cursor: Option<C>,
        /// The last step's end; the next step waits until it is durable.
        written: AppendPosition,
    },
    /// The log start is being moved.
    Moving,
}

impl<C> Rewrite<C> {
    pub(super) fn new() -> Self {
        Self::Idle { above_bytes: 0 }
    }

    /// Whether a log of `log_bytes` with `live_bytes` of live records is to be written anew.
    pub(super) fn is_due(&self, log_bytes: u64, live_bytes: u64) -> bool {
        let Self::Idle { above_bytes } = self else { return false };
        let wanted = live_bytes
            .saturating_mul(limits::COORDINATOR_REWRITE_FACTOR)
            .max(limits::COORDINATOR_REWRITE_FLOOR_BYTES);
        log_bytes > wanted.max(*above_bytes)
    }

    /// The rewriting has ended, or was given up, and left a log of `log_bytes`.
    pub(super) fn ended(&mut self, log_bytes: u64) {
        let above_bytes = log_bytes.saturating_add(limits::COORDINATOR_REWRITE_FLOOR_BYTES);
        *self = Self::Idle { above_bytes };
    }

    /// The position that the rewriting waits for.
    pub(super) fn position(&self) -> Option<AppendPosition> {
        match self {
            Self::Writing { written, .. } => Some(*written),
            Self::Idle { .. } | Self::Moving => None,
        }
    }
}
