//! A broker process from start to end: what is opened in which order, who watches over what runs,
//! and how it stops.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use object_store::ObjectStore;
use odradek_common::blocking;
use odradek_common::clock::SharedClock;
use odradek_common::files::SharedFiles;
use odradek_common::ids::{BrokerId, ChainId};
use odradek_common::limits::{ANSWER_BYTES, CATALOG_CACHE_BYTES, REFUSED_BATCHES_BYTES};
use odradek_common::net::SharedNetwork;
use odradek_common::phases::Phases;
use odradek_common::random::SharedRandom;
use odradek_metadata::balance::BalanceOptions;
use odradek_metadata::{
    Command, ControllerOptions, Endpoint, Incarnation, Metadata, PeerSecret, SessionOptions,
    SetDraining,
};
use odradek_storage::catalog::Catalog;
use odradek_storage::collect::Collector;
use odradek_storage::names::{ChainRef, Names};
use odradek_storage::reader::LogReader;
use odradek_storage::wal::{Chain, ChainError, ChainOptions};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin_http::{AdminServer, recorder};
use crate::background::{self, settings::AlteredSettings};
use crate::backlog::Backlog;
use crate::broken::Law;
use crate::core::{Core, Limits};
use crate::directory::{DataDirectory, DirectoryError};
use crate::fetch_sessions::FetchSessions;
use crate::group::{GroupService, GroupSettings};
use crate::handover::HandedSlots;
use crate::logs::Logs;
use crate::opening::{self, OpenError};
use crate::producer_ids::ProducerIds;
use crate::readiness::BrokerReadiness;
use crate::registration::{self, RegisterError};
use crate::server::budget::{AnswerBudget, RequestBudget};
use crate::server::{self, Bound, Connections};
use crate::settings::{HostPort, Settings, WalKind};
use crate::takeover::TakeoverError;
use crate::wals::{self, Wals};

/// What a process takes from the world around it.
#[derive(Clone, Debug)]
pub struct World {
    /// Wall clock.
    pub clock: SharedClock,
    /// Randomness.
    pub random: SharedRandom,
    /// File system.
    pub files: SharedFiles,
    /// Network.
    pub network: SharedNetwork,
    /// Where the steps towards durability are noted; nowhere, unless a test wants it.
    pub phases: Phases,
    /// An object store in place of the one that `storage.url` names.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// A law to break; none, unless a test wants to see that it is noticed.
    #[doc(hidden)]
    pub broken: Option<Law>,
}

/// Why a broker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error("data directory: {0}")]
    Directory(#[from] DirectoryError),
    /// The store, or the formation of the cluster in it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The metadata.
    #[error("metadata: {0}")]
    Metadata(#[from] odradek_metadata::StartError),
    /// A listener.
    #[error("listener {name} cannot listen on {host}:{port}: {source}")]
    Listen {
        /// The listener.
        name: String,
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The registration.
    #[error("registration: {0}")]
    Register(#[from] RegisterError),
    /// The write-ahead log.
    #[error("write-ahead log: {0}")]
    Wal(#[from] crate::wals::WalsError),
    /// What the former process left.
    #[error("recovery: {0}")]
    Takeover(#[from] TakeoverError),
    /// The admin server.
    #[error("admin.listen: cannot listen on {0}: {1}")]
    Admin(String, std::io::Error),
    /// The metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] recorder::RecorderError),
}

/// A running broker.
pub struct Process {
    /// What its parts share.
    pub core: Arc<Core>,
    /// Listeners as they are bound: name, host, port.
    pub listening: Vec<(String, String, u16)>,
    /// Where the admin server listens, if there is one.
    pub admin: Option<SocketAddr>,
    /// What must not end: the chain, the metadata, the work in the background.
    vital: JoinSet<(&'static str, Result<(), String>)>,
    connections: TaskTracker,
    chain_stop: CancellationToken,
    metadata_stop: CancellationToken,
    background_stop: CancellationToken,
    heartbeat_stop: CancellationToken,
    /// The chain ended at a seal.
    met_seal: Arc<AtomicBool>,
    _directory: DataDirectory,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("listening", &self.listening).finish_non_exhaustive()
    }
}

/// What the steps of a start take: who waits for one wants to know for what.
struct Took(Instant);

impl Took {
    /// The time since the last lap.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}

/// A part of the process that must not end has ended.
#[derive(Debug, thiserror::Error)]
#[error("{part} ended: {reason}")]
pub struct PartEnded {
    part: &'static str,
    reason: String,
    /// Because this broker was fenced, as happens to one that could not be heard of for a while: a new
    /// process may take part at once.
    pub is_fenced: bool,
}

/// How long the metadata may lag behind the end of a fenced broker.
const FENCE_LAG: Duration = Duration::from_secs(2);

impl Process {
    /// Starts a broker: returns when it serves clients.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(settings: Settings, world: World) -> Result<Self, StartError> {
        let mut took = Took(Instant::now());
        let settings = Arc::new(settings);
        let directory = open_directory(&settings, &world).await?;
        let mut vital = JoinSet::new();
        let metadata_stop = CancellationToken::new();
        let metadata =
            start_metadata(&settings, &world, &directory, &mut vital, &metadata_stop).await?;
        let metadata_took = took.lap();
        let opened = opening::open(&settings, &world, &directory, &metadata).await?;
        let cluster = opened.cluster.clone();
        let wal_is_disk = settings.wal_kind == WalKind::Disk;
        let wal_is_needed = wals::disk_is_needed(&metadata.image(), directory.has_wal());
        let note = move || directory.note_formed(cluster)?.claim_wal(wal_is_disk, wal_is_needed);
        let directory = blocking::run(note).await?;
        let store_took = took.lap();
        let bound = bind(&settings, &world).await?;
        let listening = bound
            .iter()
            .zip(&settings.listeners)
            .map(|(b, l)| (b.name.to_string(), l.advertised.host.clone(), b.port))
            .collect();

        let me = registration::register(&settings, &directory, &metadata, &bound).await?;
        let names = Names::new(opened.store.prefix().clone(), opened.cluster.clone());
        let wals =
            Arc::new(Wals::open(&settings, &world, &directory, &opened.store, &names).await?);
        let core_parts = Parts { settings, world, metadata, opened, names, wals, me };
        let (core, chain) = core_parts.core();
        let (background_stop, heartbeat_stop) =
            (CancellationToken::new(), CancellationToken::new());
        if core.settings().is_one_of_several() {
            // Its session has begun.
            let beating = background::heartbeat::run(core.clone());
            spawn(&mut vital, &heartbeat_stop, "heartbeats", beating);
        }
        if others(&core).is_none() {
            // What the former process left is served from the start.
            core.take_over().await?;
        }
        let recovery_took = took.lap();

        let chain_stop = CancellationToken::new();
        let stop = chain_stop.clone();
        let met_seal = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&met_seal);
        vital.spawn(async move {
            let ended = chain.run(stop).await;
            note.store(matches!(ended, Err(ChainError::Fenced(_))), Ordering::Relaxed);
            ("the write-ahead chain", ended.map_err(text))
        });
        let mut altered = AlteredSettings::of(core.settings());
        altered.follow(&core, &core.image());
        background::ownership::follow(&core, &core.image()).await;
        spawn_background(&core, altered, &mut vital, &background_stop);
        let admin = spawn_admin(&core, &mut vital, &background_stop).await?;
        let connections = TaskTracker::new();
        for bound in bound {
            bound.serve(&core, &connections);
        }
        info!(
            metadata = ?metadata_took,
            store = ?store_took,
            recovery = ?recovery_took,
            rest = ?took.lap(),
            "started"
        );
        Ok(Self {
            core,
            listening,
            admin,
            vital,
            connections,
            chain_stop,
            metadata_stop,
            background_stop,
            heartbeat_stop,
            met_seal,
            _directory: directory,
        })
    }

    /// Waits until a part that must not end has ended.
    pub async fn failed(&mut self) -> PartEnded {
        let (part, reason) = match self.vital.join_next().await {
            Some(Ok((part, Ok(())))) => (part, "without an error".to_owned()),
            Some(Ok((part, Err(reason)))) => (part, reason),
            Some(Err(error)) => ("a task", error.to_string()),
            None => ("everything", "nothing was started".to_owned()),
        };
        let is_fenced = self.core.settings().is_one_of_several() && self.is_fenced().await;
        PartEnded { part, reason, is_fenced }
    }

    /// A seal names a fence, also where the metadata cannot be heard.
    async fn is_fenced(&self) -> bool {
        if self.met_seal.load(Ordering::Relaxed) {
            return true;
        }
        let mut images = self.core.metadata.subscribe();
        let fenced = background::heartbeat::fenced(&self.core, &mut images);
        tokio::time::timeout(FENCE_LAG, fenced).await.is_ok()
    }

    /// Stops: hands its partitions over where there are other brokers, takes no more requests, answers
    /// those in flight, makes everything appended durable, flushes. Within `limit`; what is not
    /// flushed by then is recovered, by others or at the next start.
    pub async fn stop(mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let is_alone = others(&self.core).is_none();
        if !is_alone {
            leave(&self.core, deadline - limit * 6 / 10).await;
        }
        self.core.draining.cancel();
        self.connections.close();
        let answered = tokio::time::timeout_at(deadline - limit * 4 / 10, self.connections.wait());
        if answered.await.is_err() {
            warn!("connections were closed with requests in flight");
        }
        self.background_stop.cancel();
        match tokio::time::timeout_at(deadline - limit / 5, background::flush::now(&self.core))
            .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(%error, "the last flush did not succeed; recovery will do it"),
            Err(_) => warn!("the last flush was too slow; recovery will do it"),
        }
        self.chain_stop.cancel();
        self.heartbeat_stop.cancel();
        if !is_alone {
            // Others need not wait until its session is over.
            let fence = self.core.propose(Command::FenceBroker(self.core.me));
            let _ = tokio::time::timeout_at(deadline - limit / 10, fence).await;
        }
        self.metadata_stop.cancel();
        let ended = async { while self.vital.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            warn!("the process ends with work in flight");
        }
        info!("stopped");
    }
}

/// Another live broker, if there is one.
fn others(core: &Core) -> Option<Incarnation> {
    let image = core.image();
    image.live_brokers().map(|other| other.incarnation).find(|other| *other != core.me)
}

/// Hands all partitions over, so that clients need not wait for a takeover.
async fn leave(core: &Arc<Core>, until: Instant) {
    let draining = SetDraining { broker: core.me, draining: true };
    let leave = async {
        core.propose(Command::SetDraining(draining)).await?;
        background::handover::drain(core).await
    };
    match tokio::time::timeout_at(until, leave).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "partitions are left; others will take them over"),
        Err(_) => warn!("handing over was too slow; others will take over what is left"),
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

async fn open_directory(
    settings: &Settings,
    world: &World,
) -> Result<DataDirectory, DirectoryError> {
    let (path, node) = (settings.node.data_dir.clone(), settings.node.id);
    let world = world.clone();
    blocking::run(move || DataDirectory::open(&world.files, &path, node, &*world.random)).await
}

async fn start_metadata(
    settings: &Settings,
    world: &World,
    directory: &DataDirectory,
    vital: &mut JoinSet<(&'static str, Result<(), String>)>,
    stop: &CancellationToken,
) -> Result<Metadata, odradek_metadata::StartError> {
    let options = odradek_metadata::Options {
        node: BrokerId(settings.node.id),
        directory_id: directory.id,
        directory: directory.path.join("raft"),
        cluster: directory.cluster.clone(),
        files: world.files.clone(),
        network: world.network.clone(),
        random: world.random.clone(),
        voters: settings.voters.iter().map(|(id, at)| (BrokerId(*id), endpoint(at))).collect(),
        listen: settings.controller_listener.as_ref().map(endpoint),
        secret: secret(settings),
        snapshot_entries: settings.metadata.snapshot_entries,
        phases: world.phases.clone(),
    };
    let (service, metadata) = Metadata::start(options).await?;
    let stopped = stop.clone();
    vital.spawn(async move { ("the metadata quorum", service.run(stopped).await.map_err(text)) });
    if settings.controller_listener.is_some() {
        let timeout = settings.metadata.session_timeout;
        let options = ControllerOptions {
            sessions: SessionOptions {
                timeout,
                gone_silence: settings.metadata.heartbeat_interval * 2,
                ..SessionOptions::default()
            },
            balance: settings.metadata.rebalance.then(BalanceOptions::default),
        };
        let watching = metadata.clone();
        let watch = async move { watching.control(options).await };
        spawn(vital, stop, "the watch over brokers", watch);
    }
    // Before it is noted, nodes learn from the store to which cluster they belong, and who founds it.
    let is_known = directory.cluster.is_some() || !settings.is_one_of_several();
    if is_known
        && metadata.is_initialised().await?
        && let Err(ended) = metadata.caught_up().await
    {
        let reason = match vital.join_next().await {
            Some(Ok((_, Err(reason)))) => reason,
            _ => ended.to_string(),
        };
        return Err(odradek_metadata::StartError::Raft(reason));
    }
    Ok(metadata)
}

fn secret(settings: &Settings) -> Option<PeerSecret> {
    let given = settings.metadata.quorum_secret.as_ref()?;
    PeerSecret::new(given.expose().as_bytes().to_vec())
}

fn endpoint(at: &HostPort) -> Endpoint {
    Endpoint { host: at.host.clone(), port: at.port }
}

async fn bind(settings: &Settings, world: &World) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    for listener in &settings.listeners {
        let (host, port) = (&listener.bind.host, listener.bind.port);
        let listening = server::bind(&*world.network, &listener.name, host, port).await;
        bound.push(listening.map_err(|source| StartError::Listen {
            name: listener.name.clone(),
            host: host.clone(),
            port,
            source,
        })?);
    }
    Ok(bound)
}

/// What a core is made of.
struct Parts {
    settings: Arc<Settings>,
    world: World,
    metadata: Metadata,
    opened: opening::Opened,
    names: Names,
    wals: Arc<Wals>,
    me: Incarnation,
}

impl Parts {
    fn core(self) -> (Arc<Core>, Chain) {
        let Self { settings, world, metadata, opened, names, wals, me } = self;
        let logs = Arc::new(Logs::new(settings.cache.log_bytes));
        let of = ChainRef { broker: me.broker, epoch: me.epoch, chain: ChainId(0) };
        let options = ChainOptions {
            slot_bytes: settings.wal.slot_bytes,
            linger_max: settings.wal.linger_max,
            linger_floor: settings.wal.linger_floor,
            puts_per_second: settings.wal.puts_per_second.into(),
            window: settings.wal.window,
            unlanded_bytes_max: settings.wal.unlanded_bytes,
            ..ChainOptions::new(of, opened.cluster.clone())
        };
        let (chain, handle) = Chain::new(options, wals.own(), logs.clone(), world.random.clone());
        let store = opened.store.retrying();
        let catalog = Arc::new(Catalog::new(store.clone(), names.clone(), CATALOG_CACHE_BYTES));
        let reader = LogReader::new(store, names.clone(), wals.clone(), settings.cache.block_bytes);
        let flush = &settings.background;
        let on_disk = settings.wal_kind == WalKind::Disk;
        let backlog_max_bytes = on_disk.then_some(flush.backlog_max_bytes);
        let core = Core {
            me,
            cluster: opened.cluster,
            limits: Limits::of(&settings),
            store: opened.store,
            names,
            wals,
            logs,
            chain: handle,
            catalog,
            reader: Arc::new(reader),
            groups: GroupService::new(
                group_settings(&settings),
                world.clock.clone(),
                world.random.clone(),
            ),
            fetch_sessions: FetchSessions::new(settings.fetch.session_slots, world.random.clone()),
            producer_ids: ProducerIds::new(me),
            request_bytes: RequestBudget::new(settings.network.queued_max_request_bytes),
            answer_bytes: AnswerBudget::new(ANSWER_BYTES),
            refused_bytes: RequestBudget::new(REFUSED_BATCHES_BYTES),
            left_out: ArcSwap::default(),
            backlog: Backlog::new(backlog_max_bytes, flush.flush_bytes),
            connections: Arc::new(Connections::default()),
            attempts: Arc::default(),
            handed_slots: HandedSlots::default(),
            flushing: tokio::sync::Mutex::new(()),
            draining: CancellationToken::new(),
            settings_now: ArcSwap::new(settings),
            metadata,
            clock: world.clock,
            random: world.random,
            phases: world.phases,
            broken: world.broken,
        };
        (Arc::new(core), chain)
    }
}

fn group_settings(settings: &Settings) -> GroupSettings {
    let groups = &settings.groups;
    GroupSettings {
        session_timeout_min: groups.min_session_timeout,
        session_timeout_max: groups.max_session_timeout,
        initial_rebalance_delay: groups.initial_rebalance_delay,
        group_members_max: groups.max_size,
        offset_metadata_max: groups.offset_metadata_max_bytes,
        offsets_retention: groups.offsets_retention(),
        offsets_retention_check: groups.offsets_retention_check_interval,
        commit_timeout: groups.offsets_commit_timeout,
    }
}

fn spawn_background(
    core: &Arc<Core>,
    altered: AlteredSettings,
    vital: &mut JoinSet<(&'static str, Result<(), String>)>,
    stop: &CancellationToken,
) {
    spawn(vital, stop, "the follower of the metadata", background::ownership::run(core.clone()));
    spawn(vital, stop, "handovers", background::handover::run(core.clone()));
    spawn(vital, stop, "takeovers", background::takeover::run(core.clone()));
    spawn(vital, stop, "altered settings", altered.run(core.clone()));
    spawn(vital, stop, "flush", background::flush::run(core.clone()));
    spawn(vital, stop, "backlog", background::backlog::run(core.clone()));
    spawn(vital, stop, "merge", background::merge::run(core.clone()));
    spawn(vital, stop, "retention", background::retention::run(core.clone()));
    spawn(vital, stop, "producer expiry", background::expire::run(core.clone()));
    spawn(vital, stop, "producer bound", background::expire::bound(core.clone()));
    if core.settings().roles.controller {
        let collector = collector(core);
        spawn(vital, stop, "the collector", background::collect::run(core.clone(), collector));
        spawn(vital, stop, "copies of the metadata", background::copies::run(core.clone()));
    }
}

fn collector(core: &Core) -> Collector {
    Collector::new(
        core.store.retrying(),
        core.names.clone(),
        core.catalog.clone(),
        core.wals.clone(),
        core.settings().background.collect_grace,
    )
    .with_phases(core.phases.clone())
}

async fn spawn_admin(
    core: &Arc<Core>,
    vital: &mut JoinSet<(&'static str, Result<(), String>)>,
    stop: &CancellationToken,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(listen) = core.settings().admin_listen.clone() else { return Ok(None) };
    let shown = recorder::install()?;
    let readiness = Arc::new(BrokerReadiness(core.clone()));
    let failed = |error| StartError::Admin(listen.to_string(), error);
    let server = AdminServer::bind(&listen, shown.clone(), readiness).await.map_err(failed)?;
    let address = server.address().map_err(failed)?;
    spawn(vital, stop, "metrics", recorder::upkeep(shown.clone(), stop.clone()));
    spawn(vital, stop, "gauges", background::gauges::run(core.clone(), shown));
    spawn(vital, stop, "the admin server", server.run(stop.clone()));
    Ok(Some(address))
}

fn spawn(
    vital: &mut JoinSet<(&'static str, Result<(), String>)>,
    stop: &CancellationToken,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    vital.spawn(async move {
        let _ = stop.run_until_cancelled(work).await;
        (name, Ok(()))
    });
}
