//! Calls to the brokers, each within a limit.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};
use odradek_tests::history::Place;
use odradek_tests::wire::{Failed, Wire, name};
use tokio::time::timeout;

use super::{Common, PARTITIONS, TOPIC, places};
use crate::node::PORT;

/// How long a client waits for a connection, and for an answer.
const CONNECT: Duration = Duration::from_secs(3);
const CALL: Duration = Duration::from_secs(12);

/// Kafka's code for a name that is taken, also by a topic that is being deleted.
pub const TOPIC_ALREADY_EXISTS: i16 = 36;

/// The timestamps that ask for the first offset and for the end.
pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;

/// What takes too long is given up; whether it had an effect is not known.
pub async fn limited<T>(call: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    timeout(CALL, call).await.unwrap_or(Err(Failed::Lost))
}

/// What an answer should have held.
pub fn missing(what: &str) -> Failed {
    Failed::Malformed(format!("there is no {what} in it"))
}

impl Common {
    /// Calls and counts the answer.
    pub async fn call<R: Request>(
        &self,
        wire: &mut Wire,
        request: &R,
        version: i16,
    ) -> Result<R::Response, Failed> {
        let answer = limited(wire.call(request, version)).await?;
        self.notes.answered();
        Ok(answer)
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Wire, Failed> {
        let connecting = Wire::connect(&self.network, host, port);
        timeout(CONNECT, connecting).await.unwrap_or(Err(Failed::Lost))
    }

    /// A connection to any broker.
    pub async fn any(&self) -> Result<Wire, Failed> {
        let any = usize::try_from(self.below(self.brokers.len() as u64)).unwrap_or(0);
        self.connect(&self.brokers[any], PORT).await
    }

    async fn metadata(&self, topic: Option<&str>) -> Result<MetadataResponse, Failed> {
        let mut wire = self.any().await?;
        let topics =
            topic.map(|topic| vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]);
        let request =
            MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        self.call(&mut wire, &request, 12).await
    }

    /// A connection to the leader of a partition.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<Wire, Failed> {
        let answer = self.metadata(Some(topic)).await?;
        let topic = answer.topics.first().ok_or_else(|| missing("topic"))?;
        Failed::check(topic.error_code)?;
        let of = topic.partitions.iter().find(|found| found.partition_index == partition);
        let of = of.ok_or_else(|| missing("partition"))?;
        Failed::check(of.error_code)?;
        let broker = answer.brokers.iter().find(|broker| broker.node_id == of.leader_id);
        let broker = broker.ok_or_else(|| missing("leader"))?;
        self.connect(&broker.host, u16::try_from(broker.port).unwrap_or(0)).await
    }

    /// A connection to the coordinator of a group.
    pub async fn coordinator(&self, group: &'static str) -> Result<Wire, Failed> {
        let mut wire = self.any().await?;
        let request = FindCoordinatorRequest::default()
            .with_coordinator_keys(vec![StrBytes::from_static_str(group)]);
        let answer = self.call(&mut wire, &request, 4).await?;
        let found = answer.coordinators.first().ok_or_else(|| missing("coordinator"))?;
        Failed::check(found.error_code)?;
        self.connect(&found.host, u16::try_from(found.port).unwrap_or(0)).await
    }

    /// Makes the topic under load. A former try may have made it.
    pub async fn make_topic(&self) -> Result<(), Failed> {
        let mut wire = self.any().await?;
        match limited(wire.create(TOPIC, PARTITIONS)).await {
            Err(Failed::Code(TOPIC_ALREADY_EXISTS)) => Ok(()),
            made => made,
        }
    }

    /// Deletes a topic and waits until it is gone.
    pub async fn delete_topic(&self, topic: &str) -> Result<(), Failed> {
        let mut wire = self.any().await?;
        let state = DeleteTopicState::default().with_name(Some(name(topic)));
        let request =
            DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
        let answer = self.call(&mut wire, &request, 6).await?;
        Failed::check(answer.responses.first().ok_or_else(|| missing("topic"))?.error_code)
    }

    /// The names of all topics.
    pub async fn topics(&self) -> Result<Vec<String>, Failed> {
        let answer = self.metadata(None).await?;
        Ok(answer.topics.iter().filter_map(|t| Some(t.name.as_ref()?.to_string())).collect())
    }

    /// The first offset of a partition of the topic under load, or its end.
    pub async fn offset(&self, place: Place, timestamp: i64) -> Result<i64, Failed> {
        let mut wire = self.leader(TOPIC, place.partition).await?;
        let partition = ListOffsetsPartition::default()
            .with_partition_index(place.partition)
            .with_timestamp(timestamp);
        let topic =
            ListOffsetsTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let answer = self.call(&mut wire, &request, 7).await?;
        let mut found = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let found = found.next().ok_or_else(|| missing("partition"))?;
        Failed::check(found.error_code)?;
        Ok(found.offset)
    }

    /// Tries until it has an answer.
    pub async fn insist<T, F>(&self, mut call: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T, Failed>>,
    {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(failed) => self.bear(&failed).await,
            }
        }
    }

    /// Where the logs of the topic under load end.
    pub async fn find_ends(&self) -> BTreeMap<Place, i64> {
        let mut ends = BTreeMap::new();
        for place in places() {
            ends.insert(place, self.insist(|| self.offset(place, LATEST)).await);
        }
        ends
    }
}
