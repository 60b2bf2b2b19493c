//! Many connections.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::StreamExt;
use futures::future::try_join_all;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::target::Target;
use crate::wire::{Outcome, Peer};

/// What each announces.
const ANNOUNCED: u32 = 50_000_000;
const PEERS: usize = 400;
/// How long the crowd stays.
const STAY: Duration = Duration::from_secs(4);

/// The beginning of a frame of 50 MB: a Produce request.
pub fn beginning(bytes: usize) -> Vec<u8> {
    let mut frame = ANNOUNCED.to_be_bytes().to_vec();
    frame.extend([0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff]);
    frame.resize(4 + bytes, 0);
    frame
}

async fn crowd(target: &Target, bytes: &[u8]) -> Result<Vec<Peer>> {
    let peers = (0..PEERS).map(|_| async {
        let mut peer = Peer::open(target.kafka).await?;
        peer.send(bytes).await?;
        anyhow::Ok(peer)
    });
    try_join_all(peers).await
}

/// How many of the crowd were closed by the broker; none may have an answer.
async fn closed(peers: &mut [Peer]) -> Result<usize> {
    let mut closed = 0;
    for peer in peers {
        match peer.outcome(Duration::from_millis(1)).await? {
            Outcome::Answer(_) => bail!("half a request is answered"),
            Outcome::Closed => closed += 1,
            Outcome::Silence => {}
        }
    }
    Ok(closed)
}

/// Each announces 50 MB, sends 1 KB and stays: none costs more than it has sent, none need be closed.
pub async fn announced_50_mb(target: &Target) -> Result<String> {
    let before = target.resident()?;
    let mut peers = crowd(target, &beginning(1_000)).await?;
    tokio::time::sleep(STAY).await;
    let grown = target.resident()?.saturating_sub(before);
    let each = 64 << 10;
    ensure!(grown < PEERS as u64 * each, "{grown} bytes more for {PEERS} connections");
    Ok(format!("{} of {PEERS} closed", closed(&mut peers).await?))
}

/// Each announces 50 MB and sends 1.5 MB, together far more than the budget: some are closed.
pub async fn half_sent_megabytes(target: &Target) -> Result<String> {
    let mut peers = crowd(target, &beginning(1_500_000)).await?;
    tokio::time::sleep(STAY).await;
    let closed = closed(&mut peers).await?;
    ensure!(closed > 0, "600 MB of half requests are held");
    Ok(format!("{closed} of {PEERS} closed"))
}

/// Each sends its frame a byte at a time.
pub async fn dribbling(target: &Target) -> Result<String> {
    let mut peers = crowd(target, &beginning(10)).await?;
    for _ in 0..40 {
        for peer in &mut peers {
            peer.send(&[0]).await?;
        }
        tokio::time::sleep(STAY / 40).await;
    }
    Ok(format!("{} of {PEERS} closed", closed(&mut peers).await?))
}

/// 10,000 connections opened and dropped, some with a reset, some in the middle of a frame.
pub async fn opened_and_dropped(target: &Target) -> Result<String> {
    const CONNECTIONS: usize = 10_000;
    let opened = futures::stream::iter(0..CONNECTIONS)
        .map(|index| async move {
            let mut stream = TcpStream::connect(target.kafka).await?;
            if index % 3 == 0 {
                stream.write_all(&beginning(20)).await?;
            }
            // A system has ports for 28,000 that wait after a regular end.
            if index % 4 != 0 {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(64);
    let outcomes: Vec<_> = opened.collect().await;
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    ensure!(refused == 0, "{refused} of {CONNECTIONS} were refused");
    Ok(format!("{CONNECTIONS} opened"))
}

/// 5,000 connections that are opened and say nothing.
pub async fn silent(target: &Target) -> Result<String> {
    const CONNECTIONS: usize = 5_000;
    let before = target.resident()?;
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        peers.push(Peer::open(target.kafka).await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = target.resident()?.saturating_sub(before) / CONNECTIONS as u64;
    ensure!(closed(&mut peers).await? == 0, "some were closed");
    ensure!(grown < 32 << 10, "{grown} bytes for each connection");
    Ok(format!("{grown} bytes each"))
}
