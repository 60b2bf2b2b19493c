//! The world of a seed, and how its time goes on: all nodes and clients in turn, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use odradek_common::clock::{Clock, SystemClock};
use odradek_common::net::sim::SimNetwork;
use odradek_common::random::{Random, SeededRandom};
use odradek_storage::store::sim::{SimStore, Weather};

use crate::broken::Broken;
use crate::clients::Clients;
use crate::faults::{Deed, Plan};
use crate::invariants::Invariants;
use crate::node::{self, Ended, Node, Shared};
use crate::stepped::TICK_MS;
use crate::trace::Trace;

/// Clients do their work up to here, then what is pending is settled and everything read.
const WORK_MS: u64 = 55_000;

/// A seed ends here at the earliest,
const LEAST_MS: u64 = 60_000;

/// and has found no end if it is not done here.
const MOST_MS: u64 = 180_000;

/// How long brokers may be silent: the default, and so short that many are fenced who live.
const SESSIONS_MS: [u64; 2] = [3_000, 700];

/// The hosts' names.
pub const CLIENTS: &str = "clients";

/// A world.
pub struct Sim {
    now_ms: u64,
    pub nodes: Vec<Node>,
    clients: Clients,
    plan: Plan,
    pub shared: Shared,
    pub trace: Trace,
    pub invariants: Invariants,
    pub problems: Vec<String>,
}

impl Sim {
    /// The world of `seed`.
    pub fn new(seed: u64, nodes: usize, broken: Option<Broken>, trace: Trace) -> Result<Self> {
        let random = SeededRandom::from_seed(seed);
        let child = || Arc::new(SeededRandom::from_seed(random.next_u64()));
        let network = SimNetwork::new(child(), 1..=4);
        let store = SimStore::new(child(), Weather::fair(5..=30));
        observe(&network, &store, &trace);
        if let Some(broken) = broken {
            broken.breaks(&store, child());
        }
        let nodes = node::all(nodes, SystemClock.now_ms());
        let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
        let plan = Plan::draw(&random, &names);
        let clients = Clients::start(&network, &names, child(), trace.clone())?;
        let session_ms = SESSIONS_MS[usize::from(random.next_u64().is_multiple_of(2))];
        let broken = broken.and_then(Broken::law);
        let shared = Shared { network, store, random, session_ms, broken };
        let (invariants, problems) = (Invariants::default(), Vec::new());
        Ok(Self { now_ms: 0, nodes, clients, plan, shared, trace, invariants, problems })
    }

    /// Runs it to its end.
    pub fn run(&mut self) -> Result<()> {
        while self.now_ms < LEAST_MS || !self.clients.are_done() {
            if self.now_ms >= MOST_MS {
                self.problems.push(format!("no end: {}", self.clients.undone()));
                break;
            }
            self.deeds();
            self.tick()?;
            if self.now_ms == WORK_MS {
                self.clients.wind_up();
            }
        }
        self.problems.extend(self.invariants.undone());
        let wrong = self.compare_copies()?;
        self.problems.extend(wrong);
        Ok(())
    }

    fn deeds(&mut self) {
        while let Some(deed) = self.plan.due(self.now_ms) {
            let done = self.does(&deed);
            self.trace.say(&format!("{deed:?}: {done}"));
            if done {
                self.plan.count(&deed);
            }
        }
    }

    /// False if it could not be done.
    fn does(&mut self, deed: &Deed) -> bool {
        let Shared { network, store, .. } = &self.shared;
        let now_ms = self.now_ms;
        match deed {
            Deed::Kill { nodes } => {
                let were_up = self.are_up(nodes);
                for (node, down_ms) in nodes {
                    self.nodes[*node].kill(now_ms + down_ms);
                }
                were_up
            }
            Deed::CutPower { nodes } => {
                let were_up = self.are_up(nodes);
                for (node, down_ms) in nodes {
                    self.nodes[*node].cut_power(now_ms + down_ms, &self.shared);
                }
                were_up
            }
            Deed::Stop { node, down_ms } => self.nodes[*node].stop(*down_ms),
            Deed::Pause { node, ms } => {
                let node = &mut self.nodes[*node];
                node.pause(now_ms + ms);
                node.is_up()
            }
            Deed::JumpClock { node, ms } => {
                self.nodes[*node].clock.advance(*ms);
                true
            }
            Deed::Cut { ways, .. } => {
                ways.iter().for_each(|(from, to)| network.cut(from, to));
                true
            }
            Deed::Slow { way: (from, to), ms } => {
                network.slow(from, to, Duration::from_millis(*ms));
                true
            }
            Deed::Mend { ways } => {
                ways.iter().for_each(|(from, to)| network.mend(from, to));
                true
            }
            Deed::Reset { one, other } => network.reset(one, other) > 0,
            Deed::Weather(weather) => {
                store.change_weather(|now| now.clone_from(weather));
                true
            }
            Deed::WeatherOf { node, weather } => {
                store.set_weather_of(&self.nodes[*node].name, weather.clone());
                true
            }
        }
    }

    fn are_up(&self, nodes: &[(usize, u64)]) -> bool {
        nodes.iter().all(|(node, _)| self.nodes[*node].is_up())
    }

    /// Lets a tick of time pass.
    pub fn tick(&mut self) -> Result<()> {
        let to_ms = self.now_ms + TICK_MS;
        for node in &mut self.nodes {
            match node.step(to_ms, &self.shared)? {
                Some(Ended::Part(why)) => self.problems.push(format!("{} ended: {why}", node.name)),
                Some(Ended::Start(why)) => {
                    self.trace.say(&format!("{} did not start: {why}", node.name));
                }
                Some(Ended::Fenced(why)) => {
                    self.trace.say(&format!("{} starts over: {why}", node.name));
                }
                Some(Ended::Stopped) => self.trace.say(&format!("{} stopped", node.name)),
                None => {}
            }
            node.pass(Duration::from_millis(TICK_MS));
            let wrong = node.new_image().and_then(|image| self.invariants.look(image));
            self.problems.extend(wrong);
        }
        self.clients.step(to_ms);
        self.now_ms = to_ms;
        odradek_determinism::set_elapsed_ns(to_ms * 1_000_000);
        self.trace.at(to_ms);
        Ok(())
    }

    /// The time.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What the clients saw.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// What was done of the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

fn observe(network: &SimNetwork, store: &SimStore, trace: &Trace) {
    let seen = trace.clone();
    network.observe(move |from, to, bytes| {
        seen.note(bytes, || format!("{from} -> {to}: {} bytes", bytes.len()));
    });
    let seen = trace.clone();
    store.observe(move |operation, key, succeeded| {
        let words = || format!("{} {key}: {succeeded}", operation.label());
        seen.note(words().as_bytes(), words);
    });
}
