//! One consumer: its share of the partitions, without a group, from their ends; a connection to each
//! of their leaders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest};
use odradek_common::batch::batches;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::batch::due_times;
use super::cluster::{Cluster, LEADER_PAUSE, LEADER_TRIES, Leaders, topic_name};
use super::connection::{Connection, check};
use super::options::Options;
use super::recorder::Recorder;
use super::routes::{Lane, Routes};
use super::shared::Shared;

const FETCH_WAIT_MS: i32 = 500;
const FETCH_BYTES: i32 = 50 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// How often to look whether all is read, and whether a partition has lost its leader.
const IDLE: Duration = Duration::from_millis(1);

/// What the connections of one consumer share.
#[derive(Debug)]
struct Consumer {
    shared: Arc<Shared>,
    options: Arc<Options>,
    places: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    routes: Routes,
    /// By partition the next offset.
    positions: BTreeMap<i32, i64>,
    recorder: Recorder,
}

/// Finds the end of each of these partitions.
///
/// # Errors
/// If one has no leader that tells it for too long.
pub async fn ends(
    cluster: &Cluster,
    options: &Options,
    partitions: &[i32],
) -> Result<BTreeMap<i32, i64>> {
    let mut ends = BTreeMap::new();
    let mut failure = None;
    for _ in 0..LEADER_TRIES {
        let mut by_leader = BTreeMap::<String, Vec<i32>>::new();
        for (partition, (_, address)) in cluster.leaders().await? {
            if partitions.contains(&partition) && !ends.contains_key(&partition) {
                by_leader.entry(address).or_default().push(partition);
            }
        }
        for (address, asked) in by_leader {
            match ends_of(&address, options, &asked, &mut ends).await {
                Ok(()) => {}
                Err(error) => failure = Some(error),
            }
        }
        if ends.len() == partitions.len() {
            return Ok(ends);
        }
        sleep(LEADER_PAUSE).await;
    }
    bail!("not all ends of the partitions are to be had: {failure:?}")
}

async fn ends_of(
    address: &str,
    options: &Options,
    partitions: &[i32],
    ends: &mut BTreeMap<i32, i64>,
) -> Result<()> {
    let mut connection = Connection::open(address, options.request_timeout()).await?;
    let at = |index: &i32| {
        ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(-1)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(&options.topic))
        .with_partitions(partitions.iter().map(at).collect());
    let request =
        ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer = connection.call(&request, 7).await?;
    for said in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        check(said.error_code)?;
        ends.insert(said.partition_index, said.offset);
    }
    Ok(())
}

/// Reads from these positions until all that was acknowledged has been read, or the end may take no
/// longer.
pub async fn run(
    shared: Arc<Shared>,
    options: Arc<Options>,
    cluster: Arc<Cluster>,
    positions: BTreeMap<i32, i64>,
) -> Recorder {
    let routes = Routes::new(positions.keys().copied());
    let places = Mutex::new(Places { routes, positions, recorder: shared.recorder() });
    let consumer = Arc::new(Consumer { shared, options, places });
    let mut fetchers = JoinSet::new();
    while !consumer.shared.all_read() {
        let now_ns = consumer.shared.now_ns();
        let sought: Vec<i32> = consumer.places.lock().routes.sought(now_ns).collect();
        if !sought.is_empty() {
            // Without an answer no leader is known, and the partitions wait for the next try.
            let leaders = cluster.leaders().await.unwrap_or_else(|error| {
                consumer.shared.error(&error);
                Leaders::default()
            });
            let now_ns = consumer.shared.now_ns();
            for lane in consumer.places.lock().routes.assign(&sought, &leaders, now_ns) {
                fetchers.spawn(fetch(consumer.clone(), lane));
            }
            while fetchers.try_join_next().is_some() {}
        }
        sleep(IDLE).await;
    }
    consumer.places.lock().recorder.clone()
}

/// Fetches from one leader until no partition is left to it, or the connection fails.
async fn fetch(consumer: Arc<Consumer>, lane: Lane) {
    if let Err(error) = consumer.life(&lane).await {
        consumer.shared.error(&error);
        consumer.places.lock().routes.close(lane.node, consumer.shared.now_ns());
    }
}

impl Consumer {
    async fn life(&self, lane: &Lane) -> Result<()> {
        let limit = self.options.request_timeout();
        let mut connection = Connection::open(&lane.address, limit).await?;
        while let Some(request) = self.request(lane.node) {
            let answer = connection.call(&request, 12).await?;
            check(answer.error_code)?;
            let now_ns = self.shared.now_ns();
            for said in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
                self.take(said, now_ns)?;
            }
        }
        Ok(())
    }

    /// What to ask a node; none if it leads nothing any more.
    fn request(&self, node: i32) -> Option<FetchRequest> {
        let mut places = self.places.lock();
        if places.routes.retire(node) {
            return None;
        }
        let own = places.positions.iter();
        let own = own.filter(|(index, _)| places.routes.leader(**index) == Some(node));
        let at = |(index, offset): (&i32, &i64)| {
            FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(PARTITION_BYTES)
        };
        let topic = FetchTopic::default()
            .with_topic(topic_name(&self.options.topic))
            .with_partitions(own.map(at).collect());
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        Some(request)
    }

    /// Takes what was answered for a partition at `now_ns`.
    fn take(&self, said: PartitionData, now_ns: u64) -> Result<()> {
        let index = said.partition_index;
        if let Err(error) = check(said.error_code) {
            self.shared.error(&error);
            self.places.lock().routes.lose(index, now_ns);
            return Ok(());
        }
        let mut position = self.places.lock().positions.get(&index).copied().unwrap_or_default();
        let mut due = Vec::new();
        for batch in batches(said.records.unwrap_or_default()) {
            let batch = batch?;
            // A batch is answered whole, also if the position is within it.
            if batch.header.next_offset() > position {
                due_times(&batch, self.shared.run, |due_ns| due.push(due_ns))?;
                position = batch.header.next_offset();
            }
        }
        let mut places = self.places.lock();
        due.iter().for_each(|due_ns| places.recorder.record(*due_ns, now_ns));
        places.positions.insert(index, position);
        places.routes.succeeded(index);
        drop(places);
        self.shared.read(due.len() as u64);
        Ok(())
    }
}
