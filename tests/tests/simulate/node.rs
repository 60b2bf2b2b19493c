//! One broker of a simulation, through all its lives.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use odradek_broker::broken::Law;
use odradek_broker::process::{Process, World};
use odradek_broker::run::START_OVER_PAUSE;
use odradek_broker::settings::{Settings, Sources};
use odradek_common::clock::ManualClock;
use odradek_common::files::sim::SimFiles;
use odradek_common::net::sim::SimNetwork;
use odradek_common::phases::Phases;
use odradek_common::random::{Random, SeededRandom};
use odradek_metadata::Image;
use odradek_storage::names::Names;
use odradek_storage::store::sim::SimStore;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::stepped::{Stepped, TICK_MS};

/// The port that clients use.
pub const PORT: u16 = 9092;

/// The port that voters use among themselves.
const CONTROLLER_PORT: u16 = 9093;

/// Partitions of the groups' topic.
pub const OFFSETS_PARTITIONS: u64 = 2;

/// Until a supervisor starts a broker again that ended by itself.
const RESTART_MS: u64 = 500;

/// Heartbeats in a session.
const HEARTBEATS: u64 = 7;

/// What all nodes share.
pub struct Shared {
    pub network: SimNetwork,
    pub store: SimStore,
    pub random: SeededRandom,
    /// How long a broker may be silent, in this world.
    pub session_ms: u64,
    /// The law that all brokers break.
    pub broken: Option<Law>,
}

/// A broker's machine.
pub struct Node {
    pub name: String,
    id: usize,
    /// As the settings name them; empty where it is alone.
    voters: String,
    files: SimFiles,
    pub clock: Arc<ManualClock>,
    state: State,
    asked: Option<Arc<Image>>,
}

enum State {
    Down { until_ms: u64 },
    Up(Up),
}

/// A life.
struct Up {
    runtime: Stepped,
    life: JoinHandle<Ended>,
    paused_until_ms: u64,
    /// Tells it to stop, once.
    stop: Option<oneshot::Sender<()>>,
    /// How long it stays down after it ended by itself.
    down_ms: u64,
    images: Images,
}

/// The metadata of a life, once it serves, and the names in the bucket.
type Images = Arc<OnceLock<(watch::Receiver<Arc<Image>>, Names)>>;

/// How a life ended that nobody cut short.
pub enum Ended {
    /// It did not come up.
    Start(String),
    /// Something in it ended.
    Part(String),
    /// It was fenced, and starts over.
    Fenced(String),
    /// It was told to stop.
    Stopped,
}

/// Settings under which everything happens often.
fn settings(id: usize, name: &str, voters: &str, session_ms: u64) -> anyhow::Result<Settings> {
    let mut flags = vec![
        format!("node.id={id}"),
        "data.dir=/data".to_owned(),
        "admin.listen=".to_owned(),
        "storage.url=s3://simulated".to_owned(),
        "wal.kind=object".to_owned(),
        "wal.linger.max.ms=20".to_owned(),
        "flush.interval.ms=700".to_owned(),
        "merge.interval.ms=1500".to_owned(),
        "collect.interval.ms=2000".to_owned(),
        "collect.grace.ms=0".to_owned(),
        "metadata.snapshot.entries=100".to_owned(),
        format!("offsets.topic.num.partitions={OFFSETS_PARTITIONS}"),
        "group.initial.rebalance.delay.ms=100".to_owned(),
        "group.min.session.timeout.ms=1000".to_owned(),
        "shutdown.timeout.ms=5000".to_owned(),
    ];
    let mut listeners = format!("listeners=PLAINTEXT://{name}:{PORT}");
    if !voters.is_empty() {
        listeners += &format!(",CONTROLLER://{name}:{CONTROLLER_PORT}");
        flags.extend([
            "process.roles=broker,controller".to_owned(),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("broker.session.timeout.ms={session_ms}"),
            format!("broker.heartbeat.interval.ms={}", session_ms / HEARTBEATS),
            "controller.quorum.secret=known to all of them".to_owned(),
            format!("controller.quorum.voters={voters}"),
        ]);
    }
    flags.push(listeners);
    let sources = Sources { file: None, environment: Vec::new(), flags };
    Ok(Settings::load(&sources)?.0)
}

/// The life of a broker, as `odradek start` leads it.
async fn live(
    settings: Settings,
    world: World,
    images: Images,
    mut stop: oneshot::Receiver<()>,
) -> Ended {
    let limit = settings.process.shutdown_timeout;
    let started = tokio::select! {
        biased;
        started = Process::start(settings, world) => started,
        _ = &mut stop => return Ended::Stopped,
    };
    let mut process = match started {
        Ok(process) => process,
        Err(error) => return Ended::Start(error.to_string()),
    };
    images.get_or_init(|| (process.core.metadata.subscribe(), process.core.names.clone()));
    let ended = tokio::select! {
        biased;
        ended = process.failed() => Some(ended),
        _ = &mut stop => None,
    };
    match ended {
        None => {
            process.stop(limit).await;
            Ended::Stopped
        }
        Some(ended) if ended.is_fenced => {
            sleep(START_OVER_PAUSE).await;
            Ended::Fenced(ended.to_string())
        }
        Some(ended) => Ended::Part(ended.to_string()),
    }
}

/// A node's name.
pub fn name(id: usize) -> String {
    format!("node{id}")
}

/// All nodes of a cluster, which are its voters; one of them alone is a broker without others.
pub fn all(count: usize, wall_ms: i64) -> Vec<Node> {
    let voter = |id| format!("{id}@{}:{CONTROLLER_PORT}", name(id));
    let voters: Vec<String> = (1..=count).map(voter).collect();
    let voters = if count > 1 { voters.join(",") } else { String::new() };
    (1..=count).map(|id| Node::new(id, voters.clone(), wall_ms)).collect()
}

impl Node {
    /// A node that is not started yet.
    fn new(id: usize, voters: String, wall_ms: i64) -> Self {
        let clock = Arc::new(ManualClock::at(wall_ms));
        let files = SimFiles::with_clock(clock.clone());
        let state = State::Down { until_ms: 0 };
        Self { name: name(id), id, voters, files, clock, state, asked: None }
    }

    /// Whether it runs, paused or not.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Lives up to `to_ms`; gives why it ended if it did.
    pub fn step(&mut self, to_ms: u64, shared: &Shared) -> anyhow::Result<Option<Ended>> {
        match &mut self.state {
            State::Down { until_ms } if *until_ms < to_ms => self.start(to_ms - TICK_MS, shared)?,
            State::Down { .. } => return Ok(None),
            State::Up(up) if up.paused_until_ms >= to_ms => return Ok(None),
            State::Up(_) => {}
        }
        let State::Up(up) = &mut self.state else { return Ok(None) };
        up.runtime.step(to_ms);
        if !up.life.is_finished() {
            return Ok(None);
        }
        let ended = up.runtime.finish(&mut up.life);
        let ended = ended.unwrap_or_else(|panic| Ended::Part(panic.to_string()));
        let down_ms = if let Ended::Fenced(_) = ended { 0 } else { up.down_ms };
        self.state = State::Down { until_ms: to_ms + down_ms };
        Ok(Some(ended))
    }

    fn start(&mut self, now_ms: u64, shared: &Shared) -> anyhow::Result<()> {
        shared.network.power_on(&self.name);
        let world = World {
            clock: self.clock.clone(),
            random: Arc::new(SeededRandom::from_seed(shared.random.next_u64())),
            files: Arc::new(self.files.clone()),
            network: Arc::new(shared.network.host(&self.name)),
            phases: Phases::none(),
            store: Some(Arc::new(shared.store.seen_from(&self.name))),
            broken: shared.broken,
        };
        let settings = settings(self.id, &self.name, &self.voters, shared.session_ms)?;
        let runtime = Stepped::new(now_ms)?;
        let (stop, stopped) = oneshot::channel();
        let images = Images::default();
        let life = runtime.spawn(live(settings, world, images.clone(), stopped));
        let (stop, down_ms) = (Some(stop), RESTART_MS);
        self.state = State::Up(Up { runtime, life, paused_until_ms: 0, stop, down_ms, images });
        Ok(())
    }

    /// The metadata as it has it, where that has changed since it was last asked.
    pub fn new_image(&mut self) -> Option<Arc<Image>> {
        let State::Up(up) = &self.state else { return None };
        let image = up.images.get()?.0.borrow().clone();
        if self.asked.as_ref().is_some_and(|asked| Arc::ptr_eq(asked, &image)) {
            return None;
        }
        self.asked = Some(image.clone());
        Some(image)
    }

    /// The names in the bucket, while it serves.
    pub fn names(&self) -> Option<Names> {
        let State::Up(up) = &self.state else { return None };
        Some(up.images.get()?.1.clone())
    }

    /// Ends it as `kill -9` does; it comes back at `until_ms`.
    pub fn kill(&mut self, until_ms: u64) {
        self.state = State::Down { until_ms };
    }

    /// Tells it to stop, as SIGTERM does; it comes back so long after it has ended. False if it was told
    /// before, or is down.
    pub fn stop(&mut self, down_ms: u64) -> bool {
        let State::Up(up) = &mut self.state else { return false };
        up.down_ms = down_ms;
        up.stop.take().is_some_and(|stop| stop.send(()).is_ok())
    }

    /// Takes its power: what was not synced may be lost, and nobody hears of it.
    pub fn cut_power(&mut self, until_ms: u64, shared: &Shared) {
        shared.network.power_off(&self.name);
        self.state = State::Down { until_ms };
        self.files = self.files.power_cut(&shared.random);
    }

    /// Stops its threads, as SIGSTOP does.
    pub fn pause(&mut self, until_ms: u64) {
        if let State::Up(up) = &mut self.state {
            up.paused_until_ms = until_ms;
        }
    }

    /// Moves its wall clock on.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(i64::try_from(time.as_millis()).unwrap_or(0));
    }
}
