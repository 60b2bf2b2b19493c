//! How a chain ends.

use std::sync::Arc;

use crate::wal::PutError;

/// Why a chain takes or lands nothing more. What landed before it ended stays landed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChainError {
    /// A seal was met: the broker is fenced and must register anew.
    #[error("fenced: {0}")]
    Fenced(Arc<PutError>),
    /// The write-ahead log failed for good; the process must end.
    #[error("the chain failed: {0}")]
    Failed(Arc<PutError>),
    /// The chain was shut down.
    #[error("the chain is closed")]
    Closed,
}

impl From<PutError> for ChainError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Sealed { .. } => Self::Fenced(Arc::new(error)),
            PutError::Foreign { .. } | PutError::Disk(_) => Self::Failed(Arc::new(error)),
        }
    }
}
