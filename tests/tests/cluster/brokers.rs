//! Three brokers of one cluster, all of them voters, and sometimes a fourth that does not vote.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join_all};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use odradek_common::batch::Batch;
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::net::free_address;
use odradek_tests::place::{Place, WalKind};
use odradek_tests::process::signal;
use odradek_tests::wait::within;
use odradek_tests::wire::Wire;
use rustix::process::Signal;

/// Brokers that are voters. Their ids are 1 to 3.
pub const BROKERS: usize = 3;
/// How long the cluster may take to come to a state that is waited for.
const LIMIT: Duration = Duration::from_secs(30);
/// How long one request to a broker may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Lines of each log in a report.
const LOG_LINES: usize = 120;

/// The brokers, by their index, which is their id less one.
pub struct Brokers {
    each: Vec<Broker>,
    place: Place,
    voters: Vec<(usize, SocketAddr)>,
}

impl Brokers {
    /// Starts them on an empty place, with the defaults of everything, and waits until they serve.
    pub async fn start(place: &Place) -> Result<Self> {
        let voters = (1..=BROKERS).map(|id| Ok((id, free_address()?)));
        let voters = voters.collect::<Result<Vec<_>>>()?;
        let start = |(id, _): &(usize, _)| {
            let options = BrokerOptions::new(WalKind::Object, place.clone());
            Broker::start(options.voter(*id, &voters))
        };
        let each = try_join_all(voters.iter().map(start)).await?;
        let brokers = Self { each, place: place.clone(), voters };
        for index in 0..BROKERS {
            brokers.is_live(index, true).await?;
        }
        Ok(brokers)
    }

    /// The addresses of all for Kafka clients.
    pub fn bootstrap(&self) -> String {
        let each: Vec<String> = self.each.iter().map(|one| one.bootstrap().to_string()).collect();
        each.join(",")
    }

    /// Starts one more, which does not vote, and waits until it serves; its index.
    pub async fn join(&mut self) -> Result<usize> {
        let options = BrokerOptions::new(WalKind::Object, self.place.clone());
        let id = self.each.len() + 1;
        self.each.push(Broker::start(options.follower(id, &self.voters)).await?);
        Ok(id - 1)
    }

    /// Stops the one that came last in order, and forgets it.
    pub async fn leave(&mut self) -> Result<()> {
        let mut last = self.each.pop().context("no brokers")?;
        last.stop().await
    }

    /// One of them.
    pub fn get(&mut self, index: usize) -> &mut Broker {
        &mut self.each[index]
    }

    /// The connection for clients of one.
    pub async fn connect(&self, index: usize) -> Result<Wire> {
        Ok(Wire::open(self.each[index].bootstrap().port()).await?)
    }

    /// The one that leads the quorum; all of them must run.
    pub async fn leader(&self) -> Result<usize> {
        let mut found = None;
        within(LIMIT, "one broker leads the quorum", async || {
            let mut leaders = Vec::new();
            for index in 0..BROKERS {
                if self.gauge(index, "odradek_active_controller").await? == "1" {
                    leaders.push(index);
                }
            }
            found = leaders.first().copied();
            Ok(leaders.len() == 1)
        })
        .await?;
        found.context("no leader")
    }

    /// The epoch of each one's registration.
    pub async fn epochs(&self) -> Result<Vec<String>> {
        try_join_all((0..BROKERS).map(|index| self.gauge(index, "odradek_broker_epoch"))).await
    }

    /// Fails if one told a producer that its batch is out of order. Of a client that sends in order it is only true
    /// behind a batch that was refused, and librdkafka goes on in a new epoch then, in which what it does not know
    /// the fate of comes twice.
    pub async fn none_out_of_order(&self) -> Result<()> {
        const TOLD: &str =
            "odradek_request_errors_total{api=\"Produce\",error=\"OutOfOrderSequenceNumber\"}";
        for (index, broker) in self.each.iter().enumerate() {
            // One that has just registered serves its metrics last.
            let mut metrics = String::new();
            within(LIMIT, "metrics are served", async || {
                metrics = broker.metrics().await.unwrap_or_default();
                Ok(!metrics.is_empty())
            })
            .await?;
            let told = metrics.lines().find_map(|line| line.strip_prefix(TOLD));
            ensure!(
                told.is_none(),
                "broker {} said{} times: out of order",
                index + 1,
                told.unwrap_or("")
            );
        }
        Ok(())
    }

    /// What `/metrics` of a broker shows for a name without labels.
    async fn gauge(&self, index: usize, name: &str) -> Result<String> {
        let metrics = self.each[index].metrics().await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {name}"))?.to_owned())
    }

    /// Waits until the others say that a broker lives, or that it does not.
    pub async fn is_live(&self, index: usize, lives: bool) -> Result<()> {
        let word = if lives { "lives" } else { "is fenced" };
        within(LIMIT, &format!("broker {} {word}", index + 1), async || {
            for other in (0..BROKERS).filter(|other| *other != index) {
                let listed = self.metadata(other).await?.brokers;
                if listed.iter().any(|one| is(one.node_id.0, index)) != lives {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// The partitions of the load that a broker leads, as broker `asked` knows it.
    pub async fn led(&self, index: usize, asked: usize) -> Result<Vec<(String, i32)>> {
        let metadata = self.metadata(asked).await?;
        let topics = metadata.topics.iter().filter(|topic| !topic.is_internal);
        let led = topics.flat_map(|topic| {
            let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
            let led = topic.partitions.iter().filter(move |one| is(one.leader_id.0, index));
            led.map(move |one| (name.clone(), one.partition_index))
        });
        Ok(led.collect())
    }

    /// The batches of a partition, a line each, from the broker that leads it.
    pub async fn batches(&self, topic: &str, partition: i32) -> Result<Vec<String>> {
        let mut refused = None;
        for index in 0..BROKERS {
            let read = async {
                anyhow::Ok(self.connect(index).await?.batches(topic, partition, 0, 0).await?)
            };
            match tokio::time::timeout(LIMIT, read).await? {
                Ok(batches) => return Ok(batches.iter().map(line_of).collect()),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.context("no brokers")?)
    }

    async fn metadata(&self, index: usize) -> Result<MetadataResponse> {
        let asked = async {
            // All topics.
            let request = MetadataRequest::default().with_topics(None);
            anyhow::Ok(self.connect(index).await?.call(&request, 12).await?)
        };
        let answer = tokio::time::timeout(REQUEST_LIMIT, asked).await;
        let answer = answer.map_err(anyhow::Error::from).flatten();
        answer.with_context(|| format!("broker {} does not tell its metadata", index + 1))
    }

    /// Sends a signal to one.
    pub fn signal(&self, index: usize, kind: Signal) -> Result<()> {
        signal(self.each[index].id().context("the broker has ended")?, kind)
    }

    /// Fails if one of them has ended by itself.
    pub fn all_run(&mut self) -> Result<()> {
        for (index, broker) in self.each.iter_mut().enumerate() {
            let ended = broker.ended()?;
            ensure!(ended.is_none(), "broker {} ended: {ended:?}", index + 1);
        }
        Ok(())
    }

    /// Ends all at once with SIGTERM.
    pub async fn stop(mut self) -> Result<()> {
        join_all(self.each.iter_mut().map(Broker::stop)).await.into_iter().collect()
    }

    /// The last lines of each log, and where the rest is left for people.
    pub fn report(mut self) -> String {
        let told = |(index, broker): (usize, &mut Broker)| {
            let (lines, kept) = (broker.log_tail(LOG_LINES), broker.keep());
            format!(
                "the log of broker {}, which is left in {}:\n{lines}",
                index + 1,
                kept.display()
            )
        };
        let each: Vec<String> = self.each.iter_mut().enumerate().map(told).collect();
        each.join("\n")
    }
}

fn line_of(batch: &Batch) -> String {
    let header = &batch.header;
    format!(
        "{} +{} in leader epoch {}: producer {} epoch {} sequence {}",
        header.base_offset,
        header.record_count,
        header.leader_epoch,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence
    )
}

/// Whether a broker's id belongs to this index.
fn is(id: i32, index: usize) -> bool {
    usize::try_from(id).is_ok_and(|id| id == index + 1)
}
