//! What befalls a cluster in a round.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_tests::history::Place;
use odradek_tests::minio::Minio;
use odradek_tests::process::signal;
use odradek_tests::wait::within;
use rand::Rng;
use rand::seq::IteratorRandom;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::brokers::BROKERS;
use crate::life::Life;

/// How long the store is away: longer than a broker's session.
const STORE_AWAY: Duration = Duration::from_secs(5);

/// How long a broker that came may wait for its share of the partitions.
const SHARE_LIMIT: Duration = Duration::from_secs(30);

/// A fault with what must follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// SIGKILL of a broker that owns partitions and does not lead the quorum.
    KillOwner,
    /// SIGKILL of the broker that leads the quorum.
    KillLeader,
    /// A broker stands still until it is fenced, and goes on: it comes back in the same process.
    Zombie,
    /// The store stands still for a while: all wait for it, and nobody is fenced.
    MinioAway,
    /// Each broker in turn is stopped with SIGTERM and started again.
    Rolling,
    /// Two of the three voters stand still for a while: the third goes on with what it owns.
    QuorumAway,
    /// A fourth broker comes, has its share, and leaves.
    Fourth,
}

impl Scenario {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::KillOwner,
        Self::KillLeader,
        Self::Zombie,
        Self::MinioAway,
        Self::Rolling,
        Self::QuorumAway,
        Self::Fourth,
    ];

    /// Rounds with one cluster; then a new one begins, as each round reads all that was written. What has moved lately
    /// does not move again for the balance: each fourth broker comes to a cluster at rest.
    pub fn rounds_of_a_life(self) -> u64 {
        if self == Self::Fourth { 1 } else { 5 }
    }

    /// What is measured of it, if anything is.
    pub fn measures(self) -> &'static str {
        match self {
            Self::Fourth => "from its start to its share of the partitions",
            _ => "from the fault to a new acknowledgement on every partition",
        }
    }

    /// Does it, and waits until the cluster is whole again. Answers what is measured of it.
    pub async fn act(self, life: &mut Life, minio: &Minio) -> Result<Option<Duration>> {
        match self {
            Self::KillOwner => {
                let victim = owner(life).await?;
                kill(life, victim).await.map(Some)
            }
            Self::KillLeader => {
                let victim = life.brokers.leader().await?;
                kill(life, victim).await.map(Some)
            }
            Self::Zombie => zombie(life).await.map(|()| None),
            Self::MinioAway => minio_away(life, minio).await.map(|()| None),
            Self::Rolling => rolling(life).await.map(|()| None),
            Self::QuorumAway => quorum_away(life).await.map(|()| None),
            Self::Fourth => fourth(life).await.map(Some),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::KillOwner => "kill-owner",
            Self::KillLeader => "kill-leader",
            Self::Zombie => "zombie",
            Self::MinioAway => "minio-away",
            Self::Rolling => "rolling",
            Self::QuorumAway => "quorum-away",
            Self::Fourth => "fourth",
        })
    }
}

/// A broker that owns partitions and does not lead the quorum.
async fn owner(life: &mut Life) -> Result<usize> {
    let leader = life.brokers.leader().await?;
    let mut owners = Vec::new();
    for index in (0..BROKERS).filter(|index| *index != leader) {
        if !life.brokers.led(index, leader).await?.is_empty() {
            owners.push(index);
        }
    }
    let found = owners.into_iter().choose(&mut life.draw);
    found.with_context(|| format!("broker {} leads the quorum, and all partitions", leader + 1))
}

/// Kills a broker, measures, and starts it again.
async fn kill(life: &mut Life, victim: usize) -> Result<Duration> {
    life.record.watch();
    life.brokers.get(victim).kill().await?;
    let waited = life.acknowledged_everywhere().await?;
    life.brokers.get(victim).start_again().await?;
    life.brokers.is_live(victim, true).await?;
    Ok(waited)
}

async fn zombie(life: &mut Life) -> Result<()> {
    let victim = life.draw.random_range(0..BROKERS);
    life.record.watch();
    life.brokers.signal(victim, Signal::STOP)?;
    let without = go_on_without(life, victim).await;
    life.brokers.signal(victim, Signal::CONT)?;
    without?;
    life.brokers.is_live(victim, true).await.context("after it stood still")?;
    life.record.watch();
    life.acknowledged_everywhere().await?;
    Ok(())
}

async fn go_on_without(life: &Life, victim: usize) -> Result<()> {
    life.brokers.is_live(victim, false).await?;
    life.acknowledged_everywhere().await.context("while one stands still")?;
    Ok(())
}

async fn minio_away(life: &Life, minio: &Minio) -> Result<()> {
    let id = minio.id().context("MinIO has ended")?;
    let before = life.brokers.epochs().await?;
    signal(id, Signal::STOP)?;
    tokio::time::sleep(STORE_AWAY).await;
    life.record.watch();
    signal(id, Signal::CONT)?;
    life.acknowledged_everywhere().await?;
    let after = life.brokers.epochs().await?;
    ensure!(before == after, "brokers were fenced with the store away: {before:?}, {after:?}");
    Ok(())
}

async fn rolling(life: &mut Life) -> Result<()> {
    for index in 0..BROKERS {
        life.record.watch();
        life.brokers.get(index).stop().await?;
        life.acknowledged_everywhere().await.context("while one is stopped")?;
        life.brokers.get(index).start_again().await?;
        life.brokers.is_live(index, true).await?;
    }
    Ok(())
}

async fn quorum_away(life: &mut Life) -> Result<()> {
    let left = owner(life).await?;
    let led = life.brokers.led(left, left).await?;
    let places = led.iter().map(|(topic, partition)| life.record.place_of(topic, *partition));
    let places = places.collect::<Option<Vec<_>>>().context("a topic that is not known")?;
    let before = life.brokers.epochs().await?;
    let others: Vec<usize> = (0..BROKERS).filter(|index| *index != left).collect();
    for index in &others {
        life.brokers.signal(*index, Signal::STOP)?;
    }
    let without = goes_on(life, &places).await;
    life.record.watch();
    for index in &others {
        life.brokers.signal(*index, Signal::CONT)?;
    }
    without.context("while there was no quorum")?;
    life.acknowledged_everywhere().await?;
    let after = life.brokers.epochs().await?;
    ensure!(before == after, "brokers were fenced that lived: {before:?}, {after:?}");
    Ok(())
}

/// Waits for acknowledgements on these partitions, again and again while the quorum is away.
async fn goes_on(life: &Life, places: &[Place]) -> Result<()> {
    let end = Instant::now() + life.quorum_away;
    while Instant::now() < end {
        life.record.watch();
        life.acknowledged(places).await?;
    }
    Ok(())
}

async fn fourth(life: &mut Life) -> Result<Duration> {
    let begun = Instant::now();
    let index = life.brokers.join().await?;
    let share = life.record.places().len() / (index + 1);
    within(SHARE_LIMIT, "the fourth broker has its share", async || {
        Ok(life.brokers.led(index, 0).await?.len() >= share)
    })
    .await?;
    let took = begun.elapsed();
    life.record.watch();
    life.acknowledged_everywhere().await?;
    life.record.watch();
    life.brokers.leave().await?;
    life.acknowledged_everywhere().await.context("after it left")?;
    Ok(took)
}
