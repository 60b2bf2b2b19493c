//! What `odradek check-store` prints.

use std::time::Duration;

use odradek_storage::check_store::{Report, Verdict};
use serde_json::json;

/// A report as a table, or as JSON: `store`, `passed`, `checks` (`name`, `verdict` of passed, failed
/// and skipped, `detail`) and `latencies` (`operation`, `bytes`, `count`, `p50_ms`, `p99_ms`).
#[must_use]
pub fn shown(report: &Report, as_json: bool) -> String {
    if !as_json {
        return report.to_string();
    }
    let checks = report.lines.iter().map(|line| {
        let verdict = match line.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        };
        json!({ "name": line.what, "verdict": verdict, "detail": line.told })
    });
    let latencies = report.latencies.iter().map(|latency| {
        json!({
            "operation": latency.operation,
            "bytes": latency.bytes,
            "count": latency.count,
            "p50_ms": ms(latency.p50),
            "p99_ms": ms(latency.p99),
        })
    });
    let report = json!({
        "store": report.store,
        "passed": report.passed(),
        "checks": checks.collect::<Vec<_>>(),
        "latencies": latencies.collect::<Vec<_>>(),
    });
    format!("{report:#}")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use odradek_storage::check_store::{Latency, Line};
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_tells_what_the_table_tells() {
        let line = |what, verdict, told: &str| Line { what, verdict, told: told.to_owned() };
        let (p50, p99) = (Duration::from_micros(1250), Duration::from_millis(9));
        let report = Report {
            store: "s3://b".to_owned(),
            lines: vec![
                line("reachable", Verdict::Passed, "an object was put and read"),
                line("put-if-absent", Verdict::Failed, "two \"winners\""),
                line("delete", Verdict::Skipped, ""),
            ],
            latencies: vec![Latency { operation: "put", bytes: 65_536, count: 50, p50, p99 }],
        };
        let told: Value = serde_json::from_str(&shown(&report, true)).unwrap();
        assert_eq!((&told["store"], &told["passed"]), (&json!("s3://b"), &json!(false)));
        let failed = &told["checks"][1];
        assert_eq!(failed["name"], "put-if-absent");
        assert_eq!(
            (&failed["verdict"], &failed["detail"]),
            (&json!("failed"), &json!("two \"winners\""))
        );
        assert_eq!(told["checks"][2]["verdict"], "skipped");
        let latency = json!({
            "operation": "put", "bytes": 65_536, "count": 50, "p50_ms": 1.25, "p99_ms": 9.0
        });
        assert_eq!(told["latencies"], json!([latency]));
        assert_eq!(shown(&report, false), report.to_string());
    }
}
