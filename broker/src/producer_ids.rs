//! Producer ids, handed out from blocks that the metadata reserves for this broker (KIP-730).

use kafka_protocol::ResponseError;
use odradek_metadata::{AllocateProducerIds, Command, Incarnation, Metadata, Outcome};
use tokio::sync::Mutex;
use tracing::warn;

/// Ids reserved at once, as Kafka does.
const BLOCK: u32 = 1000;

/// The rest of a reserved block.
#[derive(Debug)]
pub struct ProducerIds {
    by: Incarnation,
    block: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    /// For `by`, with nothing reserved yet.
    #[must_use]
    pub fn new(by: Incarnation) -> Self {
        Self { by, block: Mutex::new(0..0) }
    }

    /// An id that was never handed out and never will be again.
    ///
    /// # Errors
    /// `CoordinatorLoadInProgress`, on which clients try again, while no block can be reserved.
    pub async fn next(&self, metadata: &Metadata) -> Result<i64, ResponseError> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        let command =
            Command::AllocateProducerIds(AllocateProducerIds { by: self.by, count: BLOCK });
        match metadata.propose(command).await {
            Ok(Outcome::ProducerIds { first, count }) => {
                *block = first..first + i64::from(count);
                block.next().ok_or(ResponseError::UnknownServerError)
            }
            Ok(other) => {
                warn!(?other, "an answer to AllocateProducerIds that is none");
                Err(ResponseError::UnknownServerError)
            }
            Err(error) => {
                warn!(%error, "could not reserve producer ids");
                Err(ResponseError::CoordinatorLoadInProgress)
            }
        }
    }
}
