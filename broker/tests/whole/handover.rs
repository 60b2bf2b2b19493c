//! Handovers to oneself, which are cancels: the same freeze, index object and entry as to another broker.

use std::sync::Arc;
use std::time::Duration;

use odradek_broker::core::Core;
use odradek_broker::handover::hand_over;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::TopicPartition;
use tokio::time::Instant;

use super::life::{Life, settings};
use super::waiting::until;
use super::workload::{Clients, TOPIC};

const WORK: Duration = Duration::from_secs(2);

fn leader_epoch(core: &Core, partition: i32) -> i32 {
    let topic = core.topic_id(TOPIC);
    let at = topic.map(|topic| TopicPartition { topic, partition });
    at.and_then(|at| Some(core.image().partition(at)?.leader_epoch.0)).unwrap_or(0)
}

/// Hands everything over to this broker itself, again and again, each time once all is taken up anew.
async fn hand_over_all(core: &Arc<Core>, end: Instant) {
    while Instant::now() < end {
        hand_over(core, core.me, core.logs.all()).await.unwrap();
        until("all are taken up", async || {
            let image = core.image();
            core.logs.all().iter().all(|log| {
                let is_of =
                    |p: &odradek_metadata::image::Partition| p.leader_epoch == log.leader_epoch;
                image.partition(log.id).is_none_or(is_of)
            })
        })
        .await;
    }
}

fn nothing_is_lost(wal: &str) {
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let files = SimFiles::new();
    let mut clients = Clients::new(Duration::from_secs(20));
    let life = Life::start(settings(&[wal]), &files, None, 1).unwrap();
    let (core, port) = (life.core().clone(), life.port);
    client.block_on(async {
        let end = Instant::now() + WORK;
        let (worked, ()) = tokio::join!(clients.work(port, end), hand_over_all(&core, end));
        worked.unwrap();
        clients.settle(port).await.unwrap();
        clients.check(port).await.unwrap();
    });
    let epochs = [0, 1].map(|partition| leader_epoch(&core, partition));
    assert!(epochs.iter().all(|epoch| *epoch > 5), "leader epochs {epochs:?}");
    assert!(clients.history.acked() > 100, "{} were acknowledged", clients.history.acked());
    drop(core);
    life.crash();
    let life = Life::start(settings(&[wal]), &files, None, 2).unwrap();
    client.block_on(clients.check(life.port)).unwrap();
    life.crash();
}

#[test]
fn handovers_under_load_lose_nothing_with_the_object_wal() {
    nothing_is_lost("wal.kind=object");
}

#[test]
fn handovers_under_load_lose_nothing_with_the_disk_wal() {
    nothing_is_lost("wal.kind=disk");
}
