//! Asking the quorum's leader, wherever it is: this node, or another that has to be found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use odradek_common::ids::BrokerId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::ids::{Endpoint, ReplicaKey, Voter};
use crate::peer::{Answers, CallError, Kind, Peers, Refusal, RefusalCode, Target};
use crate::quorum::Leadership;

/// How long is waited before a leader is looked for again, if none is heard of before.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a node is not waited for any more.
const OTHER_LEADER: &str = "another node leads now";

/// The way to the leader.
#[derive(Debug)]
pub(crate) struct LeaderClient {
    pub(crate) me: ReplicaKey,
    /// What this node answers itself.
    pub(crate) here: Arc<dyn Answers>,
    pub(crate) peers: Arc<Peers>,
    /// Where the voters are reached, as the settings have it.
    pub(crate) voters: BTreeMap<BrokerId, Endpoint>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// The voter that is asked next where no leader is known; nodes begin with different ones.
    pub(crate) turn: AtomicUsize,
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it is given up.
    pub(crate) until: Instant,
    /// With each node that is asked.
    pub(crate) each: Duration,
    /// Whether the request may be made again if it may have been done: it is a read.
    pub(crate) may_repeat: bool,
}

/// The leader did not answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// None was found. Nothing was done.
    NoLeader,
    /// It says no. Nothing was done.
    Refused(String),
    /// It says not yet. Nothing was done.
    NotYet(String),
    /// It may have been done, or may be yet, or never.
    Unknown(String),
}

/// Who is asked.
#[derive(Clone, Debug)]
struct Asked {
    /// None of a voter of which only node id and address are known.
    key: Option<ReplicaKey>,
    target: Target,
}

impl LeaderClient {
    /// Asks the leader.
    pub(crate) async fn ask(
        &self,
        kind: Kind,
        request: Bytes,
        patience: Patience,
    ) -> Result<Bytes, AskError> {
        let mut leadership = self.leadership.clone();
        let mut hint = None;
        let mut last = AskError::NoLeader;
        while Instant::now() < patience.until {
            let (term, leader) = {
                let known = leadership.borrow_and_update();
                (known.term, known.leader.clone())
            };
            let was_hinted = hint.is_some();
            let Some(asked) = self.choose(hint.take().or(leader)) else {
                self.pause(&mut leadership, patience).await;
                continue;
            };
            match self.ask_one(&asked, kind, request.clone(), patience, term).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::NotSent(_)) => {}
                Err(CallError::Refused(Refusal {
                    code: RefusalCode::NotLeader, leader, ..
                })) => {
                    hint = leader.filter(|leader| Some(leader.key) != asked.key && !was_hinted);
                }
                Err(CallError::Refused(Refusal { code: RefusalCode::Invalid, reason, .. })) => {
                    return Err(AskError::Refused(reason));
                }
                Err(CallError::Refused(Refusal { code: RefusalCode::NotYet, reason, .. })) => {
                    return Err(AskError::NotYet(reason));
                }
                Err(error) if patience.may_repeat => last = AskError::Unknown(error.to_string()),
                Err(error) => return Err(AskError::Unknown(error.to_string())),
            }
            if hint.is_none() {
                self.pause(&mut leadership, patience).await;
            }
        }
        Err(last)
    }

    async fn pause(&self, leadership: &mut watch::Receiver<Leadership>, patience: Patience) {
        let until = patience.until.min(Instant::now() + PAUSE);
        // At the end of a member nobody leads any more; a pause it is all the same.
        if let Ok(Err(_)) = timeout_at(until, leadership.changed()).await {
            tokio::time::sleep_until(until).await;
        }
    }

    fn choose(&self, leader: Option<Voter>) -> Option<Asked> {
        if let Some(Voter { key, endpoint }) = leader {
            return Some(Asked { key: Some(key), target: self.target(key, endpoint) });
        }
        let others: Vec<_> =
            self.voters.iter().filter(|(node, _)| **node != self.me.node).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (node, endpoint) = others.get(turn % others.len().max(1))?;
        let target = Target { node: **node, directory: None, endpoint: (*endpoint).clone() };
        Some(Asked { key: None, target })
    }

    /// The settings may know better than the quorum where a node is reached.
    pub(crate) fn target(&self, key: ReplicaKey, endpoint: Endpoint) -> Target {
        let endpoint = self.voters.get(&key.node).cloned().unwrap_or(endpoint);
        Target { node: key.node, directory: Some(key.directory), endpoint }
    }

    async fn ask_one(
        &self,
        asked: &Asked,
        kind: Kind,
        request: Bytes,
        patience: Patience,
        term: u64,
    ) -> Result<Bytes, CallError> {
        let until = patience.until.min(Instant::now() + patience.each);
        let other_leader = || self.other_leader(asked.target.node, term);
        let connection = if asked.key == Some(self.me) {
            None
        } else {
            tokio::select! {
                biased;
                connected = self.peers.connected(&asked.target, until) => Some(connected?),
                () = other_leader() => return Err(CallError::NotSent(OTHER_LEADER.to_owned())),
            }
        };
        let answer = async {
            if let Some(connection) = connection {
                return connection.call(kind, request, until).await;
            }
            let answer = self.here.answer(self.me, kind, request);
            match timeout_at(until, answer).await {
                Ok(answer) => answer.map(|answer| answer.bytes).map_err(CallError::Refused),
                Err(_) => Err(CallError::Lost("no answer in time".to_owned())),
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = other_leader() => Err(CallError::Lost(OTHER_LEADER.to_owned())),
        }
    }

    /// Completes when a later leader is known than the one that is asked.
    async fn other_leader(&self, asked: BrokerId, term: u64) {
        let mut leadership = self.leadership.clone();
        let other = leadership.wait_for(|now| {
            now.term > term && now.leader.as_ref().is_some_and(|now| now.key.node != asked)
        });
        if other.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
