//! What the quorum's leader does for the cluster: it fences brokers that are gone, and has partitions
//! moved so that brokers carry alike (section 9 of the architecture). Every member runs this and waits
//! until it leads.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::time::Duration;

use odradek_common::ids::TopicPartition;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::balance::{BalanceOptions, Balancer, Loads};
use crate::command::{AlterReplicas, Command, SetTargets};
use crate::handle::Metadata;
use crate::ids::{Incarnation, ReplicaKey};
use crate::image::{Image, Registration};
use crate::sessions::{Reason, SessionOptions, Sessions};

/// Between two looks at the sessions, if no connection ends before.
const LOOK: Duration = Duration::from_millis(100);

/// How long a broker that may be gone has to take a connection.
const PROBE_MAX: Duration = Duration::from_millis(300);

/// How long the quorum has to confirm that this node leads it, before a broker is fenced.
const CONFIRM_MAX: Duration = Duration::from_secs(1);

/// Between two looks at what brokers carry.
const BALANCE: Duration = Duration::from_secs(1);

/// How long a leader waits to be told what partitions carry, before any moves for the balance: longer than brokers
/// measure.
const MEASURED: Duration = Duration::from_secs(7);

/// A partition that moved for the balance stays for so long. Whoever uses it finds it anew each time, and a move that
/// was planned by a measurement of a few seconds is not to be followed by the one back.
const SETTLE: Duration = Duration::from_secs(60);

/// How long a move has to be agreed upon, while nobody looks at the sessions.
const MOVE_MAX: Duration = Duration::from_millis(500);

/// What a leader goes by.
#[derive(Clone, Copy, Debug)]
pub struct ControllerOptions {
    /// When a broker is fenced.
    pub sessions: SessionOptions,
    /// When partitions are moved; never, if none.
    pub balance: Option<BalanceOptions>,
}

impl Metadata {
    /// Watches over the brokers whenever this node leads the quorum. Ends with the service.
    pub async fn control(&self, options: ControllerOptions) {
        self.while_leading(|| Term::new(self, options).run()).await;
    }
}

/// One time of leading.
struct Term<'a> {
    metadata: &'a Metadata,
    options: SessionOptions,
    sessions: Sessions,
    /// Brokers that may be gone.
    suspects: BTreeSet<Incarnation>,
    balancer: Option<Balancer>,
    balanced: Instant,
    begun: Instant,
    /// What brokers said that their partitions carry.
    loads: Loads,
    /// Partitions that were moved, and when.
    moved: HashMap<TopicPartition, Instant>,
}

impl<'a> Term<'a> {
    /// Everybody's session begins now. Who does not listen any more is found by asking: the
    /// connections of those that died with the former leader never came here.
    fn new(metadata: &'a Metadata, options: ControllerOptions) -> Self {
        let image = metadata.image();
        // What is left on the board is of another time of leading.
        metadata.board.take_heard();
        metadata.board.take_left();
        let now = Instant::now();
        let mut sessions = Sessions::new(options.sessions, now);
        if let Some((leader, spoke)) = metadata.board.last_leader() {
            let led = image.live_brokers().filter(|broker| is_of(broker, &leader));
            led.for_each(|broker| sessions.led(broker.incarnation, spoke, now));
        }
        Self {
            metadata,
            options: options.sessions,
            sessions,
            suspects: image.live_brokers().map(|live| live.incarnation).collect(),
            balancer: options.balance.map(Balancer::new),
            balanced: now,
            begun: now,
            loads: Loads::default(),
            moved: HashMap::new(),
        }
    }

    async fn run(mut self) {
        loop {
            let image = self.metadata.image();
            for (heartbeat, at) in self.metadata.board.take_heard() {
                self.sessions.heard(heartbeat.of, heartbeat.landings, at);
                if !heartbeat.loads.is_empty() {
                    self.loads.measured(&image, heartbeat.of, &heartbeat.loads);
                }
            }
            let live: Vec<Incarnation> =
                image.live_brokers().map(|live| live.incarnation).collect();
            let found = self.sessions.look(live, Instant::now());
            if !found.is_empty() {
                self.fence(found).await;
            }
            self.suspect(&image);
            if self.probe(&image).await {
                continue;
            }
            if self.balanced.elapsed() >= BALANCE {
                self.balance(&image).await;
                self.balanced = Instant::now();
            }
            let _ = timeout(LOOK, self.metadata.board.changed()).await;
        }
    }

    /// Fences, if this node still speaks for the quorum: a fence that is proposed while a majority is
    /// away would hit who came back with it.
    async fn fence(&mut self, found: Vec<(Incarnation, Reason)>) {
        if !matches!(timeout(CONFIRM_MAX, self.metadata.confirm()).await, Ok(Ok(_))) {
            self.sessions = Sessions::new(self.options, Instant::now());
            return;
        }
        let mut fences = JoinSet::new();
        for (of, reason) in found {
            warn!(broker = of.broker.0, epoch = of.epoch.0, %reason, "a broker is fenced");
            let metadata = self.metadata.clone();
            fences.spawn(async move { (of, metadata.propose(Command::FenceBroker(of)).await) });
        }
        for (of, fenced) in fences.join_all().await {
            if let Err(error) = fenced {
                warn!(broker = of.broker.0, %error, "a broker is not fenced yet");
            }
        }
    }

    /// Sets targets; owners hand over to them. What is not agreed upon in time is planned anew.
    async fn balance(&mut self, image: &Image) {
        self.loads.retain(image);
        self.moved.retain(|_, at| at.elapsed() < SETTLE);
        let Some(balancer) = &mut self.balancer else { return };
        let are_measured = self.begun.elapsed() >= MEASURED;
        let moved = &self.moved;
        let settling = |at: TopicPartition| !are_measured || moved.contains_key(&at);
        let moves = balancer.plan(image, &|at| self.loads.of(at), &settling);
        if moves.is_empty() {
            return;
        }
        let now = Instant::now();
        self.moved.extend(moves.iter().map(|one| (one.partition, now)));
        info!(partitions = moves.len(), "partitions are to move, so that brokers carry alike");
        let replicas = moves.iter().filter_map(|m| Some((m.partition, Some(m.replicas.clone()?))));
        let replicas = AlterReplicas { items: replicas.collect() };
        let targets = moves.iter().map(|m| (m.partition, m.leader_epoch, Some(m.to)));
        let targets = SetTargets { items: targets.collect() };
        let proposed = async {
            if !replicas.items.is_empty() {
                self.metadata.propose(Command::AlterReplicas(replicas)).await?;
            }
            self.metadata.propose(Command::SetTargets(targets)).await
        };
        if let Ok(Err(error)) = timeout(MOVE_MAX, proposed).await {
            info!(%error, "no partition is moved yet");
        }
    }

    /// Brokers whose node's connection has ended may be gone.
    fn suspect(&mut self, image: &Image) {
        let left = self.metadata.board.take_left();
        if !left.is_empty() {
            let has_left = |of: &&Registration| left.iter().any(|key| is_of(of, key));
            self.suspects.extend(image.live_brokers().filter(has_left).map(|of| of.incarnation));
        }
    }

    /// Connects to those that may be gone: where nobody listens, nobody lives. Who does not answer
    /// at all has its session. True if somebody is gone.
    async fn probe(&mut self, image: &Image) -> bool {
        let mut probes = JoinSet::new();
        for of in std::mem::take(&mut self.suspects) {
            let live = image.registration(of).filter(|of| of.is_live());
            let Some(listener) = live.and_then(|of| of.listeners.first()) else { continue };
            let (network, listener) = (self.metadata.network.clone(), listener.clone());
            probes.spawn(async move {
                let connecting = network.connect(&listener.host, listener.port);
                let refused = matches!(
                    timeout(PROBE_MAX, connecting).await,
                    Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused
                );
                (of, refused)
            });
        }
        let mut any = false;
        for (of, is_gone) in probes.join_all().await {
            if is_gone {
                info!(broker = of.broker.0, epoch = of.epoch.0, "a broker listens no more");
                self.sessions.gone(of);
                any = true;
            }
        }
        any
    }
}

/// Whether a broker is of this node.
fn is_of(broker: &Registration, node: &ReplicaKey) -> bool {
    node.node == broker.incarnation.broker && node.directory == broker.directory
}
