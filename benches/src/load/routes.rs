//! Which leader each partition of a worker is given to, and when a lost one is looked for again.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::cluster::Leaders;

/// The pause before the metadata is read for a partition that was lost once.
const PAUSE_FIRST_NS: u64 = 20_000_000;
/// The longest pause; each is twice the one before, until the partition has success again.
const PAUSE_MAX_NS: u64 = 100_000_000;

/// A connection to a leader that is to be opened, and served until it is closed in the routes.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The leader's node id.
    pub node: i32,
    /// HOST:PORT.
    pub address: String,
    /// Rung when there is something to do.
    pub bell: Arc<Notify>,
}

/// The routes of one worker. A partition has a leader with an open lane, or it is lost.
#[derive(Debug, Default)]
pub struct Routes {
    /// By partition the node.
    leaders: BTreeMap<i32, i32>,
    /// By partition when it may be looked for, in ns after the start.
    lost: BTreeMap<i32, u64>,
    /// By partition how often it was lost without success between.
    losses: BTreeMap<i32, u32>,
    /// By node.
    lanes: BTreeMap<i32, Arc<Notify>>,
}

impl Routes {
    /// All partitions are lost and may be looked for at once.
    #[must_use]
    pub fn new(partitions: impl IntoIterator<Item = i32>) -> Self {
        let lost = partitions.into_iter().map(|partition| (partition, 0)).collect();
        Self { lost, ..Self::default() }
    }

    /// The node that a partition is given to.
    #[must_use]
    pub fn leader(&self, partition: i32) -> Option<i32> {
        self.leaders.get(&partition).copied()
    }

    /// The partitions that may be looked for by now.
    pub fn sought(&self, now_ns: u64) -> impl Iterator<Item = i32> {
        self.lost
            .iter()
            .filter(move |(_, at_ns)| **at_ns <= now_ns)
            .map(|(partition, _)| *partition)
    }

    /// Takes a partition from its leader, after an error. One that is lost already has had the errors
    /// of the same loss, and waits no longer for them.
    pub fn lose(&mut self, partition: i32, now_ns: u64) {
        if self.leaders.remove(&partition).is_some() {
            self.wait(partition, now_ns);
        }
    }

    /// Lets a lost partition wait, longer each time.
    fn wait(&mut self, partition: i32, now_ns: u64) {
        let losses = self.losses.entry(partition).or_default();
        let pause_ns = (PAUSE_FIRST_NS << (*losses).min(8)).min(PAUSE_MAX_NS);
        *losses += 1;
        self.lost.insert(partition, now_ns + pause_ns);
    }

    /// A leader did what it was asked for a partition.
    pub fn succeeded(&mut self, partition: i32) {
        self.losses.remove(&partition);
    }

    /// Gives those of `sought` to their leaders, and what has none a longer pause; gives back the
    /// lanes that are to be opened.
    pub fn assign(&mut self, sought: &[i32], leaders: &Leaders, now_ns: u64) -> Vec<Lane> {
        let mut opened = Vec::new();
        for partition in sought {
            let Some((node, address)) = leaders.get(partition) else {
                self.wait(*partition, now_ns);
                continue;
            };
            self.lost.remove(partition);
            self.leaders.insert(*partition, *node);
            if let Some(bell) = self.lanes.get(node) {
                bell.notify_one();
            } else {
                let bell = Arc::new(Notify::new());
                self.lanes.insert(*node, bell.clone());
                opened.push(Lane { node: *node, address: address.clone(), bell });
            }
        }
        opened
    }

    /// Tells the lane of a partition, if it has one, that there is something to do.
    pub fn ring(&self, partition: i32) {
        if let Some(bell) = self.leader(partition).and_then(|node| self.lanes.get(&node)) {
            bell.notify_one();
        }
    }

    /// Closes a lane that failed: its partitions are lost.
    pub fn close(&mut self, node: i32, now_ns: u64) {
        self.lanes.remove(&node);
        let led = self.leaders.iter().filter(|(_, leader)| **leader == node);
        let led: Vec<i32> = led.map(|(partition, _)| *partition).collect();
        for partition in led {
            self.lose(partition, now_ns);
        }
    }

    /// Closes a lane if it serves no partition any more; true if so.
    pub fn retire(&mut self, node: i32) -> bool {
        let idle = self.leaders.values().all(|leader| *leader != node);
        if idle {
            self.lanes.remove(&node);
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use odradek_common::random::{Random, SeededRandom};

    use super::*;

    fn leaders(of: &[(i32, i32)]) -> Leaders {
        of.iter().map(|(partition, node)| (*partition, (*node, format!("b{node}:1")))).collect()
    }

    #[test]
    fn a_lane_is_opened_once_and_retires_when_nothing_is_left() {
        let mut routes = Routes::new([0, 1, 2]);
        let opened = routes.assign(&[0, 1, 2], &leaders(&[(0, 7), (1, 8), (2, 7)]), 0);
        let opened: Vec<_> = opened.iter().map(|lane| (lane.node, &*lane.address)).collect();
        assert_eq!(opened, [(7, "b7:1"), (8, "b8:1")]);
        routes.lose(0, 5);
        assert!(!routes.retire(7));
        assert!(routes.assign(&[0], &leaders(&[(0, 8)]), 10).is_empty());
        routes.close(7, 20);
        assert_eq!(routes.sought(u64::MAX).collect::<Vec<_>>(), [2]);
        assert_eq!(routes.assign(&[2], &leaders(&[(2, 7)]), 30).len(), 1);
        routes.lose(2, 40);
        assert!(routes.retire(7) && !routes.retire(8));
    }

    #[test]
    fn pauses_grow_to_a_bound_until_there_is_success() {
        let mut routes = Routes::new([0]);
        assert_eq!(routes.sought(0).count(), 1);
        let mut pauses_ms = Vec::new();
        for _ in 0..6 {
            assert!(routes.assign(&[0], &Leaders::default(), 0).is_empty());
            pauses_ms.push((0..).find(|ms| routes.sought(ms * 1_000_000).count() == 1).unwrap());
        }
        assert_eq!(pauses_ms, [20, 40, 80, 100, 100, 100]);
        routes.succeeded(0);
        routes.assign(&[0], &leaders(&[(0, 7)]), 0);
        routes.lose(0, 0);
        routes.lose(0, 0);
        assert_eq!(routes.sought(20_000_000).count(), 1);
    }

    #[test]
    fn a_partition_has_an_open_lane_or_is_lost() {
        let random = SeededRandom::from_seed(42);
        let draw = |below: u64| i32::try_from(random.next_u64() % below).unwrap();
        let mut routes = Routes::new(0..12);
        for now_ns in 0..5000 {
            match draw(4) {
                0 => routes.lose(draw(12), now_ns),
                1 => routes.close(draw(3), now_ns),
                2 => drop(routes.retire(draw(3))),
                _ => {
                    let known: Vec<_> = (0..draw(13)).map(|at| (at, draw(3))).collect();
                    let sought: Vec<i32> = routes.sought(u64::MAX).collect();
                    routes.assign(&sought, &leaders(&known), now_ns);
                }
            }
            for partition in 0..12 {
                let leader = routes.leader(partition);
                assert_ne!(leader.is_some(), routes.lost.contains_key(&partition));
                assert!(leader.is_none_or(|node| routes.lanes.contains_key(&node)));
            }
        }
    }
}
