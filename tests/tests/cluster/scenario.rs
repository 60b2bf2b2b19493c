//! What befalls a cluster in a round.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_tests::minio::Minio;
use odradek_tests::process::signal;
use rand::Rng;
use rand::seq::IteratorRandom;
use rustix::process::Signal;

use crate::brokers::BROKERS;
use crate::life::Life;

/// How long the store is away: longer than a broker's session.
const STORE_AWAY: Duration = Duration::from_secs(5);

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
}

impl Scenario {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::KillOwner, Self::KillLeader, Self::Zombie, Self::MinioAway, Self::Rolling];

    /// Does it, and waits until the cluster is whole again. Answers what is measured of it: how long after the
    /// fault each partition had a new acknowledgement.
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
        })
    }
}

/// A broker that owns partitions and does not lead the quorum.
async fn owner(life: &mut Life) -> Result<usize> {
    let leader = life.brokers.leader().await?;
    let led = life.brokers.led(leader).await?;
    let owners = (0..BROKERS).filter(|index| *index != leader && led[*index] > 0);
    let found = owners.choose(&mut life.draw);
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
