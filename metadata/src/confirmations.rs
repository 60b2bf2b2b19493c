//! Reads that are to be confirmed by the quorum. One exchange serves all that asked before it began;
//! who asks while it is under way waits for the next.

use std::time::Duration;

use bytes::Bytes;
use odradek_common::limits::{METADATA_CONFIRM_MS, METADATA_QUEUED_CONFIRMATIONS};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::calls::Confirmed;
use crate::leader::{AskError, LeaderClient, Patience};
use crate::peer::Kind;
use crate::reads::NotConfirmed;

/// Who waits: told the index up to where it has to read.
pub(crate) type Asker = oneshot::Sender<Result<u64, NotConfirmed>>;

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Confirmations(mpsc::Receiver<Asker>);

/// A queue of them.
pub(crate) fn queue() -> (mpsc::Sender<Asker>, Confirmations) {
    let (askers, asked) = mpsc::channel(METADATA_QUEUED_CONFIRMATIONS);
    (askers, Confirmations(asked))
}

/// Nobody, ever.
pub(crate) fn closed() -> Confirmations {
    queue().1
}

impl Confirmations {
    /// Serves them, until nobody can ask any more.
    pub(crate) async fn run(mut self, leader: &LeaderClient) {
        let mut askers = Vec::new();
        while self.0.recv_many(&mut askers, METADATA_QUEUED_CONFIRMATIONS).await > 0 {
            askers.retain(|asker| !asker.is_closed());
            if askers.is_empty() {
                continue;
            }
            let confirmed = confirm(leader).await;
            for asker in askers.drain(..) {
                let _ = asker.send(confirmed.clone());
            }
        }
    }
}

async fn confirm(leader: &LeaderClient) -> Result<u64, NotConfirmed> {
    let limit = Duration::from_millis(METADATA_CONFIRM_MS);
    let patience = Patience { until: Instant::now() + limit, each: limit / 2, may_repeat: true };
    match leader.ask(Kind::Confirm, Bytes::new(), patience).await {
        Ok(answer) => Confirmed::decode(answer)
            .map(|confirmed| confirmed.index)
            .map_err(|_| NotConfirmed::TimedOut),
        Err(AskError::NoLeader) => {
            let leader = leader.leadership.borrow().leader.as_ref().map(|leader| leader.key.node);
            Err(NotConfirmed::NotLeader { leader })
        }
        Err(AskError::Refused(_) | AskError::NotYet(_) | AskError::Unknown(_)) => {
            Err(NotConfirmed::TimedOut)
        }
    }
}
