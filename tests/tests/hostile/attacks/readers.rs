//! Peers that ask and never read.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest};
use odradek_common::random::{Random, SeededRandom};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::answers::wide;
use crate::batch::{Maker, produce, put_uvarint};
use crate::bystander::fetch;
use crate::target::Target;
use crate::wire::{Outcome, Peer, framed, raw};

/// Peers at once.
const PEERS: usize = 50;
/// How long they stay without reading.
const STAY: Duration = Duration::from_secs(4);

/// A peer whose system takes in little for it.
async fn narrow(address: SocketAddr) -> Result<Peer> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    Ok(Peer { stream: socket.connect(address).await? })
}

/// Opens peers that send these bytes as far as they are taken, and stay.
async fn never_read(target: &Target, bytes: Bytes) -> Result<String> {
    let peers = (0..PEERS).map(|_| {
        let bytes = bytes.clone();
        async move {
            let mut peer = narrow(target.kafka).await?;
            // The broker stops reading sooner or later, and may close.
            let _ = tokio::time::timeout(STAY, peer.stream.write_all(&bytes)).await;
            anyhow::Ok(peer)
        }
    });
    let started = tokio::time::Instant::now();
    let mut peers = try_join_all(peers).await?;
    tokio::time::sleep_until(started + STAY).await;
    let mut ended = 0;
    for peer in &mut peers {
        let closed = peer.stream.ready(tokio::io::Interest::ERROR).now_or_never_ok();
        ended += usize::from(closed);
    }
    Ok(format!("{ended} of {PEERS} closed meanwhile"))
}

/// Whether something is so at this moment.
trait NowOrNever {
    fn now_or_never_ok(self) -> bool;
}

impl<F: Future<Output = std::io::Result<tokio::io::Ready>>> NowOrNever for F {
    fn now_or_never_ok(self) -> bool {
        use futures::FutureExt;
        matches!(self.now_or_never(), Some(Ok(ready)) if ready.is_error() || ready.is_write_closed())
    }
}

/// Fetches of 50 MB each, of records that are there.
pub async fn fetches_never_read(target: &Target) -> Result<String> {
    const TOPIC: &str = "large";
    target.create(TOPIC, 1, &[]).await?;
    let random = SeededRandom::from_seed(3);
    let mut peer = Peer::open(target.kafka).await?;
    for _ in 0..100 {
        let mut value = vec![0; 1_000_000];
        random.fill(&mut value);
        let code =
            produce(&mut peer, TOPIC, Maker::of(&[(None, &value)]).build()).await?.error_code;
        ensure!(code == 0, "Produce: {code}");
    }
    let mut request: FetchRequest = fetch(TOPIC, 0).with_max_bytes(50 << 20);
    request.topics[0].partitions[0].partition_max_bytes = 50 << 20;
    never_read(target, framed(&request, 12)?.repeat(20).into()).await
}

/// Fetches of half a million topics without partitions: 3 bytes each on the wire, some 100 in memory.
pub async fn fetches_of_nothing(target: &Target) -> Result<String> {
    const TOPICS: usize = 500_000;
    let mut body = vec![0; 25];
    put_uvarint(&mut body, TOPICS as u64 + 1);
    // An empty name, no partitions, no tags.
    body.extend([1, 1, 0].repeat(TOPICS));
    // No topics to forget, no rack, no tags.
    body.extend([1, 1, 0]);
    target.create("quiet", 1, &[]).await?;
    // The first waits for records that never come, and the others for the first.
    let first = framed(&fetch("quiet", 0).with_max_wait_ms(30_000), 12)?;
    let others = raw(1, 12, true, &body).repeat(4);
    never_read(target, [&first[..], &others].concat().into()).await
}

/// Requests for everything about every topic, one behind the other.
pub async fn metadata_never_read(target: &Target) -> Result<String> {
    wide(target).await?;
    let request = framed(&MetadataRequest::default().with_topics(None), 12)?;
    never_read(target, request.repeat(1_000).into()).await
}

/// Pipelines of 20,000 requests. Those who read in the end get every answer, unless they were closed.
pub async fn pipelines_never_read(target: &Target) -> Result<String> {
    const REQUESTS: usize = 20_000;
    let bytes: Bytes = framed(&ApiVersionsRequest::default(), 0)?.repeat(REQUESTS).into();
    never_read(target, bytes.clone()).await?;
    // One that reads while it sends has them all, in order.
    let peer = Peer::open(target.kafka).await?;
    let (read, mut write) = peer.stream.into_split();
    let sending = async {
        write.write_all(&bytes).await?;
        anyhow::Ok(write)
    };
    let reading = async {
        let mut answers = 0;
        let mut read = tokio::io::BufReader::new(read);
        while answers < REQUESTS {
            use tokio::io::AsyncReadExt;
            let length = read.read_i32().await?;
            let mut answer = vec![0; usize::try_from(length)?];
            read.read_exact(&mut answer).await?;
            answers += 1;
        }
        anyhow::Ok(answers)
    };
    let (sent, answers) = tokio::join!(sending, reading);
    sent?;
    let answers = answers?;
    ensure!(answers == REQUESTS, "{answers} answers");
    let mut peer = Peer::open(target.kafka).await?;
    ensure!(peer.outcome(Duration::from_millis(1)).await? == Outcome::Silence, "closed at once");
    Ok(format!("{answers} answers to who reads"))
}
