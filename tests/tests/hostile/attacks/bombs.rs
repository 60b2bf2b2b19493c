//! Batches that decompress to hundreds of megabytes, sent to every place that looks into batches.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use crate::batch::produce;
use crate::bomb::{Codec, Content, bomb};
use crate::target::Target;
use crate::wire::{Peer, name};

const CORRUPT_MESSAGE: i16 = 2;
/// Just below what the broker is ready to decompress.
const BELOW_CAP: usize = 240 << 20;
/// Nine million records, or thirty million headers: what holds them all takes gigabytes.
const MANY: usize = 60 << 20;
/// Above what it is ready to decompress.
const ABOVE_CAP: usize = 400 << 20;
/// Connections that send the same bombs at the same time.
const AT_ONCE: usize = 2;

/// A bomb with its name, and whether the broker may refuse to look through it.
struct Bomb {
    name: String,
    batch: Bytes,
    above_cap: bool,
}

/// The bombs; all fit into `max.message.bytes`.
async fn bombs() -> Result<Arc<Vec<Bomb>>> {
    let made = tokio::task::spawn_blocking(|| {
        [
            (Content::Value, Codec::Zstd, BELOW_CAP),
            (Content::Value, Codec::Gzip, BELOW_CAP),
            (Content::Value, Codec::Lz4, BELOW_CAP),
            (Content::Value, Codec::Snappy, 20 << 20),
            (Content::Records, Codec::Zstd, MANY),
            (Content::Headers, Codec::Zstd, MANY),
            (Content::Value, Codec::Zstd, ABOVE_CAP),
        ]
        .into_iter()
        .map(|(content, codec, bytes)| {
            let name = format!("{content:?} {codec:?} {} MiB", bytes >> 20);
            let batch = bomb(content, codec, bytes)?;
            ensure!(batch.len() < 1_048_588, "{name}: {} bytes", batch.len());
            Ok(Bomb { name, batch, above_cap: bytes > BELOW_CAP })
        })
        .collect::<Result<Vec<_>>>()
    });
    Ok(Arc::new(made.await??))
}

fn expected(bomb: &Bomb, code: i16, what: &str) -> Result<()> {
    let right = if bomb.above_cap { CORRUPT_MESSAGE } else { 0 };
    ensure!(code == right, "{}: {what}: {code}, not {right}", bomb.name);
    Ok(())
}

/// Sends each bomb to a topic of these settings, over several connections at once.
async fn throw(target: &Target, topic: &str, settings: &[(&str, &str)]) -> Result<String> {
    target.create(topic, 1, settings).await?;
    let bombs = bombs().await?;
    let each = (0..AT_ONCE).map(|_| {
        let bombs = Arc::clone(&bombs);
        async move {
            let mut peer = Peer::open(target.kafka).await?;
            for bomb in bombs.iter() {
                let answer = produce(&mut peer, topic, bomb.batch.clone()).await?;
                expected(bomb, answer.error_code, "Produce")?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(each).await?;
    Ok(format!("{} bombs: 0, 2", AT_ONCE * bombs.len()))
}

/// A compacted topic looks for null keys.
pub async fn bombs_to_a_compacted_topic(target: &Target) -> Result<String> {
    throw(target, "compacted", &[("cleanup.policy", "compact")]).await
}

/// A topic that bounds the past looks at each record's timestamp.
pub async fn bombs_with_bounded_time(target: &Target) -> Result<String> {
    throw(target, "bounded", &[("message.timestamp.before.max.ms", "3600000")]).await
}

/// Bombs that were taken as they are, and then looked through by timestamp.
pub async fn bombs_under_timestamps(target: &Target) -> Result<String> {
    const MAX_TIMESTAMP: i64 = -3;
    let bombs = bombs().await?;
    let mut peer = Peer::open(target.kafka).await?;
    for (index, bomb) in bombs.iter().enumerate() {
        let topic = format!("bomb-{index}");
        target.create(&topic, 1, &[]).await?;
        let code = produce(&mut peer, &topic, bomb.batch.clone()).await?.error_code;
        ensure!(code == 0, "{}: Produce: {code}", bomb.name);
    }
    let each = (0..AT_ONCE).map(|_| {
        let bombs = Arc::clone(&bombs);
        async move {
            let mut peer = Peer::open(target.kafka).await?;
            for (index, bomb) in bombs.iter().enumerate() {
                for timestamp in [MAX_TIMESTAMP, 0] {
                    let partition = ListOffsetsPartition::default()
                        .with_current_leader_epoch(-1)
                        .with_timestamp(timestamp);
                    let topic = ListOffsetsTopic::default()
                        .with_name(name(&format!("bomb-{index}")))
                        .with_partitions(vec![partition]);
                    let request = ListOffsetsRequest::default()
                        .with_replica_id((-1).into())
                        .with_topics(vec![topic]);
                    let answer = peer.call(&request, 7).await?;
                    let found = &answer.topics[0].partitions[0];
                    // The first record by time is found before the end of the bomb.
                    if timestamp == MAX_TIMESTAMP || !bomb.above_cap {
                        expected(bomb, found.error_code, &format!("ListOffsets {timestamp}"))?;
                    }
                    ensure!(found.error_code != 0 || found.offset == 0, "offset {}", found.offset);
                }
            }
            anyhow::Ok(())
        }
    });
    try_join_all(each).await?;
    Ok(format!("{} look-ups: 0, 2", 2 * AT_ONCE * bombs.len()))
}
