//! What a run has measured, for people and for programs.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use super::options::{Acks, Options};
use super::recorder::Recorder;
use super::run::Measured;
use super::schedule::SECOND_NS;
use super::stall::Stall;

/// The percentiles that are shown.
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// A few lines.
///
/// # Errors
/// If the rate is none.
pub fn text(options: &Options, measured: &Measured) -> Result<String> {
    let rate = achieved(options, measured);
    let wanted = options.records_per_s()?;
    let bytes = f64::from(options.record_size) / 1e6;
    let mut out = String::new();
    let asked = if wanted > 0.0 {
        format!("{wanted:.0} records/s ({:.2} MB/s)", wanted * bytes)
    } else {
        "as fast as it goes".to_owned()
    };
    writeln!(out, "asked       {asked}")?;
    writeln!(out, "achieved    {rate:.0} records/s ({:.2} MB/s)", rate * bytes)?;
    let note = if options.acks == Acks::None { "  (to the socket)" } else { "" };
    writeln!(out, "produce     {}{note}", line(&measured.produce))?;
    if options.consumers > 0 {
        writeln!(out, "end to end  {}", line(&measured.end_to_end))?;
    }
    let Measured { acked, read, failed, .. } = measured;
    writeln!(out, "records     {acked} acknowledged, {read} read, {failed} failed")?;
    if let Some(stall) = &measured.stall {
        let (partition, [length_ms, at_s]) = (stall.partition, stall_times(options, stall));
        writeln!(out, "stall       max {length_ms:.2} ms, partition {partition} at {at_s:.1} s")?;
    }
    for (error, times) in &measured.errors {
        writeln!(out, "error       {times} times: {error}")?;
    }
    Ok(out)
}

fn line(recorder: &Recorder) -> String {
    let mut line = String::new();
    for (name, percent) in PERCENTILES {
        let _ = write!(line, "{name} {:.2} ms  ", recorder.percentile_ms(percent));
    }
    format!("{line}max {:.2} ms", recorder.max_ms())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn achieved(options: &Options, measured: &Measured) -> f64 {
    measured.produce.count() as f64 / options.duration as f64
}

/// How many milliseconds a stall was, and how many seconds after the warm-up it began.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run are far below 2^52")]
fn stall_times(options: &Options, stall: &Stall) -> [f64; 2] {
    let from_ns = stall.from_ns.saturating_sub(options.warmup * SECOND_NS);
    [stall.length_ns() as f64 / 1e6, from_ns as f64 / SECOND_NS as f64]
}

/// Everything.
#[must_use]
pub fn json(options: &Options, measured: &Measured) -> Value {
    let latencies = |recorder: &Recorder| {
        let mut percentiles = serde_json::Map::new();
        for (name, percent) in PERCENTILES {
            percentiles.insert(name.to_owned(), json!(recorder.percentile_ms(percent)));
        }
        percentiles.insert("max".to_owned(), json!(recorder.max_ms()));
        json!({
            "records": recorder.count(),
            "ms": percentiles,
            "p50_p99_max_ms_by_second": recorder.over_time(),
        })
    };
    let stall = measured.stall.as_ref().map(|stall| {
        let [max_ms, at_s] = stall_times(options, stall);
        json!({ "max_ms": max_ms, "partition": stall.partition, "at_s": at_s })
    });
    json!({
        "rate": options.rate,
        "record_size_bytes": options.record_size,
        "duration_s": options.duration,
        "records_per_s": achieved(options, measured),
        "produce": latencies(&measured.produce),
        "end_to_end": latencies(&measured.end_to_end),
        "acknowledged": measured.acked,
        "read": measured.read,
        "failed": measured.failed,
        "acks": options.acks.code(),
        "stall": stall,
        "errors": measured.errors,
    })
}
