//! Several nodes in one process, on a network in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odradek_common::files::sim::SimFiles;
use odradek_common::ids::{BrokerId, ClusterId};
use odradek_common::random::SeededRandom;
use prost::Message;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::calls::DescribeAnswer;
use crate::peer::Kind;
use crate::peer::tests::Hub;
use crate::*;

/// The port of every CONTROLLER listener.
const PORT: u16 = 9093;

const DIRECTORY: &str = "/data/metadata";

/// Whatever a test waits for comes within this time, or never.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// Nodes 1 to n, of which the first vote.
pub(super) struct TestCluster {
    pub(super) hub: Hub,
    voters: BTreeMap<BrokerId, Endpoint>,
    disks: BTreeMap<i32, (SimFiles, DirectoryId)>,
    pub(super) nodes: BTreeMap<i32, TestNode>,
    snapshot_entries: u64,
    /// Whether there is a formation marker.
    is_formed: bool,
}

pub(super) struct TestNode {
    pub(super) metadata: Metadata,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ServiceError>>,
}

impl TestNode {
    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }
}

pub(super) fn host(node: i32) -> String {
    format!("n{node}")
}

pub(super) fn endpoint(node: i32) -> Endpoint {
    Endpoint { host: host(node), port: PORT }
}

fn cluster_id() -> ClusterId {
    "cluster".parse().unwrap()
}

/// Waits for a condition.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let holds = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, holds).await.unwrap_or_else(|_| panic!("{what}: never"));
}

impl TestCluster {
    /// Voters with these ids, none started.
    pub(super) fn of(voters: &[i32]) -> Self {
        let voters = voters.iter().map(|node| (BrokerId(*node), endpoint(*node))).collect();
        Self {
            hub: Hub::default(),
            voters,
            disks: BTreeMap::new(),
            nodes: BTreeMap::new(),
            snapshot_entries: 1000,
            is_formed: false,
        }
    }

    pub(super) fn with_snapshots_after(self, snapshot_entries: u64) -> Self {
        Self { snapshot_entries, ..self }
    }

    /// Three voters that are a quorum.
    pub(super) async fn formed() -> Self {
        let mut cluster = Self::of(&[1, 2, 3]);
        cluster.form().await;
        cluster
    }

    /// Starts all voters and makes them a quorum and a cluster.
    pub(super) async fn form(&mut self) {
        let voters: Vec<_> = self.voters.keys().map(|node| node.0).collect();
        for node in &voters {
            self.start(*node).await;
        }
        let founders = self.metadata(voters[0]).founders().await;
        self.is_formed = true;
        for node in &voters {
            let metadata = self.metadata(*node);
            assert_eq!(metadata.founders().await, founders);
            metadata.belongs_to(&cluster_id());
            metadata.initialise(&founders).await.unwrap();
        }
        for node in &voters {
            self.metadata(*node).caught_up().await.unwrap();
        }
        let directories = founders.iter().map(|voter| voter.key.directory).collect();
        let form = Form { cluster: cluster_id(), directories };
        self.metadata(voters[0]).propose(Command::Form(form)).await.unwrap();
    }

    pub(super) fn key(&self, node: i32) -> ReplicaKey {
        ReplicaKey { node: BrokerId(node), directory: self.disks[&node].1 }
    }

    pub(super) fn voter(&self, node: i32) -> Voter {
        Voter { key: self.key(node), endpoint: endpoint(node) }
    }

    pub(super) fn metadata(&self, node: i32) -> Metadata {
        self.nodes[&node].metadata.clone()
    }

    /// Starts a node, anew or on what it left: one that listens if it votes.
    pub(super) async fn start(&mut self, node: i32) {
        let listens = self.voters.contains_key(&BrokerId(node));
        self.start_as(node, listens).await;
    }

    /// The same, of a node that is to vote, or not.
    pub(super) async fn start_as(&mut self, node: i32, listens: bool) {
        let options = self.options(node, listens);
        let (service, metadata) = Metadata::start(options).await.unwrap();
        if self.is_formed {
            metadata.belongs_to(&cluster_id());
        }
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        self.nodes.insert(node, TestNode { metadata, shutdown, running });
    }

    /// What a node is started with.
    pub(super) fn options(&mut self, node: i32, listens: bool) -> Options {
        let directory = u128::from(node.unsigned_abs()) + 1000 * self.disks.len() as u128;
        let fresh = || (SimFiles::new(), DirectoryId(uuid::Uuid::from_u128(directory)));
        let (files, directory_id) = self.disks.entry(node).or_insert_with(fresh).clone();
        Options {
            node: BrokerId(node),
            directory_id,
            directory: PathBuf::from(DIRECTORY),
            cluster: None,
            files: Arc::new(files),
            network: self.hub.of(&host(node)),
            random: Arc::new(SeededRandom::from_os()),
            voters: self.voters.clone(),
            listen: listens.then(|| endpoint(node)),
            secret: PeerSecret::new(b"secret".to_vec()),
            snapshot_entries: self.snapshot_entries,
            phases: odradek_common::phases::Phases::none(),
        }
    }

    /// The node's connections break and it says nothing any more, as if it were killed.
    pub(super) async fn kill(&mut self, node: i32) {
        self.hub.kill(&host(node));
        self.nodes.remove(&node).unwrap().stop().await;
    }

    /// The node loses its disk.
    pub(super) fn wipe(&mut self, node: i32) {
        let (_, former) = self.disks[&node];
        let directory = DirectoryId(uuid::Uuid::from_u128(former.0.as_u128() + 500));
        self.disks.insert(node, (SimFiles::new(), directory));
    }

    /// Leaves a change of the voters from one set to another half done on the disk of a node.
    pub(super) fn leave_half_done(&self, node: i32, from: &[i32], to: &[i32]) {
        let keys = |nodes: &[i32]| nodes.iter().map(|node| self.key(*node)).collect();
        let members: Vec<_> = from.iter().map(|node| self.voter(*node)).collect();
        let (files, directory) = (&self.disks[&node].0, Path::new(DIRECTORY));
        let voters = [keys(from), keys(to)];
        crate::quorum::leave_half_done(files, directory, self.key(node), &members, voters);
    }

    /// Whether a node is a member, a voter or not, as another has it.
    pub(super) fn has_member(&self, in_view_of: i32, node: i32) -> bool {
        let quorum = self.metadata(in_view_of).quorum.unwrap();
        let members = quorum.describe().members;
        members.iter().any(|member| member.replica.key == self.key(node))
    }

    /// Who follows the feed of a voter.
    pub(super) async fn followers(&self, voter: i32) -> Vec<ReplicaKey> {
        let here = self.metadata(voter).leader.here.clone();
        let described = here.answer(self.key(voter), Kind::Describe, Bytes::new()).await.unwrap();
        let (_, followers) = DescribeAnswer::decode(described.bytes).unwrap().view();
        followers.into_iter().map(|follower| follower.replica.key).collect()
    }

    /// Who leads, as one of the nodes has it that are not `but`.
    pub(super) async fn leader(&self, but: Option<i32>) -> i32 {
        let mut found = None;
        until("a leader", || {
            let leads =
                |(node, running): (&i32, &TestNode)| running.metadata.is_leader().then_some(*node);
            found = self.nodes.iter().filter(|(node, _)| Some(**node) != but).find_map(leads);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// The term that a node knows of.
    pub(super) fn term(&self, node: i32) -> u64 {
        self.nodes[&node].metadata.leader.leadership.borrow().term
    }

    /// All nodes hold what this one holds.
    pub(super) async fn agree(&self, node: i32) {
        let image = self.metadata(node).image();
        for (other, running) in &self.nodes {
            let waiting = running.metadata.wait_applied(image.applied_index());
            let there = tokio::time::timeout(SOON, waiting).await;
            let there = there.unwrap_or_else(|_| panic!("node {other} does not catch up")).unwrap();
            if there.applied_index() == image.applied_index() {
                assert_eq!(there, image, "node {other} holds something else");
            }
        }
    }

    pub(super) async fn stop(mut self) {
        while let Some((_, node)) = self.nodes.pop_first() {
            node.stop().await;
        }
    }
}
