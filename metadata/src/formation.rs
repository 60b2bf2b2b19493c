//! Making a quorum: who its first voters are, and that they become one.

use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::ClusterId;
use tokio::task::JoinSet;

use crate::handle::Metadata;
use crate::ids::{Endpoint, Voter};
use crate::image::Image;
use crate::peer::Target;
use crate::reads::{Ended, NotConfirmed};
use crate::service::StartError;

/// How long is waited before a voter that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Attempts on a voter after which it is said that it is waited for.
const ATTEMPTS_SILENT: u32 = 20;

impl Metadata {
    /// The voters that the settings name, each with the data directory that it has now, for the
    /// formation marker, if there is none: two rounds of asking may give two answers. Waits until each of
    /// them has answered.
    pub async fn founders(&self) -> Vec<Voter> {
        let me = self.leader.me;
        if self.leader.voters.is_empty() {
            return vec![Voter { key: me, endpoint: Endpoint::default() }];
        }
        let mut asked = JoinSet::new();
        for (node, endpoint) in self.leader.voters.clone() {
            let metadata = self.clone();
            asked.spawn(async move {
                if node == me.node {
                    return Voter { key: me, endpoint };
                }
                metadata.identify(Target { node, directory: None, endpoint }).await
            });
        }
        let mut founders = asked.join_all().await;
        founders.sort();
        founders
    }

    async fn identify(&self, target: Target) -> Voter {
        let mut attempts = 0;
        loop {
            match self.leader.peers.who_is(&target).await {
                Ok(key) => return Voter { key, endpoint: target.endpoint },
                Err(error) if attempts % ATTEMPTS_SILENT == ATTEMPTS_SILENT - 1 => {
                    tracing::info!(node = target.node.0, %error, "waiting for a voter");
                }
                Err(_) => {}
            }
            attempts = attempts.wrapping_add(1);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells the node which cluster it belongs to, as the formation marker has it. Before it knows, from
    /// its data directory or by this, it and other nodes do not talk about more than who they are.
    pub fn belongs_to(&self, cluster: &ClusterId) {
        self.introduction.belongs_to(cluster);
    }

    /// Makes a quorum of `founders`. To be called only with those that the formation marker names,
    /// by each of them or by some; it changes nothing on a node that has been in a quorum, or is not
    /// among them: that one waits until it is added.
    ///
    /// # Errors
    /// Raft failed.
    pub async fn initialise(&self, founders: &[Voter]) -> Result<(), StartError> {
        match &self.quorum {
            Some(quorum) => quorum.initialise(founders).await.map_err(StartError::raft),
            None => Ok(()),
        }
    }

    /// Whether this node has been in a quorum: nothing is left to [initialise](Self::initialise) then. Of
    /// one that only follows the voters it is always true.
    ///
    /// # Errors
    /// Raft failed.
    pub async fn is_initialised(&self) -> Result<bool, StartError> {
        match &self.quorum {
            Some(quorum) => quorum.is_initialised().await.map_err(StartError::raft),
            None => Ok(true),
        }
    }

    /// Waits until this node has all that was committed before the call, however long that takes.
    ///
    /// # Errors
    /// The service ended before.
    pub async fn caught_up(&self) -> Result<Arc<Image>, Ended> {
        loop {
            match self.confirm().await {
                Ok(image) => return Ok(image),
                Err(NotConfirmed::Ended) => return Err(Ended),
                Err(error) => tracing::info!(%error, "waiting for the quorum"),
            }
        }
    }
}
