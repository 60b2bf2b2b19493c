//! The brokers of a cluster and a connection to each that is needed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{ListOffsetsRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use odradek_common::limits::{CLIENT_BACKOFF_FIRST_MS, CLIENT_BACKOFF_MAX_MS};
use tokio::time::Instant;

use super::ClientError;
use super::connection::{Connection, Spoken};

/// The timestamp that asks for the first offset of a partition.
pub(super) const EARLIEST: i64 = -2;
/// The timestamp that asks for the offset after the last record.
pub(super) const LATEST: i64 = -1;

/// A cluster, known by one address at first.
#[derive(Debug)]
pub(super) struct Cluster {
    bootstrap: String,
    /// Addresses by node id, of the last metadata.
    brokers: BTreeMap<i32, String>,
    connections: HashMap<String, Connection>,
}

impl Cluster {
    /// The cluster that the broker at `bootstrap`, as HOST:PORT, belongs to. Connects at the first
    /// call.
    pub(super) fn at(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.to_owned();
        Self { bootstrap, brokers: BTreeMap::new(), connections: HashMap::new() }
    }

    /// Calls any broker: the first of them that can be reached.
    ///
    /// # Errors
    /// That of the call; if none can be reached, that of the address given at first.
    pub(super) async fn any<R: Spoken>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.any_within(request, Duration::ZERO).await
    }

    /// The same, for what takes `extra` time.
    ///
    /// # Errors
    /// As [`Self::any`].
    pub(super) async fn any_within<R: Spoken>(
        &mut self,
        request: &R,
        extra: Duration,
    ) -> Result<R::Response, ClientError> {
        let mut unreachable = None;
        let known: Vec<String> = self.brokers.values().cloned().collect();
        for address in std::iter::once(self.bootstrap.clone()).chain(known) {
            let connection = self.connections.remove(&address);
            let (connection, result) = call(connection, &address, request, extra).await;
            if let Some(connection) = connection {
                self.connections.insert(address, connection);
            }
            match result {
                // Nothing has been sent, so that asking another does nothing twice.
                Err(error @ ClientError::Unreachable { .. }) => {
                    unreachable.get_or_insert(error);
                }
                result => return result,
            }
        }
        let address = self.bootstrap.clone();
        let source = std::io::ErrorKind::NotConnected.into();
        Err(unreachable.unwrap_or(ClientError::Unreachable { address, source }))
    }

    /// Calls several brokers at once, each with its own request and `extra` time. A broker that
    /// the metadata do not name counts as not available.
    pub(super) async fn each<R: Spoken>(
        &mut self,
        requests: BTreeMap<i32, R>,
        extra: Duration,
    ) -> Vec<(i32, Result<R::Response, ClientError>)> {
        let calls = requests.into_iter().map(|(node, request)| {
            let address = self.brokers.get(&node).cloned();
            let connection = address.as_ref().and_then(|at| self.connections.remove(at));
            async move {
                let Some(address) = address else {
                    let what = format!("call {} at broker {node}", R::NAME);
                    let error = ClientError::refused(what, ResponseError::LeaderNotAvailable);
                    return (node, None, Err(error));
                };
                let (connection, result) = call(connection, &address, &request, extra).await;
                (node, connection.map(|connection| (address, connection)), result)
            }
        });
        let mut results = Vec::new();
        for (node, connection, result) in join_all(calls.collect::<Vec<_>>()).await {
            self.connections.extend(connection);
            results.push((node, result));
        }
        results
    }

    /// Asks for the metadata of `names`, of all topics if `None`.
    ///
    /// # Errors
    /// That of the call.
    pub(super) async fn metadata(
        &mut self,
        names: Option<&[String]>,
        create: bool,
    ) -> Result<MetadataResponse, ClientError> {
        let answer = self.any(&metadata_request(names, create)).await?;
        let brokers = answer.brokers.iter();
        self.brokers =
            brokers.map(|at| (*at.node_id, host_and_port(at.host.as_str(), at.port))).collect();
        Ok(answer)
    }

    /// Asks for one topic, with its partitions in order; `create` allows the broker to make it.
    ///
    /// # Errors
    /// That of the call, or what the broker says of the topic.
    pub(super) async fn topic(
        &mut self,
        name: &str,
        create: bool,
    ) -> Result<MetadataResponseTopic, ClientError> {
        let answer = self.metadata(Some(&[name.to_owned()]), create).await?;
        let found = answer
            .topics
            .into_iter()
            .find(|topic| topic.name.as_ref().is_some_and(|found| found.as_str() == name));
        let what = || format!("find topic {name}");
        let mut topic = found
            .ok_or_else(|| ClientError::refused(what(), ResponseError::UnknownTopicOrPartition))?;
        if let Some(code) = ResponseError::try_from_code(topic.error_code) {
            return Err(ClientError::refused(what(), code));
        }
        topic.partitions.sort_by_key(|partition| partition.partition_index);
        Ok(topic)
    }

    /// The offset of each of `partitions` (with their leaders) that is asked for by `timestamp`.
    ///
    /// # Errors
    /// The first that fails.
    pub(super) async fn offsets(
        &mut self,
        topic: &str,
        partitions: &[(i32, i32)],
        timestamp: i64,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let requests = by_leader(partitions)
            .into_iter()
            .map(|(leader, indexes)| (leader, offsets_request(topic, &indexes, timestamp)))
            .collect();
        let mut offsets = BTreeMap::new();
        for (_, answer) in self.each(requests, Duration::ZERO).await {
            for partition in answer?.topics.into_iter().flat_map(|topic| topic.partitions) {
                let index = partition.partition_index;
                if let Some(code) = ResponseError::try_from_code(partition.error_code) {
                    let what = format!("find the offsets of {topic}-{index}");
                    return Err(ClientError::refused(what, code));
                }
                offsets.insert(index, partition.offset);
            }
        }
        match partitions.iter().find(|(index, _)| !offsets.contains_key(index)) {
            None => Ok(offsets),
            Some((index, _)) => Err(ClientError::Malformed {
                address: format!("the leader of {topic}-{index}"),
                api: ListOffsetsRequest::NAME,
                reason: "the partition is not in it".to_owned(),
            }),
        }
    }
}

/// Calls on `connection`, or on a new one; gives it back unless it is of no use any more.
async fn call<R: Spoken>(
    connection: Option<Connection>,
    address: &str,
    request: &R,
    extra: Duration,
) -> (Option<Connection>, Result<R::Response, ClientError>) {
    let mut connection = match connection {
        Some(connection) => connection,
        None => match Connection::open(address).await {
            Ok(connection) => connection,
            Err(error) => return (None, Err(error)),
        },
    };
    match connection.call(request, extra).await {
        Ok(answer) => (Some(connection), Ok(answer)),
        Err(error) => (None, Err(error)),
    }
}

/// Indexes of partitions by their leader, of pairs of both.
pub(super) fn by_leader(partitions: &[(i32, i32)]) -> BTreeMap<i32, Vec<i32>> {
    let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (index, leader) in partitions {
        leaders.entry(*leader).or_default().push(*index);
    }
    leaders
}

/// The name of a topic in a request.
pub(super) fn topic_name(name: &str) -> TopicName {
    StrBytes::from_string(name.to_owned()).into()
}

fn metadata_request(names: Option<&[String]>, create: bool) -> MetadataRequest {
    let topics = names.map(|names| {
        let named =
            |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        names.iter().map(named).collect()
    });
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(create)
}

fn offsets_request(topic: &str, indexes: &[i32], timestamp: i64) -> ListOffsetsRequest {
    let partitions = indexes.iter().map(|index| {
        ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(timestamp)
    });
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(partitions.collect());
    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic])
}

/// An address as it is shown and connected to.
pub(super) fn host_and_port(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// How long errors that pass are borne.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    wait_ms: u64,
}

impl Patience {
    /// Patience for `ms` from now on.
    pub(super) fn of_ms(ms: u64) -> Self {
        let until = Instant::now() + Duration::from_millis(ms);
        Self { until, wait_ms: CLIENT_BACKOFF_FIRST_MS }
    }

    /// Waits before the next attempt after `error`.
    ///
    /// # Errors
    /// `error`, if it will not pass or has not passed in time.
    pub(super) async fn bear(&mut self, error: ClientError) -> Result<(), ClientError> {
        let wait = Duration::from_millis(self.wait_ms);
        if !error.is_transient() || Instant::now() + wait > self.until {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        self.wait_ms = (self.wait_ms * 2).min(CLIENT_BACKOFF_MAX_MS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_topics_are_null_and_none_is_empty() {
        assert_eq!(metadata_request(None, false).topics, None);
        let request = metadata_request(Some(&["a".to_owned()]), true);
        assert!(request.allow_auto_topic_creation);
        assert_eq!(request.topics.unwrap()[0].name, Some(topic_name("a")));
    }

    #[test]
    fn partitions_are_asked_for_at_their_leaders() {
        let leaders = by_leader(&[(0, 2), (1, 1), (2, 2)]);
        assert_eq!(leaders, BTreeMap::from([(1, vec![1]), (2, vec![0, 2])]));
        let request = offsets_request("a", &[0, 2], EARLIEST);
        assert_eq!(request.replica_id, -1);
        assert!(request.topics[0].partitions.iter().all(|asked| asked.timestamp == EARLIEST));
    }

    #[test]
    fn an_address_of_ipv6_has_brackets() {
        assert_eq!(host_and_port("::1", 9092), "[::1]:9092");
        assert_eq!(host_and_port("localhost", 9092), "localhost:9092");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let started = Instant::now();
        let mut patience = Patience::of_ms(30_000);
        let passing = || ClientError::refused("write", ResponseError::NotLeaderOrFollower);
        let mut attempts = 0;
        while patience.bear(passing()).await.is_ok() {
            attempts += 1;
        }
        assert!((30..40).contains(&attempts), "{attempts}");
        assert!(started.elapsed() <= Duration::from_secs(30));
        let mut patience = Patience::of_ms(30_000);
        assert!(patience.bear(ClientError::NoTopic("a".into())).await.is_err());
    }
}
