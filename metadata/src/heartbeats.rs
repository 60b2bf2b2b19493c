//! What brokers tell the quorum's leader: that they live, how their slots fare, and what their
//! partitions carry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use odradek_common::ids::{TopicId, TopicPartition};
use odradek_common::limits::{BROKERS, HEARTBEAT_LOADS};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::balance::Load;
use crate::handle::Metadata;
use crate::ids::{Incarnation, ReplicaKey};
use crate::leader::Patience;
use crate::membership::QuorumCallError;
use crate::peer::{Kind, Refusal};
use crate::sessions::Landings;

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who lives.
    pub of: Incarnation,
    /// How its slots fare.
    pub landings: Landings,
    /// What its partitions carry, the heaviest at least, [`HEARTBEAT_LOADS`] at most; none where
    /// nothing was measured since the last.
    pub loads: Vec<(TopicPartition, Load)>,
}

/// The same on the wire.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeartbeatRequest {
    #[prost(int32, tag = "1")]
    broker: i32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    stalled_ms: u64,
    #[prost(uint64, optional, tag = "4")]
    landed_ms_ago: Option<u64>,
    #[prost(message, repeated, tag = "5")]
    loads: Vec<LoadRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct LoadRecord {
    #[prost(fixed64, tag = "1")]
    topic_high: u64,
    #[prost(fixed64, tag = "2")]
    topic_low: u64,
    #[prost(int32, tag = "3")]
    partition: i32,
    #[prost(uint64, tag = "4")]
    bytes_per_s: u64,
    #[prost(uint64, tag = "5")]
    requests_per_s: u64,
}

impl From<&Heartbeat> for HeartbeatRequest {
    fn from(heartbeat: &Heartbeat) -> Self {
        let load = |(at, load): &(TopicPartition, Load)| {
            let (topic_high, topic_low) = at.topic.0.as_u64_pair();
            let Load { bytes_per_s, requests_per_s } = *load;
            let partition = at.partition;
            LoadRecord { topic_high, topic_low, partition, bytes_per_s, requests_per_s }
        };
        Self {
            broker: heartbeat.of.broker.0,
            epoch: heartbeat.of.epoch.0,
            stalled_ms: ms(heartbeat.landings.stalled),
            landed_ms_ago: heartbeat.landings.newest.map(ms),
            loads: heartbeat.loads.iter().map(load).collect(),
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl HeartbeatRequest {
    /// What `from` says, if it may.
    pub(crate) fn check(self, from: ReplicaKey) -> Result<Heartbeat, Refusal> {
        if self.broker != from.node.0 {
            return Err(Refusal::invalid("a node speaks for another broker"));
        }
        if self.loads.len() > HEARTBEAT_LOADS {
            return Err(Refusal::invalid("there are too many loads"));
        }
        let load = |record: LoadRecord| {
            let topic = TopicId(Uuid::from_u64_pair(record.topic_high, record.topic_low));
            let LoadRecord { partition, bytes_per_s, requests_per_s, .. } = record;
            (TopicPartition { topic, partition }, Load { bytes_per_s, requests_per_s })
        };
        Ok(Heartbeat {
            of: Incarnation {
                broker: from.node,
                epoch: odradek_common::ids::BrokerEpoch(self.epoch),
            },
            landings: Landings {
                stalled: Duration::from_millis(self.stalled_ms),
                newest: self.landed_ms_ago.map(Duration::from_millis),
            },
            loads: self.loads.into_iter().map(load).collect(),
        })
    }
}

/// What a member has heard and nobody has looked at: of the leader, [`crate::controller`] does.
#[derive(Debug, Default)]
pub(crate) struct Board {
    heard: Mutex<BTreeMap<Incarnation, (Heartbeat, Instant)>>,
    /// Nodes whose connection has ended.
    left: Mutex<BTreeSet<ReplicaKey>>,
    /// Who spoke as the leader last, and when.
    led: Mutex<Option<(ReplicaKey, Instant)>>,
    changed: Notify,
}

impl Board {
    /// A broker was heard of now.
    pub(crate) fn heard(&self, mut heartbeat: Heartbeat) {
        let mut heard = self.heard.lock();
        let has_room = heard.len() < 2 * BROKERS || heard.contains_key(&heartbeat.of);
        if !has_room {
            return;
        }
        if let Some((before, _)) = heard.remove(&heartbeat.of)
            && heartbeat.loads.is_empty()
        {
            heartbeat.loads = before.loads;
        }
        heard.insert(heartbeat.of, (heartbeat, Instant::now()));
    }

    /// A node's connection has ended.
    pub(crate) fn left(&self, node: ReplicaKey) {
        let mut left = self.left.lock();
        if left.len() < 2 * BROKERS {
            left.insert(node);
            self.changed.notify_one();
        }
    }

    /// The leader spoke to this member now.
    pub(crate) fn led(&self, leader: ReplicaKey) {
        *self.led.lock() = Some((leader, Instant::now()));
    }

    /// Who spoke to this member as the leader last, and when.
    pub(crate) fn last_leader(&self) -> Option<(ReplicaKey, Instant)> {
        *self.led.lock()
    }

    /// What was heard since the last call.
    pub(crate) fn take_heard(&self) -> Vec<(Heartbeat, Instant)> {
        std::mem::take(&mut *self.heard.lock()).into_values().collect()
    }

    /// Whose connections have ended since the last call.
    pub(crate) fn take_left(&self) -> BTreeSet<ReplicaKey> {
        std::mem::take(&mut *self.left.lock())
    }

    /// Completes when a connection has ended.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Metadata {
    /// Tells the quorum's leader that a broker of this node lives; waits `patience` for it at most.
    ///
    /// # Errors
    /// No leader has heard of it, as far as is known.
    pub async fn heartbeat(
        &self,
        heartbeat: &Heartbeat,
        patience: Duration,
    ) -> Result<(), QuorumCallError> {
        let request = HeartbeatRequest::from(heartbeat).encode_to_vec().into();
        let until = Instant::now() + patience;
        let patience = Patience { until, each: patience, may_repeat: true };
        self.leader.ask(Kind::Heartbeat, request, patience).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::{BrokerEpoch, BrokerId};

    use super::*;
    use crate::ids::DirectoryId;

    fn heartbeat(stalled_ms: u64, loads: Vec<(TopicPartition, Load)>) -> Heartbeat {
        let of = Incarnation { broker: BrokerId(3), epoch: BrokerEpoch(9) };
        let newest = (stalled_ms > 1).then_some(Duration::from_secs(7));
        let landings = Landings { stalled: Duration::from_millis(stalled_ms), newest };
        Heartbeat { of, landings, loads }
    }

    fn node(node: i32) -> ReplicaKey {
        ReplicaKey { node: BrokerId(node), directory: DirectoryId(Uuid::from_u128(1)) }
    }

    fn load() -> (TopicPartition, Load) {
        let topic = TopicId(Uuid::from_u128(u128::MAX - 5));
        (TopicPartition { topic, partition: 2 }, Load { bytes_per_s: 7, requests_per_s: 1 })
    }

    #[test]
    fn a_heartbeat_is_read_back_and_speaks_for_its_node_alone() {
        let sent = heartbeat(1500, vec![load()]);
        assert_eq!(HeartbeatRequest::from(&sent).check(node(3)).unwrap(), sent);
        assert!(HeartbeatRequest::from(&sent).check(node(4)).is_err());
        let many = heartbeat(0, vec![load(); HEARTBEAT_LOADS + 1]);
        assert!(HeartbeatRequest::from(&many).check(node(3)).is_err());
    }

    #[tokio::test]
    async fn the_newest_is_kept_with_the_loads_that_were_not_looked_at() {
        let board = Board::default();
        board.heard(heartbeat(1, vec![load()]));
        board.heard(heartbeat(2, vec![]));
        let heard = board.take_heard();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].0, heartbeat(2, vec![load()]));
        assert!(board.take_heard().is_empty());
    }
}
