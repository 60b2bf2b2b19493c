//! What was measured, by server and round, and how it is shown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::server::ServerKind;

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More of it.
    Higher,
    /// Less of it.
    Lower,
}

/// One figure of one phase, with its values of all rounds.
#[derive(Clone, Debug)]
struct Figure {
    phase: String,
    name: &'static str,
    better: Better,
    values: Vec<(ServerKind, f64)>,
}

impl Figure {
    fn of(&self, server: ServerKind) -> Vec<f64> {
        self.values.iter().filter(|(of, _)| *of == server).map(|(_, value)| *value).collect()
    }
}

/// All figures, in the order in which they were first measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    figures: Vec<Figure>,
}

impl Results {
    /// Adds the value of one round.
    pub fn add(
        &mut self,
        server: ServerKind,
        phase: &str,
        name: &'static str,
        better: Better,
        value: f64,
    ) {
        let known = self.figures.iter_mut().find(|at| at.phase == phase && at.name == name);
        if let Some(figure) = known {
            figure.values.push((server, value));
        } else {
            let values = vec![(server, value)];
            self.figures.push(Figure { phase: phase.to_owned(), name, better, values });
        }
    }

    /// A table: for each figure the median of the rounds with the least and the most of them, and
    /// of the medians the ratio of each server to the second one.
    #[must_use]
    pub fn table(&self, servers: &[ServerKind]) -> String {
        let mut out = String::new();
        let _ = write!(out, "{:40}", "median (least to most)");
        for server in servers {
            let _ = write!(out, "{server:>28}");
        }
        let peer = servers.get(1).copied();
        if let Some(peer) = peer {
            let _ = write!(out, "  ratio to {peer}");
        }
        out.push('\n');
        let mut phase = "";
        for figure in &self.figures {
            if figure.phase != phase {
                phase = &figure.phase;
                let _ = writeln!(out, "{phase}");
            }
            let _ = writeln!(out, "{}", row(figure, servers, peer).trim_end());
        }
        out
    }

    /// Everything, for programs.
    #[must_use]
    pub fn json(&self, servers: &[ServerKind]) -> Value {
        let peer = servers.get(1).copied();
        let figures = self.figures.iter().map(|figure| {
            let mut values = serde_json::Map::new();
            let mut ratios = serde_json::Map::new();
            for server in servers {
                let rounds = figure.of(*server);
                let shown = json!({ "median": median(&rounds), "rounds": rounds });
                values.insert(server.to_string(), shown);
                if let Some(ratio) = peer.and_then(|peer| ratio(figure, *server, peer)) {
                    ratios.insert(server.to_string(), json!(ratio));
                }
            }
            let better = if figure.better == Better::Higher { "higher" } else { "lower" };
            json!({
                "phase": figure.phase, "figure": figure.name, "better": better,
                "servers": values, "ratio": ratios,
            })
        });
        Value::Array(figures.collect())
    }
}

fn row(figure: &Figure, servers: &[ServerKind], peer: Option<ServerKind>) -> String {
    let arrow = if figure.better == Better::Higher { "more" } else { "less" };
    let mut row = format!("  {:38}", format!("{} ({arrow} is better)", figure.name));
    for server in servers {
        let _ = write!(row, "{:>28}", spread(&figure.of(*server)));
    }
    row.push_str("  ");
    for server in servers {
        let of = peer.filter(|peer| peer != server);
        if let Some(ratio) = of.and_then(|peer| ratio(figure, *server, peer)) {
            let _ = write!(row, "{ratio:8.2}");
        }
    }
    row
}

fn spread(rounds: &[f64]) -> String {
    let least = rounds.iter().copied().min_by(f64::total_cmp);
    let most = rounds.iter().copied().max_by(f64::total_cmp);
    match (median(rounds), least, most) {
        (Some(median), Some(_), Some(_)) if rounds.len() == 1 => number(median),
        (Some(median), Some(least), Some(most)) => {
            format!("{} ({} to {})", number(median), number(least), number(most))
        }
        _ => "-".to_owned(),
    }
}

fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// The median of the rounds of one server by that of another, if both are there and the other is
/// not zero.
fn ratio(figure: &Figure, server: ServerKind, peer: ServerKind) -> Option<f64> {
    let (own, other) = (median(&figure.of(server))?, median(&figure.of(peer))?);
    (other != 0.0).then(|| own / other)
}

/// The middle value, the mean of the two in the middle of an even number.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: [ServerKind; 2] = [ServerKind::Odradek, ServerKind::Kafka];

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_ratio_is_one_of_medians() {
        let mut results = Results::default();
        for (own, other) in [(1.0, 10.0), (30.0, 20.0), (5.0, 1000.0)] {
            results.add(ServerKind::Odradek, "load", "MiB/s", Better::Higher, own);
            results.add(ServerKind::Kafka, "load", "MiB/s", Better::Higher, other);
        }
        let shown = results.json(&SERVERS);
        assert_eq!(shown[0]["ratio"]["odradek"], 0.25);
        assert_eq!(shown[0]["servers"]["kafka"]["median"], 20.0);
        assert_eq!(shown[0]["servers"]["odradek"]["rounds"], json!([1.0, 30.0, 5.0]));
        let table = results.table(&SERVERS);
        assert!(table.contains("5.00 (1.00 to 30.0)"), "{table}");
        assert!(table.trim_end().ends_with("0.25"), "{table}");
    }

    #[test]
    fn what_was_not_measured_has_no_ratio() {
        let mut results = Results::default();
        results.add(ServerKind::Odradek, "load", "ms", Better::Lower, 1.0);
        assert!(results.table(&SERVERS).contains('-'));
        assert_eq!(results.json(&SERVERS)[0]["ratio"], json!({}));
        results.add(ServerKind::Kafka, "load", "ms", Better::Lower, 0.0);
        assert_eq!(results.json(&SERVERS)[0]["ratio"], json!({}));
        assert_eq!(Results::default().json(&[]), json!([]));
    }
}
