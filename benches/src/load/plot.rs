//! Latency over time and by percentile, as SVG.

use std::fmt::Write as _;

use super::recorder::Recorder;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
/// Milliseconds at the foot and at the head of the axis of latency, which is logarithmic.
const LEAST_MS: f64 = 0.1;
const MOST_MS: f64 = 100_000.0;
const COLOURS: [&str; 4] = ["#1f77b4", "#aec7e8", "#d62728", "#ff9896"];
/// Percentiles drawn, as how many nines they have, in tenths.
const TENTHS_OF_NINES: u32 = 50;

/// Both drawings, one below the other.
#[must_use]
pub fn svg(produce: &Recorder, end_to_end: &Recorder) -> String {
    let height = 2.0 * (HEIGHT + 70.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1120\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut series = Vec::new();
    for (name, recorder) in [("produce", produce), ("end to end", end_to_end)] {
        let seconds = recorder.over_time();
        let last = as_f64(seconds.len().max(2) - 1);
        for (which, label) in [(0, "p50"), (1, "p99")] {
            let points = seconds.iter().enumerate().filter_map(|(second, point)| {
                point.map(|values| (as_f64(second) / last, values[which]))
            });
            series.push((format!("{name} {label}"), points.collect::<Vec<_>>()));
        }
    }
    panel(&mut out, 30.0, "ms over time, by the second in which a record was to be sent", &series);
    let by_percentile = [("produce", produce), ("end to end", end_to_end)].map(|(name, of)| {
        let points = (0..=TENTHS_OF_NINES).map(|tenths| {
            let percent = 100.0 * (1.0 - 10f64.powf(-f64::from(tenths) / 10.0));
            (f64::from(tenths) / f64::from(TENTHS_OF_NINES), of.percentile_ms(percent))
        });
        let points = if of.count() == 0 { Vec::new() } else { points.collect() };
        (name.to_owned(), points)
    });
    let title = "ms by percentile: 0, 90, 99, 99.9, 99.99, 99.999";
    panel(&mut out, HEIGHT + 100.0, title, &by_percentile);
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, top: f64, title: &str, series: &[(String, Vec<(f64, f64)>)]) {
    let foot = top + HEIGHT;
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{title}</text>", top - 8.0);
    let mut ms = LEAST_MS;
    while ms <= MOST_MS * 1.01 {
        let y = height_of(ms, top);
        let right = LEFT + WIDTH;
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{ms}</text>",
            LEFT - 6.0,
            y + 4.0
        );
        ms = (ms * 10.0 * 10.0).round() / 10.0;
    }
    for step in 0..=5 {
        let x = LEFT + WIDTH * f64::from(step) / 5.0;
        let _ = writeln!(out, "<path d=\"M{x} {top}V{foot}\" stroke=\"#eee\"/>");
    }
    for (index, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let at =
            |(x, ms): &(f64, f64)| format!("{:.1},{:.1}", LEFT + x * WIDTH, height_of(*ms, top));
        let line: Vec<String> = points.iter().map(at).collect();
        let y = top + 16.0 * (as_f64(index) + 1.0);
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>\
             <text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{name}</text>",
            line.join(" "),
            LEFT + WIDTH + 10.0
        );
    }
}

fn height_of(ms: f64, top: f64) -> f64 {
    let share = (ms.clamp(LEAST_MS, MOST_MS) / LEAST_MS).log10() / (MOST_MS / LEAST_MS).log10();
    top + HEIGHT * (1.0 - share)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_data_there_are_axes() {
        let empty = Recorder::new(0, 1);
        let drawn = svg(&empty, &empty);
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"));
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn a_slow_record_stands_higher() {
        assert!(height_of(1000.0, 0.0) < height_of(1.0, 0.0));
        let mut recorder = Recorder::new(0, u64::MAX);
        recorder.record(0, 5_000_000);
        assert!(!svg(&recorder, &recorder).contains("NaN"));
    }
}
