//! The clients of a simulation: on one host, which never fails. They write down what they are told.

mod admin;
mod calls;
mod judge;
mod member;
mod notes;
mod producer;
mod reassign;
mod tail;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use odradek_common::clock::{Clock, SystemClock};
use odradek_common::net::sim::{SimHost, SimNetwork};
use odradek_common::random::SharedRandom;
use odradek_tests::history::Place;
use odradek_tests::wire::Failed;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub use self::notes::Notes;
pub use self::reassign::{MOVED, TAKEN_BACK};
use crate::sim::CLIENTS;
use crate::stepped::Stepped;
use crate::trace::Trace;

/// The topic under load; it keeps everything. Its number in the history is 0.
pub const TOPIC: &str = "kept";
/// Its partitions.
pub const PARTITIONS: i32 = 3;
/// How many of them there are.
const PRODUCERS: u32 = 3;
const MEMBERS: u32 = 2;

/// The partitions of the topic under load.
pub fn places() -> impl Iterator<Item = Place> {
    (0..PARTITIONS).map(|partition| Place { topic: 0, partition })
}

/// What all clients have in common.
pub struct Common {
    network: SimHost,
    brokers: Vec<String>,
    random: SharedRandom,
    pub notes: Notes,
    is_winding_up: AtomicBool,
    /// Where the logs end, once nobody produces any more.
    ends: Mutex<Option<BTreeMap<Place, i64>>>,
    /// What the group has committed.
    committed: Mutex<BTreeMap<Place, i64>>,
    /// What is waited for.
    stage: Mutex<&'static str>,
}

/// The clients, at work.
pub struct Clients {
    runtime: Stepped,
    work: JoinHandle<()>,
    common: Arc<Common>,
}

impl Clients {
    /// Starts them; they know these brokers.
    pub fn start(
        network: &SimNetwork,
        brokers: &[String],
        random: SharedRandom,
        trace: Trace,
    ) -> Result<Self> {
        let common = Arc::new(Common {
            network: network.host(CLIENTS),
            brokers: brokers.to_vec(),
            random,
            notes: Notes::new(trace),
            is_winding_up: AtomicBool::new(false),
            ends: Mutex::default(),
            committed: Mutex::default(),
            stage: Mutex::new("nothing yet"),
        });
        let runtime = Stepped::new(0)?;
        let work = runtime.spawn(work(common.clone()));
        Ok(Self { runtime, work, common })
    }

    /// Lets them work up to `to_ms`.
    pub fn step(&mut self, to_ms: u64) {
        self.runtime.step(to_ms);
    }

    /// Nothing new is begun from now on.
    pub fn wind_up(&self) {
        self.common.is_winding_up.store(true, Ordering::SeqCst);
    }

    /// Whether all is done and read.
    pub fn are_done(&self) -> bool {
        self.work.is_finished()
    }

    /// What they wait for.
    pub fn undone(&self) -> &'static str {
        *self.common.stage.lock()
    }

    /// What they saw.
    pub fn notes(&self) -> &Notes {
        &self.common.notes
    }
}

async fn work(common: Arc<Common>) {
    common.stage("the topic is made");
    while let Err(failed) = common.make_topic().await {
        common.bear(&failed).await;
    }
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|number| tokio::spawn(producer::produce(common.clone(), number)))
        .collect();
    let mut readers: Vec<_> =
        places().map(|place| tokio::spawn(tail::follow(common.clone(), place))).collect();
    readers.extend((0..MEMBERS).map(|_| tokio::spawn(member::belong(common.clone()))));
    let admin = tokio::spawn(admin::change_topics(common.clone()));
    let operator = tokio::spawn(reassign::reassign(common.clone()));
    common.stage("what was sent is acknowledged");
    for producer in producers {
        common.joined(producer.await);
    }
    common.stage("changes of topics are done");
    let topics = admin.await;
    common.stage("partitions are reassigned");
    common.joined(operator.await);
    common.stage("the ends of the logs are told");
    let ends = common.find_ends().await;
    *common.ends.lock() = Some(ends.clone());
    common.stage("all readers are at the end");
    for reader in readers {
        common.joined(reader.await);
    }
    common.stage("everything is read once more");
    judge::look(&common, &ends).await;
    if let Some(topics) = common.joined(topics) {
        judge::compare_topics(&common, &topics).await;
    }
}

impl Common {
    fn stage(&self, stage: &'static str) {
        *self.stage.lock() = stage;
    }

    fn is_winding_up(&self) -> bool {
        self.is_winding_up.load(Ordering::SeqCst)
    }

    /// What the clients' wall clock shows.
    fn wall_ms(&self) -> i64 {
        SystemClock.now_ms()
    }

    /// A number below `end`.
    fn below(&self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    async fn wait_ms(&self, least: u64, most: u64) {
        let ms = least + self.below(most - least + 1);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Waits before what failed is tried again. What no broker may answer is noted.
    async fn bear(&self, failed: &Failed) {
        if let Failed::Malformed(_) = failed {
            self.notes.problem(failed.to_string());
        }
        self.wait_ms(50, 300).await;
    }

    fn joined<T>(&self, result: Result<T, tokio::task::JoinError>) -> Option<T> {
        result.inspect_err(|error| self.notes.problem(error.to_string())).ok()
    }
}
