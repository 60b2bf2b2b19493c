//! What every handler and every background job shares: one broker process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kafka_protocol::ResponseError;
use odradek_common::clock::SharedClock;
use odradek_common::ids::{BrokerId, ChainId, ClusterId, LeaderEpoch, TopicId, TopicPartition};
use odradek_common::limits::FETCH_WAIT_MAX_MS;
use odradek_common::phases::Phases;
use odradek_common::random::SharedRandom;
use odradek_metadata::image::Registration;
use odradek_metadata::{Command, Image, Incarnation, Metadata, NotCopied, Outcome, ProposeError};
use odradek_storage::attempt::Attempt;
use odradek_storage::catalog::Catalog;
use odradek_storage::names::Names;
use odradek_storage::reader::LogReader;
use odradek_storage::store::Store;
use odradek_storage::wal::ChainHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempts::{Attempts, Begun};
use crate::background::flush::LeftOut;
use crate::backlog::Backlog;
use crate::broken::Law;
use crate::fetch_sessions::FetchSessions;
use crate::group::GroupService;
use crate::handover::HandedSlots;
use crate::logs::Logs;
use crate::metric_names;
use crate::partition::PartitionLog;
use crate::producer_ids::ProducerIds;
use crate::server::Connections;
use crate::server::budget::{AnswerBudget, RequestBudget};
use crate::settings::Settings;
use crate::takeover::{Takeover, TakeoverError};
use crate::topic_settings::TopicConfig;
use crate::topics::LiveTopics;
use crate::wals::Wals;

/// Limits that settings give for good.
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
}

impl Limits {
    /// Those of `settings`.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let network = &settings.network;
        Self {
            frame_bytes_max: network.request_max_bytes,
            fetch_bytes_max: settings.fetch.max_bytes,
            fetch_wait_max: Duration::from_millis(FETCH_WAIT_MAX_MS),
            connection_idle_max: network.max_idle().unwrap_or(Duration::MAX),
        }
    }
}

/// One broker process.
pub struct Core {
    /// This registration.
    pub me: Incarnation,
    /// The cluster.
    pub cluster: ClusterId,
    /// The settings in force, with what was altered at run time.
    pub settings_now: ArcSwap<Settings>,
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
    /// Where the steps towards durability are noted.
    pub phases: Phases,
    /// The law that is broken on purpose.
    pub(crate) broken: Option<Law>,
    /// Bytes of requests in memory.
    pub request_bytes: RequestBudget,
    /// Bytes of answers on their way out.
    pub answer_bytes: AnswerBudget,
    /// Bytes of what connections remember of refused batches.
    pub refused_bytes: RequestBudget,
    /// Connections open.
    pub connections: Arc<Connections>,
    /// The object store.
    pub store: Store,
    /// Names in it.
    pub names: Names,
    /// The write-ahead logs.
    pub wals: Arc<Wals>,
    /// The attempts that are under way.
    pub attempts: Arc<Attempts>,
    /// Slots of this broker's chain that it handed over.
    pub handed_slots: HandedSlots,
    /// Partitions that the last flush could not take along.
    pub left_out: ArcSwap<LeftOut>,
    /// Room for what is not yet in segments.
    pub backlog: Backlog,
    /// Held by the round of flushing, or the handover, that is under way.
    pub flushing: tokio::sync::Mutex<()>,
    /// Cancelled when the process stops: no new requests are taken.
    pub draining: CancellationToken,
}

impl Core {
    /// The settings in force now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings_now.load_full()
    }

    /// What the settings of a topic come to.
    #[must_use]
    pub fn topic_config(&self, overrides: &BTreeMap<String, String>) -> TopicConfig {
        TopicConfig::new(overrides, &self.settings())
    }

    /// `producer.id.expiration.ms`.
    #[must_use]
    pub fn producer_expiration_ms(&self) -> i64 {
        i64::try_from(self.settings().producers.id_expiration.as_millis()).unwrap_or(i64::MAX)
    }

    /// Looks how much is acknowledged here and not yet in segments, by which producers are slowed; but for
    /// partitions that cannot be flushed, whose trouble is not that of all.
    pub fn look_at_backlog(&self) {
        let (logs, left_out) = (self.logs.all(), self.left_out.load());
        let waiting = logs.iter().filter(|log| !left_out.contains(&log.id));
        self.backlog.set(waiting.map(|log| log.gathered()).sum());
    }

    /// The chain that this broker writes.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId(0)
    }

    /// Begins an attempt with the metadata as this broker knows it now.
    #[must_use]
    pub fn begin_attempt(&self) -> Begun {
        let attempt = |mark| {
            let (store, slots) = (self.store.retrying(), self.wals.clone());
            Attempt::new(store, self.names.clone(), self.random.clone(), slots, mark)
        };
        self.attempts.begin(|| self.image(), attempt)
    }

    /// The metadata as this broker knows it now.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        self.metadata.image()
    }

    /// Whether the quorum has more voters than one: now, at its formation, or by the settings.
    #[must_use]
    pub fn has_several_voters(&self) -> bool {
        let founders = self.image().cluster().map_or(0, |cluster| cluster.directories.len());
        founders > 1 || self.settings().voters.len() > 1 || self.metadata.voter_count() > 1
    }

    /// Waits until the bucket's copy of the metadata holds all up to `index`. A lone voter makes no copies: its
    /// own log is the copy from which it goes on (decision 16).
    ///
    /// # Errors
    /// It is not there in time.
    pub async fn copied(&self, index: u64) -> Result<(), NotCopied> {
        if self.has_several_voters() { self.metadata.copied(index).await } else { Ok(()) }
    }

    /// The broker that clients are told is the controller: the one that leads the quorum, if it is one; any
    /// serves what is meant for it.
    #[must_use]
    pub fn controller(&self) -> BrokerId {
        let leader = self.metadata.leader().map(|leader| leader.node);
        let image = self.image();
        let is_live = |node: &BrokerId| image.broker(*node).is_some_and(Registration::is_live);
        leader.filter(is_live).unwrap_or(self.me.broker)
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

    /// The same, but waits until `deadline` for a partition that the metadata gives to this broker
    /// and that it has not taken up yet, as long as the metadata does: clients are told who owns a
    /// partition when that is committed, and what they send in a row is not to be refused in part.
    ///
    /// # Errors
    /// As [`Self::owned_log`].
    pub async fn owned_log_by(
        &self,
        id: TopicPartition,
        deadline: Instant,
    ) -> Result<Arc<PartitionLog>, ResponseError> {
        match self.owned_log(id) {
            Err(ResponseError::NotLeaderOrFollower) if self.is_mine(&self.image(), id) => {}
            decided => return decided,
        }
        let (mut changes, mut images) = (self.logs.changes(), self.metadata.subscribe());
        let decided = async {
            tokio::select! {
                _ = changes.wait_for(|_| self.logs.get(&id).is_some()) => {}
                _ = images.wait_for(|image| !self.is_mine(image, id)) => {}
            }
        };
        let _ = tokio::time::timeout_at(deadline, decided).await;
        self.owned_log(id)
    }

    /// Whether `image` gives a partition to this broker.
    fn is_mine(&self, image: &Image, id: TopicPartition) -> bool {
        image.partition(id).is_some_and(|partition| partition.owner == self.me)
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

    /// Takes over what fenced brokers left, former processes of this one too.
    ///
    /// # Errors
    /// See [`TakeoverError`].
    pub async fn take_over(&self) -> Result<(), TakeoverError> {
        self.with_takeover(async |takeover| takeover.all().await).await
    }

    /// Takes over what one fenced broker left, if it is not done yet.
    ///
    /// # Errors
    /// See [`TakeoverError`].
    pub async fn take_over_from(&self, from: Incarnation) -> Result<(), TakeoverError> {
        let image = self.image();
        match image.registration(from).filter(|from| !from.is_live() && !from.recovered) {
            Some(from) => self.with_takeover(async |takeover| takeover.one(from).await).await,
            None => Ok(()),
        }
    }

    async fn with_takeover<T>(&self, work: impl AsyncFnOnce(&Takeover<'_>) -> T) -> T {
        let takeover = Takeover {
            metadata: &self.metadata,
            catalog: &self.catalog,
            wal_of: &|registration| self.wals.of(registration),
            begin_attempt: &|| self.begin_attempt(),
            me: self.me,
            now_ms: self.clock.now_ms(),
            producer_expiration_ms: self.producer_expiration_ms(),
            phases: &self.phases,
            broken: self.broken,
        };
        work(&takeover).await
    }

    /// Proposes a command and waits until it is applied here.
    ///
    /// # Errors
    /// See [`ProposeError`]: a time-out is a third state.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let begun = Instant::now();
        let outcome = self.metadata.propose(command).await;
        metrics::histogram!(metric_names::METADATA_PROPOSE_SECONDS)
            .record(begun.elapsed().as_secs_f64());
        outcome
    }
}
