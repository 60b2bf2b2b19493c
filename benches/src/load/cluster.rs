//! Questions that any broker answers: who leads what, a producer id, a new topic.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, InitProducerIdRequest, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::connection::{Connection, check};
use super::options::Options;

/// How long one broker may take to answer before the next is asked.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// How long making a topic may take.
const CREATE_LIMIT: Duration = Duration::from_secs(15);
/// Tries to find every leader of a topic before the run begins, and the pause between two.
pub const LEADER_TRIES: u32 = 100;
/// The pause between two of [`LEADER_TRIES`].
pub const LEADER_PAUSE: Duration = Duration::from_millis(100);
/// Kafka's TOPIC_ALREADY_EXISTS.
const TOPIC_EXISTS: i16 = 36;

/// By partition its leader's node id and HOST:PORT; those without one are left out.
pub type Leaders = BTreeMap<i32, (i32, String)>;

/// The brokers of a cluster, of which each is asked in its turn: one alone may be behind, or gone.
#[derive(Debug)]
pub struct Cluster {
    topic: String,
    /// Those that the last answer named; the one that was asked last stands last.
    known: Mutex<VecDeque<String>>,
}

impl Cluster {
    /// The cluster of the command line.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let bootstrap = options.bootstrap.split(',').map(|address| address.trim().to_owned());
        Self { topic: options.topic.clone(), known: Mutex::new(bootstrap.collect()) }
    }

    /// Makes the topic if it is not there; gives back its partitions when each has a leader.
    ///
    /// # Errors
    /// If there is no broker, the topic cannot be made, or a partition stays without a leader.
    pub async fn prepare(&self, partitions: i32) -> Result<Vec<i32>> {
        let topic = CreatableTopic::default()
            .with_name(topic_name(&self.topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1);
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = self.ask(&request, 7, CREATE_LIMIT).await.context("bootstrap")?;
        for said in answer.topics {
            if said.error_code != TOPIC_EXISTS {
                check(said.error_code).context("create topic")?;
            }
        }
        for _ in 0..LEADER_TRIES {
            let answer = self.metadata().await?;
            let all = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let all: Vec<i32> = all.map(|at| at.partition_index).collect();
            let leaders = leaders_in(&answer);
            if !all.is_empty() && all.len() == leaders.len() {
                return Ok(leaders.into_keys().collect());
            }
            sleep(LEADER_PAUSE).await;
        }
        bail!("topic {} has partitions without a leader", self.topic)
    }

    /// Who leads the partitions of the topic now, as one broker knows it.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn leaders(&self) -> Result<Leaders> {
        Ok(leaders_in(&self.metadata().await?))
    }

    /// A producer id of its own and its epoch.
    ///
    /// # Errors
    /// If no broker answers, or the one that does has none.
    pub async fn producer_id(&self) -> Result<(i64, i16)> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let answer = self.ask(&request, 4, ASK_LIMIT).await?;
        check(answer.error_code)?;
        Ok((*answer.producer_id, answer.producer_epoch))
    }

    async fn metadata(&self) -> Result<MetadataResponse> {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(&self.topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let answer = self.ask(&request, 12, ASK_LIMIT).await?;
        let mut known = self.known.lock();
        let asked = known.back().cloned();
        let brokers = answer.brokers.iter();
        let named = brokers.map(|broker| address(broker.host.as_str(), broker.port));
        let mut named: VecDeque<String> = named.collect();
        if let Some(at) = named.iter().position(|address| Some(address) == asked.as_ref()) {
            named.rotate_left(at + 1);
        }
        if !named.is_empty() {
            *known = named;
        }
        drop(known);
        Ok(answer)
    }

    /// The answer of the first broker that gives one.
    async fn ask<R: Request>(
        &self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<R::Response> {
        let mut failure = anyhow!("no broker is known");
        let brokers = self.known.lock().clone();
        for address in brokers {
            let asked =
                async { Connection::open(&address, limit).await?.call(request, version).await };
            let answer = asked.await;
            let mut known = self.known.lock();
            known.retain(|other| *other != address);
            known.push_back(address.clone());
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => failure = error.context(address),
            }
        }
        Err(failure)
    }
}

fn leaders_in(answer: &MetadataResponse) -> Leaders {
    let brokers = answer.brokers.iter();
    let addresses: BTreeMap<i32, String> = brokers
        .map(|broker| (*broker.node_id, address(broker.host.as_str(), broker.port)))
        .collect();
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let led = partitions.filter(|at| at.error_code == 0).filter_map(|at| {
        let address = addresses.get(&at.leader_id)?;
        Some((at.partition_index, (*at.leader_id, address.clone())))
    });
    led.collect()
}

fn address(host: &str, port: i32) -> String {
    // An IPv6 address is written in brackets before a port.
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The name in the protocol's type.
#[must_use]
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
