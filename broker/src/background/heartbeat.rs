//! Tells the quorum's leader that this broker lives, and notices when it was fenced all the same.

use std::sync::Arc;
use std::time::Duration;

use odradek_common::ids::{SlotNumber, TopicPartition};
use odradek_common::limits::HEARTBEAT_LOADS;
use odradek_metadata::balance::Load;
use odradek_metadata::{Heartbeat, Image, Landings};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error};

use crate::core::Core;

/// A leader that does not answer within this is looked for anew, at the least.
const PATIENCE_MIN: Duration = Duration::from_millis(500);

/// How long what partitions carry is measured.
const MEASURE: Duration = Duration::from_secs(5);

/// Says so every `broker.heartbeat.interval.ms`. Ends when this broker was fenced.
pub async fn run(core: Arc<Core>) {
    let mut images = core.metadata.subscribe();
    tokio::select! {
        () = beat(&core) => {}
        () = fenced(&core, &mut images) => {
            error!(broker = %core.me, "this broker was fenced: its partitions go to others");
        }
    }
}

async fn beat(core: &Core) {
    let interval = core.settings().metadata.heartbeat_interval;
    let mut measured = Instant::now();
    let mut landed = Landed { end: core.chain.stats().landed_end, at: None, begun: Instant::now() };
    loop {
        let mut loads = Vec::new();
        if measured.elapsed() >= MEASURE {
            loads = self::loads(core, measured.elapsed());
            measured = Instant::now();
        }
        let heartbeat = Heartbeat { of: core.me, landings: landed.look(core), loads };
        let told = core.metadata.heartbeat(&heartbeat, interval.max(PATIENCE_MIN)).await;
        if let Err(error) = told {
            debug!(%error, "nobody who leads the quorum was told that this broker lives");
        }
        tokio::time::sleep(interval).await;
    }
}

/// Up to where slots have landed, and since when.
struct Landed {
    end: SlotNumber,
    at: Option<Instant>,
    begun: Instant,
}

impl Landed {
    /// A chain whose queue is long, but moves, does not stall.
    fn look(&mut self, core: &Core) -> Landings {
        let stats = core.chain.stats();
        if stats.landed_end != self.end {
            (self.end, self.at) = (stats.landed_end, Some(Instant::now()));
        }
        let since = self.at.unwrap_or(self.begun).elapsed();
        Landings {
            stalled: stats.oldest_unlanded.min(since),
            newest: self.at.map(|at| at.elapsed()),
        }
    }
}

/// What the partitions carried in the last `time`, the heaviest.
fn loads(core: &Core, time: Duration) -> Vec<(TopicPartition, Load)> {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_s = |count: u64| count.saturating_mul(1000) / ms;
    let logs = core.logs.all();
    let mut loads: Vec<_> = logs
        .iter()
        .map(|log| {
            let (bytes, requests) = log.traffic.take();
            (log.id, Load { bytes_per_s: per_s(bytes), requests_per_s: per_s(requests) })
        })
        .collect();
    loads.sort_by_key(|(_, load)| std::cmp::Reverse((load.bytes_per_s, load.requests_per_s)));
    loads.truncate(HEARTBEAT_LOADS);
    loads
}

/// Completes once the metadata says that this broker is fenced.
pub async fn fenced(core: &Core, images: &mut watch::Receiver<Arc<Image>>) {
    if images.wait_for(|image| !image.is_live(core.me)).await.is_err() {
        // The metadata has ended, which others notice.
        std::future::pending::<()>().await;
    }
}
