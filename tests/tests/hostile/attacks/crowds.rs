//! Many connections.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt};
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use odradek_tests::broker::built;
use odradek_tests::net::{free_address, http_get};
use odradek_tests::process::Process;
use socket2::SockRef;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;

use crate::batch::{Maker, produce};
use crate::target::Target;
use crate::wire::{Outcome, Peer, name};

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

/// 3,000 connections that are opened and say nothing.
pub async fn silent(target: &Target) -> Result<String> {
    const CONNECTIONS: usize = 3_000;
    let before = target.resident()?;
    let opened = futures::stream::iter(0..CONNECTIONS).map(|_| Peer::open(target.kafka));
    let mut peers: Vec<Peer> = opened.buffer_unordered(64).try_collect().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = target.resident()?.saturating_sub(before) / CONNECTIONS as u64;
    ensure!(closed(&mut peers).await? == 0, "some were closed");
    ensure!(grown < 32 << 10, "{grown} bytes for each connection");
    Ok(format!("{grown} bytes each"))
}

/// More connections than a broker has file descriptors: those that it has are served, and so are its
/// files.
pub async fn more_than_descriptors(_: &Target) -> Result<String> {
    const DESCRIPTORS: u32 = 400;
    let dir = TempDir::new()?;
    let (kafka, admin) = (free_address()?, free_address()?);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$@\""), "sh"]);
    command.arg(built("odradek", "ODRADEK_BIN")?).arg("start").current_dir(dir.path());
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("ODRADEK_") {
            command.env_remove(key);
        }
    }
    for setting in [
        format!("data.dir={}", dir.path().join("data").display()),
        format!("listeners=PLAINTEXT://{kafka}"),
        format!("admin.listen={admin}"),
    ] {
        command.arg("--set").arg(setting);
    }
    let mut process = Process::spawn("odradek", command, &dir.path().join("log"))?;
    let serves = async || matches!(http_get(admin, "/readyz").await, Ok((200, _)));
    process.ready(Duration::from_secs(30), serves).await?;

    let mut served = Peer::open(kafka).await?;
    let opened = futures::stream::iter(0..2 * DESCRIPTORS).map(|_| Peer::open(kafka));
    let mut peers: Vec<Peer> = opened.buffer_unordered(16).try_collect().await?;
    let (status, _) = http_get(admin, "/livez").await?;
    ensure!(status == 200, "/livez: {status}");
    for topic in 0..5 {
        // A topic that is made by asking for it writes to the log of the metadata.
        let topic = format!("still-{topic}");
        let asked = MetadataRequestTopic::default().with_name(Some(name(&topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![asked]))
            .with_allow_auto_topic_creation(true);
        let code = served.call(&request, 12).await?.topics[0].error_code;
        ensure!(code == 0, "Metadata: {code}");
        let code =
            produce(&mut served, &topic, Maker::of(&[(None, b"v")]).build()).await?.error_code;
        ensure!(code == 0, "Produce: {code}");
    }
    let closed = closed(&mut peers).await?;
    drop(peers);
    let log = process.log_tail(200);
    process.terminate(Duration::from_secs(15)).await?;
    ensure!(!log.contains("Too many open files"), "the broker ran out of file descriptors: {log}");
    ensure!(closed > 0, "{DESCRIPTORS} descriptors are enough for {} peers", 2 * DESCRIPTORS);
    Ok(format!("{closed} of {} closed", 2 * DESCRIPTORS))
}

/// Peers that sent half a frame when the broker had started are given up after 30 s.
pub async fn stalled(target: &Target) -> Result<String> {
    const PATIENCE: Duration = Duration::from_secs(35);
    let peers = std::mem::take(&mut *target.stalled.lock());
    for mut peer in peers {
        let left = (target.stalled_since + PATIENCE).saturating_duration_since(Instant::now());
        match peer.outcome(left.max(Duration::from_millis(10))).await? {
            Outcome::Closed => {}
            other => bail!("half a frame is waited for after {PATIENCE:?}: {other:?}"),
        }
    }
    Ok("closed".into())
}
