//! A whole run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use odradek_common::random::{Random, SeededRandom};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::consumer::Consumer;
use super::options::Options;
use super::producer;
use super::recorder::Recorder;
use super::schedule::SECOND_NS;

/// Tries to find every leader of a new topic, and the pause between two.
const LEADER_TRIES: u32 = 100;
const LEADER_PAUSE: Duration = Duration::from_millis(100);
/// Kinds of errors that are told apart.
const ERROR_KINDS: usize = 100;

/// What all workers of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Told from every other run by what its records bear.
    pub run: u64,
    /// When the last record is due, in ns after the start.
    pub end_ns: u64,
    warmup_ns: u64,
    drain_ns: u64,
    start: Instant,
    produced: AtomicBool,
    acked: AtomicU64,
    read: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Shared {
    fn new(options: &Options) -> Self {
        let end_ns = SECOND_NS * (options.warmup + options.duration);
        Self {
            run: SeededRandom::from_os().next_u64(),
            end_ns,
            warmup_ns: SECOND_NS * options.warmup,
            // The producers' limit, and a little for what was acknowledged last.
            drain_ns: end_ns + SECOND_NS * (options.delivery_timeout + 5),
            start: Instant::now(),
            produced: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            read: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    /// Nanoseconds after the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// An empty recorder of what is measured.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.warmup_ns, self.end_ns)
    }

    /// Counts an error.
    pub fn error(&self, error: &anyhow::Error) {
        let mut errors = self.errors.lock();
        let text = format!("{error:#}");
        if errors.len() < ERROR_KINDS || errors.contains_key(&text) {
            *errors.entry(text).or_default() += 1;
        }
    }

    /// Counts records that were acknowledged.
    pub fn acked(&self, records: u64) {
        self.acked.fetch_add(records, Ordering::SeqCst);
    }

    /// Counts records that a consumer has.
    pub fn read(&self, records: u64) {
        self.read.fetch_add(records, Ordering::SeqCst);
    }

    /// True when all that was acknowledged has been read, or there is no more time for it.
    #[must_use]
    pub fn all_read(&self) -> bool {
        let produced = self.produced.load(Ordering::SeqCst);
        let read = self.read.load(Ordering::SeqCst) >= self.acked.load(Ordering::SeqCst);
        (produced && read) || self.now_ns() >= self.drain_ns
    }
}

/// What a run has measured.
#[derive(Debug)]
pub struct Measured {
    /// From when a record was to be sent to its acknowledgement.
    pub produce: Recorder,
    /// From when it was to be sent to when a consumer had it.
    pub end_to_end: Recorder,
    /// Records acknowledged, with those of the warm-up.
    pub acked: u64,
    /// Records read, with those of the warm-up.
    pub read: u64,
    /// Records given up.
    pub failed: u64,
    /// Errors by what they say; each made a worker connect anew.
    pub errors: BTreeMap<String, u64>,
}

/// Runs the load.
///
/// # Errors
/// If it cannot begin: no broker, no topic. What happens later is counted.
pub async fn run(options: &Options) -> Result<Measured> {
    options.records_per_s()?;
    let partitions = prepare(options).await?;
    let shared = Arc::new(Shared::new(options));
    let mut consumers = Vec::new();
    for indexes in shares(&partitions, options.consumers) {
        consumers.push(Consumer::at_the_end(&shared, options, &indexes).await?);
    }
    let mut shared = Arc::into_inner(shared).context("the run is shared already")?;
    shared.start = Instant::now();
    let shared = Arc::new(shared);
    let options = Arc::new(options.clone());

    let mut reading = JoinSet::new();
    for consumer in consumers {
        let (shared, options) = (shared.clone(), options.clone());
        reading.spawn(async move { consumer.run(&shared, &options).await });
    }
    let mut producing = JoinSet::new();
    for number in 0..options.producers {
        let (shared, options) = (shared.clone(), options.clone());
        let indexes = partitions.clone();
        producing.spawn(async move { producer::run(&shared, &options, number, indexes).await });
    }
    let (mut produce, mut end_to_end) = (shared.recorder(), shared.recorder());
    let (mut acked, mut failed) = (0, 0);
    while let Some(produced) = producing.join_next().await {
        let produced = produced??;
        produce.merge(&produced.recorder);
        acked += produced.acked;
        failed += produced.failed;
    }
    shared.produced.store(true, Ordering::SeqCst);
    while let Some(recorder) = reading.join_next().await {
        end_to_end.merge(&recorder?);
    }
    let (read, errors) = (shared.read.load(Ordering::SeqCst), shared.errors.lock().clone());
    Ok(Measured { produce, end_to_end, acked, read, failed, errors })
}

/// The partitions in as many shares as there are workers, or fewer if there are not enough.
fn shares(partitions: &[i32], workers: u32) -> Vec<Vec<i32>> {
    let workers = workers as usize;
    let share = |first| partitions.iter().copied().skip(first).step_by(workers.max(1)).collect();
    (0..workers.min(partitions.len())).map(share).collect()
}

/// Makes the topic if it is not there; gives back its partitions when each has a leader.
async fn prepare(options: &Options) -> Result<Vec<i32>> {
    let mut connection = Connection::open(&options.bootstrap).await.context("bootstrap")?;
    let topic = CreatableTopic::default()
        .with_name(topic_name(&options.topic))
        .with_num_partitions(options.partitions)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let answer = connection.call(&request, 7).await?;
    for said in answer.topics {
        // 36: the topic is there.
        ensure!([0, 36].contains(&said.error_code), "create topic: error {}", said.error_code);
    }
    for _ in 0..LEADER_TRIES {
        let answer = metadata(&mut connection, &options.topic).await?;
        let all = answer.topics.first().map(|topic| &topic.partitions);
        if let Some(all) = all.filter(|all| !all.is_empty())
            && all.iter().all(|at| at.error_code == 0 && *at.leader_id >= 0)
        {
            let mut indexes: Vec<i32> = all.iter().map(|at| at.partition_index).collect();
            indexes.sort_unstable();
            let leaders: Vec<i32> = all.iter().map(|at| *at.leader_id).collect();
            if leaders.iter().any(|leader| *leader != leaders[0]) {
                bail!("the partitions have several leaders; this driver speaks to one");
            }
            return Ok(indexes);
        }
        sleep(LEADER_PAUSE).await;
    }
    bail!("topic {} has partitions without a leader", options.topic)
}

/// The address of the leader of a partition.
///
/// # Errors
/// If it has none now.
pub async fn leader_of(bootstrap: &str, topic: &str, index: i32) -> Result<String> {
    let mut connection = Connection::open(bootstrap).await?;
    let answer = metadata(&mut connection, topic).await?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found = partitions.filter(|at| at.partition_index == index).map(|at| at.leader_id).next();
    let leader = found.context("no such partition")?;
    let broker = answer.brokers.iter().find(|broker| broker.node_id == leader);
    let broker = broker.context("the partition has no leader")?;
    Ok(format!("{}:{}", broker.host.as_str(), broker.port))
}

async fn metadata(connection: &mut Connection, topic: &str) -> Result<MetadataResponse> {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    connection.call(&request, 12).await
}

/// The name in the protocol's type.
#[must_use]
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_reader() {
        assert_eq!(shares(&[0, 1, 2, 3, 4], 2), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(shares(&[0, 1], 5), [vec![0], vec![1]]);
        assert!(shares(&[0, 1], 0).is_empty());
    }
}
