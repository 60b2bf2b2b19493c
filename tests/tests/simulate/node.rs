//! One broker of a simulation, through all its lives.

use std::sync::Arc;
use std::time::Duration;

use odradek_broker::process::{Process, World};
use odradek_broker::settings::{Settings, Sources};
use odradek_common::clock::ManualClock;
use odradek_common::files::sim::SimFiles;
use odradek_common::net::sim::SimNetwork;
use odradek_common::phases::Phases;
use odradek_common::random::{Random, SeededRandom};
use odradek_storage::store::sim::SimStore;
use tokio::task::JoinHandle;

use crate::stepped::{Stepped, TICK_MS};

/// The port that clients use.
pub const PORT: u16 = 9092;

/// Until a supervisor starts a broker again that ended by itself.
const RESTART_MS: u64 = 500;

/// What all nodes share.
pub struct Shared {
    pub network: SimNetwork,
    pub store: SimStore,
    pub random: SeededRandom,
}

/// A broker's machine.
pub struct Node {
    pub name: String,
    id: usize,
    files: SimFiles,
    pub clock: Arc<ManualClock>,
    state: State,
}

enum State {
    Down { until_ms: u64 },
    Up { runtime: Stepped, life: JoinHandle<Ended>, paused_until_ms: u64 },
}

/// Why a broker ended by itself.
pub enum Ended {
    /// It did not come up.
    Start(String),
    /// Something in it ended.
    Part(String),
}

/// Settings under which everything happens often.
fn settings(id: usize, name: &str) -> anyhow::Result<Settings> {
    let flags = [
        format!("node.id={id}"),
        format!("listeners=PLAINTEXT://{name}:{PORT}"),
        "data.dir=/data".to_owned(),
        "admin.listen=".to_owned(),
        "storage.url=memory://simulated".to_owned(),
        "wal.kind=object".to_owned(),
        "wal.linger.max.ms=20".to_owned(),
        "flush.interval.ms=700".to_owned(),
        "merge.interval.ms=1500".to_owned(),
        "collect.interval.ms=2000".to_owned(),
        "collect.grace.ms=0".to_owned(),
        "metadata.snapshot.entries=100".to_owned(),
        "offsets.topic.num.partitions=2".to_owned(),
        "group.initial.rebalance.delay.ms=100".to_owned(),
        "group.min.session.timeout.ms=1000".to_owned(),
    ];
    let sources = Sources { file: None, environment: Vec::new(), flags: flags.to_vec() };
    Ok(Settings::load(&sources)?.0)
}

impl Node {
    /// A node that is not started yet.
    pub fn new(id: usize, wall_ms: i64) -> Self {
        let clock = Arc::new(ManualClock::at(wall_ms));
        let files = SimFiles::with_clock(clock.clone());
        Self { name: format!("node{id}"), id, files, clock, state: State::Down { until_ms: 0 } }
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
            State::Up { paused_until_ms, .. } if *paused_until_ms >= to_ms => return Ok(None),
            State::Up { .. } => {}
        }
        let State::Up { runtime, life, .. } = &mut self.state else { return Ok(None) };
        runtime.step(to_ms);
        if !life.is_finished() {
            return Ok(None);
        }
        let ended = runtime.finish(life);
        self.state = State::Down { until_ms: to_ms + RESTART_MS };
        Ok(Some(ended.unwrap_or_else(|panic| Ended::Part(panic.to_string()))))
    }

    fn start(&mut self, now_ms: u64, shared: &Shared) -> anyhow::Result<()> {
        shared.network.power_on(&self.name);
        let world = World {
            clock: self.clock.clone(),
            random: Arc::new(SeededRandom::from_seed(shared.random.next_u64())),
            files: Arc::new(self.files.clone()),
            network: Arc::new(shared.network.host(&self.name)),
            phases: Phases::none(),
            store: Some(Arc::new(shared.store.clone())),
        };
        let settings = settings(self.id, &self.name)?;
        let runtime = Stepped::new(now_ms)?;
        let life = runtime.spawn(async move {
            match Process::start(settings, world).await {
                Ok(mut process) => Ended::Part(process.failed().await.to_string()),
                Err(error) => Ended::Start(error.to_string()),
            }
        });
        self.state = State::Up { runtime, life, paused_until_ms: 0 };
        Ok(())
    }

    /// Ends it as `kill -9` does; it comes back at `until_ms`.
    pub fn kill(&mut self, until_ms: u64) {
        self.state = State::Down { until_ms };
    }

    /// Takes its power: what was not synced may be lost, and nobody hears of it.
    pub fn cut_power(&mut self, until_ms: u64, shared: &Shared) {
        shared.network.power_off(&self.name);
        self.state = State::Down { until_ms };
        self.files = self.files.power_cut(&shared.random);
    }

    /// Stops its threads, as SIGSTOP does.
    pub fn pause(&mut self, until_ms: u64) {
        if let State::Up { paused_until_ms, .. } = &mut self.state {
            *paused_until_ms = until_ms;
        }
    }

    /// Moves its wall clock on.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(i64::try_from(time.as_millis()).unwrap_or(0));
    }
}
