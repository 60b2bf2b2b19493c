//! The life of one data directory: a broker that is killed again and again under load.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_common::phases::Phase;
use odradek_tests::broker::{Broker, BrokerOptions};
use odradek_tests::history::{Setup, Violation};
use odradek_tests::load::{
    Producers, Readers, Record, caught_up, client, end_clients, guarantees, look, settle,
};
use odradek_tests::minio::Minio;
use odradek_tests::place::WalKind;
use odradek_tests::process::signal;
use odradek_tests::wait::within;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::board::{Hits, Moment, add, cut, least_hit, strike};
use crate::changes::{Changes, create_topics};
use crate::outage::outage;
use crate::settings::{self, PRODUCERS, TOPICS};

/// Records that each round acknowledges before the kill, at least.
const LEAST_ACKNOWLEDGED: u64 = 1_000;
/// How long that may take.
const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// The longest wait of a kill that falls at random.
const RANDOM_MS: u64 = 300;
/// Problems that are told of one round.
const TOLD: usize = 20;

/// A broker with its clients.
pub struct Life {
    broker: Broker,
    bootstrap: String,
    record: Record,
    setup: Setup,
    producers: Producers,
    readers: Arc<Readers>,
    changes: Changes,
    draw: StdRng,
}

/// How a round went.
pub struct Round {
    /// Records that were acknowledged in it.
    pub acknowledged: u64,
    /// The phases that its kills cut.
    pub cut: Vec<Phase>,
    /// From the start to readiness.
    pub recovery: Duration,
    /// What is wrong; nothing in a round that passes.
    pub problems: Vec<String>,
}

impl Life {
    /// Starts a broker on an empty place, and its clients.
    pub async fn begin(options: BrokerOptions, seed: u64) -> Result<Self> {
        let broker = Broker::start(settings::broker(options).with_board()).await?;
        let bootstrap = broker.bootstrap().to_string();
        create_topics(&bootstrap).await?;
        let record = Record::new(&TOPICS);
        let deleting =
            record.places().into_iter().filter(|place| record.topic_of(*place).shortened).collect();
        let setup = Setup { producers: guarantees(&PRODUCERS).collect(), deleting };
        let readers = Arc::new(Readers::start(&client(&bootstrap), &record)?);
        let changes = Changes::start(&bootstrap, &record, &readers)?;
        let producers = Producers::start(&client(&bootstrap), &record, &PRODUCERS, seed)?;
        let draw = StdRng::seed_from_u64(seed);
        Ok(Self { broker, bootstrap, record, setup, producers, readers, changes, draw })
    }

    /// Load, a kill, a start, and a look at everything. Three of four kills wait for the phase that was
    /// hit least; the others fall at random. Some brokers are killed again while they recover.
    pub async fn round(&mut self, number: u64, hits: &mut Hits) -> Result<Round> {
        let before = self.record.acknowledged();
        self.producers.pause(false);
        let more = LEAST_ACKNOWLEDGED + self.draw.random_range(0..LEAST_ACKNOWLEDGED);
        self.load(before + more).await?;
        let moment = match number % 4 {
            3 => self.at_random(),
            _ => Moment::In(least_hit(hits)),
        };
        let mut cut = self.kill(moment).await?;
        while self.draw.random_ratio(1, 3) {
            self.broker.launch()?;
            let moment = self.at_random();
            cut.extend(self.kill(moment).await?);
        }
        add(hits, &cut);
        let started = Instant::now();
        self.broker.start_again().await?;
        let recovery = started.elapsed();
        self.producers.pause(true);
        let problems = self.judge().await;
        let acknowledged = self.record.acknowledged() - before;
        Ok(Round { acknowledged, cut, recovery, problems })
    }

    /// A round with a broker that forgets: after the kill its data directory is put back to what it
    /// was before the last acknowledgements. Answers what the checker finds, which must not be
    /// nothing.
    pub async fn forget(&mut self) -> Result<Vec<Violation>> {
        self.producers.pause(false);
        self.load(LEAST_ACKNOWLEDGED).await?;
        let id = self.broker.id().context("the broker has ended")?;
        let (data, old) = (self.broker.data_dir(), self.broker.data_dir().with_extension("old"));
        signal(id, Signal::STOP)?;
        let copied = copy(&data, &old).await;
        signal(id, Signal::CONT)?;
        copied?;
        self.load(self.record.acknowledged() + LEAST_ACKNOWLEDGED).await?;
        self.producers.pause(true);
        settle(&self.record).await?;
        self.kill(Moment::After(Duration::ZERO)).await?;
        std::fs::remove_dir_all(&data)?;
        std::fs::rename(&old, &data)?;
        self.broker.start_again().await?;
        let _held = self.changes.hold().await;
        look(&client(&self.bootstrap), &self.record).await?;
        Ok(self.record.check(&self.setup))
    }

    /// A round in which the store is killed and comes back. Answers what is wrong.
    pub async fn outage(&mut self, wal: WalKind, minio: &mut Minio) -> Result<Vec<String>> {
        self.producers.pause(false);
        self.load(LEAST_ACKNOWLEDGED).await?;
        outage(&mut self.broker, wal, minio, &self.record, &self.readers).await?;
        self.producers.pause(true);
        Ok(self.judge().await)
    }

    /// Ends clients and broker.
    pub async fn end(mut self) -> Result<()> {
        self.producers.stop()?;
        self.changes.stop().await?;
        let readers = Arc::into_inner(self.readers).context("someone still holds the readers")?;
        end_clients(|| readers.stop()).await?;
        self.broker.stop().await
    }

    /// Ends it at once and keeps what it leaves, for a look by people.
    pub fn keep(mut self) -> PathBuf {
        self.broker.keep()
    }

    /// The last lines of the broker's log.
    pub fn log_tail(&self) -> String {
        self.broker.log_tail(40)
    }

    async fn load(&self, acknowledged: u64) -> Result<()> {
        let what = format!("{acknowledged} records are acknowledged");
        within(LOAD_LIMIT, &what, async || Ok(self.record.acknowledged() >= acknowledged)).await
    }

    fn at_random(&mut self) -> Moment {
        Moment::After(Duration::from_millis(self.draw.random_range(0..RANDOM_MS)))
    }

    async fn kill(&mut self, moment: Moment) -> Result<Vec<Phase>> {
        let id = self.broker.id().context("the broker has ended")?;
        let struck = strike(self.broker.board(), id, moment).await;
        struck.with_context(|| format!("the broker's log:\n{}", self.log_tail()))?;
        let status = self.broker.wait_ended().await?;
        ensure!(
            std::os::unix::process::ExitStatusExt::signal(&status) == Some(9),
            "the broker ended before the kill: {status}; its log:\n{}",
            self.log_tail()
        );
        cut(&self.broker.board())
    }

    /// Everything that is wrong after a start.
    async fn judge(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut told = |result: Result<()>| {
            problems.extend(result.err().map(|error| format!("{error:#}")));
        };
        let held = self.changes.hold().await;
        told(settle(&self.record).await);
        match look(&client(&self.bootstrap), &self.record).await {
            Ok(ends) => told(caught_up(&self.readers, &ends).await),
            Err(error) => told(Err(error)),
        }
        match held.compare(&self.bootstrap) {
            Ok(wrong) => problems.extend(wrong),
            Err(error) => problems.push(format!("{error:#}")),
        }
        let violations = self.record.check(&self.setup);
        problems.extend(violations.iter().map(ToString::to_string));
        problems.extend(self.record.take_problems());
        problems.truncate(TOLD);
        problems
    }
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = tokio::process::Command::new("cp").arg("-a").arg(from).arg(to).status().await?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}
