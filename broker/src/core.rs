//! What every handler and every background job shares: one broker process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kafka_protocol::ResponseError;
use odradek_common::clock::SharedClock;
use odradek_common::ids::{ClusterId, LeaderEpoch, TopicId, TopicPartition};
use odradek_common::random::SharedRandom;
use odradek_metadata::{Command, Image, Incarnation, Metadata, Outcome, ProposeError};
use odradek_storage::catalog::Catalog;
use odradek_storage::reader::LogReader;
use odradek_storage::wal::ChainHandle;

use crate::fetch_sessions::FetchSessions;
use crate::group::GroupService;
use crate::logs::Logs;
use crate::metric_names;
use crate::partition::{AppendError, Appended, PartitionLog};
use crate::producer_ids::ProducerIds;
use crate::server::Connections;
use crate::server::budget::{AnswerBudget, RequestBudget};
use crate::settings::Settings;

/// Limits that settings give.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `socket.request.max.bytes`.
    pub frame_bytes_max: usize,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// The longest wait of a fetch, whatever it asks for.
    pub fetch_wait_max: Duration,
    /// `connections.max.idle.ms`.
    pub connection_idle_max: Duration,
    /// `max.connections`.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: usize,
}

/// An address that a listener advertises to its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// One broker process.
pub struct Core {
    /// This registration.
    pub me: Incarnation,
    /// The cluster.
    pub cluster: ClusterId,
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// Limits that settings give.
    pub limits: Limits,
    /// Commands to and images of the cluster's metadata.
    pub metadata: Metadata,
    /// The logs owned here.
    pub logs: Arc<Logs>,
    /// The chain that all partitions of this broker are pinned to.
    pub chain: ChainHandle,
    /// What lies where in the bucket.
    pub catalog: Arc<Catalog>,
    /// Reads of what left the cache.
    pub reader: Arc<LogReader>,
    /// The group coordinator.
    pub groups: GroupService,
    /// Fetch sessions.
    pub fetch_sessions: FetchSessions,
    /// Producer ids to hand out.
    pub producer_ids: ProducerIds,
    /// Wall clock.
    pub clock: SharedClock,
    /// Randomness.
    pub random: SharedRandom,
    /// Bytes of requests in memory.
    pub request_bytes: RequestBudget,
    /// Bytes of answers on their way out.
    pub answer_bytes: AnswerBudget,
    /// Connections open.
    pub connections: Arc<Connections>,
    /// Settings of topics as they are in force, by topic.
    pub topic_configs: ArcSwap<HashMap<TopicId, crate::topic_settings::TopicConfig>>,
}

impl Core {
    /// The metadata as this broker knows it now.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        self.metadata.image()
    }

    /// The id of the live topic `name`.
    #[must_use]
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.image().live_topic_named(name).map(|t| t.id)
    }

    /// The name of the live topic `id`.
    #[must_use]
    pub fn topic_name(&self, id: TopicId) -> Option<Arc<str>> {
        self.image().live_topic(id).map(|t| t.name.clone())
    }

    /// The live topic that a request names by id, or by name where the id is nil.
    #[must_use]
    pub fn topic_named_or_id(&self, name: &str, id: TopicId) -> Option<TopicId> {
        if id == TopicId::NIL { self.topic_id(name) } else { self.topic_name(id).map(|_| id) }
    }

    /// The log of a partition that this broker owns.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition` if there is none; `NotLeaderOrFollower` if another broker owns it,
    /// or this one did not take it up yet.
    pub fn owned_log(&self, id: TopicPartition) -> Result<Arc<PartitionLog>, ResponseError> {
        if let Some(log) = self.logs.get(&id) {
            return Ok(log);
        }
        match self.image().partition(id) {
            Some(_) => Err(ResponseError::NotLeaderOrFollower),
            None => Err(ResponseError::UnknownTopicOrPartition),
        }
    }

    /// The leader epochs of a partition since its log start, with their start offsets.
    #[must_use]
    pub fn leader_epochs(&self, id: TopicPartition) -> Vec<(LeaderEpoch, i64)> {
        let image = self.image();
        let epochs = image.partition(id).map(|p| p.leader_epochs.clone());
        epochs.iter().flat_map(|e| e.iter()).map(|e| (e.epoch, e.start_offset)).collect()
    }

    /// The leader epoch in which the record at `offset` was appended.
    #[must_use]
    pub fn leader_epoch_of(&self, log: &PartitionLog, offset: i64) -> Option<LeaderEpoch> {
        let epochs = self.leader_epochs(log.id);
        let newest = epochs.iter().rev().find(|(_, start)| *start <= offset);
        newest.or(epochs.first()).map(|(epoch, _)| *epoch)
    }

    /// Proposes a command and waits until it is applied here.
    ///
    /// # Errors
    /// See [`ProposeError`]: a time-out is a third state.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        self.metadata.propose(command).await
    }

    /// Counts what a produce came to.
    pub fn count_produced(&self, outcome: &Result<Appended, AppendError>) {
        metric_names::count_produced(outcome.is_ok());
    }
}
