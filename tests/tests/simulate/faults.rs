//! What goes wrong in a seed, and when.

use std::collections::BTreeMap;

use odradek_common::random::Random;
use odradek_storage::store::sim::Weather;

use crate::sim::CLIENTS;

/// The first fault, so that there is something to break,
const FIRST_MS: u64 = 4_000;
/// the last, and when all is well again.
const LAST_MS: u64 = 45_000;
const WELL_MS: u64 = 52_000;

/// How many faults a seed has, and how many more it may have.
const LEAST: u64 = 10;
const MORE: u64 = 8;

/// A wall clock jumps by at most so much: all jumps together stay below the day after which producers
/// are forgotten, and below the hour by which records may be ahead of the broker.
const AHEAD_MS: i64 = 100 * 60_000;
const BACK_MS: i64 = 4 * 60_000;

/// A way from one host to another, by their names.
pub type Way = (String, String);

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub enum Deed {
    Kill { nodes: Vec<(usize, u64)> },
    CutPower { nodes: Vec<(usize, u64)> },
    Stop { node: usize, down_ms: u64 },
    Pause { node: usize, ms: u64 },
    JumpClock { node: usize, ms: i64 },
    Cut { ways: Vec<Way>, kind: &'static str },
    Slow { way: Way, ms: u64 },
    Mend { ways: Vec<Way> },
    Reset { one: String, other: String },
    Weather(Weather),
    WeatherOf { node: usize, weather: Option<Weather> },
}

/// Kinds of faults that every fixed set of seeds has to meet.
pub const KINDS: [&str; 21] = [
    "kill",
    "kill of several",
    "power cut",
    "power cut of several",
    "stop",
    "pause",
    "pause beyond a session",
    "clock ahead",
    "clock back",
    ONE_WAY,
    BOTH_WAYS,
    CUT_OFF,
    "link slow",
    "connections reset",
    "store away",
    "store away for one",
    "store stormy for one",
    "store: request failed",
    "store: answer lost",
    "store: late",
    "store: slow",
];

/// What cuts are called.
const ONE_WAY: &str = "link cut one way";
const BOTH_WAYS: &str = "link cut both ways";
const CUT_OFF: &str = "broker cut off from brokers";

impl Deed {
    /// The kind of fault that it is, if it is one.
    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Kill { nodes } if nodes.len() > 1 => Some("kill of several"),
            Self::Kill { .. } => Some("kill"),
            Self::CutPower { nodes } if nodes.len() > 1 => Some("power cut of several"),
            Self::CutPower { .. } => Some("power cut"),
            Self::Stop { .. } => Some("stop"),
            Self::Pause { ms, .. } if *ms > 6_000 => Some("pause beyond a session"),
            Self::Pause { .. } => Some("pause"),
            Self::JumpClock { ms, .. } if *ms > 0 => Some("clock ahead"),
            Self::JumpClock { .. } => Some("clock back"),
            Self::Cut { kind, .. } => Some(kind),
            Self::Slow { .. } => Some("link slow"),
            Self::Reset { .. } => Some("connections reset"),
            Self::Weather(weather) if weather.is_away => Some("store away"),
            Self::WeatherOf { weather: Some(weather), .. } if weather.is_away => {
                Some("store away for one")
            }
            Self::WeatherOf { weather: Some(_), .. } => Some("store stormy for one"),
            Self::Weather(_) | Self::WeatherOf { .. } | Self::Mend { .. } => None,
        }
    }
}

/// Deeds in the order of their times.
pub struct Plan {
    deeds: Vec<(u64, Deed)>,
    next: usize,
    counts: BTreeMap<&'static str, u64>,
}

impl Plan {
    /// Draws one for these nodes.
    pub fn draw(random: &dyn Random, nodes: &[String]) -> Self {
        let mut drawer = Drawer { random, nodes, deeds: vec![(0, fair())] };
        for _ in 0..LEAST + drawer.below(MORE + 1) {
            drawer.fault();
        }
        let mut deeds = drawer.deeds;
        deeds.sort_by_key(|(at_ms, _)| *at_ms);
        Self { deeds, next: 0, counts: BTreeMap::new() }
    }

    /// The next deed whose time has come.
    pub fn due(&mut self, now_ms: u64) -> Option<Deed> {
        let (_, deed) = self.deeds.get(self.next).filter(|(at_ms, _)| *at_ms <= now_ms)?;
        self.next += 1;
        Some(deed.clone())
    }

    /// Counts one that was done.
    pub fn count(&mut self, deed: &Deed) {
        if let Some(kind) = deed.kind() {
            *self.counts.entry(kind).or_default() += 1;
        }
    }

    /// What was done, by kind.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }
}

/// As always: a few requests are slow.
fn fair() -> Deed {
    Deed::Weather(Weather { slow: 5, slow_ms: 500, ..Weather::fair(5..=30) })
}

struct Drawer<'a> {
    random: &'a dyn Random,
    nodes: &'a [String],
    deeds: Vec<(u64, Deed)>,
}

impl Drawer<'_> {
    fn below(&self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// A node, by its index.
    fn node(&self) -> usize {
        usize::try_from(self.below(self.nodes.len() as u64)).unwrap_or(0)
    }

    /// A way between two hosts, one of them a node.
    fn way(&self) -> Way {
        let node = self.node();
        let others: Vec<&str> = self.nodes.iter().map(String::as_str).chain([CLIENTS]).collect();
        let step = 1 + usize::try_from(self.below(others.len() as u64 - 1)).unwrap_or(0);
        let other = others[(node + step) % others.len()].to_owned();
        let node = self.nodes[node].clone();
        if self.below(2) == 0 { (node, other) } else { (other, node) }
    }

    /// One node or, where there are more, two or all of them; each is down for a time of its own.
    fn some(&self, least_ms: u64, most_ms: u64) -> Vec<(usize, u64)> {
        let (all, first) = (self.nodes.len(), self.node());
        let count = if self.below(3) == 0 { self.between(2, 3) } else { 1 };
        let count = usize::try_from(count).unwrap_or(1).min(all);
        let down = |step| ((first + step) % all, self.between(least_ms, most_ms));
        (0..count).map(down).collect()
    }

    /// What is cut together: one way, both between two hosts, or what a node has to all others, in one
    /// direction or both. Clients may still reach who is cut off.
    fn ways(&self) -> (Vec<Way>, &'static str) {
        let (from, to) = self.way();
        let back = (to.clone(), from.clone());
        match self.below(if self.nodes.len() > 1 { 4 } else { 2 }) {
            0 => (vec![(from, to)], ONE_WAY),
            1 => (vec![(from, to), back], BOTH_WAYS),
            _ => {
                let node = &self.nodes[self.node()];
                let others = self.nodes.iter().filter(|other| *other != node);
                let both = others.flat_map(|other| {
                    [(node.clone(), other.clone()), (other.clone(), node.clone())]
                });
                let kept = self.below(4);
                let ways = both.filter(|(from, _)| match kept {
                    0 => from == node,
                    1 => from != node,
                    _ => true,
                });
                (ways.collect(), CUT_OFF)
            }
        }
    }

    fn at(&mut self, at_ms: u64, deed: Deed) {
        self.deeds.push((at_ms, deed));
    }

    fn fault(&mut self) {
        let at_ms = self.between(FIRST_MS, LAST_MS);
        match self.below(14) {
            0 | 1 => {
                let nodes = self.some(50, 3_000);
                self.at(at_ms, Deed::Kill { nodes });
            }
            2 | 3 => {
                let nodes = self.some(200, 5_000);
                self.at(at_ms, Deed::CutPower { nodes });
            }
            4 => {
                let (node, down_ms) = (self.node(), self.between(0, 3_000));
                self.at(at_ms, Deed::Stop { node, down_ms });
            }
            5 => {
                let (node, most_ms) =
                    (self.node(), if self.below(2) == 0 { 30_000 } else { 3_000 });
                let ms = self.between(100, most_ms).min(WELL_MS - at_ms);
                self.at(at_ms, Deed::Pause { node, ms });
            }
            6 => {
                let most_ms = if self.below(2) == 0 { AHEAD_MS } else { -BACK_MS };
                let ms = i64::try_from(self.between(1, most_ms.unsigned_abs())).unwrap_or(0);
                let (node, ms) = (self.node(), ms * most_ms.signum());
                self.at(at_ms, Deed::JumpClock { node, ms });
            }
            7..=10 => self.fault_of_network(at_ms),
            _ => self.fault_of_store(at_ms),
        }
    }

    fn fault_of_network(&mut self, at_ms: u64) {
        let well_ms = WELL_MS - at_ms;
        match self.below(4) {
            0 | 1 => {
                let (ways, kind) = self.ways();
                let until_ms = at_ms + self.between(200, 15_000).min(well_ms);
                self.at(at_ms, Deed::Cut { ways: ways.clone(), kind });
                self.at(until_ms, Deed::Mend { ways });
            }
            2 => {
                let (way, ms) = (self.way(), self.between(50, 2_000));
                let until_ms = at_ms + self.between(500, 10_000).min(well_ms);
                self.at(at_ms, Deed::Slow { way: way.clone(), ms });
                self.at(until_ms, Deed::Mend { ways: vec![way] });
            }
            _ => {
                let (one, other) = self.way();
                self.at(at_ms, Deed::Reset { one, other });
            }
        }
    }

    /// For all, or for one alone: who has no store for long, while others have it, is fenced for it.
    fn fault_of_store(&mut self, at_ms: u64) {
        let of_one = self.nodes.len() > 1 && self.below(2) == 0;
        let (least_ms, most_ms, weather) = if self.below(2) == 0 {
            let most_ms = if of_one { 25_000 } else { 8_000 };
            (200, most_ms, Weather { is_away: true, ..Weather::fair(1..=10) })
        } else {
            (2_000, 20_000, self.storm())
        };
        let until_ms = at_ms + self.between(least_ms, most_ms).min(WELL_MS - at_ms);
        if of_one {
            let node = self.node();
            self.at(at_ms, Deed::WeatherOf { node, weather: Some(weather) });
            self.at(until_ms, Deed::WeatherOf { node, weather: None });
        } else {
            self.at(at_ms, Deed::Weather(weather));
            self.at(until_ms, fair());
        }
    }

    fn storm(&self) -> Weather {
        Weather {
            latency_ms: 5..=self.between(20, 200),
            unavailable: self.below(200),
            answer_lost: self.below(150),
            late: self.below(150),
            late_ms: self.between(100, 20_000),
            slow: self.below(200),
            slow_ms: self.between(100, 5_000),
            is_away: false,
        }
    }
}
