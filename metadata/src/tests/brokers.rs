//! The leader's watch over brokers: who is fenced, and who never is.

use std::time::Duration;

use odradek_common::ids::BrokerId;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::cluster::{TestCluster, host, until};
use crate::machine::tests::broker_of;
use crate::*;

/// The port of a broker's listener.
const PORT: u16 = 9092;

/// Voters 1 to 3, which all would watch, and brokers that follow them.
struct Watched {
    cluster: TestCluster,
    tasks: JoinSet<()>,
    options: SessionOptions,
}

impl Watched {
    async fn new(timeout: Duration) -> Self {
        let cluster = TestCluster::formed().await;
        let options = SessionOptions { timeout, ..SessionOptions::default() };
        let mut tasks = JoinSet::new();
        for voter in 1..=3 {
            let metadata = cluster.metadata(voter);
            let options = ControllerOptions { sessions: options, balance: None };
            tasks.spawn(async move { metadata.control(options).await });
        }
        Self { cluster, tasks, options }
    }

    /// A broker that listens and lives.
    async fn broker(&mut self, node: i32) -> (Incarnation, AbortHandle) {
        self.cluster.start(node).await;
        let metadata = self.cluster.metadata(node);
        metadata.caught_up().await.unwrap();
        let listeners = self.cluster.hub.of(&host(node)).listen(&host(node), PORT).await.unwrap();
        self.tasks.spawn(async move {
            loop {
                let _ = listeners[0].accept().await;
            }
        });
        let listener = Listener {
            name: "PLAINTEXT".to_owned(),
            host: host(node),
            port: PORT,
            security: SecurityProtocol::Plaintext,
        };
        let command = RegisterBroker {
            broker: BrokerId(node),
            directory: self.cluster.key(node).directory,
            listeners: vec![listener],
            ..broker_of(node)
        };
        let registered = metadata.propose(Command::RegisterBroker(command)).await;
        let Ok(Outcome::Registered { epoch }) = registered else { panic!("{registered:?}") };
        let of = Incarnation { broker: BrokerId(node), epoch };
        let interval = self.options.timeout / 10;
        let beat = Heartbeat { of, landings: Landings::default(), loads: Vec::new() };
        let beating = self.tasks.spawn(async move {
            loop {
                let _ = metadata.heartbeat(&beat, interval * 5).await;
                tokio::time::sleep(interval).await;
            }
        });
        (of, beating)
    }

    fn is_live(&self, of: Incarnation) -> bool {
        self.cluster.nodes.values().any(|node| node.metadata.image().is_live(of))
    }

    async fn is_fenced(&self, of: Incarnation) {
        until("a fence", || !self.is_live(of)).await;
    }

    /// One of two brokers died: it is fenced long before its session ends, and the other is not.
    async fn fences_at_once(self, [dead, alive]: [Incarnation; 2], died_at: Instant) {
        self.is_fenced(dead).await;
        assert!(died_at.elapsed() < Duration::from_secs(15), "{:?}", died_at.elapsed());
        assert!(self.is_live(alive));
        self.stop().await;
    }

    async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.cluster.stop().await;
    }
}

#[tokio::test]
async fn a_broker_that_is_killed_is_fenced_long_before_its_session_ends() {
    let mut watched = Watched::new(Duration::from_secs(60)).await;
    let (one, _) = watched.broker(7).await;
    let (other, beating) = watched.broker(8).await;
    beating.abort();
    let begun = Instant::now();
    watched.cluster.kill(8).await;
    watched.fences_at_once([other, one], begun).await;
}

#[tokio::test]
async fn a_broker_that_died_with_the_leader_is_found_by_the_next() {
    let mut watched = Watched::new(Duration::from_secs(60)).await;
    let (one, _) = watched.broker(7).await;
    let (other, beating) = watched.broker(8).await;
    let leader = watched.cluster.leader(None).await;
    beating.abort();
    let begun = Instant::now();
    watched.cluster.kill(leader).await;
    watched.cluster.kill(8).await;
    watched.fences_at_once([other, one], begun).await;
}

#[tokio::test]
async fn a_broker_that_is_silent_has_its_session() {
    let mut watched = Watched::new(Duration::from_secs(2)).await;
    let (one, _) = watched.broker(7).await;
    let (silent, beating) = watched.broker(8).await;
    let begun = Instant::now();
    beating.abort();
    watched.is_fenced(silent).await;
    assert!(begun.elapsed() > Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(watched.is_live(one));
    watched.stop().await;
}

#[tokio::test]
async fn nobody_is_fenced_who_lives_while_the_quorum_was_away() {
    let mut watched = Watched::new(Duration::from_secs(1)).await;
    let (one, _) = watched.broker(7).await;
    let leader = watched.cluster.leader(None).await;
    // The leader hears of nobody, and nobody of it; the other two are dead to one another.
    for voter in 1..=3 {
        watched.cluster.hub.cut_off(&host(voter));
    }
    // What must not happen would happen after one session: there is nothing to wait for but the time.
    tokio::time::sleep(watched.options.timeout * 4).await;
    for voter in 1..=3 {
        watched.cluster.hub.heal(&host(voter));
    }
    let metadata = watched.cluster.metadata(leader);
    metadata.caught_up().await.unwrap();
    // A session more, of an election at most and the heartbeats that follow it.
    tokio::time::sleep(watched.options.timeout * 3).await;
    assert!(watched.is_live(one));
    watched.stop().await;
}
