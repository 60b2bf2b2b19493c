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
const LEAST: u64 = 9;
const MORE: u64 = 5;

/// A wall clock jumps by at most so much: all jumps together stay below the day after which producers
/// are forgotten, and below the hour by which records may be ahead of the broker.
const AHEAD_MS: i64 = 100 * 60_000;
const BACK_MS: i64 = 4 * 60_000;

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub enum Deed {
    Kill { node: usize, down_ms: u64 },
    CutPower { node: usize, down_ms: u64 },
    Pause { node: usize, ms: u64 },
    JumpClock { node: usize, ms: i64 },
    Cut { from: String, to: String },
    Slow { from: String, to: String, ms: u64 },
    Mend { from: String, to: String },
    Reset { one: String, other: String },
    Weather(Weather),
}

/// Kinds of faults that every fixed set of seeds has to meet.
pub const KINDS: [&str; 14] = [
    "kill",
    "power cut",
    "pause",
    "pause beyond a session",
    "clock ahead",
    "clock back",
    "link cut",
    "link slow",
    "connections reset",
    "store away",
    "store: request failed",
    "store: answer lost",
    "store: late",
    "store: slow",
];

impl Deed {
    /// The kind of fault that it is, if it is one.
    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Kill { .. } => Some("kill"),
            Self::CutPower { .. } => Some("power cut"),
            Self::Pause { ms, .. } if *ms > 6_000 => Some("pause beyond a session"),
            Self::Pause { .. } => Some("pause"),
            Self::JumpClock { ms, .. } if *ms > 0 => Some("clock ahead"),
            Self::JumpClock { .. } => Some("clock back"),
            Self::Cut { .. } => Some("link cut"),
            Self::Slow { .. } => Some("link slow"),
            Self::Reset { .. } => Some("connections reset"),
            Self::Weather(weather) if weather.is_away => Some("store away"),
            Self::Weather(_) | Self::Mend { .. } => None,
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

    fn node(&self) -> usize {
        usize::try_from(self.below(self.nodes.len() as u64)).unwrap_or(0)
    }

    /// A way between two hosts, one of them a node.
    fn link(&self) -> (String, String) {
        let node = self.node();
        let others: Vec<&str> = self.nodes.iter().map(String::as_str).chain([CLIENTS]).collect();
        let step = 1 + usize::try_from(self.below(others.len() as u64 - 1)).unwrap_or(0);
        let other = others[(node + step) % others.len()].to_owned();
        let node = self.nodes[node].clone();
        if self.below(2) == 0 { (node, other) } else { (other, node) }
    }

    fn at(&mut self, at_ms: u64, deed: Deed) {
        self.deeds.push((at_ms, deed));
    }

    fn fault(&mut self) {
        let at_ms = self.between(FIRST_MS, LAST_MS);
        let (node, well_ms) = (self.node(), WELL_MS - at_ms);
        match self.below(11) {
            0 | 1 => {
                let down_ms = self.between(50, 3_000);
                self.at(at_ms, Deed::Kill { node, down_ms });
            }
            2 | 3 => {
                let down_ms = self.between(200, 5_000);
                self.at(at_ms, Deed::CutPower { node, down_ms });
            }
            4 => {
                let ms = if self.below(2) == 0 { 30_000 } else { 3_000 };
                let ms = self.between(100, ms).min(well_ms);
                self.at(at_ms, Deed::Pause { node, ms });
            }
            5 => {
                let most_ms = if self.below(2) == 0 { AHEAD_MS } else { -BACK_MS };
                let ms = i64::try_from(self.between(1, most_ms.unsigned_abs())).unwrap_or(0);
                let ms = ms * most_ms.signum();
                self.at(at_ms, Deed::JumpClock { node, ms });
            }
            6 => {
                let (from, to) = self.link();
                let until_ms = at_ms + self.between(200, 15_000).min(well_ms);
                self.at(at_ms, Deed::Cut { from: from.clone(), to: to.clone() });
                self.at(until_ms, Deed::Mend { from, to });
            }
            7 => {
                let (from, to) = self.link();
                let (ms, until_ms) =
                    (self.between(50, 2_000), at_ms + self.between(500, 10_000).min(well_ms));
                self.at(at_ms, Deed::Slow { from: from.clone(), to: to.clone(), ms });
                self.at(until_ms, Deed::Mend { from, to });
            }
            8 => {
                let (one, other) = self.link();
                self.at(at_ms, Deed::Reset { one, other });
            }
            9 => {
                let until_ms = at_ms + self.between(200, 8_000).min(well_ms);
                let away = Weather { is_away: true, ..Weather::fair(1..=10) };
                self.at(at_ms, Deed::Weather(away));
                self.at(until_ms, fair());
            }
            _ => {
                let until_ms = at_ms + self.between(2_000, 20_000).min(well_ms);
                let storm = self.storm();
                self.at(at_ms, Deed::Weather(storm));
                self.at(until_ms, fair());
            }
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
