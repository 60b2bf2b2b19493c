//! One producer: records of its share of the schedule to all partitions, each over a connection to
//! its leader ([`lane`]).
//!
//! A partition whose leader refuses it or is gone waits in its queue until the metadata names another,
//! while the others go on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use parking_lot::Mutex;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::batch::RECORD_OVERHEAD_BYTES;
use super::cluster::{Cluster, Leaders};
use super::lane;
use super::options::Options;
use super::queues::{NO_PRODUCER, Queues};
use super::recorder::Recorder;
use super::schedule::{SECOND_NS, Schedule};
use super::shared::Shared;

/// Records that are made before others have their turn.
const BURST: usize = 250;
/// How long to rest when nothing is due.
const IDLE: Duration = Duration::from_millis(1);

/// What one producer has seen.
#[derive(Debug)]
pub struct Produced {
    /// Latencies of what was acknowledged.
    pub recorder: Recorder,
    /// Records due and not acknowledged in time.
    pub failed: u64,
}

/// What the tasks of one producer share.
#[derive(Debug)]
pub struct Producer {
    /// The run.
    pub shared: Arc<Shared>,
    /// The command line.
    pub options: Arc<Options>,
    /// What it has made and is not acknowledged.
    pub queues: Mutex<Queues>,
    cluster: Arc<Cluster>,
}

/// Runs producer `number` until the end of the schedule and until all is answered or given up.
///
/// # Errors
/// If the options are of no use.
pub async fn run(
    shared: Arc<Shared>,
    options: Arc<Options>,
    cluster: Arc<Cluster>,
    number: u32,
    partitions: Vec<i32>,
) -> Result<Produced> {
    ensure!(!partitions.is_empty(), "a topic without partitions");
    let rate = options.records_per_s()? / f64::from(options.producers);
    let queues = Mutex::new(Queues::new(&partitions, shared.recorder()));
    let producer = Arc::new(Producer { shared, options, queues, cluster });
    let at = number as usize % partitions.len();
    let mut maker = Maker::new(&producer, Schedule::of(rate), partitions, at);
    let mut lanes = JoinSet::new();
    tokio::select! {
        () = maker.run() => {}
        () = route(&producer, &mut lanes) => {}
    }
    if !maker.done() {
        // The lanes end too at that time, and put back what is in flight.
        while lanes.join_next().await.is_some() {}
    }
    let wanted = maker.wanted();
    let now_ns = producer.shared.now_ns();
    let mut queues = producer.queues.lock();
    queues.give_up(&producer.shared, u64::MAX, now_ns);
    Ok(Produced { recorder: queues.recorder.clone(), failed: wanted.saturating_sub(queues.acked) })
}

/// Finds leaders for partitions that have none, for ever, and opens the lanes to them.
async fn route(producer: &Arc<Producer>, lanes: &mut JoinSet<()>) {
    loop {
        let sought = producer.queues.lock().sought(producer.shared.now_ns());
        if !sought.is_empty() {
            let found = producer.look_up(&sought).await;
            // Without an answer no leader is known, and the partitions wait for the next try.
            let (leaders, identity) = found.unwrap_or_else(|error| {
                producer.shared.error(&error);
                Default::default()
            });
            let now_ns = producer.shared.now_ns();
            for opened in producer.queues.lock().assign(&sought, &leaders, identity, now_ns) {
                lanes.spawn(lane::run(producer.clone(), opened));
            }
            while lanes.try_join_next().is_some() {}
        }
        sleep(IDLE).await;
    }
}

impl Producer {
    /// Who leads what, and a producer id if one of these partitions has none.
    async fn look_up(&self, partitions: &[i32]) -> Result<(Leaders, Option<(i64, i16)>)> {
        let wants = self.queues.lock().want_producer(partitions);
        let identity = match (wants, self.options.idempotent()) {
            (false, _) => None,
            (true, false) => Some(NO_PRODUCER),
            (true, true) => Some(self.cluster.producer_id().await?),
        };
        Ok((self.cluster.leaders().await?, identity))
    }
}

/// Makes the records as they are due, some to one partition and then to the next.
struct Maker {
    producer: Arc<Producer>,
    schedule: Option<Schedule>,
    partitions: Vec<i32>,
    /// The one that has its turn.
    at: usize,
    /// When its turn began: with the first record, in ns after the start.
    turn_ns: Option<u64>,
    made: u64,
    filler: Vec<u8>,
}

impl Maker {
    fn new(
        producer: &Arc<Producer>,
        schedule: Option<Schedule>,
        partitions: Vec<i32>,
        at: usize,
    ) -> Self {
        let filler = filler(producer.options.record_size as usize - 16, producer.shared.run);
        let producer = producer.clone();
        Self { producer, schedule, partitions, at, turn_ns: None, made: 0, filler }
    }

    /// Goes on until all is acknowledged or given up, or the time of the run is over.
    async fn run(&mut self) {
        while !self.done() && Instant::now() < self.producer.shared.deadline() {
            if self.make() { yield_now().await } else { sleep(IDLE).await }
        }
    }

    fn done(&self) -> bool {
        self.ended() && self.producer.queues.lock().unanswered_bytes == 0
    }

    /// True when no record is to be made any more.
    fn ended(&self) -> bool {
        let end_ns = self.producer.shared.end_ns;
        match self.schedule {
            Some(schedule) => schedule.due_ns(self.made) >= end_ns,
            None => self.producer.shared.now_ns() >= end_ns,
        }
    }

    /// Records made, and those that should have been.
    fn wanted(&self) -> u64 {
        let mut wanted = self.made;
        while let Some(schedule) = self.schedule
            && schedule.due_ns(wanted) < self.producer.shared.end_ns
        {
            wanted += 1;
        }
        wanted
    }

    /// Makes what is due; true if more is, and has room.
    fn make(&mut self) -> bool {
        let producer = self.producer.clone();
        let (shared, options) = (&producer.shared, &producer.options);
        let now_ns = shared.now_ns();
        let mut queues = producer.queues.lock();
        let timeout_ns = SECOND_NS * options.delivery_timeout;
        queues.give_up(shared, now_ns.saturating_sub(timeout_ns), now_ns);
        let mut room = true;
        for _ in 0..BURST {
            let due_ns = self.schedule.map_or(now_ns, |schedule| schedule.due_ns(self.made));
            room = queues.unanswered_bytes < options.window_bytes;
            if due_ns > now_ns || due_ns >= shared.end_ns || !room {
                break;
            }
            self.push(&mut queues, due_ns, now_ns);
        }
        let linger_ns = options.linger_ms * 1_000_000;
        if self.turn_ns.is_some_and(|since_ns| now_ns - since_ns >= linger_ns) || self.ended() {
            self.end_turn(&mut queues);
        }
        let due = self.schedule.is_none_or(|schedule| schedule.due_ns(self.made) <= now_ns);
        due && room && !self.ended()
    }

    fn push(&mut self, queues: &mut Queues, due_ns: u64, now_ns: u64) {
        let options = &self.producer.options;
        let record_bytes = options.record_size as usize + RECORD_OVERHEAD_BYTES;
        let batch_bytes = options.batch_bytes as usize;
        let has_room = |queues: &Queues, at| queues.has_room(at, record_bytes, batch_bytes);
        let mut grows = has_room(queues, self.partitions[self.at]);
        if !grows && self.turn_ns.is_some() {
            self.end_turn(queues);
            grows = has_room(queues, self.partitions[self.at]);
        }
        self.turn_ns.get_or_insert(now_ns);
        let run = self.producer.shared.run;
        queues.push(self.partitions[self.at], !grows, |batch| {
            batch.push(run, due_ns, &self.filler);
        });
        self.made += 1;
    }

    /// What has waited in the partition may be sent; the next has its turn.
    fn end_turn(&mut self, queues: &mut Queues) {
        if self.turn_ns.take().is_some() {
            queues.ready(self.partitions[self.at]);
            self.at = (self.at + 1) % self.partitions.len();
        }
    }
}

/// Capital letters, as Kafka's own driver sends.
fn filler(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let letter = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'A' + (state >> 33).to_le_bytes()[0] % 26
    };
    (0..length).map(letter).collect()
}
