//! The life of one cluster: clients that never stop, faults, and a look at everything after each.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use odradek_tests::history::{Guarantee, Place, Setup};
use odradek_tests::load::{
    Kind, Producers, Readers, Record, Topic, caught_up, client, end_clients, guarantees, look,
    settle,
};
use odradek_tests::minio::Minio;
use odradek_tests::wait::within;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::config::ClientConfig;

use crate::brokers::Brokers;
use crate::scenario::Scenario;

const TOPICS: [Topic; 1] = [Topic { name: "load", partitions: 12, shortened: false }];
const PRODUCERS: [Kind; 3] = [
    ("none", Guarantee::Idempotent),
    ("lz4", Guarantee::Idempotent),
    ("zstd", Guarantee::Idempotent),
];
/// Records that are acknowledged before the fault, at least.
const LEAST_ACKNOWLEDGED: u64 = 500;
/// How long that may take, and each partition's wait for an acknowledgement after a fault.
const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// How long a round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(240);
/// How long a cluster may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(120);
/// Problems that are told of one round.
const TOLD: usize = 20;

/// A cluster with its clients.
pub struct Life {
    pub brokers: Brokers,
    pub record: Record,
    pub draw: StdRng,
    /// How long the quorum is away where it is.
    pub quorum_away: Duration,
    client: ClientConfig,
    setup: Setup,
    producers: Producers,
    readers: Arc<Readers>,
}

/// How a round went.
pub struct Round {
    /// Records that were acknowledged in it.
    pub acknowledged: u64,
    /// From the fault to the new acknowledgement that came last of those that came first on each partition.
    pub waited: Option<Duration>,
    /// What is wrong; nothing in a round that passes.
    pub problems: Vec<String>,
}

impl Life {
    /// Starts a cluster on an empty place of the store, and its clients.
    pub async fn begin(
        minio: &Minio,
        prefix: &str,
        seed: u64,
        quorum_away: Duration,
    ) -> Result<Self> {
        let topic = &TOPICS[0];
        let begun = async {
            let brokers = Brokers::start(&minio.place(prefix)).await?;
            brokers.connect(0).await?.create(topic.name, topic.partitions).await?;
            anyhow::Ok(brokers)
        };
        let brokers =
            tokio::time::timeout(BEGIN_LIMIT, begun).await.context("it takes too long")??;
        let client = patient(&brokers.bootstrap());
        let record = Record::new(&TOPICS);
        let producers = guarantees(&PRODUCERS).collect();
        let setup = Setup { producers, ..Setup::default() };
        let readers = Arc::new(Readers::start(&client, &record)?);
        let producers = Producers::start(&client, &record, &PRODUCERS, seed)?;
        let draw = StdRng::seed_from_u64(seed);
        Ok(Self { brokers, record, draw, quorum_away, client, setup, producers, readers })
    }

    /// Load, a fault, and a look at everything.
    pub async fn round(&mut self, scenario: Scenario, minio: &Minio) -> Round {
        let before = self.record.acknowledged();
        let mut problems = Vec::new();
        let mut waited = None;
        match tokio::time::timeout(ROUND_LIMIT, self.fault(scenario, minio)).await {
            Ok(Ok(took)) => waited = took,
            Ok(Err(error)) => problems.push(format!("{error:#}")),
            Err(_) => problems.push(format!("not over within {ROUND_LIMIT:?}")),
        }
        self.producers.pause(true);
        problems.extend(self.judge().await);
        problems.truncate(TOLD);
        Round { acknowledged: self.record.acknowledged() - before, waited, problems }
    }

    async fn fault(&mut self, scenario: Scenario, minio: &Minio) -> Result<Option<Duration>> {
        self.producers.pause(false);
        let more = LEAST_ACKNOWLEDGED + self.draw.random_range(0..LEAST_ACKNOWLEDGED);
        let enough = self.record.acknowledged() + more;
        let what = format!("{more} records are acknowledged before the fault");
        within(LOAD_LIMIT, &what, async || Ok(self.record.acknowledged() >= enough)).await?;
        let waited = scenario.act(self, minio).await?;
        self.brokers.all_run()?;
        Ok(waited)
    }

    /// Waits until each partition has an acknowledgement of what was sent since the watch began, and answers
    /// how long that took from then.
    pub async fn acknowledged_everywhere(&self) -> Result<Duration> {
        self.acknowledged(&self.record.places()).await
    }

    /// The same of some partitions.
    pub async fn acknowledged(&self, places: &[Place]) -> Result<Duration> {
        let missing = || {
            let each = self.record.waited();
            places.iter().filter(|place| !each.contains_key(place)).copied().collect::<Vec<_>>()
        };
        let all = async || Ok(missing().is_empty());
        let waited = within(LOAD_LIMIT, "each partition acknowledges", all).await;
        waited.with_context(|| {
            let missing: Vec<String> = missing().iter().map(ToString::to_string).collect();
            format!("nothing new is acknowledged: {}", missing.join(", "))
        })?;
        let each = self.record.waited();
        let waited = places.iter().filter_map(|place| each.get(place));
        waited.max().copied().context("no partitions")
    }

    /// Everything that is wrong once the fault is over.
    async fn judge(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut told = |result: Result<()>| {
            problems.extend(result.err().map(|error| format!("{error:#}")));
        };
        told(settle(&self.record).await);
        told(self.brokers.none_out_of_order().await);
        match look(&self.client, &self.record).await {
            Ok(ends) => told(caught_up(&self.readers, &ends).await),
            Err(error) => told(Err(error)),
        }
        problems.extend(self.record.check(&self.setup).iter().map(ToString::to_string));
        problems.extend(self.record.take_problems());
        problems
    }

    /// Ends clients and brokers.
    pub async fn end(self) -> Result<()> {
        let Self { brokers, producers, readers, .. } = self;
        let readers = Arc::into_inner(readers).context("someone still holds the readers")?;
        end_clients(move || {
            producers.stop()?;
            readers.stop()
        })
        .await?;
        brokers.stop().await
    }

    /// Ends all at once; the last lines of the brokers' logs, and where all batches are listed for people.
    pub async fn report(self) -> Result<String> {
        let mut lines = Vec::new();
        for place in self.record.places() {
            let topic = self.record.topic_of(place).name;
            lines.push(format!("{topic}-{}", place.partition));
            match self.brokers.batches(topic, place.partition).await {
                Ok(batches) => lines.extend(batches),
                Err(error) => lines.push(format!("{error:#}")),
            }
        }
        let (mut file, path) = tempfile::NamedTempFile::new()?.keep()?;
        file.write_all(lines.join("\n").as_bytes())?;
        Ok(format!("the batches are listed in {}\n{}", path.display(), self.brokers.report()))
    }
}

/// Clients that look often for who leads a partition, and wait for no broker that stands still.
fn patient(bootstrap: &str) -> ClientConfig {
    let mut config = client(bootstrap);
    config
        .set("topic.metadata.refresh.interval.ms", "100")
        .set("socket.timeout.ms", "3000")
        .set("request.timeout.ms", "3000");
    config
}
