//! One consumer: its share of the partitions, without a group, from their ends.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest};
use odradek_common::batch::batches;
use tokio::time::{sleep, timeout};

use super::batch::due_times;
use super::connection::{CALL_LIMIT, Connection};
use super::options::Options;
use super::recorder::Recorder;
use super::run::{Shared, leader_of, topic_name};

const FETCH_WAIT_MS: i32 = 500;
const FETCH_BYTES: i32 = 50 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
const BACKOFF: Duration = Duration::from_millis(100);

/// A consumer at its positions.
#[derive(Debug)]
pub struct Consumer {
    positions: BTreeMap<i32, i64>,
    recorder: Recorder,
}

impl Consumer {
    /// Takes its place at the end of each partition, before anything is produced.
    ///
    /// # Errors
    /// Of the cluster.
    pub async fn at_the_end(shared: &Shared, options: &Options, indexes: &[i32]) -> Result<Self> {
        let address = leader_of(&options.bootstrap, &options.topic, indexes[0]).await?;
        let mut connection = Connection::open(&address).await?;
        let at = |index: &i32| {
            ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(-1)
        };
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(&options.topic))
            .with_partitions(indexes.iter().map(at).collect());
        let request =
            ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let answer = connection.call(&request, 7).await?;
        let mut positions = BTreeMap::new();
        for said in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            ensure!(said.error_code == 0, "list offsets: error {}", said.error_code);
            positions.insert(said.partition_index, said.offset);
        }
        Ok(Self { positions, recorder: shared.recorder() })
    }

    /// Reads until all that was acknowledged has been read, or the end may take no longer.
    pub async fn run(mut self, shared: &Shared, options: &Options) -> Recorder {
        while !shared.all_read() {
            if let Err(error) = self.life(shared, options).await {
                shared.error(&error);
                sleep(BACKOFF).await;
            }
        }
        self.recorder
    }

    async fn life(&mut self, shared: &Shared, options: &Options) -> Result<()> {
        let first = self.positions.keys().next().copied().unwrap_or(0);
        let leader = leader_of(&options.bootstrap, &options.topic, first);
        let mut connection = Connection::open(&timeout(CALL_LIMIT, leader).await??).await?;
        while !shared.all_read() {
            let answer = connection.call(&self.request(options), 12).await?;
            ensure!(answer.error_code == 0, "fetch: error {}", answer.error_code);
            let now_ns = shared.now_ns();
            for said in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
                ensure!(said.error_code == 0, "fetch: error {}", said.error_code);
                let position = self.positions.entry(said.partition_index).or_default();
                for batch in batches(said.records.unwrap_or_default()) {
                    let batch = batch?;
                    let mut read = 0;
                    let next = batch.header.next_offset();
                    // A batch is answered whole, also if the position is within it.
                    if next > *position {
                        due_times(&batch, shared.run, |due_ns| {
                            self.recorder.record(due_ns, now_ns);
                            read += 1;
                        })?;
                        *position = next;
                    }
                    shared.read(read);
                }
            }
        }
        Ok(())
    }

    fn request(&self, options: &Options) -> FetchRequest {
        let at = |(index, offset): (&i32, &i64)| {
            FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(PARTITION_BYTES)
        };
        let topic = FetchTopic::default()
            .with_topic(topic_name(&options.topic))
            .with_partitions(self.positions.iter().map(at).collect());
        FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }
}
